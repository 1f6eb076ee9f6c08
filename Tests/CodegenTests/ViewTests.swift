@testable import GlmcCodegen
import GlmcIR
import Testing

/// Tuned kernels on operands that are views of other memory, with strides that the layouts of their types do not tell, against
/// `evaluate`.
@Suite struct ViewTests {
    /// How an operand comes out of another tensor.
    enum View: String, CaseIterable {
        case transpose, slice, steps, flat, unsqueeze, broadcast
    }

    /// One small case per family, and those whose views have axes of one element.
    static let cases: [KernelCase] = {
        var seen: Set<String> = []
        return KernelCase.all.filter { $0.dimensions.isEmpty && seen.insert($0.family).inserted }
    }()

    @Test(arguments: cases, View.allCases) func matchesEvaluate(_ example: KernelCase, _ view: View) throws {
        let parsed = try Parser.parseFunction(example.text)
        var random = RandomInputs()
        let function = try withConstants(parsed, try random.tensors(for: parsed))
        try check(try Self.withViews(function, view), example.family, tolerance: example.tolerance, "\(example.name), \(view)")
    }

    /// A view that ends in axes of one element, before every family that reads images.
    @Test(arguments: [
        ("pool-vectors", "pool.max(%u, window: [2, 1], strides: [1, 1], dilations: [1, 1], before: [0, 0], after: [0, 0])"), ("pool-vectors", "pool.average(%u, window: [3, 1], strides: [2, 1], dilations: [1, 1], before: [0, 0], after: [0, 0])"),
        ("conv-depthwise", "conv(%u, %kd, strides: [1, 1], dilations: [1, 1], groups: 18)"), ("conv-tile", "conv(%u, %kc, strides: [1, 1], dilations: [1, 1])"),
        ("reduce-columns", "reduce.mean(%u, axes: [2])"), ("softmax-rows", "softmax(%u, axis: 1)"),
    ]) func axesOfOneElement(_ family: String, _ op: String) throws {
        let parsed = try Parser.parseFunction("""
            func @f(%x: f32[2, 18, 9], %kd: f32[18, 1, 3, 1], %kc: f32[20, 18, 3, 1]) {
              %u = reshape(%x, shape: [2, 18, 9, 1]) : f32[2, 18, 9, 1|nhwc]
              %p = \(op)
              return %p
            }
            """)
        var random = RandomInputs()
        var rewriter = Rewriter(try withConstants(parsed, try random.tensors(for: parsed)))
        for value in rewriter.function.nodes(in: rewriter.function.body).flatMap({ rewriter.function[$0].results }) where rewriter.function.tensorType(value).rank == 4 {
            let isConstant = rewriter.function.definingOp(value, as: Constant.self) != nil
            if !isConstant { rewriter.setLayout(.channelsLast, of: value) }
        }
        let result = rewriter.function.outputs[0]
        rewriter.setResults([try rewriter.create1(Relayout(.rowMajor), [result], at: .end(rewriter.function.body))])
        try check(rewriter.function, family, tolerance: 2e-6, op)
    }

    /// An update in place of memory that repeats its elements would change all that share it.
    @Test(arguments: ["expand(%y, shape: [3, 4])", "reshape(%e, shape: [6, 2])"]) func updatesOfRepeatedElements(_ view: String) throws {
        let size = view.hasPrefix("expand") ? "3, 4" : "6, 2"
        let function = try Parser.parseFunction("""
            func @f(%x: f32[1, 4], %k: i64[2, 1], %u: f32[2, \(view.hasPrefix("expand") ? 4 : 2)]) {
              %y = unary.tanh(%x)
              %e = expand(%y, shape: [3, 4])
              %d = \(view)
              %s = scatter_nd.none(%d, %k, %u) : f32[\(size)]
              return %s
            }
            """)
        let inputs = [Tensor([0.5, -1, 2, 0.25] as [Float], shape: [1, 4]), Tensor([1, 0] as [Int], shape: [2, 1]), Tensor((0..<(size == "3, 4" ? 8 : 4)).map { Float($0) + 10 }, shape: [2, size == "3, 4" ? 4 : 2])]
        let expected = try Interpreter.run(function, inputs), results = try NativeRun(function, target: .scalar)(inputs, threads: 2)
        #expect(results[0].shape == expected[0].shape && relativeError(results[0], expected[0]) < 1e-6)
    }

