import Foundation
import GlmcCodegen
import GlmcIR
import Testing

/// Many small functions as one, so that one artifact holds every kernel family.
struct KernelCollection {
    let function: Function
    let inputs: [Tensor]
    let expected: [Tensor]
    /// The loosest of its cases.
    let tolerance: Double

    /// Sizes for the free dimensions. Cases use few names; one value for each will do for all of them.
    static let sizes = ["a": 23, "b": 11, "c": 75, "h": 9, "m": 41, "n": 2, "s": 19, "t": 37, "w": 38]
    static let ones = ["a": 1, "b": 1, "c": 1, "h": 3, "m": 1, "n": 1, "s": 1, "t": 1, "w": 5]
    static let zeros = ["a": 0, "b": 2, "c": 16, "h": 3, "m": 0, "n": 0, "s": 3, "t": 0, "w": 5]

    /// All cases of `KernelCase` and `ArtifactTests`: those with fixed sizes, or those with free dimensions.
    /// - Parameter sizes: what the free dimensions are in `inputs`; the function is the same for all.
    init(free: Bool, sizes: [String: Int] = Self.sizes) throws {
        let cases = KernelCase.all.filter { $0.dimensions.isEmpty != free }.map { ($0.text, $0.tolerance) }
            + ArtifactTests.cases.filter { $0.dimensions.isEmpty != free }.map { ($0.text, $0.tolerance) }
        var arguments: [String] = [], nodes: [String] = [], results: [String] = []
        for (number, (text, _)) in cases.enumerated() {
            let renamed = text.replacingOccurrences(of: "%k", with: "%constant\(number)_").replacing(/%(?!constant)/, with: "%case\(number)_")
            for line in renamed.split(separator: "\n").map({ $0.trimmingCharacters(in: .whitespaces) }) {
                if line.hasPrefix("func"), let start = line.firstIndex(of: "("), let end = line.lastIndex(of: ")") {
                    arguments.append(String(line[line.index(after: start)..<end]))
                } else if line.hasPrefix("return ") {
                    results.append(String(line.dropFirst(7)))
                } else if line != "}" {
                    nodes.append(line)
                }
            }
        }
        let parsed = try Parser.parseFunction("func @all(\(arguments.joined(separator: ", "))) {\n\(nodes.joined(separator: "\n"))\nreturn \(results.joined(separator: ", "))\n}\n")
        var random = RandomInputs()
        function = try withConstants(parsed, random.tensors(for: parsed, dimensions: Self.sizes), prefix: "constant")
        inputs = try random.tensors(for: function, dimensions: sizes)
        expected = try Interpreter.run(function, inputs, dimensions: sizes)
        tolerance = cases.map(\.1).max() ?? 0
    }
}

/// An artifact linked with `tools/check_artifact.c` into a program that compares its outputs with the expected ones.
struct LinkedProgram {
    static let checker = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().appending(path: "tools/check_artifact.c").path
    private let folder: Scratch

    /// - Parameters:
    ///   - compiler: for the artifact; nil = the usual one.
    ///   - linker: the C compiler that makes the program.
    init(_ function: Function, target: Target = .native, flags: [String] = [], compiler: String? = nil, linker: String = "gcc") throws {
        let folder = try Scratch()
        var options = CompileOptions(name: "all")
        options.minParallelWork = 1
        options.kind = .staticLibrary
        options.target = target
        options.compiler = compiler
        options.optimization = "-O1"
        options.extraFlags = flags + ["-Werror"]
        let library = "\(folder.path)/all.a"
        try ArtifactCompiler.compile(function, to: library, options: options)
        try self.init(linking: library, in: folder, flags: flags, linker: linker)
    }

    /// Links a compiled model that is called `all`.
    init(linking library: String, in folder: Scratch? = nil, flags: [String] = [], linker: String = "gcc") throws {
        let folder = try folder ?? Scratch()
        self.folder = folder
        try folder.write("glmc.h", String(decoding: RuntimeSupport.publicHeader.text, as: UTF8.self))
        let built = try ChildProcess.run([linker, "-O1", "-g"] + flags + ["-DMODEL=model_all", "-I\(folder.path)", Self.checker, library, "-pthread", "-lm", "-o", "\(folder.path)/check"])
        try #require(built.succeeded, "\(built.errors)")
    }

    /// Runs the model on a collection's inputs from several threads at once, each with a team of its own.
    /// - Parameter launcher: a program that runs the program, such as an emulator.
    func run(_ collection: KernelCollection, callers: Int, threads: Int, runs: Int = 2, launcher: [String] = [], environment: [String: String] = [:]) throws {
        try folder.write("shapes.txt", collection.inputs.map { ([$0.rank] + $0.shape).map(String.init).joined(separator: " ") }.joined(separator: "\n"))
        for (kind, tensors) in [("in", collection.inputs), ("out", collection.expected)] {
            for (i, tensor) in tensors.enumerated() { try Data(tensor.bytes).write(to: URL(fileURLWithPath: "\(folder.path)/\(kind)\(i).bin")) }
        }
        let words = launcher + ["\(folder.path)/check", folder.path, "\(callers)", "\(threads)", "\(runs)", "\(collection.tolerance)"]
        let result = try ChildProcess.run(words, limit: 300, environment: environment)
        #expect(result.succeeded, "\(result.end): \(result.errors.prefix(4000))")
    }
}
