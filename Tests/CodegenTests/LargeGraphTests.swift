import Testing

@testable import GlmcCodegen
@testable import GlmcIR

/// Graphs of 20,000 nodes come to an end: no group without bound, no recursion along the graph, no step that looks at everything for
/// every node.
@Suite struct LargeGraphTests {
    private static let nodes = 20_000

    struct Shape: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var build: @Sendable (inout Rewriter) throws -> Void
    }

    private static let row = ValueType.tensor(TensorType(.f32, [16, 64]))
    private static let body = Function("f").body

    /// A value after `count` steps.
    private static func chain(_ start: ValueID, _ count: Int, _ rewriter: inout Rewriter, _ step: (Int, ValueID, inout Rewriter) throws -> ValueID) rethrows -> ValueID {
        try (0..<count).reduce(start) { value, i in try step(i, value, &rewriter) }
    }

    /// The sum of values, in a tree.
    private static func sum(_ values: [ValueID], _ rewriter: inout Rewriter) throws -> ValueID {
        var level = values
        while level.count > 1 {
            level = try stride(from: 0, to: level.count, by: 2).map { i in
                i + 1 < level.count ? try rewriter.create1(Binary(.add), [level[i], level[i + 1]], at: .end(body)) : level[i]
            }
        }
        return level[0]
    }

    static let shapes: [Shape] = [
        Shape(testDescription: "a chain") { rewriter in
            let x = rewriter.addArgument(row, name: "x"), c = rewriter.addArgument(row, name: "c")
            let functions: [BinaryOperator] = [.add, .multiply, .subtract, .maximum]
            let y = try chain(x, nodes, &rewriter) { i, value, rewriter in
                i % 5 == 4 ? try rewriter.create1(Unary(.tanh), [value], at: .end(body)) : try rewriter.create1(Binary(functions[i % 4]), [value, c], at: .end(body))
            }
            rewriter.setResults([y])
        },
        Shape(testDescription: "a residual chain") { rewriter in
            let x = rewriter.addArgument(row, name: "x")
            let y = try chain(x, nodes / 2, &rewriter) { _, value, rewriter in
                let inner = try rewriter.create1(Unary(.tanh), [value], at: .end(body))
                return try rewriter.create1(Binary(.add), [value, inner], at: .end(body))
            }
            rewriter.setResults([y])
        },
        // Each value is read twice by the next one, in a group whose root has another shape: written out, that would be 2^n products.
        Shape(testDescription: "squares that are broadcast") { rewriter in
            let x = rewriter.addArgument(row, name: "x"), b = rewriter.addArgument(.tensor(TensorType(.f32, [64])), name: "b")
            let y = try chain(b, nodes, &rewriter) { _, value, rewriter in try rewriter.create1(Binary(.multiply), [value, value], at: .end(body)) }
            rewriter.setResults([try rewriter.create1(Binary(.add), [x, y], at: .end(body))])
        },
        Shape(testDescription: "a value with many readers") { rewriter in
            let x = rewriter.addArgument(row, name: "x")
            let middle = try rewriter.create1(Softmax(axis: 1), [x], at: .end(body))
            let parts = try (0..<nodes / 2).map { i in
                let factor = try rewriter.create1(Constant(.scalar(Double(i), .f32)), [], at: .end(body))
                return try rewriter.create1(Binary(.multiply), [middle, factor], at: .end(body))
            }
            rewriter.setResults([try sum(parts, &rewriter)])
        },
        Shape(testDescription: "many inputs and outputs") { rewriter in
            let inputs = (0..<nodes / 2).map { rewriter.addArgument(row, name: "x\($0)") }
            rewriter.setResults(try inputs.map { try rewriter.create1(Softmax(axis: 1), [$0], at: .end(body)) })
        },
        Shape(testDescription: "many constants") { rewriter in
            let x = rewriter.addArgument(row, name: "x")
            let y = try chain(x, nodes / 2, &rewriter) { i, value, rewriter in
                let c = try rewriter.create1(Constant(Tensor((0..<64).map { Float(i + $0) })), [], at: .end(body))
                return try rewriter.create1(Binary(.add), [value, c], at: .end(body))
            }
            rewriter.setResults([y])
        },
        Shape(testDescription: "values that live long") { rewriter in
            let x = rewriter.addArgument(row, name: "x")
            var values = [x]
            for _ in 0..<nodes / 3 { values.append(try rewriter.create1(Softmax(axis: 1), [values[values.count - 1]], at: .end(body))) }
            let y = try values.reversed().reduce(x) { y, value in
                try rewriter.create1(Softmax(axis: 0), [try rewriter.create1(Binary(.add), [y, value], at: .end(body))], at: .end(body))
            }
            rewriter.setResults([y])
        },
        Shape(testDescription: "parts of a concatenation") { rewriter in
            let x = rewriter.addArgument(.tensor(TensorType(.f32, [Extent(nodes / 2), 4])), name: "x")
            let parts = try (0..<nodes / 2).map { i in
                let part = try rewriter.create1(Slice(starts: [Extent(i), 0], sizes: [1, 4]), [x], at: .end(body))
                return try rewriter.create1(Unary(.tanh), [part], at: .end(body))
            }
            rewriter.setResults([try rewriter.create1(Concat(axis: 0), parts, at: .end(body))])
        },
        Shape(testDescription: "a free size") { rewriter in
            rewriter.addDimension("n", DimensionInfo(.input(0, axis: 0)))
            let x = rewriter.addArgument(.tensor(TensorType(.f32, [.dimension("n"), 64])), name: "x")
            let y = try chain(x, nodes / 2, &rewriter) { _, value, rewriter in
                try rewriter.create1(Softmax(axis: 1), [try rewriter.create1(Unary(.tanh), [value], at: .end(body))], at: .end(body))
            }
            rewriter.setResults([y])
        },
    ]

    @Test(arguments: shapes) func comesToAnEnd(_ shape: Shape) throws {
        var rewriter = Rewriter(Function("f"))
        try shape.build(&rewriter)
        let function = rewriter.function, target = try #require(Target.named("avx2"))
        let groups = Grouping(function: function, target: target, families: KernelFamily.all).groups(in: function.body)
        #expect(groups.allSatisfy { $0.nodes.count <= Grouping.largestGroup })
        #expect(Set(groups.flatMap(\.nodes)).count == groups.reduce(0) { $0 + $1.nodes.count }, "every node is in one group")
        let program = try ProgramBuilder.build(function, target: target, threads: 2)
        let plan = MemoryPlan(program)
        #expect(plan.fixedBytes >= plan.lowerBound && plan.fixedBytes <= 2 * plan.lowerBound + MemoryPlan.alignment)
        let text = try MainText(programs: [program], plans: [plan], weights: Weights([program]), name: ModelName("f"), target: target, manifest: "{}", version: "").text()
        #expect(text.utf8.count < 1_000 * Self.nodes)
        _ = try KernelFiles.split([program], name: ModelName("f"))
    }
}
