/// Builds the body of one kernel. Statements go to the innermost open block.
public struct KernelBuilder {
    public private(set) var buffers: [Buffer]
    private var blocks: [[Statement]] = [[]]
    private var counter = 0

    public init(buffers: [Buffer] = []) { self.buffers = buffers }

    /// The finished statements; call once, at the end.
    public mutating func finish() -> [Statement] {
        let body = blocks.first ?? []
        blocks = [[]]
        return body
    }

    /// A variable with a name that is unique in this kernel.
    public mutating func variable(_ prefix: String, _ type: KernelType) -> Variable {
        counter += 1
        return Variable("\(prefix)\(counter)", type)
    }

    public mutating func emit(_ statement: Statement) { blocks[blocks.count - 1].append(statement) }
    public mutating func emit(_ statements: [Statement]) { blocks[blocks.count - 1].append(contentsOf: statements) }

    /// Adds a private workspace area.
    public mutating func scratch(_ name: String, _ element: ElementType, count: Extent, perThread: Bool) -> BufferID {
        buffers.append(Buffer("\(name)\(buffers.count)", element, role: .scratch(count: count, perThread: perThread), isWritten: true))
        return BufferID(buffers.count - 1)
    }

    /// Adds a parameter.
    public mutating func parameter(_ buffer: Buffer) -> BufferID {
        buffers.append(buffer)
        return BufferID(buffers.count - 1)
    }

    /// Notes that the kernel stores to a buffer.
    public mutating func markWritten(_ buffer: BufferID) { buffers[buffer.index].isWritten = true }

    /// The statements that `body` emits, collected instead of emitted.
    public mutating func block(_ body: (inout KernelBuilder) throws -> Void) rethrows -> [Statement] {
        blocks.append([])
        do {
            try body(&self)
        } catch {
            blocks.removeLast()
            throw error
        }
        return blocks.removeLast()
    }

    /// Names a value that is used more than once. Constants and variables stay as they are.
    public mutating func bind(_ value: Expr, _ prefix: String = "t") -> Expr {
        switch value {
        case .integer, .float, .variable, .dimension: return value
        default:
            let name = variable(prefix, value.type)
            emit(.bind(name, value))
            return .variable(name)
        }
    }

    /// A mutable variable.
    public mutating func declare(_ initial: Expr, _ prefix: String = "v") -> Variable {
        let name = variable(prefix, initial.type)
        emit(.declare(name, initial))
        return name
    }

    /// A counted loop. A loop of exactly one known iteration is emitted without a loop.
    public mutating func loop(
        _ prefix: String = "i", from lower: Expr = .int(0), to upper: Expr, step: Int = 1, kind: LoopKind = .serial,
        _ body: (inout KernelBuilder, Expr) throws -> Void
    ) rethrows {
        if let low = lower.constantInteger, let high = upper.constantInteger, kind != .parallel, high - low > 0, high - low <= step {
            return try body(&self, lower)
        }
        let name = variable(prefix, .index)
        let statements = try block { try body(&$0, .variable(name)) }
        emit(.loop(Loop(name, from: lower, to: upper, step: step, kind: kind, body: statements)))
    }

    /// Nested loops over all indices of `shape`, outermost axis first.
    public mutating func loops(over shape: [Extent], kind: LoopKind = .serial, _ body: (inout KernelBuilder, [Expr]) throws -> Void) rethrows {
        try nest(shape[...], [], kind, body)
    }

    private mutating func nest(_ shape: ArraySlice<Extent>, _ index: [Expr], _ kind: LoopKind, _ body: (inout KernelBuilder, [Expr]) throws -> Void) rethrows {
        guard let first = shape.first else { return try body(&self, index) }
        try loop(to: Expr(first), kind: kind) { builder, i in
            try builder.nest(shape.dropFirst(), index + [i], .serial, body)
        }
    }

    public mutating func when(_ condition: Expr, _ then: (inout KernelBuilder) throws -> Void) rethrows {
        emit(.conditional(condition, then: try block(then), else: []))
    }

    public mutating func when(_ condition: Expr, _ then: (inout KernelBuilder) throws -> Void, else otherwise: (inout KernelBuilder) throws -> Void) rethrows {
        let a = try block(then), b = try block(otherwise)
        emit(.conditional(condition, then: a, else: b))
    }

    /// A `while` loop; the condition may only mention mutable variables and loads.
    public mutating func repeatWhile(_ condition: Expr, _ body: (inout KernelBuilder) throws -> Void) rethrows {
        emit(.whileLoop(condition, body: try block(body)))
    }

    /// Runs `body` on one thread only.
    public mutating func single(_ body: (inout KernelBuilder) throws -> Void) rethrows {
        emit(.single(try block(body)))
    }
}
