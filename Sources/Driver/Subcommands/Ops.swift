import GlmcFrontend
import GlmcIR

extension Subcommand {
    static let ops = Subcommand(
        "ops", "[--onnx] [--json]", summary: "list the operations of the IR, or the ONNX operators that are understood", positionals: 0...0,
        flags: [Flag("onnx", "ONNX operators, with their domain unless it is the default one"), Flag("json", "print JSON")]
    ) { arguments, console in
        if arguments.has("onnx") {
            let names = OnnxImporter.operators.map { $0.hasPrefix(".") ? String($0.dropFirst()) : $0 }.sorted()
            console.print(arguments.has("json") ? JSONValue.array(names.map { .string($0) }).text(pretty: true) : names.joined(separator: "\n"))
            return .done
        }
        let entries = OpRegistry.standard.entries.values.sorted { $0.mnemonic < $1.mnemonic }
        if arguments.has("json") {
            console.print(JSONValue.array(entries.map { .object(["name": .string($0.mnemonic), "summary": .string($0.summary)]) }).text(pretty: true))
        } else {
            console.print(columns(entries.map { [$0.mnemonic, $0.summary] }))
        }
        return .done
    }
}
