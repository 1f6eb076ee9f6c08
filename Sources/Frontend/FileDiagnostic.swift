import GlmcIR

extension Diagnostic {
    /// A file that cannot be read: `file` as the user named it, `place` inside it (a node, a tensor, a header field; empty when the
    /// file as a whole is meant), what is wrong, and what the user can do.
    init(file: String, place: String = "", reason: String, hint: String? = nil) {
        self.init(.invalid, reason, at: place.isEmpty ? [file] : [file, place], hint: hint)
    }
}
