import Foundation
import GlmcFrontend
import GlmcIR
import GlmcRuntime

extension Subcommand {
    static let verify = Subcommand(
        "verify", "MODEL [flags] --against DIR|FILE.npz",
        summary: "compile a model, run it, and compare with expected outputs",
        details: "DIR is an ONNX test case with test_data_set_*; FILE.npz holds inputs and expected outputs by name. Exit code 3 when they differ.",
        positionals: 1...1,
        flags: [
            Flag("against", .value("DIR|FILE.npz"), "what to compare with"),
            Flag("atol", .value("A"), "absolute tolerance for FILE.npz (default 1e-4)"),
            Flag("rtol", .value("R"), "relative tolerance for FILE.npz (default 1e-3)"),
        ] + Compilation.flags
    ) { arguments, console in
        guard let against = arguments.string("against") else { throw arguments.misuse("--against is missing") }
        let compilation = try Compilation(arguments, console), path = arguments.positionals[0]
        if Files.isFolder(against) {
            guard path == against + "/model.onnx" || Files.resolve(path) == Files.resolve(against + "/model.onnx") else {
                throw Diagnostic(.usage, "a test case is compared with its own model", hint: "glmc verify \(against)/model.onnx --against \(against)")
            }
            let result = try CaseRunner(compilation: compilation).compare(against) { console.print($0) }
            return result.status == .passed ? .done : .differs
        }
        let artifact = try compilation.artifact(path), entry = try artifact.entryPoint(named: nil)
        let atol = try arguments.double("atol") ?? 1e-4, rtol = try arguments.double("rtol") ?? 1e-3
        var inputs: [String: TensorBuffer] = [:], expected: [(name: String, tensor: TensorBuffer)] = []
        for item in try Npz.read(against) {
            if let info = entry.inputs.first(where: { $0.name == item.name }) {
                inputs[item.name] = try TensorBuffer(item.array, as: info.type)
            } else if let info = entry.outputs.first(where: { $0.name == item.name }) {
                expected.append((item.name, try TensorBuffer(item.array, as: info.type)))
            } else {
                console.warning("\(against) holds '\(item.name)', which is neither an input nor an output of the model")
            }
        }
        guard !expected.isEmpty else { throw Diagnostic(.invalid, "holds none of the model's outputs (\(entry.outputs.map(\.name).joined(separator: ", ")))", at: [against]) }
        let outputs = try Session(artifact, threads: arguments.threads()).run(inputs)
        var differs = false
        for (name, tensor) in expected {
            guard let output = outputs[name] else { continue }
            let comparison = Comparison(output, expected: tensor, atol: atol, rtol: rtol)
            console.print("\(name.printableOnOneLine): \(comparison.matches ? "matches" : "differs"), \(comparison.summary)")
            differs = differs || !comparison.matches
        }
        return differs ? .differs : .done
    }
}
