import GlmcIR
import GlmcPasses
import Testing

/// The pipeline on functions of 20,000 nodes: it neither recurses along them nor looks at all of them for each.
@Suite struct LargeFunctionTests {
    private static let nodes = 20_000
    private static let row = ValueType.tensor(TensorType(.f32, [16, 8]))
    private static let body = Function("f").body

    struct Shape: CustomTestStringConvertible, Sendable {
        var testDescription: String
        /// How many nodes are left.
        var left: Int
        var build: @Sendable (ValueID, inout Rewriter) throws -> ValueID
    }

    private static func create(_ op: any Op, _ operands: [ValueID], _ rewriter: inout Rewriter, _ name: String = "") throws -> ValueID {
        try rewriter.create1(op, operands, at: .end(body), provenance: name.isEmpty ? [] : [name])
    }

    static let shapes: [Shape] = [
        Shape(testDescription: "a chain", left: nodes) { x, rewriter in
            try (0..<nodes).reduce(x) { value, i in try create(Unary(i % 2 == 0 ? .tanh : .erf), [value], &rewriter, "n\(i)") }
        },
        Shape(testDescription: "nodes that nobody reads", left: 1) { x, rewriter in
            _ = try (0..<nodes).reduce(x) { value, i in try create(Unary(.tanh), [value], &rewriter, "n\(i)") }
            for i in 0..<nodes { _ = try create(Reduce(.add, axes: [0], keepDims: false), [x], &rewriter, "m\(i)") }
            return try create(Unary(.exp), [x], &rewriter)
        },
        Shape(testDescription: "equal nodes", left: 1 + nodes / 2) { x, rewriter in
            let equal = try (0..<nodes).map { try create(Unary(.exp), [x], &rewriter, "a node with a long name, number \($0)") }
            return try stride(from: 0, to: nodes, by: 2).reduce(x) { sum, i in try create(Binary(.atan2), [sum, equal[i]], &rewriter) }
        },
        Shape(testDescription: "transpositions that cancel", left: 0) { x, rewriter in
            try (0..<nodes).reduce(x) { value, _ in try create(Transpose([1, 0]), [value], &rewriter) }
        },
        Shape(testDescription: "reshapes of reshapes", left: 0) { x, rewriter in
            try (0..<nodes).reduce(x) { value, i in try create(Reshape(i % 2 == 0 ? [128] : [16, 8]), [value], &rewriter) }
        },
        Shape(testDescription: "constants", left: 2) { x, rewriter in
            let one = try create(Constant(Tensor((0..<8).map(Float.init))), [], &rewriter)
            let c = try (0..<nodes).reduce(one) { value, i in try create(Unary(i % 2 == 0 ? .tanh : .negate), [value], &rewriter, "n\(i)") }
            return try create(Binary(.add), [x, c], &rewriter)
        },
    ]

    /// Each doubling is folded while the budget lasts: 31 of them would be 8 GB.
    @Test func foldsWithinItsBudget() throws {
        var rewriter = Rewriter(Function("f"))
        let x = rewriter.addArgument(.tensor(TensorType(.f32, [1])), name: "x")
        let one = try Self.create(Constant(Tensor([1] as [Float])), [], &rewriter)
        let large = try (0..<31).reduce(one) { value, _ in try Self.create(Concat(axis: 0), [value, value], &rewriter) }
        rewriter.setResults([try Self.create(Binary(.add), [x, large], &rewriter)])
        var function = rewriter.function
        try PassManager().run([.foldConstants], on: &function, PassContext(level: .o2))
        let bytes = function.allNodes.reduce(0) { $0 + ((function[$1].op as? Constant)?.value.byteCount ?? 0) }
        #expect(bytes > 1 << 20 && bytes <= 1 << 28, "\(bytes)")
    }

    @Test(arguments: shapes) func comesToAnEnd(_ shape: Shape) throws {
        var rewriter = Rewriter(Function("f"))
        let x = rewriter.addArgument(Self.row, name: "x")
        rewriter.setResults([try shape.build(x, &rewriter)])
        var function = rewriter.function
        try PassManager(PassManager.Options(verifiesEach: true)).run(PassLibrary.standard.pipeline(.o3), on: &function, PassContext(level: .o3))
        #expect(function.allNodes.count == shape.left)
    }
}
