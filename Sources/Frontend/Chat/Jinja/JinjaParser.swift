import GlmcIR

/// Tokens of a template to statements. Everything that is not supported is refused here, by its name.
struct JinjaParser {
    private let tokens: [JinjaToken]
    private var position = 0
    /// How deep expressions and blocks are nested at this place, and how many steps the expression at hand has; both are bounded.
    var depth = 0
    var steps = 0
    private var loopDepth = 0

    static let depthLimit = 60
    static let stepLimit = 2000

    static func statements(of text: String) throws -> [JinjaStatement] {
        var parser = JinjaParser(tokens: try JinjaLexer.tokens(of: text))
        return try parser.body(until: [])
    }

    private init(tokens: [JinjaToken]) { self.tokens = tokens }

    // MARK: Tokens

    var current: JinjaToken { tokens[min(position, tokens.count - 1)] }
    var following: JinjaToken { tokens[min(position + 1, tokens.count - 1)] }
    var line: Int { current.line }

    @discardableResult mutating func advance() -> JinjaToken {
        let token = current
        position += 1
        return token
    }

    func isAt(_ symbol: JinjaText) -> Bool { current.kind == .symbol && current.text == symbol }
    func isAt(word: JinjaText) -> Bool { current.kind == .name && current.text == word }

    mutating func accept(_ symbol: JinjaText) -> Bool {
        guard isAt(symbol) else { return false }
        position += 1
        return true
    }

    mutating func accept(word: JinjaText) -> Bool {
        guard isAt(word: word) else { return false }
        position += 1
        return true
    }

    mutating func expect(_ symbol: JinjaText) throws {
        guard accept(symbol) else { throw failure("'\(symbol.string)' is expected, not \(found)") }
    }

    mutating func expect(_ kind: JinjaToken.Kind, _ what: String) throws -> JinjaToken {
        guard current.kind == kind else { throw failure("\(what) is expected, not \(found)") }
        return advance()
    }

    mutating func name() throws -> String { try expect(.name, "a name").text.string }

    private var found: String {
        switch current.kind {
        case .end: "the end of the template"
        case .variableEnd, .blockEnd: "the end of the tag"
        case .data, .variableBegin, .blockBegin: "text"
        default: "'\(current.text.string.prefix(40))'"
        }
    }

    func failure(_ message: String, line: Int? = nil) -> Diagnostic { Diagnostic(.invalid, message, at: ["line \(line ?? self.line)"]) }
    func unsupported(_ what: String, line: Int? = nil) -> Diagnostic {
        Diagnostic(.unsupported, "\(what) is not supported in chat templates", at: ["line \(line ?? self.line)"])
    }

    /// One level further in.
    mutating func nested<Result>(_ parse: (inout JinjaParser) throws -> Result) throws -> Result {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.depthLimit else { throw failure("the template is nested deeper than \(Self.depthLimit) levels") }
        return try parse(&self)
    }

    // MARK: Statements

    /// Statements up to a tag that `ends` names, which is left standing; without names, up to the end.
    private mutating func body(until ends: [String]) throws -> [JinjaStatement] {
        var statements: [JinjaStatement] = []
        while true {
            switch current.kind {
            case .data: statements.append(.text(advance().text))
            case .variableBegin:
                let line = advance().line
                statements.append(.output(try expression(tuple: true), line: line))
                _ = try expect(.variableEnd, "'}}'")
            case .blockBegin:
                advance()
                guard current.kind == .name else { throw failure("the name of a tag is expected, not \(found)") }
                if ends.contains(current.text.string) { return statements }
                statements.append(contentsOf: try nested { try $0.statement() })
                _ = try expect(.blockEnd, "'%}'")
            default:
                guard ends.isEmpty else { throw failure("the template ends before '\(ends.last ?? "")'") }
                return statements
            }
        }
    }

    /// The rest of the opening tag, what stands inside, and the name of the tag that ends it.
    private mutating func block(until ends: String...) throws -> (body: [JinjaStatement], end: String) {
        _ = accept(":")
        _ = try expect(.blockEnd, "'%}'")
        let body = try body(until: ends)
        return (body, advance().text.string)
    }

    private static let tags: [String: @Sendable (inout JinjaParser, Int) throws -> [JinjaStatement]] = [
        "if": { [try $0.branches(line: $1)] },
        "for": { [try $0.loop(line: $1)] },
        "set": { [try $0.set(line: $1)] },
        "with": { [try $0.with(line: $1)] },
        "macro": { parser, line in
            let name = try parser.name()
            return [.macro(try parser.macro(name, hasParameters: true, end: "endmacro", line: line))]
        },
        "call": { [try $0.callBlock(line: $1)] },
        "generation": { parser, line in
            [.call(callee: nil, arguments: JinjaCall(line: line), caller: try parser.macro("", hasParameters: false, end: "endgeneration", line: line))]
        },
        "filter": { [try $0.filterBlock(line: $1)] },
        "print": { try $0.print(line: $1) },
        "break": { [try $0.jump(.breakLoop, line: $1)] },
        "continue": { [try $0.jump(.continueLoop, line: $1)] },
    ]

    private mutating func statement() throws -> [JinjaStatement] {
        let tag = advance()
        guard let parse = Self.tags[tag.text.string] else { throw unsupported("the tag '\(tag.text.string)'", line: tag.line) }
        return try parse(&self, tag.line)
    }

