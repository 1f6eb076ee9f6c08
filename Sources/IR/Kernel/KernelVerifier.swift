/// Checks a kernel: the legal loop language, in one place. Types and scopes here; what threads share, and whether every result is
/// written, in `KernelVerifier+Sharing.swift`. One pass over the code, so that every kernel of every compile can go through it.
public struct KernelVerifier {
    let kernel: KernelFunction
    let forms: VectorForms
    /// Variables in scope.
    private(set) var scope: [String: Declaration] = [:]
    private var declared: [String] = []
    /// What surrounds the current statement.
    var context = Context()
    var memory: [MemoryUse]
    /// Dimensions that the kernel defines, and those that it reads.
    private var definedDimensions: Set<String> = [], readDimensions: Set<String> = []

    /// A variable or loop variable.
    struct Declaration {
        var type: KernelType
        var isMutable = false
        /// How many loops with independent iterations stand around the declaration.
        var level = 0
        /// Whether the value differs between threads.
        var isOfThread = false
        /// The value, where it is an integer that is known for a run on one thread.
        var constant: Int?
    }

    /// - Parameters:
    ///   - forms: the vector operations that exist where the kernel is to run.
    ///   - results: the views of which every element must be stored.
    /// - Throws: `Diagnostic` naming the kernel and the offending statement.
    public static func verify(_ kernel: KernelFunction, forms: VectorForms = .any, results: [TensorView] = []) throws {
        var verifier = KernelVerifier(kernel: kernel, forms: forms, memory: kernel.buffers.map { _ in MemoryUse() })
        do {
            try verifier.checkBuffers()
            try verifier.check(kernel.body)
            try verifier.checkDimensions()
            try verifier.checkMemory(results)
        } catch let error as Diagnostic {
            throw error.inside("kernel \(kernel.name)")
        }
    }

    private init(kernel: KernelFunction, forms: VectorForms, memory: [MemoryUse]) {
        self.kernel = kernel
        self.forms = forms
        self.memory = memory
    }

    func fail(_ message: String) -> Diagnostic { Diagnostic(.internal, message) }

    /// A kernel reads its dimensions when it is called: one that it defines itself has no value then.
    private func checkDimensions() throws {
        guard let name = definedDimensions.intersection(readDimensions).min() else { return }
        throw fail("the dimension \(name) is read by the kernel that defines it")
    }

    // MARK: Statements

    /// Statements share a scope; what they declare ends with them.
    private mutating func check(_ statements: [Statement]) throws {
        let isOutermost = context.isOutermost, outer = declared.count
        for statement in statements {
            if isOutermost { context.position += 1 }
            do {
                try check(statement)
            } catch let error as Diagnostic where error.location.isEmpty {
                throw error.inside("'\(KernelPrinter.firstLine(of: statement, in: kernel))'")
            }
        }
        for name in declared[outer...] { scope[name] = nil }
        declared.removeLast(declared.count - outer)
    }

    /// The statements of a block inside the current one.
    private mutating func check(_ body: [Statement], in inner: Context) throws {
        let outer = context
        context = inner
        context.isOutermost = false
        try check(body)
        let position = context.position
        context = outer
        context.position = position
    }

