import GlmcCodegen
import GlmcIR
import GlmcRuntime
import Testing

/// Indices and lengths out of range: found while the artifact runs, and where they are constants, when it is compiled.
@Suite struct DataErrorTests {
    /// One op with an operand `%i` of positions: good ones, and others of which one is wrong.
    struct Example: Sendable, CustomTestStringConvertible {
        var op: String
        var arguments: String
        var body: String
        var good: [Int]
        var bad: [Int]
        var wrong: Int
        var range: String
        var element = ElementType.i64
        var shape: [Int]?
        var testDescription: String { op }
    }

    static let examples = [
        Example(op: "gather", arguments: "%x: f32[2, 3], %i: i64[3]", body: "%y = gather(%x, %i, axis: 0)", good: [0, -2, 1], bad: [0, 7, 1], wrong: 7, range: "-2 to 1"),
        Example(op: "gather", arguments: "%x: f32[40, 33], %i: i32[70]", body: "%g = gather(%x, %i, axis: 1)\n%y = unary.exp(%g)", good: (0..<70).map { $0 % 33 },
                bad: (0..<70).map { $0 == 61 ? -34 : $0 % 33 }, wrong: -34, range: "-33 to 32", element: .i32),
        Example(op: "gather", arguments: "%x: f32[n, 3], %i: i64[3]", body: "%y = gather(%x, %i, axis: 0)", good: [0, -2, 1], bad: [0, 2, 1], wrong: 2, range: "-2 to 1"),
        Example(op: "gather", arguments: "%x: f32[6, 3], %i: u8[2]", body: "%y = gather(%x, %i, axis: 0)", good: [5, 0], bad: [5, 6], wrong: 6, range: "0 to 5", element: .u8),
        Example(op: "gather_elements", arguments: "%x: f32[2, 3], %i: i64[2, 3]", body: "%y = gather_elements(%x, %i, axis: 1)", good: [0, 1, 2, -1, -2, -3],
                bad: [0, 1, 2, -1, -2, -4], wrong: -4, range: "-3 to 2", shape: [2, 3]),
        Example(op: "gather_nd", arguments: "%x: f32[2, 3], %i: i64[2, 2]", body: "%y = gather_nd(%x, %i)", good: [0, 2, 1, -3], bad: [0, 3, 1, -3], wrong: 3, range: "-3 to 2", shape: [2, 2]),
        Example(op: "scatter_elements", arguments: "%x: f32[4], %i: i64[2]", body: "%u = constant(value: f32[2](1, 2))\n%y = scatter_elements(%x, %i, %u, axis: 0)",
                good: [3, -4], bad: [4, 0], wrong: 4, range: "-4 to 3"),
        Example(op: "scatter_nd", arguments: "%x: f32[4, 2], %i: i64[2, 1]", body: "%u = constant(value: f32[2, 2] splat(1))\n%y = scatter_nd(%x, %i, %u)",
                good: [3, -4], bad: [0, -5], wrong: -5, range: "-4 to 3", shape: [2, 1]),
        Example(op: "reverse_sequence", arguments: "%x: f32[3, 2], %i: i64[2]", body: "%y = reverse_sequence(%x, %i, time_axis: 0, batch_axis: 1)", good: [0, 3], bad: [1, 4],
                wrong: 4, range: "0 to 3"),
        Example(op: "max_unpool", arguments: "%x: f32[1, 1, 2], %i: i64[1, 1, 2]", body: "%y = max_unpool(%x, %i, shape: [1, 1, 4])", good: [0, 3], bad: [-1, 3], wrong: -1,
                range: "0 to 3", shape: [1, 1, 2]),
        Example(op: "roi_align", arguments: "%x: f32[2, 1, 4, 4], %i: i64[1]", body: "%b = constant(value: f32[1, 4](0, 0, 3, 3))\n%y = roi_align(%x, %b, %i, height: 2, width: 2)",
                good: [1], bad: [2], wrong: 2, range: "0 to 1"),
        Example(op: "rnn", arguments: "%x: f32[3, 1, 2], %i: i32[1]", body: """
            %w = constant(value: f32[1, 2, 2] splat(0.1))
            %b = constant(value: f32[1, 4] splat(0.1))
            %h = constant(value: f32[1, 1, 2] splat(0))
            %y, %z = rnn(%x, %w, %w, %b, %h, %i, hidden: 2, lengths: true)
            """, good: [3], bad: [5], wrong: 5, range: "0 to 3", element: .i32),
    ]

