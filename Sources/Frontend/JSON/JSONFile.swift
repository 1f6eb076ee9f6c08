import GlmcIR

extension JSONValue {
    /// The document in a file.
    /// - Throws: a `Diagnostic` where it cannot be read or is not JSON.
    static func read(_ path: String) throws -> JSONValue {
        do {
            return try Files.map(path).withUnsafeBytes { text throws(JSONError) in try JSONValue(parsing: text) }
        } catch let error as JSONError {
            throw Diagnostic(file: path, reason: "is not JSON: \(error.reason) at byte \(error.offset)")
        }
    }
}