    private mutating func check(_ statement: Statement) throws {
        switch statement {
        case .bind(let variable, let value): try declare(variable, value, isMutable: false)
        case .declare(let variable, let value): try declare(variable, value, isMutable: true)
        case .assign(let variable, let value):
            guard let known = scope[variable.name], known.isMutable else { throw fail("\(variable.name) is assigned, but is not a mutable variable in scope") }
            guard known.type == variable.type else { throw fail("\(variable.name) is declared as \(known.type) and assigned as \(variable.type)") }
            guard known.level >= context.level || context.accumulators.contains(variable.name) else {
                throw fail("\(variable.name) is assigned in a loop of independent iterations around which it is declared, and is no accumulator of the loop")
            }
            try expect(value, variable.type, "the value of \(variable.name)")
        case .store(let access, let value):
            try check(access)
            guard access.type.lanes == 1 || forms.accesses(access.type, isMasked: access.mask != nil) else { throw fail("there is no store of \(access.type)") }
            let buffer = kernel.buffers[access.buffer.index]
            guard buffer.isWritten else { throw fail("\(buffer.name) is stored to, but is read-only") }
            try expect(value, access.type, "the value stored to \(buffer.name)")
            try noteStore(access)
        case .loop(let loop): try check(loop)
        case .conditional(let condition, let then, let otherwise):
            try expect(condition, KernelType(.bool), "a condition")
            var inner = context
            inner.isDivided = inner.isDivided || isOfThread(condition)
            try check(then, in: inner)
            try check(otherwise, in: inner)
        case .whileLoop(let condition, let body):
            try expect(condition, KernelType(.bool), "a condition")
            var inner = context
            inner.iterations = nil
            try check(body, in: inner)
        case .setDimension(let name, let value):
            try expect(value, .index, "the dimension \(name)")
            guard context.isSingle else { throw fail("the dimension \(name) is defined by every thread") }
            definedDimensions.insert(name)
        case .report(_, let value, let lower, let upper):
            for index in [value, lower, upper] { try expect(index, .index, "a reported value") }
        case .barrier:
            guard context.isOutermost else { throw fail("a barrier stands inside other statements, where not every thread may reach it") }
            try endPhase()
        case .single(let body):
            guard context.isOutermost else { throw fail("a single-threaded part stands inside other statements") }
            var inner = context
            inner.isSingle = true
            inner.isDivided = true
            try check(body, in: inner)
        case .prefetch(let access):
            try check(access)
        case .pin(let variables):
            for variable in variables {
                guard let known = scope[variable.name], known.type == variable.type, known.isMutable else { throw fail("\(variable.name) is pinned, but is no mutable \(variable.type) in scope") }
            }
        case .comment:
            break
        }
    }

    private mutating func declare(_ variable: Variable, _ value: Expr, isMutable: Bool) throws {
        guard scope[variable.name] == nil else { throw fail("\(variable.name) is declared twice") }
        guard variable.type.lanes == 1 || forms.holds(variable.type) else { throw fail("no register holds \(variable.name), a \(variable.type)") }
        try expect(value, variable.type, "the value of \(variable.name)")
        let isIndex = variable.type == .index
        declared.append(variable.name)
        scope[variable.name] = Declaration(
            type: variable.type, isMutable: isMutable, level: context.level, isOfThread: isIndex && isOfThread(value),
            constant: isIndex && !isMutable ? constant(value) : nil)
    }

    private mutating func check(_ loop: Loop) throws {
        guard loop.variable.type == .index else { throw fail("the loop variable \(loop.variable.name) has type \(loop.variable.type)") }
        guard scope[loop.variable.name] == nil else { throw fail("\(loop.variable.name) is declared twice") }
        guard loop.step > 0 else { throw fail("the loop over \(loop.variable.name) has step \(loop.step)") }
        try expect(loop.lower, .index, "a loop bound")
        try expect(loop.upper, .index, "a loop bound")
        var inner = context
        inner.enter(iterations: iterations(of: loop))
        let isOfThread = isOfThread(loop.lower) || isOfThread(loop.upper)
        if isOfThread { inner.isDivided = true }
        switch loop.kind {
        case .parallel:
            guard context.isOutermost else { throw fail("the parallel loop over \(loop.variable.name) stands inside other statements") }
            guard !isOfThread else { throw fail("the parallel loop over \(loop.variable.name) has other bounds on every thread") }
            inner.isDivided = true
            inner.isDealt = true
            inner.level += 1
            inner.accumulators = []
        case .simd(let reductions):
            for reduction in reductions where scope[reduction.variable.name].map({ $0.isMutable && $0.type == reduction.variable.type }) != true {
                throw fail("the accumulator \(reduction.variable.name) is not a mutable variable in scope")
            }
            inner.level += 1
            inner.accumulators = Set(reductions.map(\.variable.name))
        case .unrolled:
            guard iterations(of: loop) != nil else { throw fail("the unrolled loop over \(loop.variable.name) runs an unknown number of times") }
        case .serial: break
        }
        scope[loop.variable.name] = Declaration(type: .index, level: inner.level, isOfThread: isOfThread)
        try check(loop.body, in: inner)
        scope[loop.variable.name] = nil
    }

