import Foundation
import GlmcFrontend
import GlmcFuzz
import GlmcIR
import GlmcRuntime

extension Subcommand {
    /// Random graphs, or cases from files, in a process of their own, for `glmc fuzz`: whatever happens here ends only this process.
    static let fuzzCase = Subcommand(
        "fuzz-case", "SEED|FILE.glm…", summary: "compile random graphs together and print how they ended as JSON", positionals: 1...1000,
        flags: [
            Flag("dynamic", "leave the sizes of inputs free"),
            Flag("write", .value("FILE.glm"), "write the graph there and do no more"),
        ] + Compilation.flags, isHidden: true
    ) { arguments, console in
        let cases = try arguments.positionals.map { try testCase($0, isDynamic: arguments.has("dynamic")) }
        if let file = arguments.string("write") {
            try Array(cases[0].text(remarks: []).utf8).withUnsafeBytes { try Files.replace(file, with: [$0]) }
            return .done
        }
        let runner = FuzzRunner(try Compilation(arguments, console))
        do {
            let faults = try runner.faults(cases)
            console.print(JSONValue.object(["faults": .array(faults.map { fault in
                .object(["position": .int(Int64(fault.position ?? 0)), "message": .string(fault.message)])
            })]).text())
        } catch {
            let text = (error as? RuntimeError).map { "refused: \($0.message)" } ?? "\(error)"
            console.print(JSONValue.object(["failure": .string(String(text.prefix(3000)))]).text())
        }
        return .done
    }

    /// A seed's graph, or the case in a file.
    static func testCase(_ word: String, isDynamic: Bool) throws -> FuzzCase {
        if let seed = UInt64(word) { return RandomGraph.make(seed: seed, isDynamic: isDynamic) }
        guard let text = String(validating: try Files.map(word).array, as: UTF8.self) else { throw Diagnostic(.invalid, "cannot be read as text", at: [word]) }
        return try FuzzCase(text: text, file: word)
    }
}
