import GlmcIR

struct JinjaToken: Sendable, Equatable {
    enum Kind: Sendable { case data, variableBegin, variableEnd, blockBegin, blockEnd, name, string, integer, float, symbol, end }

    var kind: Kind
    var text: JinjaText
    var line: Int
}

/// Cuts a template into tokens, with `trim_blocks` (a line break right behind a block goes) and `lstrip_blocks` (so does the indentation
/// before a block that begins its line).
struct JinjaLexer {
    private let source: [Unicode.Scalar]
    private var position = 0
    private var line = 1
    private var tokens: [JinjaToken] = []
    private var brackets: [Unicode.Scalar] = []
    private var isLineStart = true

    static func tokens(of text: String) throws -> [JinjaToken] {
        var lexer = JinjaLexer(text)
        while lexer.position < lexer.source.count { try lexer.root() }
        lexer.add(.end, "")
        return lexer.tokens
    }

    private init(_ text: String) {
        var source: [Unicode.Scalar] = []
        for scalar in text.unicodeScalars {
            if scalar == "\n", source.last == "\r" { source.removeLast() }
            source.append(scalar)
        }
        source = source.map { $0 == "\r" ? "\n" : $0 }
        if source.last == "\n" { source.removeLast() }
        self.source = source
    }

    private func failure(_ message: String) -> Diagnostic { Diagnostic(.invalid, message, at: ["line \(line)"]) }

    private mutating func add(_ kind: JinjaToken.Kind, _ text: JinjaText) { tokens.append(JinjaToken(kind: kind, text: text, line: line)) }

    private func isAt(_ text: StaticString, _ place: Int) -> Bool {
        guard place + text.utf8CodeUnitCount <= source.count else { return false }
        for index in 0..<text.utf8CodeUnitCount where source[place + index].value != UInt32(text.utf8Start[index]) { return false }
        return true
    }

    private func skippingSpace(_ place: Int) -> Int {
        var place = place
        while place < source.count, source[place].isPythonSpace { place += 1 }
        return place
    }

    private mutating func move(to end: Int) {
        line += source[position..<end].count { $0 == "\n" }
        isLineStart = end > position ? source[end - 1] == "\n" : isLineStart
        position = end
    }

    private func sign(at place: Int) -> Unicode.Scalar? {
        place < source.count && (source[place] == "-" || source[place] == "+") ? source[place] : nil
    }

    // MARK: Text between tags

    private mutating func root() throws {
        var open = position
        while open < source.count, source[open] != "{" || !(isAt("{%", open) || isAt("{{", open) || isAt("{#", open)) { open += 1 }
        let sign = sign(at: open + 2)
        let isVariable = isAt("{{", open)
        if open < source.count {
            addData(position..<open, sign: sign, isVariable: isVariable)
        } else {
            addData(position..<open, sign: "+", isVariable: false)
            return move(to: open)
        }
        move(to: open)
        let inside = open + (sign == nil ? 2 : 3)
        if isAt("{#", open) { return try comment(inside) }
        if !isVariable, let end = rawBegin(inside) {
            move(to: end)
            return try raw()
        }
        add(isVariable ? .variableBegin : .blockBegin, "")
        move(to: inside)
        try tag(isVariable: isVariable)
    }

    private mutating func addData(_ range: Range<Int>, sign: Unicode.Scalar?, isVariable: Bool) {
        var text = source[range]
        if sign == "-" {
            while let last = text.last, last.isPythonSpace { text.removeLast() }
        } else if sign != "+", !isVariable {
            let lineStart = text.lastIndex(of: "\n").map { $0 + 1 }
            let start = lineStart ?? text.startIndex
            if lineStart != nil || isLineStart, text[start...].allSatisfy(\.isPythonSpace) { text = text[..<start] }
        }
        if !text.isEmpty { add(.data, JinjaText(text)) }
    }