    private func function(_ example: Example) throws -> Function {
        var rewriter = Rewriter(try Parser.parseFunction("func @f(\(example.arguments)) {\n\(example.body)\nreturn %y\n}"))
        for id in rewriter.function.allNodes where rewriter.function[id].op.mnemonic == example.op { rewriter.setProvenance(["here"], of: id) }
        return rewriter.function
    }

    private func indices(_ example: Example, _ values: [Int]) -> Tensor {
        Tensor(example.element, example.shape ?? [values.count], integers: { values[$0] })
    }

    @Test(arguments: examples) func isFoundWhileItRuns(_ example: Example) throws {
        let function = try function(example)
        var random = RandomInputs()
        let x = try random.tensors(for: function, dimensions: ["n": 2])[0]
        for target in [Target.scalar, .native] {
            let expected = try Interpreter.run(function, [x, indices(example, example.good)])
            let results = try NativeRun(function, target: target)([x, indices(example, example.good)], threads: 2)
            #expect(relativeError(results[0], expected[0]) <= 1e-6)
            let error = #expect(throws: RuntimeError.self) { try NativeRun(function, target: target)([x, indices(example, example.bad)], threads: 2) }
            #expect(error?.kind == .badData)
            #expect(error?.message == "\(example.op) (node here): the data hold \(example.wrong), which is outside of \(example.range)")
        }
    }

    /// The oracle refuses the same, and so does the compiler where the positions are constants.
    @Test(arguments: examples) func constantsAreRefused(_ example: Example) throws {
        guard !example.arguments.contains("[n,") else { return }
        let parsed = try function(example)
        var random = RandomInputs()
        let x = try random.tensors(for: parsed)[0], bad = indices(example, example.bad)
        #expect(throws: Diagnostic.self) { try Interpreter.run(parsed, [x, bad]) }
        var rewriter = Rewriter(parsed)
        guard let first = parsed.nodes(in: parsed.body).first else { return }
        try rewriter.replaceUses(of: parsed.inputs[1], with: try rewriter.create1(Constant(bad), [], at: .before(first)))
        let error = #expect(throws: Diagnostics.self) { try NativeRun(rewriter.function, target: .scalar) }
        #expect(error.map { "\($0)" }?.contains("here") == true && error.map { "\($0)" }?.contains("\(example.wrong)") == true, "\(String(describing: error))")
    }

