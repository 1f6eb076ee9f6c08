extension Subcommand {
    static let version = Subcommand("version", "[--json]", summary: "print the version", positionals: 0...0, flags: [Flag("json", "print JSON")]) { arguments, console in
        console.print(arguments.has("json") ? #"{"glmc": "\#(Glmc.version)"}"# : "glmc \(Glmc.version)")
        return .done
    }
}
