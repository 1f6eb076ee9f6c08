import Foundation
import GlmcCodegen
import GlmcFrontend
import GlmcIR
import GlmcPasses

extension Subcommand {
    static let compile = Subcommand(
        "compile", "MODEL [-o OUT] [-O0|-O1|-O2|-O3] [flags]",
        summary: "compile a model to a native artifact",
        details: """
            MODEL is an .onnx file, a folder with config.json and *.safetensors, a .gguf file, or a .glm file. OUT decides by its
            ending what is made: .so (the default, MODEL's name), .a or .o (with headers beside), .c (with headers and weights beside),
            .cu (for nvcc, with weights beside), .glm (the optimised IR as text); without an ending, a program that reads and writes
            .npy files, or, of a language model, that continues texts and answers.
            """,
        positionals: 1...1,
        flags: [
            Flag("output", .value("OUT"), short: "o", "the file to write"),
            Flag("emit", .value("KIND"), choices: OutputKind.allCases.map(\.rawValue), "what to write, whatever OUT's ending says"),
            Flag("time-passes", "print how long each pass took"),
            Flag("report", .value("FILE.json"), "write what was compiled, and how long it took"),
            Flag("dry-run", "go as far as the optimised IR, and write nothing"),
        ] + Compilation.flags
    ) { arguments, console in
        let path = arguments.positionals[0]
        let (output, kind) = try destination(arguments, path)
        // Of other subcommands the flag takes a list.
        _ = try arguments.int("batch", in: 1...1024)
        var compilation = try Compilation(arguments, console)
        if kind == .cu, !arguments.has("march"), !arguments.has("target"), let cuda = Target.named("sm_90") { compilation.target = cuda }
        var times: [(stage: String, seconds: Double)] = []
        func timed<T>(_ stage: String, _ body: () throws -> T) rethrows -> T {
            let start = now()
            defer { times.append((stage, now() - start)) }
            return try body()
        }
        var module = try timed("import") { try compilation.load(path).module }
        let language = kind == .glm ? nil : try compilation.language(path, module)
        let passes = try timed("optimise") { try compilation.optimise(&module) }
        if arguments.has("time-passes") { console.note(PassTable.text(passes)) }
        if arguments.has("dry-run") { return .done }

        var report = CompileReport()
        try timed("emit") {
            if let artifact = kind.artifact {
                report = try compilation.emit(module, name: ModelFile.name(path), kind: artifact, source: path, language: language, to: output)
                if kind == .a || kind == .o || kind == .c { try writeHeaders(beside: output, model: ModelFile.name(path)) }
            } else {
                try TextualIR.write(module, to: output)
                if try compilation.isLanguageModel(path, module) { console.warning("\(output) holds no tokenizer, chat template or tokens that end a text: what is compiled from it is no language model") }
            }
        }
        let bytes = ((try? FileManager.default.attributesOfItem(atPath: output)[.size]) as? NSNumber)?.intValue ?? 0
        let seconds = times.reduce(0) { $0 + $1.seconds }
        console.note("\(output): \(bytesText(bytes)), \(report.launchCount) kernels (\(report.cachedFiles) of \(report.cachedFiles + report.compiledFiles) files from the cache), "
            + "memory \(memoryText(report.arenaBytes, hasFreeSizes: module.functions.contains { !$0.dimensions.isEmpty })), \(formatted("%.1f s", seconds))")
        for (stage, seconds) in times { console.detail("  \(stage): \(formatted("%.2f s", seconds))") }
        if let file = arguments.string("report") { try write(report, passes, times, output, bytes, to: file) }
        return .done
    }

    /// The file to write and its kind; refuses early what could not be written at the end.
    private static func destination(_ arguments: Arguments, _ path: String) throws -> (String, OutputKind) {
        let emit = arguments.string("emit")
        let usual = arguments.string("target") == "cuda" ? OutputKind.cu : .so
        let output = arguments.string("output") ?? ModelFile.name(path) + (emit == OutputKind.exe.rawValue ? "" : "." + (emit ?? usual.rawValue))
        let ending = Files.ending(of: output)
        guard let kind = OutputKind(rawValue: emit ?? (ending.isEmpty ? "exe" : ending)) else {
            throw Diagnostic(.usage, "no kind of output is known for the ending of '\(output)'", hint: "endings: .so .a .o .c .cu .glm, or none for a program; or say --emit=KIND")
        }
        let folder = Files.folder(of: output)
        guard Files.isFolder(folder) else { throw Diagnostic(.invalid, "the folder '\(folder)' does not exist", at: [output]) }
        for file in [output] + arguments.all("report") { try Files.checkTarget(file) }
        guard access(folder, W_OK) == 0 else { throw Diagnostic(.invalid, "the folder '\(folder)' cannot be written", at: [output]) }
        return (output, kind)
    }

    private static func writeHeaders(beside output: String, model: String) throws {
        let folder = Files.folder(of: output), own = ModelName(model).header(version: Glmc.version)
        try RuntimeSupport.publicHeader.text.withUnsafeBytes { try Files.replace(folder + "/glmc.h", with: [$0]) }
        let header = Files.path(output, withEnding: "h")
        try Array(own.utf8).withUnsafeBytes { try Files.replace(header, with: [$0]) }
    }

    private static func write(
        _ report: CompileReport, _ passes: [PassManager.PassReport], _ times: [(stage: String, seconds: Double)], _ output: String, _ bytes: Int, to file: String
    ) throws {
        let document = JSONValue.object([
            "artifact": .string(output), "bytes": .int(Int64(bytes)), "weight_bytes": .int(Int64(report.weightBytes)),
            "arena_bytes": .int(Int64(report.arenaBytes)), "arena_lower_bound": .int(Int64(report.arenaLowerBound)),
            "kernels": .int(Int64(report.kernelCount)), "launches": .int(Int64(report.launchCount)),
            "cached_files": .int(Int64(report.cachedFiles)), "compiled_files": .int(Int64(report.compiledFiles)),
            "seconds": .object(times.map { JSONValue.Member(key: $0.stage, value: .double($0.seconds.rounded(toPlaces: 4))) }),
            "passes": .array(passes.map { .object(["name": .string($0.name), "rewrites": .int(Int64($0.rewrites)), "ms": .double(($0.duration / .milliseconds(1)).rounded(toPlaces: 3))]) }),
        ])
        try Array((document.text(pretty: true) + "\n").utf8).withUnsafeBytes { try Files.replace(file, with: [$0]) }
    }
}

/// What `-o` and `--emit` can name, by file ending.
enum OutputKind: String, CaseIterable {
    case so, a, o, c, cu, exe, glm

    /// nil for textual IR, which needs no code generation.
    var artifact: ArtifactKind? {
        switch self {
        case .so: .sharedLibrary
        case .a: .staticLibrary
        case .o: .object
        case .c: .cSource
        case .cu: .cudaSource
        case .exe: .executable
        case .glm: nil
        }
    }
}