    /// Nothing is read or written where an axis holds nothing.
    @Test(arguments: ["%y = gather(%x, %i, axis: 0)", "%u = constant(value: f32[3, 3] splat(1))\n%j = reshape(%i, shape: [3, 1])\n%y = scatter_nd(%x, %j, %u)"])
    func anAxisWithoutElements(_ body: String) throws {
        let function = try Parser.parseFunction("func @f(%x: f32[n, 3], %i: i64[3]) {\n\(body)\nreturn %y\n}")
        let error = #expect(throws: RuntimeError.self) {
            try NativeRun(function, target: .native)([Tensor(.f32, [0, 3], values: { _ in 0 }), Tensor([0, 0, 0])], threads: 1)
        }
        #expect(error?.kind == .badData)
    }

    /// What a slice leaves of elements that are found while the model runs is most for some number in between: the room for it must do for all.
    @Test(arguments: [0, 1, 9, 10, 11, 19, 20]) func partsOfWhatIsFound(_ count: Int) throws {
        let function = try Parser.parseFunction("""
            func @f(%x: f32[20]) {
              dimension n = data_dependent bound 20
              %i = non_zero(%x, count: [n]) : i64[1, n]
              %s = slice(%i, starts: [0, max(n-10, 0)], sizes: [1, max(floordiv(min(10, n)-max(n-10, 0)+1, 2), 0)], steps: [1, 2])
              %t = binary.add(%s, %s)
              return %s, %t
            }
            """)
        let x = Tensor(.f32, [20], values: { $0 < count ? 1 : 0 })
        let expected = try Interpreter.run(function, [x]), results = try NativeRun(function, target: .scalar)([x], threads: 1)
        #expect(zip(results, expected).allSatisfy { $0.shape == $1.shape && $0.doubles == $1.doubles })
    }

    /// Sizes that the data make are checked like those that the inputs have, before anything of that size is read or written.
    @Test(arguments: [
        "%y = binary.add(%u, %v)", "%s = slice(%v, starts: [0], sizes: [m-n], steps: [1])\n%y = binary.add(%s, %s)", "%y = reshape(%v, shape: [floordiv(m, 2), 2])",
        "%c = reshape(%v, shape: [1, m])\n%d = reshape(%u, shape: [1, n])\n%y = concat(%c, %d, axis: 0)", "%y = expand(%v, shape: [n])",
    ])
    func sizesThatTheDataMakeDoNotFit(_ body: String) throws {
        let function = try Parser.parseFunction("""
            func @f(%x: f32[6], %p: bool[6], %q: bool[6]) {
              dimension n = data_dependent bound 6
              dimension m = data_dependent bound 6
              %u = compress(%x, %p, axis: 0, count: [n]) : f32[n]
              %v = compress(%x, %q, axis: 0, count: [m]) : f32[m]
              \(body)
              return %y
            }
            """)
        func inputs(_ u: Int, _ v: Int) -> [Tensor] {
            [Tensor(.f32, [6], values: { Double($0) })] + [u, v].map { count in Tensor(.bool, [6], integers: { $0 < count ? 1 : 0 }) }
        }
        for target in [Target.scalar, .native] {
            let fitting = body.contains("m-n") ? inputs(2, 4) : inputs(4, 4), others = body.contains("m-n") ? inputs(4, 3) : inputs(2, 3)
            let expected = try Interpreter.run(function, fitting)
            #expect(try NativeRun(function, target: target)(fitting, threads: 2)[0].doubles == expected[0].doubles)
            let error = #expect(throws: RuntimeError.self) { try NativeRun(function, target: target)(others, threads: 2) }
            #expect(error?.kind == .badShape && error?.message.contains("follow from these data") == true, "\(String(describing: error))")
        }
    }

    /// What a kernel finds is written behind what else it finds, or transposed, and what is computed before lies behind both: where that is depends on a size that
    /// has yet to be found.
    @Test(arguments: [
        "%d, %f, %i, %c = unique(%x, count: [n])\n%y = concat(%c, %f, %c, axis: 0)", "%d, %f, %i, %c = unique(%x, sorted: false, count: [n])\n%y = concat(%f, %c, axis: 0)",
        "%a = non_zero(%x, count: [n])\n%t = transpose(%a, permutation: [1, 0])\n%y = concat(%t, %t, axis: 1)",
        "%a = non_zero(%x, count: [n])\n%e = binary.add(%a, %a)\n%y = concat(%e, %a, axis: 1)",
        "%t = binary.add(%x, %x)\n%d, %f, %i, %c = unique(%x, count: [n])\n%y = concat(%d, %t, axis: 0)", "%t = binary.add(%x, %x)\n%d, %f, %i, %c = unique(%t, count: [n])\n%y = concat(%d, %t, %d, axis: 0)",
        "%r = reshape(%x, shape: [3, 3])\n%t = binary.add(%r, %r)\n%d, %f, %i, %c = unique(%x, count: [n])\n%e = reshape(%d, shape: [1, n])\n%b = expand(%e, shape: [3, n])\n%y = concat(%t, %b, axis: 1)",
    ])
    func partsThatLieBehindWhatIsFound(_ body: String) throws {
        let function = try Parser.parseFunction("func @f(%x: f32[9]) {\ndimension n = data_dependent bound 9\n\(body)\nreturn %y\n}")
        let x = Tensor([3, 1, 0, 3, 5, 1, 0, 3, 2] as [Float])
        let expected = try Interpreter.run(function, [x])
        for target in [Target.scalar, .native] {
            let results = try NativeRun(function, target: target)([x], threads: 2)
            #expect(results[0].shape == expected[0].shape && results[0].doubles == expected[0].doubles)
        }
    }

    /// The parameters' size says how many elements the data must make.
    @Test func normalisationOfWhatIsFound() throws {
        let function = try Parser.parseFunction("""
            func @f(%x: f32[6]) {
              dimension n = data_dependent bound 6
              %p = constant(value: f32[3](1, 2, 3))
              %i = non_zero(%x, count: [n]) : i64[1, n]
              %v = cast(%i, to: "f32")
              %y = layer_norm(%v, %p, %p, axis: 1)
              return %y
            }
            """)
        func x(_ count: Int) -> Tensor { Tensor(.f32, [6], values: { $0 < count ? 1 : 0 }) }
        let expected = try Interpreter.run(function, [x(3)])[0], result = try NativeRun(function, target: .native)([x(3)], threads: 2)[0]
        #expect(result.shape == [1, 3] && relativeError(result, expected) <= 1e-6)
        for count in [0, 1, 2, 4] {
            let error = #expect(throws: RuntimeError.self) { try NativeRun(function, target: .native)([x(count)], threads: 2) }
            #expect(error?.kind == .badShape, "\(count)")
        }
    }

    /// A value without memory has elements, too: more than can be counted are refused.
    @Test func moreElementsThanCanBeCounted() throws {
        let function = try Parser.parseFunction("""
            func @f(%a: f32[n, 0], %b: f32[m, 0]) {
              %c = constant(value: f32[](1))
              %e = expand(%c, shape: [n, m])
              %s = unary.exp(%e)
              %y = reduce.add(%s, axes: [0, 1])
              return %y
            }
            """)
        let most = Tensor(.f32, [1 << 32, 0], values: { _ in 0 }), few = Tensor(.f32, [2, 0], values: { _ in 0 })
        #expect(abs(try NativeRun(function, target: .scalar, tuned: false)([few, few], threads: 1)[0].doubles[0] - 10.873127) < 1e-4)
        let error = #expect(throws: RuntimeError.self) { try NativeRun(function, target: .scalar, tuned: false)([most, most], threads: 1) }
        #expect(error?.kind == .badShape)
    }

    /// What the data make is small here, but its bound, (a + … + h)⁶, takes more terms than are written: no run gets room for it.
    @Test func boundsThatAreTooComplex() throws {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"]
        let function = try Parser.parseFunction("""
            func @f(\(names.map { "%\($0): f32[\($0)]" }.joined(separator: ", "))) {
              dimension n = data_dependent bound \(names.joined(separator: "+"))
              %x = concat(\(names.map { "%\($0)" }.joined(separator: ", ")), axis: 0)
              %i = non_zero(%x, count: [n]) : i64[1, n]
              %v = cast(%i, to: "f32")
              %r = reshape(%v, shape: [1, 1, 1, 1, 1, n])
              %w = expand(%r, shape: [n, n, n, n, n, n])
              %s = softmax(%w, axis: 5)
              %y = reduce.add(%s, axes: [0, 1, 2, 3, 4, 5])
              return %y
            }
            """)
        let inputs = names.map { Tensor([$0 == "c" ? 1 : 0] as [Float]) }
        let error = #expect(throws: RuntimeError.self) { try NativeRun(function, target: .scalar)(inputs, threads: 1) }
        #expect(error?.kind == .badShape)
    }

    /// Bounds in any order, but not in a circle.
    @Test func boundsOfWhatIsFound() throws {
        func function(_ n: String, _ m: String) throws -> Function {
            try Parser.parseFunction("""
                func @f(%x: f32[6]) {
                  dimension m = data_dependent bound \(m)
                  dimension n = data_dependent bound \(n)
                  %u = non_zero(%x, count: [n]) : i64[1, n]
                  %v = non_zero(%u, count: [m]) : i64[2, m]
                  return %v
                }
                """)
        }
        let x = Tensor(.f32, [6], values: { Double($0 % 2) })
        #expect(try NativeRun(try function("6", "n"), target: .scalar)([x], threads: 1)[0].doubles == Interpreter.run(try function("6", "n"), [x])[0].doubles)
        #expect(throws: Diagnostic.self) { try NativeRun(try function("m", "n"), target: .scalar) }
    }

    /// More elements than a free axis turns out to have: known before the artifact runs.
    @Test func topOfTooFew() throws {
        let function = try Parser.parseFunction("func @f(%x: f32[n]) {\n%v, %i = top_k(%x, k: 4, axis: 0)\nreturn %v\n}")
        #expect(try NativeRun(function, target: .native)([Tensor([3, 1, 2, 5, 4] as [Float])], threads: 1)[0].doubles == [5, 4, 3, 2])
        let error = #expect(throws: RuntimeError.self) { try NativeRun(function, target: .native)([Tensor([3, 1] as [Float])], threads: 1) }
        #expect(error?.kind == .badShape)
    }
}