    private mutating func jump(_ statement: JinjaStatement, line: Int) throws -> JinjaStatement {
        guard loopDepth > 0 else { throw failure("a loop is left where there is none", line: line) }
        return statement
    }

    private mutating func branches(line: Int) throws -> JinjaStatement {
        var branches: [(JinjaExpression, [JinjaStatement])] = []
        while true {
            let test = try expression(tuple: true, conditional: false)
            let (body, end) = try block(until: "elif", "else", "endif")
            branches.append((test, body))
            if end == "elif" { continue }
            return .branches(branches, otherwise: end == "else" ? try block(until: "endif").body : [], line: line)
        }
    }

    private mutating func loop(line: Int) throws -> JinjaStatement {
        let target = try target(end: "in")
        guard accept(word: "in") else { throw failure("'in' is expected, not \(found)") }
        let sequence = try expression(tuple: true, conditional: false, end: "recursive")
        let filter = accept(word: "if") ? try expression() : nil
        let isRecursive = accept(word: "recursive")
        loopDepth += 1
        let (body, end) = try block(until: "else", "endfor")
        loopDepth -= 1
        let otherwise = end == "else" ? try block(until: "endfor").body : []
        return .loop(JinjaLoop(
            target: target, sequence: sequence, filter: filter, isRecursive: isRecursive, body: body, otherwise: otherwise, line: line))
    }

    private mutating func set(line: Int) throws -> JinjaStatement {
        let target = try target(attributes: true)
        if accept("=") { return .set(target, try expression(tuple: true), line: line) }
        let filters = try filterChain()
        return .setBlock(target, filters: filters, body: try block(until: "endset").body, line: line)
    }

    private mutating func with(line: Int) throws -> JinjaStatement {
        var values: [(JinjaTarget, JinjaExpression)] = []
        while current.kind != .blockEnd, !isAt(":") {
            if !values.isEmpty { try expect(",") }
            let target = try target()
            try expect("=")
            values.append((target, try expression()))
        }
        return .with(values, body: try block(until: "endwith").body, line: line)
    }

    private mutating func callBlock(line: Int) throws -> JinjaStatement {
        let parameters = isAt("(") ? try parameters() : []
        guard case .call(let callee, let arguments) = try expression() else { throw failure("a call is expected", line: line) }
        let caller = try macro("", parameters, end: "endcall", line: line)
        return .call(callee: callee, arguments: arguments, caller: caller)
    }

    private mutating func filterBlock(line: Int) throws -> JinjaStatement {
        let filters = [try filter()] + (try filterChain())
        return .filter(filters, body: try block(until: "endfilter").body, line: line)
    }

    private mutating func print(line: Int) throws -> [JinjaStatement] {
        var outputs: [JinjaStatement] = []
        while current.kind != .blockEnd {
            if !outputs.isEmpty { try expect(",") }
            outputs.append(.output(try expression(), line: line))
        }
        return outputs
    }

    // MARK: Macros and targets

    private mutating func macro(_ name: String, hasParameters: Bool, end: String, line: Int) throws -> JinjaMacro {
        try macro(name, hasParameters ? parameters() : [], end: end, line: line)
    }

    private mutating func macro(_ name: String, _ parameters: [(String, JinjaExpression?)], end: String, line: Int) throws -> JinjaMacro {
        // A body is a function of its own: no loop around it can be left from inside.
        let loops = loopDepth
        loopDepth = 0
        let start = position
        let body = try block(until: end).body
        loopDepth = loops
        let names = Set((start..<position).filter { tokens[$0].kind == .name && tokens[$0 - 1].text != "." }.map { tokens[$0].text.string })
        return JinjaMacro(
            name: name, parameters: parameters, body: body, specialNames: names.intersection(["varargs", "kwargs", "caller"]), line: line)
    }

    private mutating func parameters() throws -> [(String, JinjaExpression?)] {
        var parameters: [(String, JinjaExpression?)] = []
        try expect("(")
        while !isAt(")") {
            if !parameters.isEmpty { try expect(",") }
            let name = try name()
            let fallback = accept("=") ? try expression() : nil
            if fallback == nil, parameters.last?.1 != nil { throw failure("parameter '\(name)' needs a default value like the one before it") }
            parameters.append((name, fallback))
        }
        try expect(")")
        return parameters
    }

    private static let constants: Set<JinjaText> = ["true", "false", "none", "True", "False", "None"]

    /// A name, names with commas between them, or `name.attribute` where `attributes` are allowed.
    private mutating func target(attributes: Bool = false, end: JinjaText? = nil) throws -> JinjaTarget {
        var targets: [JinjaTarget] = []
        var isTuple = false
        while !(isTuple && (isAt("=") || isAt(")") || current.kind == .blockEnd || end.map { isAt(word: $0) } == true)) {
            if accept("(") {
                targets.append(try nested { try $0.target(attributes: attributes) })
                try expect(")")
            } else {
                guard !Self.constants.contains(current.text) else { throw failure("nothing can be assigned to \(found)") }
                let name = try name()
                targets.append(attributes && accept(".") ? .attribute(of: name, try self.name()) : .name(name))
            }
            guard accept(",") else { break }
            isTuple = true
        }
        return isTuple ? .tuple(targets) : targets[0]
    }
}
