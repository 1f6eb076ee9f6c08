import GlmcIR

extension JinjaParser {
    /// An expression, or several with commas between them where a `tuple` may stand.
    /// `conditional` allows `a if b else c`; a tuple may end before the word `end`.
    mutating func expression(tuple: Bool = false, conditional: Bool = true, end: JinjaText? = nil) throws -> JinjaExpression {
        if depth == 0 { steps = 0 }
        guard tuple else { return try nested { try conditional ? $0.conditional() : $0.operation(0) } }
        var items: [JinjaExpression] = []
        var isTuple = false
        while !(isTuple && (isAt(")") || current.kind == .variableEnd || current.kind == .blockEnd || end.map { isAt(word: $0) } == true)) {
            items.append(try expression(conditional: conditional))
            guard accept(",") else { break }
            isTuple = true
        }
        return isTuple ? .tuple(items) : items[0]
    }

    private mutating func step() throws {
        steps += 1
        guard steps <= Self.stepLimit else { throw failure("an expression has more than \(Self.stepLimit) operations") }
    }

    private mutating func conditional() throws -> JinjaExpression {
        var value = try operation(0)
        while accept(word: "if") {
            try step()
            let test = try operation(0)
            let otherwise = accept(word: "else") ? try nested { try $0.conditional() } : nil
            value = .conditional(test: test, then: value, otherwise: otherwise)
        }
        return value
    }

    /// Operators from the loosest level to the tightest.
    private enum Level: Int { case or, and, not, comparison, sum, concat, product, power, unary }

    private static let arithmetic: [Level: [(JinjaText, JinjaOperator)]] = [
        .sum: [("+", .add), ("-", .subtract)],
        .product: [("*", .multiply), ("//", .floorDivide), ("/", .divide), ("%", .modulo)],
        .power: [("**", .power)],
    ]

    private mutating func operation(_ level: Int) throws -> JinjaExpression {
        switch Level(rawValue: level) ?? .unary {
        case .or: return try chain(level, { $0.accept(word: "or") }, JinjaExpression.or)
        case .and: return try chain(level, { $0.accept(word: "and") }, JinjaExpression.and)
        case .concat: return try chain(level, { $0.accept("~") }, JinjaExpression.concat)
        case .not:
            guard accept(word: "not") else { return try operation(level + 1) }
            return .not(try nested { try $0.operation(level) })
        case .comparison: return try comparison(level)
        case .sum, .product, .power: return try arithmetic(level)
        case .unary: return try unary(filters: true)
        }
    }

    private mutating func chain(
        _ level: Int, _ accept: (inout JinjaParser) -> Bool, _ make: ([JinjaExpression]) -> JinjaExpression
    ) throws -> JinjaExpression {
        var items = [try operation(level + 1)]
        while accept(&self) { items.append(try operation(level + 1)) }
        return items.count == 1 ? items[0] : make(items)
    }

    private mutating func arithmetic(_ level: Int) throws -> JinjaExpression {
        var left = try operation(level + 1)
        let operators = Level(rawValue: level).flatMap { Self.arithmetic[$0] } ?? []
        while let found = operators.first(where: { isAt($0.0) }) {
            try step()
            let line = advance().line
            left = .binary(found.1, left, try operation(level + 1), line: line)
        }
        return left
    }

    private mutating func comparison(_ level: Int) throws -> JinjaExpression {
        let line = line
        let first = try operation(level + 1)
        var operands: [(JinjaComparison, JinjaExpression)] = []
        while let comparison = acceptComparison() { operands.append((comparison, try operation(level + 1))) }
        return operands.isEmpty ? first : .compare(first, operands, line: line)
    }

    private mutating func acceptComparison() -> JinjaComparison? {
        if isAt(word: "not"), following.kind == .name, following.text == "in" {
            advance()
            advance()
            return .isNotIn
        }
        guard current.kind == .symbol || isAt(word: "in"), let comparison = JinjaComparison(rawValue: current.text.string) else { return nil }
        advance()
        return comparison
    }

    private mutating func unary(filters: Bool) throws -> JinjaExpression {
        var value: JinjaExpression
        if accept("-") {
            value = .negative(try nested { try $0.unary(filters: false) })
        } else if accept("+") {
            value = .positive(try nested { try $0.unary(filters: false) })
        } else {
            value = try primary()
        }
        value = try postfix(value)
        return filters ? try filtered(value) : value
    }

    // MARK: Primaries

    private static let constants: [JinjaText: JinjaValue] = [
        "true": .bool(true), "True": .bool(true), "false": .bool(false), "False": .bool(false), "none": .none, "None": .none,
    ]

    private mutating func primary() throws -> JinjaExpression {
        let token = current
        switch token.kind {
        case .name:
            advance()
            return Self.constants[token.text].map(JinjaExpression.constant) ?? .name(token.text.string)
        case .string:
            var text = advance().text
            while current.kind == .string { text.scalars += advance().text.scalars }
            return .constant(.text(text))
        case .integer: return .constant(.int(try integer()))
        case .float:
            guard let value = Double(advance().text.string) else { throw failure("'\(token.text.string)' is no number") }
            return .constant(.float(value))
        default:
            if accept("(") {
                if accept(")") { return .tuple([]) }
                let value = try expression(tuple: true)
                try expect(")")
                return value
            }
            if accept("[") { return .list(try items(until: "]") { try $0.expression() }) }
            if accept("{") { return .dict(try items(until: "}") { try $0.pair() }) }
            throw failure("an expression is expected")
        }
    }

