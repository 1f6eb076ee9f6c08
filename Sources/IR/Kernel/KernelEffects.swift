// What statements and expressions of the loop language do to memory, and what is certain of their values.

extension Statement {
    /// Whether the statement uses a variable.
    public func mentions(_ variable: Variable) -> Bool {
        anyExpression { $0 == .variable(variable) }
    }

    /// Whether the statement writes a buffer.
    public func stores(to buffer: BufferID) -> Bool {
        switch self {
        case .store(let access, _): access.buffer == buffer
        case .loop(let loop): loop.body.contains { $0.stores(to: buffer) }
        case .conditional(_, let a, let b): (a + b).contains { $0.stores(to: buffer) }
        case .whileLoop(_, let body), .single(let body): body.contains { $0.stores(to: buffer) }
        default: false
        }
    }

    /// Whether the statement reads a buffer.
    public func loads(_ buffer: BufferID) -> Bool {
        switch self {
        case .store(let access, let value):
            return [access.index, value].contains { $0.loads(buffer) }
        case .loop(let loop): return loop.lower.loads(buffer) || loop.upper.loads(buffer) || loop.body.contains { $0.loads(buffer) }
        case .conditional(let condition, let a, let b): return condition.loads(buffer) || (a + b).contains { $0.loads(buffer) }
        case .whileLoop(let condition, let body): return condition.loads(buffer) || body.contains { $0.loads(buffer) }
        case .single(let body): return body.contains { $0.loads(buffer) }
        case .bind(_, let value), .declare(_, let value), .assign(_, let value), .setDimension(_, let value): return value.loads(buffer)
        case .report(_, let value, let lower, let upper): return [value, lower, upper].contains { $0.loads(buffer) }
        case .barrier, .prefetch, .pin, .comment: return false
        }
    }
}

extension Expr {
    /// Whether the expression reads a buffer.
    public func loads(_ buffer: BufferID) -> Bool {
        switch self {
        case .load(let access) where access.buffer == buffer, .loadBroadcast(let access, _) where access.buffer == buffer: true
        default: children.contains { $0.loads(buffer) }
        }
    }

    /// Whether it is a divisor that cannot be zero where it is evaluated: made of constants, and of sizes of axes that a loop runs over.
    public var isSafeDivisor: Bool {
        switch self {
        case .integer(let value, _): value != 0
        case .dimension, .threadCount: true
        case .binary(let op, let a, let b): (op == .add || op == .multiply || op == .subtract || op == .divide) && a.isSafeDivisor && b.isSafeDivisor
        default: false
        }
    }
}