    /// Padding around parts that may have no elements, some along axes of which the result has one.
    @Test func paddingOfNothing() throws {
        let axes = [(0, 1, 0), (0, 0, 1), (0, 2, 1), (1, 0, 0), (1, 1, 0), (2, 1, 2), (0, 0, 0)]
        for number in 0..<axes.count * axes.count * axes.count {
            let chosen = [axes[number % 7], axes[number / 7 % 7], axes[number / 49]], shape = chosen.map(\.0), before = chosen.map(\.1), after = chosen.map(\.2)
            let function = try Parser.parseFunction("""
                func @f(%x: f32[\(shape.map(String.init).joined(separator: ", "))]) {
                  %y = unary.negate(%x)
                  %p = pad(%y, before: \(before), after: \(after), value: 3.0, mode: "constant")
                  return %p
                }
                """)
            let x = Tensor(.f32, shape, values: { Double($0) + 1 }), expected = try Interpreter.run(function, [x])
            let program = try ProgramBuilder.build(function, target: .scalar, threads: 1)
            let results = try ProgramInterpreter(program: program, dimensions: [:]).run([x])
            #expect(results[0].doubles == expected[0].doubles, "\(shape) between \(before) and \(after)")
        }
    }

    private func check(_ function: Function, _ family: String, tolerance: Double, _ what: String) throws {
        var random = RandomInputs()
        let inputs = try random.tensors(for: function)
        let expected = try Interpreter.run(function, inputs)
        let target = Target.native
        if target.vectorBits > 0 { #expect(KernelFamily.chosen(in: function, target: target).contains(family), "\(what)") }
        let results = try NativeRun(function, target: target)(inputs, threads: 2)
        for (actual, reference) in zip(results, expected) {
            #expect(actual.shape == reference.shape)
            let error = relativeError(actual, reference)
            #expect(error <= tolerance, "\(what): \(error)")
        }
    }

    /// The function with its inputs, or the copies that give them another layout, replaced by views of new inputs.
    static func withViews(_ function: Function, _ view: View) throws -> Function {
        var rewriter = Rewriter(function)
        guard let first = function.nodes(in: function.body).first else { return function }
        for input in function.inputs where !function[input].name.hasPrefix("k") && function.tensorType(input).rank > 0 {
            let readers = function[input].uses.compactMap { use -> NodeID? in if case .operand(let node, _) = use { node } else { nil } }
            let copy = readers.count == 1 && function[readers[0]].op is Relayout ? function[readers[0]].results[0] : nil
            let target = copy ?? input, type = function.tensorType(target)
            guard let shape = type.shape.constants else { continue }
            let shown = try make(view, shape, type.element, name: function[input].name + "_source", before: first, &rewriter)
            rewriter.setLayout(type.layout, of: shown)
            try rewriter.replaceUses(of: target, with: shown)
        }
        return rewriter.function
    }

    private static func make(_ view: View, _ shape: [Int], _ element: ElementType, name: String, before first: NodeID, _ rewriter: inout Rewriter) throws -> ValueID {
        func argument(_ shape: [Int], _ rewriter: inout Rewriter) -> ValueID {
            rewriter.addArgument(.tensor(TensorType(element, shape.map { Extent($0) })), name: name)
        }
        func create(_ op: any Op, _ value: ValueID, _ rewriter: inout Rewriter) throws -> ValueID { try rewriter.create1(op, [value], at: .before(first)) }
        let axes = Array(shape.indices), extents = shape.map { Extent($0) }
        switch view {
        case .transpose: return try create(Transpose(axes.reversed()), argument(shape.reversed(), &rewriter), &rewriter)
        case .slice:
            let whole = argument(shape.map { $0 + 2 }, &rewriter)
            return try create(Slice(starts: axes.map { _ in 1 }, sizes: extents, steps: axes.map { _ in 1 }), whole, &rewriter)
        case .steps:
            let whole = argument(shape.map { $0 * 2 + 1 }, &rewriter)
            return try create(Slice(starts: axes.map { _ in 1 }, sizes: extents, steps: axes.map { _ in 2 }), whole, &rewriter)
        case .flat: return try create(Reshape(extents), argument([shape.reduce(1, *)], &rewriter), &rewriter)
        case .unsqueeze:
            let some = try create(Slice(starts: [0] + axes.map { _ in 1 }, sizes: [1] + extents, steps: [1] + axes.map { _ in 1 }), argument([2] + shape.map { $0 + 1 }, &rewriter), &rewriter)
            return try create(Reshape(extents), some, &rewriter)
        case .broadcast: return try create(Expand(extents), argument([1] + shape.dropFirst(), &rewriter), &rewriter)
        }
    }
}