    // MARK: Expressions

    private mutating func expect(_ expr: Expr, _ type: KernelType, _ what: String) throws {
        let actual = try check(expr)
        guard actual == type else { throw fail("\(what) has type \(actual), not \(type)") }
    }

    private mutating func check(_ access: Access) throws {
        guard kernel.buffers.indices.contains(access.buffer.index) else { throw fail("there is no buffer \(access.buffer.index)") }
        let buffer = kernel.buffers[access.buffer.index], type = access.type
        // Registers of wider elements are filled from memory of bytes or halves, and a bool is a byte.
        let isByte = buffer.element == .bool && type.element == .u8
        guard type.element == buffer.element || isByte || type.element.byteCount > buffer.element.byteCount && type.element.byteCount % max(buffer.element.byteCount, 1) == 0 else {
            throw fail("\(buffer.name) holds \(buffer.element.rawValue) and is accessed as \(type)")
        }
        guard type.lanes >= 1 else { throw fail("an access to \(buffer.name) has \(type.lanes) lanes") }
        try expect(access.index, .index, "an index into \(buffer.name)")
        if let index = access.index.constantInteger, index < 0 { throw fail("\(buffer.name) is accessed at \(index)") }
        guard let mask = access.mask else { return }
        guard type.lanes > 1 else { throw fail("an access to \(buffer.name) of one lane has a mask") }
        try expect(mask, .index, "the mask of an access to \(buffer.name)")
        if let count = constant(mask), !(0...type.lanes).contains(count) { throw fail("a mask keeps \(count) of \(type.lanes) lanes") }
    }

    private mutating func load(_ access: Access) throws {
        try check(access)
        try noteLoad(access)
    }

    /// Arithmetic is defined on these types; narrow floats and sub-byte integers are only loaded, converted and stored.
    private func isArithmetic(_ element: ElementType) -> Bool {
        switch element {
        case .f64, .f32, .i64, .i32, .i16, .i8, .u64, .u32, .u16, .u8, .bool: true
        default: false
        }
    }

    /// The type of an expression that is well typed and that vectors have a form of.
    private mutating func check(_ expr: Expr) throws -> KernelType {
        let type = try checkTypes(expr)
        if type.lanes > 1 || expr.isReduction, !forms.allows(expr) { throw fail("there is no vector form of \(KernelPrinter.spell(expr, in: kernel))") }
        return type
    }

