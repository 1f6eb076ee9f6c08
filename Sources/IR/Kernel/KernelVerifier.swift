/// Checks that a kernel is well typed: the legal loop language, in one place.
public struct KernelVerifier {
    private let kernel: KernelFunction
    /// Variables in scope, and whether they may be assigned.
    private var scope: [String: (type: KernelType, isMutable: Bool)] = [:]

    /// - Throws: `Diagnostic` naming the kernel and the offending statement.
    public static func verify(_ kernel: KernelFunction) throws {
        var verifier = KernelVerifier(kernel: kernel)
        do {
            try verifier.check(kernel.body, isOutermost: true)
        } catch let error as Diagnostic {
            throw error.inside("kernel \(kernel.name)")
        }
    }

    private init(kernel: KernelFunction) { self.kernel = kernel }

    private func fail(_ message: String) -> Diagnostic { Diagnostic(.internal, message) }

    // MARK: Statements

    /// Statements share a scope; what they declare ends with them.
    private mutating func check(_ statements: [Statement], isOutermost: Bool) throws {
        let outer = scope
        for statement in statements { try check(statement, isOutermost: isOutermost) }
        scope = outer
    }

    private mutating func check(_ statement: Statement, isOutermost: Bool) throws {
        switch statement {
        case .bind(let variable, let value), .declare(let variable, let value):
            guard scope[variable.name] == nil else { throw fail("\(variable.name) is declared twice") }
            try expect(value, variable.type, "the value of \(variable.name)")
            if case .declare = statement { scope[variable.name] = (variable.type, true) } else { scope[variable.name] = (variable.type, false) }
        case .assign(let variable, let value):
            guard let known = scope[variable.name], known.isMutable else { throw fail("\(variable.name) is assigned, but is not a mutable variable in scope") }
            guard known.type == variable.type else { throw fail("\(variable.name) is declared as \(known.type) and assigned as \(variable.type)") }
            try expect(value, variable.type, "the value of \(variable.name)")
        case .store(let access, let value):
            try check(access)
            guard kernel.buffers[access.buffer.index].isWritten else { throw fail("\(kernel.buffers[access.buffer.index].name) is stored to, but is read-only") }
            try expect(value, access.type, "the value stored to \(kernel.buffers[access.buffer.index].name)")
        case .loop(let loop):
            try check(loop, isOutermost: isOutermost)
        case .conditional(let condition, let then, let otherwise):
            try expect(condition, KernelType(.bool), "a condition")
            try check(then, isOutermost: false)
            try check(otherwise, isOutermost: false)
        case .whileLoop(let condition, let body):
            try expect(condition, KernelType(.bool), "a condition")
            try check(body, isOutermost: false)
        case .setDimension(let name, let value):
            try expect(value, .index, "the dimension \(name)")
        case .report(_, let value, let lower, let upper):
            for index in [value, lower, upper] { try expect(index, .index, "a reported value") }
        case .barrier:
            guard isOutermost else { throw fail("a barrier stands inside other statements, where not every thread may reach it") }
        case .single(let body):
            guard isOutermost else { throw fail("a single-threaded part stands inside other statements") }
            try check(body, isOutermost: false)
        case .prefetch(let access):
            try check(access)
        case .pin(let variables):
            for variable in variables where scope[variable.name]?.type != variable.type { throw fail("\(variable.name) is pinned, but is not in scope") }
        case .comment:
            break
        }
    }

    private mutating func check(_ loop: Loop, isOutermost: Bool) throws {
        guard loop.variable.type == .index else { throw fail("the loop variable \(loop.variable.name) has type \(loop.variable.type)") }
        guard scope[loop.variable.name] == nil else { throw fail("\(loop.variable.name) is declared twice") }
        guard loop.step > 0 else { throw fail("the loop over \(loop.variable.name) has step \(loop.step)") }
        try expect(loop.lower, .index, "a loop bound")
        try expect(loop.upper, .index, "a loop bound")
        switch loop.kind {
        case .parallel where !isOutermost: throw fail("the parallel loop over \(loop.variable.name) stands inside other statements")
        case .simd(let reductions):
            for reduction in reductions where scope[reduction.variable.name].map({ $0.isMutable && $0.type == reduction.variable.type }) != true {
                throw fail("the accumulator \(reduction.variable.name) is not a mutable variable in scope")
            }
        default: break
        }
        let outer = scope
        scope[loop.variable.name] = (.index, false)
        try check(loop.body, isOutermost: false)
        scope = outer
    }

    // MARK: Expressions

    private func expect(_ expr: Expr, _ type: KernelType, _ what: String) throws {
        try check(expr)
        guard expr.type == type else { throw fail("\(what) has type \(expr.type), not \(type)") }
    }