    private mutating func integer() throws -> Int {
        let text = advance().text.string.lowercased()
        let bases = ["0x": 16, "0o": 8, "0b": 2]
        let value = bases[String(text.prefix(2))].map { Int(text.dropFirst(2), radix: $0) } ?? Int(text)
        guard let value else { throw failure("the number \(text.prefix(40)) does not fit 64 bits") }
        return value
    }

    private mutating func pair() throws -> (JinjaExpression, JinjaExpression) {
        let key = try expression()
        try expect(":")
        return (key, try expression())
    }

    /// Items with commas between them, and perhaps one behind the last, up to and including `close`.
    private mutating func items<Item>(until close: JinjaText, _ item: (inout JinjaParser) throws -> Item) throws -> [Item] {
        var items: [Item] = []
        while !accept(close) {
            if !items.isEmpty {
                try expect(",")
                if accept(close) { break }
            }
            items.append(try item(&self))
        }
        return items
    }

    // MARK: Postfixes

    private mutating func postfix(_ value: JinjaExpression) throws -> JinjaExpression {
        var value = value
        while true {
            let line = line
            if accept(".") {
                try step()
                if current.kind == .integer {
                    value = .item(value, .constant(.int(try integer())), line: line)
                } else {
                    value = .attribute(value, try name(), line: line)
                }
            } else if accept("[") {
                try step()
                value = try subscripted(value, line: line)
            } else if isAt("(") {
                try step()
                value = .call(try checkedCallee(value), try arguments())
            } else {
                return value
            }
        }
    }

    /// Methods of Python that no template may call, or that are not written here.
    private func checkedCallee(_ callee: JinjaExpression) throws -> JinjaExpression {
        if case .attribute(_, let name, let line) = callee, JinjaMethods.unsupported.contains(name) {
            throw unsupported("the method '\(name)'", line: line)
        }
        return callee
    }

    private mutating func subscripted(_ value: JinjaExpression, line: Int) throws -> JinjaExpression {
        var parts: [JinjaExpression?] = []
        var isSlice = false
        for _ in 0..<3 {
            parts.append(isAt(":") || isAt("]") ? nil : try expression())
            guard accept(":") else { break }
            isSlice = true
        }
        if isAt(",") { throw unsupported("a subscript with a comma") }
        try expect("]")
        if isSlice { return .slice(value, parts + [JinjaExpression?](repeating: nil, count: max(0, 3 - parts.count)), line: line) }
        guard let index = parts[0] else { throw failure("a subscript is empty", line: line) }
        return .item(value, index, line: line)
    }

    private mutating func arguments() throws -> JinjaCall {
        var call = JinjaCall(line: line)
        try expect("(")
        while !accept(")") {
            if !(call.positional.isEmpty && call.named.isEmpty && call.moreItems == nil && call.moreNames == nil) {
                try expect(",")
                if accept(")") { break }
            }
            guard call.moreNames == nil else { throw failure("arguments stand behind '**'") }
            if accept("*") {
                guard call.moreItems == nil else { throw failure("'*' stands twice") }
                call.moreItems = try expression()
            } else if accept("**") {
                call.moreNames = try expression()
            } else if current.kind == .name, following.kind == .symbol, following.text == "=" {
                let name = try name()
                advance()
                guard !call.named.contains(where: { $0.name == name }) else { throw failure("argument '\(name)' is given twice") }
                call.named.append((name, try expression()))
            } else {
                guard call.named.isEmpty, call.moreItems == nil else { throw failure("an argument without a name stands behind one with a name") }
                call.positional.append(try expression())
            }
        }
        return call
    }

    // MARK: Filters and tests

    private mutating func filtered(_ value: JinjaExpression) throws -> JinjaExpression {
        var value = value
        while true {
            if accept("|") {
                try step()
                let filter = try filter()
                value = .filter(value, filter.name, filter.call)
            } else if accept(word: "is") {
                try step()
                value = try test(value)
            } else if isAt("(") {
                try step()
                value = .call(value, try arguments())
            } else {
                return value
            }
        }
    }

    mutating func filterChain() throws -> [(name: String, call: JinjaCall)] {
        var filters: [(String, JinjaCall)] = []
        while accept("|") { filters.append(try filter()) }
        return filters
    }

    mutating func filter() throws -> (name: String, call: JinjaCall) {
        let line = line
        let name = try name()
        guard JinjaFilters.all[name] != nil else { throw unsupported("the filter '\(name)'", line: line) }
        return (name, isAt("(") ? try arguments() : JinjaCall(line: line))
    }

    private mutating func test(_ value: JinjaExpression) throws -> JinjaExpression {
        let isNegated = accept(word: "not")
        let line = line
        let name = try name()
        guard JinjaTests.all[name] != nil else { throw unsupported("the test '\(name)'", line: line) }
        var call = JinjaCall(line: line)
        if isAt("(") {
            call = try arguments()
        } else if startsOperand {
            guard !isAt(word: "is") else { throw failure("tests cannot be chained") }
            call.positional = [try postfix(try nested { try $0.primary() })]
        }
        let test = JinjaExpression.test(value, name, call)
        return isNegated ? .not(test) : test
    }

    /// Whether an operand of a test without parentheses begins here.
    private var startsOperand: Bool {
        switch current.kind {
        case .name: !["else", "or", "and"].contains(current.text)
        case .string, .integer, .float: true
        default: isAt("[") || isAt("{")
        }
    }
}
