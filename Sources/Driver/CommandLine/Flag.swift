/// One flag of a subcommand, as data: the parser, the help text and the suggestions for misspelt flags all come from it.
public struct Flag: Sendable {
    public enum Form: Sendable {
        /// `--no-cache`: present or not.
        case toggle
        /// `--dim NAME=VALUE`, `--dim=NAME=VALUE`; the placeholder is for the help text.
        case value(String)
        /// `--lookup`, `--lookup=7`: with a value of its own where none is attached.
        case optional(String, otherwise: String)
        /// `-O3`: a one-letter flag with its value attached.
        case attached(String)
    }

    /// Without dashes: `shape`, `march`, `O`.
    public let name: String
    public let form: Form
    /// A one-letter form: `o` for `-o`.
    public let short: Character?
    /// Written with one dash although it is long, as compilers have it: `-march=…`.
    public let singleDash: Bool
    public let isRepeated: Bool
    /// The only values that are accepted; empty = any.
    public let choices: [String]
    public let help: String

    init(_ name: String, _ form: Form, short: Character? = nil, singleDash: Bool = false, repeated: Bool = false, choices: [String] = [], _ help: String) {
        self.name = name
        self.form = form
        self.short = short
        self.singleDash = singleDash
        isRepeated = repeated
        self.choices = choices
        self.help = help
    }

    /// A toggle.
    init(_ name: String, short: Character? = nil, _ help: String) { self.init(name, .toggle, short: short, help) }

    /// How it is written on the command line.
    public var spelling: String {
        switch form {
        case .attached: "-" + name
        default: (singleDash ? "-" : "--") + name
        }
    }

    /// The left column of the help text.
    var synopsis: String {
        let letter = short.map { "-\($0), " } ?? ""
        switch form {
        case .toggle: return letter + spelling
        case .value(let placeholder): return letter + spelling + "=" + (choices.isEmpty ? placeholder : choices.joined(separator: "|"))
        case .optional(let placeholder, _): return letter + spelling + "[=" + placeholder + "]"
        case .attached(let placeholder): return choices.isEmpty ? spelling + placeholder : choices.map { spelling + $0 }.joined(separator: "|")
        }
    }

    /// Flags that every subcommand takes.
    static let common: [Flag] = [
        Flag("progress", .value("MODE"), choices: ["auto", "plain", "none"], "how progress is shown on standard error; auto: a bar on a terminal"),
        Flag("verbose", short: "v", "say more on standard error"),
        Flag("help", short: "h", "show this text"),
    ]
}
