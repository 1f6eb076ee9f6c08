import Testing

@testable import GlmcIR

/// Kernels that break a rule of the loop language are refused, with the kernel and the statement; the nearest legal ones are not.
@Suite struct KernelVerifierTests {
    private static let f32 = KernelType(.f32), f32x8 = KernelType(.f32, lanes: 8)
    private static let x = BufferID(0), y = BufferID(1), shared = BufferID(2), own = BufferID(3)
    private static let i = Variable("i", .index), j = Variable("j", .index), v = Variable("v", f32), w = Variable("w", f32x8)

    /// A kernel from `x` to `y`, with a scratch area that threads share and one for each.
    private static func kernel(_ body: [Statement]) -> KernelFunction {
        KernelFunction("k", buffers: [
            Buffer("x", .f32, isWritten: false), Buffer("y", .f32, isWritten: true),
            Buffer("shared", .f32, role: .scratch(count: 64, perThread: false), isWritten: true),
            Buffer("own", .f32, role: .scratch(count: 64, perThread: true), isWritten: true),
        ], body: body)
    }

    private static func load(_ buffer: BufferID, _ index: Expr = .variable(i), _ type: KernelType = f32, mask: Expr? = nil) -> Expr {
        .load(Access(buffer, index, type, mask: mask))
    }
    private static func store(_ buffer: BufferID, _ value: Expr, at index: Expr = .variable(i), _ type: KernelType = f32, mask: Expr? = nil) -> Statement {
        .store(Access(buffer, index, type, mask: mask), value)
    }
    private static func parallel(_ body: [Statement], variable: Variable = i, to upper: Int = 64, step: Int = 1) -> Statement {
        .loop(Loop(variable, to: .int(upper), step: step, kind: .parallel, body: body))
    }
    private static func serial(_ body: [Statement], kind: LoopKind = .serial, to upper: Expr = .int(64)) -> Statement {
        .loop(Loop(i, to: upper, kind: kind, body: body))
    }
    /// `y = x`, eight elements at a time.
    private static let copy = parallel([store(y, load(x, .variable(i), f32x8), f32x8)], step: 8)
    private static let one = Expr.float(1, .f32)
    private static let eight = Expr.broadcast(one, 8)

    struct Case: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var body: [Statement]
        /// What the message must contain.
        var message: String
        /// The statement that it must name.
        var statement: String?

