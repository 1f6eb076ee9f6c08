extension [Statement] {
    /// The statements without bindings that nothing reads. Generators name the parts of a position before it is known which of them an
    /// address needs: a broadcast axis has no place in it.
    func withoutUnreadBindings() -> [Statement] {
        var read: Set<Variable> = []
        return withoutUnreadBindings(&read)
    }

    /// From the last statement to the first, so that what only an unread binding reads is unread too.
    private func withoutUnreadBindings(_ read: inout Set<Variable>) -> [Statement] {
        var kept: [Statement] = []
        for statement in reversed() {
            switch statement {
            case .bind(let variable, _) where !read.contains(variable): continue
            case .loop(var loop):
                loop.body = loop.body.withoutUnreadBindings(&read)
                kept.append(.loop(loop))
            case .conditional(let condition, let then, let otherwise):
                kept.append(.conditional(condition, then: then.withoutUnreadBindings(&read), else: otherwise.withoutUnreadBindings(&read)))
            case .whileLoop(let condition, let body): kept.append(.whileLoop(condition, body: body.withoutUnreadBindings(&read)))
            case .single(let body): kept.append(.single(body.withoutUnreadBindings(&read)))
            default: kept.append(statement)
            }
            for expr in statement.ownExpressions { expr.collectVariables(into: &read) }
            if case .pin(let variables) = statement { read.formUnion(variables) }
        }
        return kept.reversed()
    }
}

extension Statement {
    /// The expressions that the statement evaluates itself, those of statements inside it left out.
    fileprivate var ownExpressions: [Expr] {
        switch self {
        case .bind(_, let value), .declare(_, let value), .assign(_, let value), .setDimension(_, let value): [value]
        case .store(let access, let value): [.load(access), value]
        case .loop(let loop): [loop.lower, loop.upper]
        case .conditional(let condition, _, _), .whileLoop(let condition, _): [condition]
        case .report(_, let value, let lower, let upper): [value, lower, upper]
        case .prefetch(let access): [.load(access)]
        case .barrier, .single, .pin, .comment: []
        }
    }
}

extension Expr {
    fileprivate func collectVariables(into read: inout Set<Variable>) {
        if case .variable(let variable) = self { read.insert(variable) }
        for child in children { child.collectVariables(into: &read) }
    }
}