    /// The end of a tag that may go on with a sign: `+%}`, `-%}` with the white space behind it, or `%}` with a line break behind it.
    private func blockEnd(_ place: Int, _ close: StaticString = "%}") -> Int? {
        if isAt("+", place), isAt(close, place + 1) { return place + 3 }
        if isAt("-", place), isAt(close, place + 1) { return skippingSpace(place + 3) }
        guard isAt(close, place) else { return nil }
        return isAt("\n", place + 2) ? place + 3 : place + 2
    }

    private mutating func comment(_ start: Int) throws {
        var place = start
        while place < source.count {
            if let end = blockEnd(place, "#}") { return move(to: end) }
            place += 1
        }
        throw failure("a comment does not end")
    }

    private func rawBegin(_ inside: Int) -> Int? {
        var place = skippingSpace(inside)
        guard isAt("raw", place) else { return nil }
        place = skippingSpace(place + 3)
        if isAt("-%}", place) { return skippingSpace(place + 3) }
        return isAt("%}", place) ? place + 2 : nil
    }

    private mutating func raw() throws {
        var place = position
        while place < source.count {
            if isAt("{%", place) {
                let sign = sign(at: place + 2)
                let name = skippingSpace(place + (sign == nil ? 2 : 3))
                if isAt("endraw", name), let end = blockEnd(skippingSpace(name + 6)) {
                    addData(position..<place, sign: sign, isVariable: false)
                    return move(to: end)
                }
            }
            place += 1
        }
        throw failure("a raw block does not end")
    }

    // MARK: Inside a tag

    private mutating func tag(isVariable: Bool) throws {
        brackets = []
        while position < source.count {
            if brackets.isEmpty, let end = isVariable ? variableEnd : blockEnd(position) {
                add(isVariable ? .variableEnd : .blockEnd, "")
                return move(to: end)
            }
            try token()
        }
        throw failure("a tag does not end")
    }

    private var variableEnd: Int? {
        if isAt("-}}", position) { return skippingSpace(position + 3) }
        return isAt("}}", position) ? position + 2 : nil
    }

    private mutating func token() throws {
        let scalar = source[position]
        if scalar.isPythonSpace { return move(to: skippingSpace(position)) }
        if let (kind, text, end) = number() {
            add(kind, text)
            return move(to: end)
        }
        if scalar.isPythonWord { return name() }
        if scalar == "'" || scalar == "\"" { return try string(scalar) }
        try symbol()
    }

    private mutating func name() {
        let end = source[position...].firstIndex { !$0.isPythonWord } ?? source.count
        add(.name, JinjaText(source[position..<end]))
        move(to: end)
    }

    private mutating func string(_ quote: Unicode.Scalar) throws {
        var end = position + 1
        while end < source.count, source[end] != quote { end += source[end] == "\\" ? 2 : 1 }
        guard end < source.count else { throw failure("a string does not end") }
        add(.string, try unescaped(source[(position + 1)..<end]))
        move(to: end + 1)
    }

    private static let symbols: [StaticString] = [
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";",
    ]

    private mutating func symbol() throws {
        guard let symbol = Self.symbols.first(where: { isAt($0, position) }) else {
            throw failure("the character '\(source[position])' has no meaning in a tag")
        }
        let text = JinjaText(symbol.description)
        let closing: [Unicode.Scalar: Unicode.Scalar] = ["(": ")", "[": "]", "{": "}"]
        if let close = closing[text.scalars[0]] {
            brackets.append(close)
        } else if [")", "]", "}"].contains(text.scalars[0]) {
            guard brackets.popLast() == text.scalars[0] else { throw failure("'\(text.string)' closes nothing") }
        }
        add(.symbol, text)
        move(to: position + text.count)
    }
}

// MARK: - Numbers and strings

extension JinjaLexer {
    /// Digits with single underscores between them.
    private func digits(from start: Int, _ isDigit: (Unicode.Scalar) -> Bool) -> Int {
        var place = start
        while place < source.count {
            if isDigit(source[place]) {
                place += 1
            } else if source[place] == "_", place > start, place + 1 < source.count, isDigit(source[place + 1]) {
                place += 2
            } else {
                break
            }
        }
        return place
    }

