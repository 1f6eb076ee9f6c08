/// Splits the textual IR into tokens. Comments run from `//` to the end of the line.
struct Lexer {
    private let bytes: [UInt8]
    private let file: String
    private var position = 0
    private var line = 1
    private var lineStart = 0

    init(_ text: String, file: String) {
        bytes = Array(text.utf8)
        self.file = file
    }

    /// A diagnostic about the text at `line:column`.
    static func error(_ message: String, file: String, line: Int, column: Int) -> Diagnostic {
        Diagnostic(.invalid, message, at: ["\(file):\(line):\(column)"])
    }

    private func fail(_ message: String) -> Diagnostic {
        Lexer.error(message, file: file, line: line, column: position - lineStart + 1)
    }

    private var current: UInt8? { position < bytes.count ? bytes[position] : nil }
    private func peek(_ offset: Int) -> UInt8? { position + offset < bytes.count ? bytes[position + offset] : nil }

    private mutating func skipBlanks() {
        while let byte = current {
            switch byte {
            case UInt8(ascii: "\n"):
                position += 1
                line += 1
                lineStart = position
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"): position += 1
            case UInt8(ascii: "/") where peek(1) == UInt8(ascii: "/"):
                while let byte = current, byte != UInt8(ascii: "\n") { position += 1 }
            default: return
            }
        }
    }

    /// The next token; `.end` at the end, repeatedly.
    mutating func next() throws -> Token {
        skipBlanks()
        let line = line, column = position - lineStart + 1
        func token(_ kind: Token.Kind, _ text: String, spelling: String = "") -> Token {
            Token(kind: kind, text: text, spelling: spelling, line: line, column: column)
        }
        guard let byte = current else { return token(.end, "the end of the file") }
        if Quoting.isLetter(byte) { return token(.identifier, take { Quoting.isLetter($0) || Quoting.isDigit($0) }) }
        if Quoting.isDigit(byte) { return token(.number, takeNumber()) }
        switch byte {
        case UInt8(ascii: "\""): return token(.string, try takeString())
        case UInt8(ascii: "%"):
            let start = position
            position += 1
            let name = try takeName()
            if current == UInt8(ascii: "#") {
                position += 1
                guard let digit = current, Quoting.isDigit(digit) else { throw fail("expected a number after '#'") }
                _ = take(while: Quoting.isDigit)
            }
            return token(.value, name, spelling: String(decoding: bytes[start..<position], as: UTF8.self))
        case UInt8(ascii: "@"):
            position += 1
            return token(.symbol, try takeName())
        case UInt8(ascii: "-") where peek(1) == UInt8(ascii: ">"):
            position += 2
            return token(.punctuation, "->")
        case _ where "()[]{}<>,:=|*+-^.".utf8.contains(byte):
            position += 1
            return token(.punctuation, String(UnicodeScalar(byte)))
        default:
            let text = byte < 0x80 ? "'\(UnicodeScalar(byte))'" : "a character outside ASCII"
            throw fail("\(text) cannot start a token here")
        }
    }

    private mutating func take(while accept: (UInt8) -> Bool) -> String {
        let start = position
        while let byte = current, accept(byte) { position += 1 }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    private mutating func takeNumber() -> String {
        let start = position
        func digits(_ lexer: inout Lexer) { _ = lexer.take(while: Quoting.isDigit) }
        digits(&self)
        if current == UInt8(ascii: "."), let next = peek(1), Quoting.isDigit(next) {
            position += 1
            digits(&self)
        }
        if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
            let signed = peek(1) == UInt8(ascii: "-") || peek(1) == UInt8(ascii: "+")
            if let digit = peek(signed ? 2 : 1), Quoting.isDigit(digit) {
                position += signed ? 2 : 1
                digits(&self)
            }
        }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    /// What follows `%` or `@`.
    private mutating func takeName() throws -> String {
        if current == UInt8(ascii: "\"") { return try takeString() }
        let name = take(while: Quoting.isValueNameByte)
        guard !name.isEmpty else { throw fail("expected a name") }
        return name
    }

    private mutating func takeString() throws -> String {
        position += 1
        var result: [UInt8] = []
        while let byte = current {
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: result, as: UTF8.self)
            case UInt8(ascii: "\n"): throw fail("a string literal ends at the end of its line")
            case UInt8(ascii: "\\"):
                guard let escape = current else { throw fail("unfinished string literal") }
                position += 1
                switch escape {
                case UInt8(ascii: "n"): result.append(10)
                case UInt8(ascii: "t"): result.append(9)
                case UInt8(ascii: "r"): result.append(13)
                case UInt8(ascii: "\""), UInt8(ascii: "\\"): result.append(escape)
                case UInt8(ascii: "u"):
                    guard current == UInt8(ascii: "{") else { throw fail("expected '{' after \\u") }
                    position += 1
                    let digits = take { $0 != UInt8(ascii: "}") && $0 != UInt8(ascii: "\"") && $0 != 10 }
                    guard current == UInt8(ascii: "}"), let value = UInt32(digits, radix: 16), let scalar = UnicodeScalar(value) else {
                        throw fail("\\u{\(digits) is no character")
                    }
                    position += 1
                    result.append(contentsOf: String(Character(scalar)).utf8)
                default: throw fail("unknown escape in a string literal")
                }
            default: result.append(byte)
            }
        }
        throw fail("unfinished string literal")
    }
}
