import Foundation
import GlmcIR
import GlmcPasses

/// What surrounds a subcommand. Results go to standard output, everything else to standard error.
public struct Console: Sendable {
    public let progress: ProgressMode
    public let isVerbose: Bool
    /// The passes that subcommands know.
    let passLibrary: PassLibrary

    public enum ProgressMode: Sendable { case bar, plain, none }

    init(_ arguments: Arguments, _ passLibrary: PassLibrary) {
        self.passLibrary = passLibrary
        isVerbose = arguments.has("verbose")
        progress = switch arguments.string("progress") {
        case "plain": .plain
        case "none": .none
        default: isatty(2) != 0 && ProcessInfo.processInfo.environment["TERM"] != "dumb" ? .bar : .none
        }
    }

    /// A result, on standard output.
    public func print(_ text: String) { Console.write(text.printable + "\n", to: 1) }
    /// Something worth knowing, on standard error.
    public func note(_ text: String) { Console.write(text.printable + "\n", to: 2) }
    /// As `note`, only with `--verbose`.
    public func detail(_ text: @autoclosure () -> String) { if isVerbose { note(text()) } }
    public func warning(_ text: String) { Console.write(Console.paint("warning:", .yellow) + " " + text.printable(isIndented: true) + "\n", to: 2) }

    /// Prints an error as people read it: what, where, and what to do.
    static func error(_ diagnostic: Diagnostic) {
        let place = diagnostic.location.map(\.printableOnOneLine).filter { !$0.isEmpty }.map { $0 + ": " }.joined()
        write(paint("error:", .red) + " " + place + diagnostic.message.printable(isIndented: true) + "\n", to: 2)
        if let hint = diagnostic.hint { write(paint("hint:", .cyan) + " " + hint.printable(isIndented: true) + "\n", to: 2) }
    }

    enum Colour: Int { case red = 31, yellow = 33, cyan = 36 }

    private static func paint(_ text: String, _ colour: Colour) -> String {
        isatty(2) != 0 && ProcessInfo.processInfo.environment["NO_COLOR"] == nil ? "\u{1b}[1;\(colour.rawValue)m\(text)\u{1b}[0m" : text
    }

    /// Writes all of it as it is. What could not be written to standard output is remembered for `checkOutput`.
    static func write(_ text: String, to descriptor: Int32) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let written = bytes.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
            if written < 0 && errno == EINTR { continue }
            guard written > 0 else {
                if descriptor == 1 { outputError.store(errno) }
                return
            }
            bytes = bytes.dropFirst(written)
        }
    }

    /// - Throws: when results were lost because standard output could not take them. A reader that has gone away has seen what it wanted.
    static func checkOutput() throws(Diagnostic) {
        let error = outputError.load()
        guard error != 0, error != EPIPE else { return }
        throw Diagnostic(.invalid, "cannot write to standard output: \(String(cString: strerror(error)))", hint: "what was printed is incomplete")
    }

    /// Whether a write to standard output has failed: nothing more arrives there.
    static var outputIsGone: Bool { outputError.load() != 0 }

    /// The first error of a write to standard output; 0 without one.
    private static let outputError = FirstError()

    private final class FirstError: @unchecked Sendable {
        private let lock = NSLock()
        private var value: Int32 = 0
        func store(_ error: Int32) { lock.withLock { if value == 0 { value = error } } }
        func load() -> Int32 { lock.withLock { value } }
    }
}