        init(_ name: String, _ body: [Statement], _ message: String, in statement: String? = nil) {
            (testDescription, self.body, self.message, self.statement) = (name, body, message, statement)
        }
    }

    static let illegal: [Case] = [
        Case("mixed lanes", [parallel([store(y, eight + load(x), f32x8)], step: 8)], "the right operand of add has type f32, not f32x8", in: "y[i:8] = "),
        Case("lanes of a store", [parallel([store(y, eight)])], "the value stored to y has type f32x8, not f32"),
        Case("mixed element types", [parallel([store(y, load(x) + .int(1))])], "the right operand of add has type i64, not f32"),
        Case("element type of memory", [parallel([store(y, .cast(load(x, .variable(i), KernelType(.f64)), .f32)), store(y, .cast(load(x, .variable(i), KernelType(.u8)), .f32))])], "x holds f32 and is accessed as u8"),
        Case("name out of scope", [parallel([.bind(v, load(x))]), parallel([store(y, .variable(v))], variable: j)], "i is not in scope"),
        Case("use before definition", [parallel([store(y, .variable(v)), .bind(v, one)])], "v is not in scope", in: "y[i] = v"),
        Case("name of a branch", [parallel([.conditional(.variable(i) < .int(3), then: [.bind(v, one)], else: []), store(y, .variable(v))])], "v is not in scope"),
        Case("two declarations", [parallel([.bind(v, one), .bind(v, one), store(y, .variable(v))])], "v is declared twice", in: "let v: f32 = "),
        Case("assignment of a constant", [parallel([.bind(v, one), .assign(v, one), store(y, .variable(v))])], "not a mutable variable"),
        Case("read-only buffer", [parallel([store(x, one), store(y, one)])], "x is stored to, but is read-only", in: "x[i] = 1"),
        Case("no result", [parallel([.bind(v, load(x))])], "nothing is stored to y"),
        Case("part of a result", [parallel([store(y, one)], to: 63)], "no more than 63 of the 64 elements of y are stored"),
        Case("no tail", [parallel([store(y, eight, f32x8)], to: 56, step: 8)], "no more than 56 of the 64 elements of y are stored"),
        Case("mask of a scalar", [parallel([store(y, one, mask: .int(1))])], "of one lane has a mask"),
        Case("mask of more lanes than there are", [parallel([store(y, eight, f32x8, mask: .int(9))], step: 8)], "a mask keeps 9 of 8 lanes"),
        Case("mask of another type", [parallel([store(y, eight, f32x8, mask: one)], step: 8)], "has type f32, not i64"),
        Case("negative index", [.single([store(y, one, at: .int(-1))])], "y is accessed at -1"),
        Case("barrier inside", [parallel([store(y, one), .barrier])], "a barrier stands inside other statements", in: "barrier"),
        Case("single inside", [parallel([.single([store(y, one)])])], "a single-threaded part stands inside"),
        Case("parallel inside", [serial([parallel([store(y, one)], variable: j)])], "the parallel loop over j stands inside"),
        Case("store by every thread", [serial([store(y, one)])], "y is stored to by every thread"),
        Case("race on a shared area", [parallel([store(shared, load(x))]), parallel([store(y, load(shared, .int(3)))])], "there is no barrier between", in: "y[i] = shared[3]"),
        Case("race with a single part", [.single([store(shared, one, at: .int(0))]), copy, parallel([store(y, load(shared, .int(0)))])], "there is no barrier between"),
        Case("own area behind a barrier", [parallel([store(own, load(x))]), .barrier, parallel([store(y, load(own))])], "belongs to each thread and is read behind a barrier"),
        Case("area without contents", [parallel([store(y, load(own))])], "own is read, but nothing has been stored in it"),
        Case("accumulator that is not declared", [.single([.declare(v, one), serial([.assign(v, .variable(v) + load(x))], kind: .simd(reductions: [])), store(y, .variable(v), at: .int(0))])], "is no accumulator of the loop"),
        Case("accumulator of a parallel loop", [.declare(v, one), parallel([.assign(v, load(x)), store(y, one)])], "in a loop of independent iterations"),
        Case("dimension read where it is defined", [.single([.setDimension("n", .int(3)), serial([store(y, load(x))], to: .dimension("n"))])], "the dimension n is read by the kernel that defines it"),
        Case("dimension by every thread", [.setDimension("n", .int(3)), copy], "the dimension n is defined by every thread"),
        Case("unrolled without end", [.single([serial([store(y, one)], kind: .unrolled, to: .dimension("n"))])], "runs an unknown number of times"),
        Case("step of zero", [parallel([store(y, one)], step: 0)], "has step 0"),
        Case("vectors without a form", [parallel([store(y, .unary(.sin, eight), f32x8)], step: 8)], "there is no vector form of sin(broadcast8(1.0))", in: "y[i:8] = "),
        Case("lanes without a register", [parallel([.bind(Variable("w", KernelType(.f32, lanes: 5)), .broadcast(one, 5)), store(y, one)])], "no register holds w"),
        Case("vector of bool", [parallel([.bind(Variable("m", KernelType(.bool, lanes: 8)), .binary(.less, eight, eight)), store(y, one)])], "no register holds m"),
        Case("scalar condition of vectors", [parallel([store(y, .select(.variable(i) < .int(3), eight, eight), f32x8)], step: 8)], "has a condition of type bool"),
        Case("pinned name", [parallel([.pin([w]), store(y, one)])], "w is pinned"),
        Case("arithmetic on narrow floats", [parallel([store(y, .cast(.unary(.negate, .cast(one, .bf16)), .f32))])], "negate of bf16"),
    ]

    @Test(arguments: illegal) func refuses(_ example: Case) throws {
        let kernel = Self.kernel(example.body)
        let error = try #require(throws: Diagnostic.self) { try KernelVerifier.verify(kernel, results: [Self.result]) }
        let text = error.description
        #expect(error.kind == .internal && text.hasPrefix("kernel k: ") && text.contains(example.message), "\(text)")
        if let statement = example.statement { #expect(text.contains("'" + statement), "\(text)") }
    }

    static let legal: [Case] = [
        Case("vectors", [copy], ""),
        Case("a shared area behind a barrier", [parallel([store(shared, load(x))]), .barrier, parallel([store(y, load(shared, .int(3)))])], ""),
        Case("an own area in one phase", [parallel([store(own, load(x)), store(y, load(own))])], ""),
        Case("one thread", [.single([store(shared, one, at: .int(0))]), .single([serial([store(y, load(shared, .int(0)))])])], ""),
        Case("a range for each thread", [
            .bind(j, .threadIndex * .int(64) / .threadCount), .bind(Variable("end", .index), (.threadIndex + .int(1)) * .int(64) / .threadCount),
            .loop(Loop(i, from: .variable(j), to: .variable(Variable("end", .index)), body: [store(y, load(x))])),
        ], ""),
        Case("whole vectors and the rest", [.single([
            .loop(Loop(i, to: .int(56), step: 8, body: [store(y, load(x, .variable(i), f32x8), f32x8)])), .loop(Loop(i, from: .int(56), to: .int(64), body: [store(y, load(x))])),
        ])], ""),
        Case("an accumulator", [.single([.declare(v, one), serial([.assign(v, .variable(v) + load(x))], kind: .simd(reductions: [.init(v, .add)])), serial([store(y, .variable(v))])])], ""),
    ]

    @Test(arguments: legal) func accepts(_ example: Case) throws {
        try KernelVerifier.verify(Self.kernel(example.body), results: [Self.result])
    }

    private static let result = TensorView(y, .f32, shape: [64], strides: [1])
}
