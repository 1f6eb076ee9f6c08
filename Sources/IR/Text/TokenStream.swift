/// The tokens of one file with a cursor, and the errors that point into it.
struct TokenStream {
    private let tokens: [Token]
    private var position = 0
    let file: String

    /// Nesting of regions, types and expressions beyond this is refused.
    static let depthLimit = 100

    init(_ text: String, file: String) throws {
        var lexer = Lexer(text, file: file)
        var tokens: [Token] = []
        repeat { tokens.append(try lexer.next()) } while tokens.last?.kind != .end
        self.tokens = tokens
        self.file = file
    }

    var current: Token { tokens[position] }
    /// The token after the current one.
    var following: Token { tokens[min(position + 1, tokens.count - 1)] }

    mutating func advance() -> Token {
        let token = tokens[position]
        position = min(position + 1, tokens.count - 1)
        return token
    }

    func error(_ message: String, at token: Token? = nil) -> Diagnostic {
        let token = token ?? current
        return Lexer.error(message, file: file, line: token.line, column: token.column)
    }

    func expected(_ what: String) -> Diagnostic { error("expected \(what), not \(describe(current))") }

    private func describe(_ token: Token) -> String {
        token.kind == .end ? token.text : "'\(token.spelling.isEmpty ? String(token.text.prefix(40)) : token.spelling)'"
    }

    func isAt(_ punctuation: String) -> Bool { current.kind == .punctuation && current.text == punctuation }
    func isAt(word: String) -> Bool { current.kind == .identifier && current.text == word }

    /// Skips the punctuation if it comes next.
    mutating func accept(_ punctuation: String) -> Bool {
        guard isAt(punctuation) else { return false }
        _ = advance()
        return true
    }

    mutating func accept(word: String) -> Bool {
        guard isAt(word: word) else { return false }
        _ = advance()
        return true
    }

    mutating func expect(_ punctuation: String) throws {
        guard accept(punctuation) else { throw expected("'\(punctuation)'") }
    }

    mutating func expect(word: String) throws {
        guard accept(word: word) else { throw expected("'\(word)'") }
    }

    mutating func take(_ kind: Token.Kind, _ what: String) throws -> Token {
        guard current.kind == kind else { throw expected(what) }
        return advance()
    }

    /// A signed integer.
    mutating func integer() throws -> Int {
        let negative = accept("-")
        let token = try take(.number, "an integer")
        guard let value = Int(negative ? "-" + token.text : token.text) else { throw error("\(token.text) is no 64-bit integer", at: token) }
        return value
    }

    /// `item, item, …` up to and including `close`.
    mutating func list(until close: String, _ item: (inout TokenStream) throws -> Void) throws {
        if accept(close) { return }
        repeat { try item(&self) } while accept(",")
        try expect(close)
    }
}

// MARK: Types and extents

extension TokenStream {
    /// A symbolic size, such as `4*h+floordiv(w, 2)`.
    mutating func extent(depth: Int = 0) throws -> Extent {
        guard depth < TokenStream.depthLimit else { throw error("the expression is nested too deeply") }
        var sum = accept("-") ? -(try product(depth)) : try product(depth)
        while true {
            if accept("+") {
                sum = sum + (try product(depth))
            } else if accept("-") {
                sum = sum - (try product(depth))
            } else {
                return sum
            }
        }
    }

    private mutating func product(_ depth: Int) throws -> Extent {
        var result = try factor(depth)
        while accept("*") { result = result * (try factor(depth)) }
        return result
    }

    private mutating func factor(_ depth: Int) throws -> Extent {
        if current.kind == .number { return Extent(try integer()) }
        if current.kind == .string { return .dimension(advance().text) }
        if accept("(") {
            let inner = try extent(depth: depth + 1)
            try expect(")")
            return inner
        }
        let name = try take(.identifier, "a size").text
        guard accept("(") else { return .dimension(name) }
        let a = try extent(depth: depth + 1)
        try expect(",")
        let b = try extent(depth: depth + 1)
        try expect(")")
        switch name {
        case "floordiv": return a.floorDivided(by: b)
        case "mod": return a.modulo(b)
        case "max": return .maximum(a, b)
        case "min": return .minimum(a, b)
        default: throw error("there is no size function '\(name)'; there are floordiv, mod, max and min")
        }
    }

    /// `f32[batch, 3|nhwc]`, `sequence<…>` or `optional<…>`.
    mutating func valueType(depth: Int = 0) throws -> ValueType {
        guard depth < TokenStream.depthLimit else { throw error("the type is nested too deeply") }
        for (word, make) in [("sequence", ValueType.sequence), ("optional", ValueType.optional)] where accept(word: word) {
            try expect("<")
            let inner = try valueType(depth: depth + 1)
            try expect(">")
            return make(inner)
        }
        return .tensor(try tensorType())
    }

    mutating func tensorType() throws -> TensorType {
        let name = try take(.identifier, "an element type")
        guard let element = ElementType(rawValue: name.text) else { throw error("there is no element type '\(name.text)'", at: name) }
        try expect("[")
        var shape: [Extent] = []
        var layout = Layout.rowMajor
        while !isAt("]") && !isAt("|") {
            shape.append(try extent())
            guard accept(",") else { break }
        }
        if accept("|") {
            let word = try take(.identifier, "a layout")
            guard let known = Layout(rawValue: word.text) else { throw error("there is no layout '\(word.text)'", at: word) }
            layout = known
        }
        try expect("]")
        let type = TensorType(element, shape, layout: layout)
        do {
            try Verifier.checkType(.tensor(type))
        } catch let problem as Diagnostic {
            throw error(problem.message, at: name)
        }
        return type
    }
}
