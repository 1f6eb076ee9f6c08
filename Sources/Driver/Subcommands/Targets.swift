import GlmcCodegen
import GlmcFrontend

extension Subcommand {
    static let targets = Subcommand("targets", "[--json]", summary: "list what code can be made for", positionals: 0...0, flags: [Flag("json", "print JSON")]) { arguments, console in
        let native = Target.native.name
        if arguments.has("json") {
            console.print(JSONValue.array(Target.all.map { target in
                .object([
                    "name": .string(target.name), "family": .string(target.family.rawValue), "vector_bits": .int(Int64(target.vectorBits)),
                    "features": .array(target.features.map { .string($0) }), "native": .bool(target.name == native),
                ])
            }).text(pretty: true))
        } else {
            console.print(columns(Target.all.map { target in
                [target.name, target.family.rawValue, target.vectorBits == 0 ? "no vectors" : "\(target.vectorBits)-bit vectors", target.name == native ? "this machine" : "", target.features.joined(separator: " ")]
            }))
        }
        return .done
    }
}
