import GlmcIR

/// The ways in which text from outside (names in a model, paths, flags) enters emitted C, C++ and assembler; there are no others.
///
/// Compilers read bytes, not characters. Both writers pass a few printable ASCII bytes on and spell or replace everything else, so that no text can end
/// its comment or literal, whatever a compiler makes of line ends, trigraphs, byte order marks or characters that are drawn from right to left.
enum ForeignText {
    /// A comment of one line. What may not stand in one is shown as dots.
    /// - Parameter limit: characters beyond which the text is cut.
    static func comment(_ text: String, limit: Int = 160) -> String {
        let scalars = text.unicodeScalars
        let shown = scalars.prefix(limit).map { isPlain($0) && $0 != "*" ? Character($0) : "." }
        return "/* \(String(shown))\(scalars.count > limit ? "..." : "") */"
    }

    /// A string literal, with octal escapes of three digits, which C and GNU assemblers read alike.
    static func literal(_ text: String) -> String {
        var out = "\""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): out += "\\\""
            case UInt8(ascii: "\\"): out += "\\\\"
            case _ where isPlain(UnicodeScalar(byte)): out += String(UnicodeScalar(byte))
            default:
                let octal = String(byte, radix: 8)
                out += "\\" + String(repeating: "0", count: 3 - octal.count) + octal
            }
        }
        return out + "\""
    }

    /// A long text as adjacent literals, one on a line.
    static func literals(_ text: String) -> String {
        var pieces: [String] = []
        var rest = Substring(text)
        while !rest.isEmpty {
            pieces.append("    " + literal(String(rest.prefix(120))))
            rest = rest.dropFirst(120)
        }
        return pieces.isEmpty ? "    \"\"" : pieces.joined(separator: "\n")
    }

    /// Printable ASCII without what begins an escape or a trigraph.
    private static func isPlain(_ scalar: UnicodeScalar) -> Bool {
        (0x20...0x7e).contains(scalar.value) && scalar != "\\" && scalar != "?"
    }
}
