import Foundation
import GlmcCodegen
import GlmcFrontend
import GlmcIR
import GlmcPasses
import GlmcRuntime

/// The command-line program: finds the subcommand, parses its flags, runs it, and turns errors into text and exit codes.
public enum Glmc {
    public static let version = "0.1.0"

    /// What `glmc help` lists, in this order. A subcommand is added here when it works.
    static let subcommands: [Subcommand] = [
        .compile, .run, .generate, .tokenize, .perplexity, .bench, .inspect, .verify, .conformance, .fuzz, .explain, .opt, .lower, .ops, .passes, .targets, .doctor, .version, .help, .conformanceCase, .fuzzCase,
    ]

    /// Runs `glmc` with these words (without the program's name) and returns its exit status.
    /// - Parameter passLibrary: the passes that are known; a program that adds passes of its own hands in an extended library.
    public static func run(_ words: [String], passLibrary: PassLibrary = .standard) -> Int32 {
        // Both then show as errors of the write that caused them.
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        Interruption.install()
        do {
            try checkWords()
            let code = try dispatch(words, passLibrary)
            try Console.checkOutput()
            return code.rawValue
        } catch {
            return report(error).rawValue
        }
    }

    /// - Throws: for a command line that is not UTF-8: its words would name other files than those that were meant.
    private static func checkWords() throws(Diagnostic) {
        for index in 0..<Int(CommandLine.argc) {
            guard let word = CommandLine.unsafeArgv[index] else { continue }
            guard String(validatingCString: word) == nil else { continue }
            throw Diagnostic(.usage, "argument \(index) is not UTF-8: '\(String(cString: word))'", hint: "names of files are UTF-8")
        }
    }

    private static func dispatch(_ words: [String], _ passLibrary: PassLibrary) throws -> ExitCode {
        guard let name = words.first else {
            Console.write(Help.overview(subcommands) + "\n", to: 2)
            return .usage
        }
        if name == "--help" || name == "-h" { return try dispatch(["help"], passLibrary) }
        if name == "--version" { return try dispatch(["version"], passLibrary) }
        guard let subcommand = subcommands.first(where: { $0.name == name }) else {
            let names = subcommands.filter { !$0.isHidden }.map(\.name)
            throw Diagnostic(.usage, "there is no subcommand '\(name)'", hint: nearestName(to: name, among: names).map { "did you mean glmc \($0)?" } ?? "glmc help lists them")
        }
        let arguments = try Arguments(Array(words.dropFirst()), for: subcommand), console = Console(arguments, passLibrary)
        if arguments.has("help") {
            console.print(Help.text(subcommand))
            return .done
        }
        try arguments.checkPositionals()
        if !subcommand.isHidden { CrashReport.install(words) }
        return try subcommand.action(arguments, console)
    }

    /// Prints an error of any kind and says which exit code it has.
    static func report(_ error: any Error) -> ExitCode {
        let diagnostics: [Diagnostic] = switch error {
        case let error as Diagnostics: error.all
        case let error as Diagnostic: [error]
        case let error as RuntimeError: [Diagnostic(.invalid, error.message)]
        default: [Diagnostic(.internal, "\(error)")]
        }
        for diagnostic in diagnostics { Console.error(diagnostic) }
        return diagnostics.map { exitCode($0.kind) }.max { $0.rawValue < $1.rawValue } ?? .internalError
    }

    private static func exitCode(_ kind: Diagnostic.Kind) -> ExitCode {
        switch kind {
        case .invalid: .invalid
        case .usage: .usage
        case .unsupported: .unsupported
        case .internal: .internalError
        }
    }
}
