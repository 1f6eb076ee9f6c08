import Testing

@testable import GlmcCodegen
@testable import GlmcIR

/// A weight lies in an artifact once, whatever reads it.
@Suite struct WeightFormatTests {
    private static let (rows, depth) = (96, 40)

    /// The first entry point multiplies any number of rows, the second one, the third looks rows up.
    private static func module(_ element: ElementType) throws -> (Module, Tensor) {
        let table = Tensor(element, [rows, depth]) { i in Double((i * 37) % 101 - 50) / 16 }
        func function(_ name: String, _ body: (inout Rewriter) throws -> ValueID) throws -> Function {
            var rewriter = Rewriter(Function(name))
            rewriter.setResults([try body(&rewriter)])
            return rewriter.function
        }
        func product(_ name: String, _ count: Extent) throws -> Function {
            try function(name) { r in
                let x = r.addArgument(.tensor(TensorType(.f32, [count, Extent(depth)])), name: "x")
                if let dimension = count.dimensionName { r.addDimension(dimension, DimensionInfo(.input(0, axis: 0))) }
                let w = try r.create1(Constant(table.transposed([1, 0])), [], at: .end(r.function.body))
                return try r.create1(MatMul(), [x, w], at: .end(r.function.body))
            }
        }
        let lookup = try function("rows") { r in
            let i = r.addArgument(.tensor(TensorType(.i64, [3])), name: "i")
            let t = try r.create1(Constant(table), [], at: .end(r.function.body))
            return try r.create1(Gather(axis: 0), [t, i], at: .end(r.function.body))
        }
        return (Module([try product("many", .dimension("n")), try product("one", 1), lookup]), table)
    }

    @Test(arguments: ["scalar", "avx2", "avx512"], [ElementType.f32, .f16, .bf16]) func isStoredOnce(target: String, element: ElementType) throws {
        let (module, table) = try Self.module(element)
        try module.verify()
        let programs = try ProgramBuilder.build(module, target: try #require(Target.named(target)), threads: 2)
        #expect(programs[0].code.packed.map(\.byteCount) == [table.byteCount])
        #expect(Weights(programs).byteCount == table.byteCount)

        func value(_ row: Int, _ column: Int) -> Double { table.doubles[row * Self.depth + column] }
        let many = Tensor(.f32, [5, Self.depth]) { i in Double(i % 13 - 6) / 4 }
        for (program, count) in zip(programs, [5, 1]) {
            let x = Tensor(.f32, [count, Self.depth]) { many.doubles[$0] }
            let y = try ProgramInterpreter(program: program, dimensions: count == 5 ? ["n": 5] : [:]).run([x])[0]
            // Multiples of 1/64 with few bits: sums are exact.
            let expected = (0..<count * Self.rows).map { i in (0..<Self.depth).reduce(0.0) { $0 + many.doubles[i / Self.rows * Self.depth + $1] * value(i % Self.rows, $1) } }
            #expect(y.doubles == expected)
        }
        let picked = try ProgramInterpreter(program: programs[2], dimensions: [:]).run([Tensor([95, 0, -30], shape: [3])])[0]
        #expect(picked.doubles == [95, 0, 66].flatMap { row in (0..<Self.depth).map { value(row, $0) } })
    }
}
