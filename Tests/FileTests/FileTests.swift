import Foundation
import GlmcCodegen
import GlmcPasses
import Testing

@testable import GlmcIR

/// Every `.glm` file under `cases/`. `GLMC_BLESS=1` rewrites the expected output instead of comparing.
@Test(arguments: FileCase.all)
func fileTest(_ path: String) throws {
    let test = try FileCase(path)
    let actual = test.run()
    if ProcessInfo.processInfo.environment["GLMC_BLESS"] != nil {
        try test.bless(actual)
    } else {
        #expect(actual == test.expected, "the output of \(test.name) differs; GLMC_BLESS=1 rewrites the file")
    }
}

/// One file test: a head line `// test: MODE …`, `// input: TENSOR` lines for `run`, the IR, and behind the marker what MODE prints.
struct FileCase {
    static let marker = "// ---- expected\n"
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "cases")

    /// Paths relative to the folder, so that test names are the same everywhere.
    static let all: [String] = {
        let files = FileManager.default.enumerator(atPath: folder.path)?.compactMap { $0 as? String } ?? []
        return files.filter { $0.hasSuffix(".glm") }.sorted()
    }()

    let name: String
    let source: String
    let expected: String?
    let mode: [String]
    private var file: URL { FileCase.folder.appending(path: name) }

    init(_ name: String) throws {
        self.name = name
        let text = try String(contentsOf: FileCase.folder.appending(path: name), encoding: .utf8)
        let parts = text.components(separatedBy: FileCase.marker)
        source = parts[0]
        expected = parts.count > 1 ? parts[1] : nil
        let head = source.components(separatedBy: "\n").first { $0.hasPrefix("// test: ") }
        mode = head.map { $0.dropFirst("// test: ".count).split(separator: " ").map(String.init) } ?? []
    }

    func bless(_ output: String) throws {
        try (source + FileCase.marker + output).write(to: file, atomically: true, encoding: .utf8)
    }

    /// What the mode prints, for the source or for another text; a diagnostic is output too.
    func run(_ text: String? = nil) -> String {
        do {
            let functions = try Parser.parse(text ?? source, file: "input.glm")
            return try functions.map(output).joined(separator: "\n")
        } catch {
            return "error: \(error)\n"
        }
    }

    private func output(_ function: Function) throws -> String {
        switch mode.first {
        case "parse":
            let text = Printer.print(function, weights: .inline)
            let again = Printer.print(try Parser.parseFunction(text), weights: .inline)
            return text == again ? text : "error: printing is no fixed point:\n\(text)\n\(again)"
        case "verify":
            try Verifier.verify(function)
            return "ok\n"
        case "run":
            let given: [Tensor?] = try inputs()
            // What has no line is left to its default.
            let results = try Interpreter.run(function, given + Array(repeating: nil, count: max(function.inputs.count - given.count, 0)))
            return zip(function.outputNames, results).map { "\($0): \(FileCase.spell($1))\n" }.joined()
        case "pass":
            var changed = function
            let passes = try PassLibrary.standard.passes(named: mode.dropFirst().joined().components(separatedBy: ","))
            try PassManager(PassManager.Options(verifiesEach: true)).run(passes, on: &changed, PassContext(level: .o3))
            return Printer.print(changed, weights: .inline)
        case "storage": return try lowered(function, .program)
        case "lower": return try lowered(function, .kernels)
        case "emit": return try lowered(function, .source)
        default:
            throw Diagnostic(.usage, "'\(mode.joined(separator: " "))' is no mode; there are parse, verify, run, pass, storage, lower and emit")
        }
    }

    /// For the target that follows the mode's name.
    private func lowered(_ function: Function, _ form: Lowered.Form) throws -> String {
        guard mode.count == 2, let target = Target.named(mode[1]) else { throw Diagnostic(.usage, "'\(mode.joined(separator: " "))' names no target") }
        return try Lowered(Module(function), target: target, threads: 1).text(form)
    }

    private func inputs() throws -> [Tensor] {
        try source.components(separatedBy: "\n").filter { $0.hasPrefix("// input: ") }.map { line in
            var tokens = try TokenStream(String(line.dropFirst("// input: ".count)), file: name)
            return try AttributeParser(resources: nil).tensor(&tokens)
        }
    }

    static func spell(_ tensor: Tensor) -> String {
        var printer = TensorPrinter(.inline)
        return printer.spell(.tensor(tensor))
    }
}