    private mutating func checkTypes(_ expr: Expr) throws -> KernelType {
        switch expr {
        case .integer(_, let element):
            guard element.isInteger || element == .bool else { throw fail("an integer constant has type \(element.rawValue)") }
            return KernelType(element)
        case .float(_, let element):
            guard element.isFloat else { throw fail("a float constant has type \(element.rawValue)") }
            return KernelType(element)
        case .variable(let variable):
            guard let known = scope[variable.name] else { throw fail("\(variable.name) is not in scope") }
            guard known.type == variable.type else { throw fail("\(variable.name) is declared as \(known.type) and read as \(variable.type)") }
            return variable.type
        case .dimension(let name):
            readDimensions.insert(name)
            return .index
        case .threadIndex, .threadCount: return .index
        case .unary(let op, let a):
            let type = try check(a)
            guard Self.takes(op, type.element), isArithmetic(type.element) else { throw fail("\(op.rawValue) of \(type)") }
            return op.isPredicate ? KernelType(.bool, lanes: type.lanes) : type
        case .binary(let op, let a, let b):
            let type = try check(a)
            try expect(b, type, "the right operand of \(op.rawValue)")
            guard Self.takes(op, type.element), isArithmetic(type.element) else { throw fail("\(op.rawValue) of \(type)") }
            return op.isComparison ? KernelType(.bool, lanes: type.lanes) : type
        case .select(let condition, let a, let b):
            let type = try check(a)
            try expect(b, type, "the other choice of a select")
            // The comparison of vectors that a select makes its mask of has no value of its own.
            let chosen = try checkTypes(condition)
            guard chosen == KernelType(.bool, lanes: type.lanes) else { throw fail("a select between \(type) has a condition of type \(chosen)") }
            return type
        case .cast(let a, let element):
            let type = try check(a)
            guard !element.isComplex, element != .string, !type.element.isComplex else { throw fail("\(type) cannot be cast to \(element.rawValue)") }
            return KernelType(element, lanes: type.lanes)
        case .roundSaturate(let a, let element):
            let type = try check(a)
            guard type.element == .f32 || type.element == .f64, element.isInteger else { throw fail("\(type) cannot be rounded to \(element.rawValue)") }
            return KernelType(element, lanes: type.lanes)
        case .load(let access):
            try load(access)
            return access.type
        case .broadcast(let a, let lanes):
            let type = try check(a)
            guard type.lanes == 1, lanes > 1 else { throw fail("a value of type \(type) is broadcast to \(lanes) lanes") }
            return KernelType(type.element, lanes: lanes)
        case .loadBroadcast(let access, let lanes):
            try load(access)
            guard access.type.lanes == 1, lanes > 1 else { throw fail("a load of \(access.type) is broadcast to \(lanes) lanes") }
            return KernelType(access.type.element, lanes: lanes)
        case .horizontal(let op, let a):
            let type = try check(a)
            guard type.lanes > 1, Self.takes(op.binary, type.element), isArithmetic(type.element) else { throw fail("\(op.rawValue) across \(type)") }
            return KernelType(type.element)
        case .fma(let a, let b, let c):
            let type = try check(a)
            guard type.element == .f32 || type.element == .f64 else { throw fail("fma of \(type)") }
            try expect(b, type, "a factor of fma")
            try expect(c, type, "the summand of fma")
            return type
        case .dot(let a, let b, let c):
            let type = try check(c)
            let isInteger = type.element == .i32, group = isInteger ? 4 : 2
            guard isInteger || type.element == .f32, type.lanes > 1 else { throw fail("dot accumulates \(type)") }
            let first: ElementType = isInteger ? a.type.element == .i8 ? .i8 : .u8 : .bf16
            try expect(a, KernelType(first, lanes: group * type.lanes), "the first factor of dot")
            try expect(b, KernelType(isInteger ? .i8 : .bf16, lanes: group * type.lanes), "the second factor of dot")
            return type
        case .dotNibbles(let a, let b, let c, let d):
            let type = try check(d)
            guard type.element == .i32, type.lanes > 1 else { throw fail("dot_nibbles accumulates \(type)") }
            try expect(a, KernelType(.u8, lanes: 4 * type.lanes), "the codes of dot_nibbles")
            for factor in [b, c] { try expect(factor, KernelType(.i8, lanes: 4 * type.lanes), "a factor of dot_nibbles") }
            return type
        case .bitcast(let a, let type):
            let from = try check(a)
            let isFirstLanes = from.element == type.element && type.lanes < from.lanes
            guard isFirstLanes || from.lanes * from.element.byteCount == type.lanes * type.element.byteCount else { throw fail("\(from) has another width than \(type)") }
            return type
        }
    }

    private static func takes(_ op: UnaryOperator, _ element: ElementType) -> Bool {
        switch op {
        case .not: element == .bool
        case .bitwiseNot: element.isInteger || element == .bool
        case .popcount: element.isInteger
        case .negate, .absolute, .sign, .floor, .ceil, .truncate, .round: element != .bool
        case .isNaN, .isPositiveInfinity, .isNegativeInfinity: true
        default: element.isFloat
        }
    }

    private static func takes(_ op: BinaryOperator, _ element: ElementType) -> Bool {
        switch op {
        case .and, .or, .xor: element.isInteger || element == .bool
        case .shiftLeft, .shiftRight: element.isInteger
        case .atan2: element.isFloat
        default: true
        }
    }
}

extension Expr {
    /// Whether a scalar is made of a vector.
    fileprivate var isReduction: Bool { if case .horizontal = self { true } else { false } }
}
