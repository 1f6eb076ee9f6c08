import GlmcIR

extension Subcommand {
    static let help = Subcommand("help", "[SUBCOMMAND]", summary: "explain a subcommand", positionals: 0...1) { arguments, console in
        guard let name = arguments.positionals.first else {
            console.print(Help.overview(Glmc.subcommands))
            return .done
        }
        guard let subcommand = Glmc.subcommands.first(where: { $0.name == name }) else {
            let nearest = nearestName(to: name, among: Glmc.subcommands.filter { !$0.isHidden }.map(\.name))
            throw Diagnostic(.usage, "there is no subcommand '\(name)'", hint: nearest.map { "did you mean glmc help \($0)?" } ?? "glmc help lists them")
        }
        console.print(Help.text(subcommand))
        return .done
    }
}
