/// Builds the body of one kernel. Statements go to the innermost open block.
public struct KernelBuilder {
    public private(set) var buffers: [Buffer]
    private var blocks: [[Statement]] = [[]]
    private var counter = 0
    /// What is being lowered, as a number of the caller's choice.
    public var origin = 0
    /// The origins of all ranges that the code checks, as `Statement.report` numbers them.
    public private(set) var origins: [Int] = []
    /// Checks in blocks that are not finished.
    private var checks: [RangeCheck] = []
    private var spills: [KernelType: BufferID] = [:]

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

    public mutating func emit(_ statement: Statement) { emit([statement]) }
    public mutating func emit(_ statements: [Statement]) {
        if checks.isEmpty { return blocks[blocks.count - 1].append(contentsOf: statements) }
        let gathered = statements.map { gathering($0) }
        blocks[blocks.count - 1].append(contentsOf: blocks.count == 1 ? finishChecks(in: gathered) : gathered)
    }

    /// Demands that `value`, an i64 from the tensors' data, lies in `lower...upper`; otherwise the run fails once it has ended. What
    /// follows must keep its accesses in bounds all the same.
    ///
    /// The values are only collected, as their minimum and maximum, and compared at the end, of an iteration of a parallel loop or of the
    /// outermost statement, so that inner loops stay free of branches.
    public mutating func require(_ value: Expr, from lower: Extent, through upper: Extent) {
        let number = origins.firstIndex(of: origin) ?? origins.count
        if number == origins.count { origins.append(origin) }
        let check = RangeCheck(least: variable("least", .index), most: variable("most", .index), lower: Expr(lower), upper: Expr(upper), origin: number)
        checks.append(check)
        emit(check.updates(value))
    }

    /// A loop whose iterations run in any order names what it collects; iterations that are divided between threads collect on their own.
    private mutating func gathering(_ statement: Statement) -> Statement {
        guard case .loop(var loop) = statement else { return statement }
        switch loop.kind {
        case .simd(let reductions): loop.kind = .simd(reductions: reductions + checks.flatMap { $0.reductions(in: loop.body) })
        case .parallel: loop.body = finishChecks(in: loop.body)
        case .serial, .unrolled: break
        }
        return .loop(loop)
    }

    /// The statements with the variables of their checks, and the comparisons at the end.
    private mutating func finishChecks(in statements: [Statement]) -> [Statement] {
        let used = checks.filter { check in statements.contains { $0.assigns(check.least) } }
        checks.removeAll { check in used.contains { $0.least == check.least } }
        return used.flatMap(\.declarations) + statements + used.flatMap(\.comparisons)
    }

    /// Adds a private workspace area.
    public mutating func scratch(_ name: String, _ element: ElementType, count: Extent, perThread: Bool) -> BufferID {
        buffers.append(Buffer("\(name)\(buffers.count)", element, role: .scratch(count: count, perThread: perThread), isWritten: true))
        return BufferID(buffers.count - 1)
    }

    /// A thread's private place for one register of `type`, the same one at every call.
    public mutating func spill(_ type: KernelType) -> BufferID {
        if let known = spills[type] { return known }
        let id = scratch("spill", type.element, count: Extent(type.lanes), perThread: true)
        spills[type] = id
        return id
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

    /// Nested loops over all indices of `shape`, outermost axis first. The only index of a scalar is not divided: one thread has it.
    public mutating func loops(over shape: [Extent], kind: LoopKind = .serial, _ body: (inout KernelBuilder, [Expr]) throws -> Void) rethrows {
        if shape.isEmpty, kind == .parallel { return try single { try body(&$0, []) } }
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
        let statements = try block(body)
        emit(.single(checks.isEmpty ? statements : finishChecks(in: statements)))
    }
}

/// The least and most of the values that some code meets, which must lie in a range.
private struct RangeCheck {
    let least: Variable
    let most: Variable
    let lower: Expr
    let upper: Expr
    let origin: Int

    var declarations: [Statement] { [.declare(least, .int(Int.max)), .declare(most, .int(Int.min))] }

    func updates(_ value: Expr) -> [Statement] {
        [.assign(least, .binary(.minimum, .variable(least), value)), .assign(most, .binary(.maximum, .variable(most), value))]
    }

    var comparisons: [Statement] {
        func report(_ extreme: Variable) -> [Statement] { [.report(origin: origin, value: .variable(extreme), lower: lower, upper: upper)] }
        return [
            .conditional(.variable(least) < lower, then: report(least), else: []),
            .conditional(.binary(.greater, .variable(most), upper), then: report(most), else: []),
        ]
    }

    /// What the body of a loop collects.
    func reductions(in body: [Statement]) -> [LoopKind.Reduction] {
        body.contains { $0.assigns(least) } ? [.init(least, .minimum), .init(most, .maximum)] : []
    }
}
