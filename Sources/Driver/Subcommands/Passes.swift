import GlmcFrontend
import GlmcPasses

extension Subcommand {
    static let passes = Subcommand(
        "passes", "[-O…] [--json]", summary: "list the passes, or those of a level in order", positionals: 0...0,
        flags: [Flag("O", .attached("N"), choices: ["0", "1", "2", "3"], "the passes of this level, in the order in which they run"), Flag("json", "print JSON")]
    ) { arguments, console in
        let level = arguments.string("O").flatMap { Int($0) }.flatMap { OptimizationLevel(rawValue: $0) }
        let list = level.map { console.passLibrary.pipeline($0) } ?? console.passLibrary.passes
        if arguments.has("json") {
            console.print(JSONValue.array(list.map { .object(["name": .string($0.name), "summary": .string($0.summary)]) }).text(pretty: true))
        } else {
            console.print(columns(list.enumerated().map { index, pass in (level == nil ? [] : ["\(index + 1)"]) + [pass.name, pass.summary] }))
        }
        return .done
    }
}