    private func number() -> (JinjaToken.Kind, JinjaText, Int)? {
        let isDecimal: (Unicode.Scalar) -> Bool = { ("0"..."9").contains($0) }
        guard isDecimal(source[position]) else { return nil }
        func text(_ end: Int) -> JinjaText { JinjaText(source[position..<end].filter { $0 != "_" }) }
        let whole = digits(from: position, isDecimal)
        if position == 0 || source[position - 1] != "." {
            var end = whole
            if isAt(".", end), case let fraction = digits(from: end + 1, isDecimal), fraction > end + 1 { end = fraction }
            if isAt("e", end) || isAt("E", end) {
                let exponent = end + (sign(at: end + 1) == nil ? 1 : 2)
                if case let last = digits(from: exponent, isDecimal), last > exponent { end = last }
            }
            if end > whole { return (.float, text(end), end) }
        }
        let bases: [(StaticString, StaticString, (Unicode.Scalar) -> Bool)] = [
            ("0x", "0X", { $0.properties.isASCIIHexDigit }), ("0o", "0O", { ("0"..."7").contains($0) }), ("0b", "0B", { $0 == "0" || $0 == "1" }),
        ]
        for base in bases where isAt(base.0, position) || isAt(base.1, position) {
            let start = isAt("_", position + 2) ? position + 3 : position + 2
            if case let end = digits(from: start, base.2), end > start { return (.integer, text(end), end) }
        }
        let end = source[position] == "0" ? digits(from: position) { $0 == "0" } : whole
        return (.integer, text(end), end)
    }

    private static let escapes: [Unicode.Scalar: Unicode.Scalar] = [
        "\\": "\\", "'": "'", "\"": "\"", "a": "\u{7}", "b": "\u{8}", "f": "\u{c}", "n": "\n", "r": "\r", "t": "\t", "v": "\u{b}",
    ]

    private static let hexDigits: [Unicode.Scalar: Int] = ["x": 2, "u": 4, "U": 8]

    private func unescaped(_ text: ArraySlice<Unicode.Scalar>) throws -> JinjaText {
        var result: [Unicode.Scalar] = []
        var rest = text
        while let scalar = rest.popFirst() {
            guard scalar == "\\", let code = rest.popFirst() else {
                result.append(scalar)
                continue
            }
            if let plain = Self.escapes[code] {
                result.append(plain)
            } else if code == "\n" {
                continue
            } else if let count = Self.hexDigits[code] {
                result.append(try self.scalar(rest.prefix(count), count, radix: 16))
                rest = rest.dropFirst(count)
            } else if ("0"..."7").contains(code) {
                let octal = [code] + rest.prefix(2).prefix { ("0"..."7").contains($0) }
                result.append(try self.scalar(octal[...], octal.count, radix: 8))
                rest = rest.dropFirst(octal.count - 1)
            } else if code == "N" {
                throw Diagnostic(.unsupported, "characters by name (\\N) are not supported", at: ["line \(line)"])
            } else if code.isASCII {
                result += [scalar, code]
            } else {
                // A backslash meets the escape that Python writes for the character.
                let digits = String(code.value, radix: 16)
                let form = code.value < 0x100 ? ("x", 2) : code.value < 0x10000 ? ("u", 4) : ("U", 8)
                result += ("\\" + form.0 + String(repeating: "0", count: form.1 - digits.count) + digits).unicodeScalars
            }
        }
        return JinjaText(result)
    }

    private func scalar(_ digits: ArraySlice<Unicode.Scalar>, _ count: Int, radix: Int) throws -> Unicode.Scalar {
        guard digits.count == count, let code = UInt32(JinjaText(digits).string, radix: radix), let scalar = Unicode.Scalar(code) else {
            throw failure("an escape in a string is no character")
        }
        return scalar
    }
}
