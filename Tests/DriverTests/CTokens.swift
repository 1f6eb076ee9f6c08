/// The tokens of C, C++ and assembler text as compilers see them: bytes, after trigraphs and spliced lines. Written for tests, apart from all that emits.
struct CTokens {
    /// Identifiers, numbers and punctuation that stand outside of comments and literals.
    private(set) var code: [String] = []
    /// The contents of string literals, escapes resolved; neighbours apart.
    private(set) var literals: [[UInt8]] = []
    /// Whether the text ends within a comment or literal, or a literal holds the end of a line.
    private(set) var isBroken = false

    init(_ text: [UInt8], trigraphs: Bool) {
        var bytes = text
        if trigraphs {
            let replacements: [(Character, Character)] = [("=", "#"), ("/", "\\"), ("'", "^"), ("(", "["), (")", "]"), ("!", "|"), ("<", "{"), (">", "}"), ("-", "~")]
            var result: [UInt8] = []
            var i = 0
            while i < bytes.count {
                if i + 2 < bytes.count, bytes[i] == 0x3f, bytes[i + 1] == 0x3f, let found = replacements.first(where: { $0.0.asciiValue == bytes[i + 2] }) {
                    result.append(found.1.asciiValue ?? 0)
                    i += 3
                } else {
                    result.append(bytes[i])
                    i += 1
                }
            }
            bytes = result
        }
        // A backslash at the end of a line continues it, for gcc even with blanks between.
        var joined: [UInt8] = []
        var i = 0
        while i < bytes.count {
            if bytes[i] == UInt8(ascii: "\\") {
                var end = i + 1
                while end < bytes.count, bytes[end] == 0x20 || (9...13).contains(bytes[end]) && bytes[end] != 10 { end += 1 }
                if end < bytes.count, bytes[end] == 10 {
                    i = end + 1
                    continue
                }
            }
            joined.append(bytes[i])
            i += 1
        }
        scan(joined)
    }

    private mutating func scan(_ bytes: [UInt8]) {
        func isWord(_ byte: UInt8) -> Bool { byte >= 0x80 || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "$") || UnicodeScalar(byte).properties.isAlphabetic || (0x30...0x39).contains(byte) }
        func at(_ i: Int, _ text: String) -> Bool { bytes[i...].starts(with: text.utf8) }
        var i = 0
        while i < bytes.count {
            let byte = bytes[i]
            if at(i, "/*") {
                i += 2
                while i < bytes.count, !at(i, "*/") { i += 1 }
                isBroken = isBroken || i >= bytes.count
                i += 2
            } else if at(i, "//") {
                while i < bytes.count, bytes[i] != 10, bytes[i] != 13 { i += 1 }
            } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                var content: [UInt8] = []
                i += 1
                while i < bytes.count, bytes[i] != byte {
                    if bytes[i] == 10 || bytes[i] == 13 || bytes[i] == 0 { isBroken = true }
                    if bytes[i] == UInt8(ascii: "\\"), i + 1 < bytes.count {
                        i += 1
                        if (0x30...0x37).contains(bytes[i]) {
                            var value = 0, digits = 0
                            while i < bytes.count, digits < 3, (0x30...0x37).contains(bytes[i]) {
                                value = value * 8 + Int(bytes[i] - 0x30)
                                (i, digits) = (i + 1, digits + 1)
                            }
                            content.append(UInt8(truncatingIfNeeded: value))
                            continue
                        }
                        content.append([UInt8(ascii: "n"): 10, UInt8(ascii: "t"): 9, UInt8(ascii: "r"): 13][bytes[i]] ?? bytes[i])
                    } else {
                        content.append(bytes[i])
                    }
                    i += 1
                }
                isBroken = isBroken || i >= bytes.count
                i += 1
                if byte == UInt8(ascii: "\"") { literals.append(content) }
            } else if isWord(byte) {
                let start = i
                while i < bytes.count, isWord(bytes[i]) { i += 1 }
                code.append(String(decoding: bytes[start..<i], as: UTF8.self))
            } else {
                if byte > 0x20 { code.append(String(UnicodeScalar(byte))) }
                i += 1
            }
        }
    }
}