    private func check(_ access: Access) throws {
        guard kernel.buffers.indices.contains(access.buffer.index) else { throw fail("there is no buffer \(access.buffer.index)") }
        let buffer = kernel.buffers[access.buffer.index]
        guard access.type.element == buffer.element || access.type.element.byteCount % Swift.max(buffer.element.byteCount, 1) == 0 else {
            throw fail("\(buffer.name) holds \(buffer.element.rawValue) and is accessed as \(access.type)")
        }
        guard access.type.lanes >= 1 else { throw fail("an access to \(buffer.name) has \(access.type.lanes) lanes") }
        try expect(access.index, .index, "an index into \(buffer.name)")
        if let index = access.index.constantInteger, index < 0 { throw fail("\(buffer.name) is accessed at \(index)") }
        if let mask = access.mask { try expect(mask, .index, "the mask of an access to \(buffer.name)") }
    }

    /// Arithmetic is defined on these types; narrow floats and sub-byte integers are only loaded, converted and stored.
    private func isArithmetic(_ element: ElementType) -> Bool {
        switch element {
        case .f64, .f32, .i64, .i32, .i16, .i8, .u64, .u32, .u16, .u8, .bool: true
        default: false
        }
    }

    private func check(_ expr: Expr) throws {
        switch expr {
        case .integer(_, let element):
            guard element.isInteger || element == .bool else { throw fail("an integer constant has type \(element.rawValue)") }
        case .float(_, let element):
            guard element.isFloat else { throw fail("a float constant has type \(element.rawValue)") }
        case .variable(let variable):
            guard let known = scope[variable.name] else { throw fail("\(variable.name) is not in scope") }
            guard known.type == variable.type else { throw fail("\(variable.name) is declared as \(known.type) and read as \(variable.type)") }
        case .dimension, .threadIndex, .threadCount: break
        case .unary(let op, let a): try check(op, a)
        case .binary(let op, let a, let b): try check(op, a, b)
        case .select(let condition, let a, let b):
            try check(a)
            try expect(b, a.type, "the other choice of a select")
            try check(condition)
            guard condition.type == KernelType(.bool) || condition.type == KernelType(.bool, lanes: a.type.lanes) else {
                throw fail("a select between \(a.type) has a condition of type \(condition.type)")
            }
        case .cast(let a, let element):
            try check(a)
            guard !element.isComplex, element != .string, !a.type.element.isComplex else { throw fail("\(a.type) cannot be cast to \(element.rawValue)") }
        case .roundSaturate(let a, let element):
            try check(a)
            guard a.type.element == .f32 || a.type.element == .f64, element.isInteger else { throw fail("\(a.type) cannot be rounded to \(element.rawValue)") }
        case .load(let access): try check(access)
        case .broadcast(let a, let lanes):
            try check(a)
            guard a.type.lanes == 1, lanes >= 1 else { throw fail("a value of type \(a.type) is broadcast to \(lanes) lanes") }
        case .loadBroadcast(let access, let lanes):
            try check(access)
            guard lanes >= 1 else { throw fail("a load is broadcast to \(lanes) lanes") }
        case .horizontal(let op, let a):
            try check(op.binary, a, a)
        case .fma(let a, let b, let c):
            guard a.type.element == .f32 || a.type.element == .f64 else { throw fail("fma of \(a.type)") }
            try check(a)
            try expect(b, a.type, "a factor of fma")
            try expect(c, a.type, "the summand of fma")
        case .dot(let a, let b, let c):
            try check(c)
            let isInteger = c.type.element == .i32, group = isInteger ? 4 : 2
            guard isInteger || c.type.element == .f32 else { throw fail("dot accumulates \(c.type)") }
            try expect(a, KernelType(isInteger ? .u8 : .bf16, lanes: group * c.type.lanes), "the first factor of dot")
            try expect(b, KernelType(isInteger ? .i8 : .bf16, lanes: group * c.type.lanes), "the second factor of dot")
        case .bitcast(let a, let type):
            try check(a)
            let isFirstLanes = a.type.element == type.element && type.lanes < a.type.lanes
            guard isFirstLanes || a.type.lanes * a.type.element.byteCount == type.lanes * type.element.byteCount else { throw fail("\(a.type) has another width than \(type)") }
        }
    }

    private func check(_ op: UnaryOperator, _ a: Expr) throws {
        try check(a)
        let element = a.type.element
        let works = switch op {
        case .not: element == .bool
        case .bitwiseNot: element.isInteger || element == .bool
        case .popcount: element.isInteger
        case .negate, .absolute, .sign, .floor, .ceil, .truncate, .round: element != .bool
        case .isNaN, .isPositiveInfinity, .isNegativeInfinity: true
        default: element.isFloat
        }
        guard works, isArithmetic(element) else { throw fail("\(op.rawValue) of \(a.type)") }
    }

    private func check(_ op: BinaryOperator, _ a: Expr, _ b: Expr) throws {
        try check(a)
        try expect(b, a.type, "the right operand of \(op.rawValue)")
        let element = a.type.element
        let works = switch op {
        case .and, .or, .xor: element.isInteger || element == .bool
        case .shiftLeft, .shiftRight: element.isInteger
        case .atan2: element.isFloat
        default: true
        }
        guard works, isArithmetic(element) else { throw fail("\(op.rawValue) of \(a.type)") }
    }
}
