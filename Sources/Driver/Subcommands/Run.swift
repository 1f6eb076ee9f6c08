import GlmcFrontend
import GlmcIR
import GlmcRuntime

extension Subcommand {
    static let run = Subcommand(
        "run", "ART|MODEL [--input NAME=FILE.npy …] [--inputs FILE.npz] [--random SEED] [--output FILE.npz]",
        summary: "run a model once, on files or random numbers",
        details: "A model that is not compiled yet is compiled first, to a temporary file; the flags of glmc compile apply.\nPrints each output's name, type, shape, and min/mean/max, unless --output is given. With --expected, the exit code is 3\nwhen an output differs by more than atol + rtol * |expected|.",
        positionals: 1...1,
        flags: Inputs.flags + [
            Flag("output", .value("FILE.npz"), short: "o", "write the outputs there"),
            Flag("expected", .value("FILE.npz"), "compare with these outputs"),
            Flag("atol", .value("A"), "absolute tolerance (default 1e-4)"),
            Flag("rtol", .value("R"), "relative tolerance (default 1e-3)"),
            Flag("entry", .value("NAME"), "entry point to run (default: the first)"),
            Flag("json", "print JSON"),
        ] + Compilation.flags
    ) { arguments, console in
        if let path = arguments.string("output") { try Files.checkTarget(path) }
        let artifact = try Compilation(arguments, console).artifact(arguments.positionals[0])
        let entry = try artifact.entryPoint(named: arguments.string("entry"))
        let inputs = try Inputs.gather(arguments, for: entry)
        let session = try Session(artifact, threads: arguments.threads())
        let outputs = try session.run(inputs, entryPoint: entry.name)
        if let path = arguments.string("output") {
            try Npz.write(entry.outputs.compactMap { info in outputs[info.name]?.numpy.map { Npz.Entry(name: info.name, array: $0) } }, to: path)
        }
        var exit = ExitCode.done
        if let path = arguments.string("expected") { exit = try compare(outputs, entry, with: path, arguments, console) }
        if arguments.has("json") {
            console.print(JSONValue.array(entry.outputs.compactMap { info in outputs[info.name].map { statistics(info.name, $0).json } }).text(pretty: true))
        } else if !arguments.has("output") && !arguments.has("expected") {
            console.print(columns(entry.outputs.compactMap { info in outputs[info.name].map { statistics(info.name, $0).row } }))
        }
        return exit
    }

    private static func compare(_ outputs: [String: TensorBuffer], _ entry: Artifact.EntryPoint, with path: String, _ arguments: Arguments, _ console: Console) throws -> ExitCode {
        var differs = false
        let atol = try arguments.double("atol") ?? 1e-4, rtol = try arguments.double("rtol") ?? 1e-3
        let expected = try Npz.read(path)
        guard !expected.isEmpty else { throw Diagnostic(.invalid, "holds none of the model's outputs (\(entry.outputs.map(\.name).joined(separator: ", ")))", at: [path]) }
        for item in expected {
            guard let output = outputs[item.name] else {
                let nearest = nearestName(to: item.name, among: entry.outputs.map(\.name))
                throw Diagnostic(.invalid, "the model has no output '\(item.name)'", at: [path], hint: nearest.map { "did you mean '\($0)'?" })
            }
            let comparison = Comparison(output, expected: try TensorBuffer(item.array, as: output.type), atol: atol, rtol: rtol)
            console.note("\(item.name): \(comparison.matches ? "matches" : "differs"), \(comparison.summary)")
            differs = differs || !comparison.matches
        }
        return differs ? .differs : .done
    }

    private struct Statistics {
        let row: [String]
        let json: JSONValue
    }

    private static func statistics(_ name: String, _ tensor: TensorBuffer) -> Statistics {
        let values = tensor.doubles
        let (low, high) = (values.min() ?? .nan, values.max() ?? .nan), mean = values.reduce(0, +) / Double(values.count)
        let shape = "[\(tensor.shape.map(String.init).joined(separator: ", "))]"
        return Statistics(
            row: [name, "\(tensor.type)\(shape)", values.isEmpty ? "empty" : "min \(brief(low))  mean \(brief(mean))  max \(brief(high))"],
            json: .object(["name": .string(name), "type": .string(tensor.type.name), "shape": .array(tensor.shape.map { .int(Int64($0)) }), "min": .double(low), "mean": .double(mean), "max": .double(high)]))
    }
}
