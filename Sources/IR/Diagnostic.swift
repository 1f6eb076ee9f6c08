/// Something a person should read: what went wrong, where, why, and what to do about it.
public struct Diagnostic: Error, Hashable, Sendable {
    /// Decides the exit code: a bad model or input, a wrong command, something glmc does not support, or a defect of glmc.
    public enum Kind: Hashable, Sendable { case invalid, usage, unsupported, `internal` }

    public var kind: Kind
    /// What went wrong and why, in one sentence without a full stop.
    public var message: String
    /// Where: a file, a node, an operator, a pass; outermost first.
    public var location: [String]
    /// What the reader can do, if anything is known.
    public var hint: String?

    public init(_ kind: Kind = .invalid, _ message: String, at location: [String] = [], hint: String? = nil) {
        self.kind = kind
        self.message = message
        self.location = location
        self.hint = hint
    }

    /// The same diagnostic seen from one level further out.
    public func inside(_ place: String) -> Diagnostic {
        var copy = self
        copy.location.insert(place, at: 0)
        return copy
    }

    public static func unsupported(_ message: String, hint: String? = nil) -> Diagnostic {
        Diagnostic(.unsupported, message, hint: hint)
    }
}

/// Several independent diagnostics reported at once, such as all blockers of a model.
public struct Diagnostics: Error, Sendable {
    public var all: [Diagnostic]
    public init(_ all: [Diagnostic]) { self.all = all }
}

extension Diagnostic: CustomStringConvertible {
    public var description: String {
        let place = location.isEmpty ? "" : location.joined(separator: ": ") + ": "
        return place + message + (hint.map { "\n  hint: \($0)" } ?? "")
    }
}

extension Diagnostics: CustomStringConvertible {
    public var description: String { all.map(\.description).joined(separator: "\n") }
}
