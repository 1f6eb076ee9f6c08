/// How the iterations of a loop run.
public enum LoopKind: Hashable, Sendable {
    case serial
    /// Unrolled completely by the C compiler.
    case unrolled
    /// Iterations are independent except for the listed accumulators, whose order of combination is free: the loop may be
    /// vectorised.
    case simd(reductions: [Reduction])
    /// Split between the threads of the kernel; only as an outermost loop. Iterations are independent.
    case parallel

    public struct Reduction: Hashable, Sendable {
        public var variable: Variable
        public var op: ReductionOperator
        public init(_ variable: Variable, _ op: ReductionOperator) {
            self.variable = variable
            self.op = op
        }
    }
}

/// `for (variable = lower; variable < upper; variable += step) body`.
public struct Loop: Hashable, Sendable {
    public var variable: Variable
    public var lower: Expr
    public var upper: Expr
    public var step: Int
    public var kind: LoopKind
    public var body: [Statement]

    public init(_ variable: Variable, from lower: Expr = .int(0), to upper: Expr, step: Int = 1, kind: LoopKind = .serial, body: [Statement]) {
        self.variable = variable
        self.lower = lower
        self.upper = upper
        self.step = step
        self.kind = kind
        self.body = body
    }
}

/// A statement of the loop language.
public indirect enum Statement: Hashable, Sendable {
    /// Declares an immutable variable.
    case bind(Variable, Expr)
    /// Declares a mutable variable.
    case declare(Variable, Expr)
    case assign(Variable, Expr)
    /// Stores `value`, whose type is the access's type.
    case store(Access, Expr)
    case loop(Loop)
    case conditional(Expr, then: [Statement], else: [Statement])
    case whileLoop(Expr, body: [Statement])
    /// Defines a data-dependent named dimension; at most once per run of the kernel, by one thread.
    case setDimension(String, Expr)
    /// Records that the tensors' data make the result undefined: `value` lies outside of `lower...upper`, all i64. `origin` is the
    /// position of the op that says so in `KernelBuilder.origins`. Emitted by `KernelBuilder.require`.
    case report(origin: Int, value: Expr, lower: Expr, upper: Expr)
    /// All threads of the kernel wait for each other. Only at the outermost level.
    case barrier
    /// Only thread 0 runs the body. Only at the outermost level.
    case single([Statement])
    /// Asks for a cache line to be loaded.
    case prefetch(Access)
    /// Keeps accumulators in registers: an empty instruction that names them, which stops gcc from coalescing them with their
    /// uses after the loop and spilling them all.
    case pin([Variable])
    case comment(String)
}

extension Statement {
    /// The expressions that the statement evaluates itself, those of statements inside it left out; an access that is stored to or prefetched
    /// counts as a load.
    public var ownExpressions: [Expr] {
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

    /// The statements inside.
    public var body: [Statement] {
        switch self {
        case .loop(let loop): loop.body
        case .conditional(_, let then, let otherwise): then + otherwise
        case .whileLoop(_, let body), .single(let body): body
        case .bind, .declare, .assign, .store, .setDimension, .report, .barrier, .prefetch, .pin, .comment: []
        }
    }

    /// Whether `predicate` holds for some expression in the statement.
    public func anyExpression(_ predicate: (Expr) -> Bool) -> Bool {
        func any(_ expr: Expr) -> Bool { predicate(expr) || expr.children.contains(where: any) }
        return ownExpressions.contains(where: any) || body.contains { $0.anyExpression(predicate) }
    }
}

extension KernelFunction {
    /// Whether any size in it is a named dimension.
    public var readsDimensions: Bool {
        body.contains { statement in
            statement.definesDimension || statement.anyExpression { if case .dimension = $0 { true } else { false } }
        }
    }
}

extension Statement {
    /// Whether it gives a dimension its size.
    public var definesDimension: Bool {
        if case .setDimension = self { true } else { body.contains(where: \.definesDimension) }
    }
}

/// One buffer that a kernel touches.
public struct Buffer: Hashable, Sendable {
    public enum Role: Hashable, Sendable {
        /// Passed by the caller: an activation, a weight, an input or output.
        case parameter
        /// A private area of the kernel in the workspace. `perThread` areas exist once per thread.
        case scratch(count: Extent, perThread: Bool)
    }

    public var name: String
    public var element: ElementType
    public var role: Role
    public var isWritten: Bool

    public init(_ name: String, _ element: ElementType, role: Role = .parameter, isWritten: Bool) {
        self.name = name
        self.element = element
        self.role = role
        self.isWritten = isWritten
    }
}

/// One kernel: buffers, named dimensions, statements. Every thread of the run executes the body; `parallel` loops, `single`
/// and `threadIndex` divide the work. Two buffers never overlap in memory.
public struct KernelFunction: Hashable, Sendable {
    public var name: String
    public var buffers: [Buffer]
    public var body: [Statement]

    public init(_ name: String, buffers: [Buffer] = [], body: [Statement] = []) {
        self.name = name
        self.buffers = buffers
        self.body = body
    }
}

extension Statement {
    /// Whether `predicate` holds for the statement or one inside it.
    public func contains(_ predicate: (Statement) -> Bool) -> Bool {
        if predicate(self) { return true }
        return switch self {
        case .loop(let loop): loop.body.contains { $0.contains(predicate) }
        case .conditional(_, let a, let b): a.contains { $0.contains(predicate) } || b.contains { $0.contains(predicate) }
        case .whileLoop(_, let body), .single(let body): body.contains { $0.contains(predicate) }
        default: false
        }
    }

    /// Whether the statement changes a variable.
    func assigns(_ variable: Variable) -> Bool {
        contains { if case .assign(variable, _) = $0 { true } else { false } }
    }
}

extension KernelFunction {
    /// Whether the kernel checks the data that it reads, and so wants to know which ops it was made from.
    public var reports: Bool { body.contains { $0.contains { if case .report = $0 { true } else { false } } } }
}
