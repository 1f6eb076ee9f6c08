import CGlmcABI

/// Why an artifact could not be opened or run.
public struct RuntimeError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kind of failure; mirrors `glmc_status`.
    public enum Kind: Int32, Sendable {
        case badArgument = 1, badType, badShape, tooSmall, unsupportedProcessor, noMemory, busy, badData, badFile, noDevice
        /// The file is not an artifact, or one of another version of the interface.
        case notAnArtifact = 1000
    }

    public let kind: Kind
    /// For people: what is wrong, with which tensor, and what was expected.
    public let message: String

    public init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    public var description: String { message }
}

/// Calls `body` with room for an error text and turns a status other than `GLMC_OK` into a `RuntimeError`.
func checked(_ body: (UnsafeMutablePointer<CChar>, UInt64) -> Int32) throws(RuntimeError) {
    let capacity = 1024
    let text = UnsafeMutablePointer<CChar>.allocate(capacity: capacity)
    defer { text.deallocate() }
    text.pointee = 0
    let status = body(text, UInt64(capacity))
    guard status != 0 else { return }
    let message = String(cString: text)
    throw RuntimeError(RuntimeError.Kind(rawValue: status) ?? .badArgument, message.isEmpty ? "the artifact returned status \(status)" : message)
}
