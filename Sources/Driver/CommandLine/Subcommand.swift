/// One subcommand: what it takes, and what it does. Each stands in a file of its own under `Subcommands/`.
public struct Subcommand: Sendable {
    public let name: String
    /// What follows the name: `MODEL [-o OUT]`.
    public let synopsis: String
    /// One line for the list of subcommands.
    public let summary: String
    /// Paragraphs for its own help text.
    public let details: String
    /// How many arguments that are no flags it takes.
    public let positionals: ClosedRange<Int>
    public let flags: [Flag]
    /// Not shown in the list: used by glmc itself.
    public let isHidden: Bool
    public let action: @Sendable (Arguments, Console) throws -> ExitCode

    init(
        _ name: String, _ synopsis: String, summary: String, details: String = "", positionals: ClosedRange<Int>, flags: [Flag] = [], isHidden: Bool = false,
        action: @escaping @Sendable (Arguments, Console) throws -> ExitCode
    ) {
        self.name = name
        self.synopsis = synopsis
        self.summary = summary
        self.details = details
        self.positionals = positionals
        self.flags = flags
        self.isHidden = isHidden
        self.action = action
    }

    var allFlags: [Flag] { flags + Flag.common }
}

/// The exit codes that scripts rely on.
public enum ExitCode: Int32, Sendable {
    case done = 0
    /// The model or an input is bad.
    case invalid = 1
    case usage = 2
    /// Results differ from what was expected, or a budget was missed.
    case differs = 3
    /// The model needs something that is not supported.
    case unsupported = 4
    /// A defect of glmc.
    case internalError = 70
    /// Ctrl-C ended a text.
    case interrupted = 130
}
