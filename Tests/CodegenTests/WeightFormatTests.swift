import Testing

@testable import GlmcCodegen
@testable import GlmcIR

/// A weight lies in an artifact once, whatever reads it.
@Suite struct WeightFormatTests {
    private static let (rows, depth) = (96, 40)

    /// The first entry point multiplies any number of rows, the second one, the third looks rows up.
    private static func module(_ element: ElementType, left: ElementType = .f32) throws -> (Module, Tensor) {
        let table = Tensor(element, [rows, depth]) { i in Double((i * 37) % 101 - 50) / 16 }
        func function(_ name: String, _ body: (inout Rewriter) throws -> ValueID) throws -> Function {
            var rewriter = Rewriter(Function(name))
            rewriter.setResults([try body(&rewriter)])
            return rewriter.function
        }
        func product(_ name: String, _ count: Extent) throws -> Function {
            try function(name) { r in
                let x = r.addArgument(.tensor(TensorType(left, [count, Extent(depth)])), name: "x")
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

    /// As `module` with weights of i8, which meet rows that are quantised in blocks of eight.
    private static func byteModule() throws -> (Module, Tensor) {
        let table = Tensor(.i8, [rows, depth], integers: { i in (i * 37) % 101 - 50 })
        let right = table.transposed([1, 0]), unused = Tensor([0], shape: [])
        func product(_ name: String, _ count: String) throws -> Function {
            try withConstants(try Parser.parseFunction("""
                func @\(name)(%x: f32[\(count), \(depth)], %kw: i8[\(depth), \(rows)]) {
                    %q, %s, %z = block_quantize(%x, block: 8)
                    %y = block_row_matmul(%q, %s, %kw, block: 8)
                    return %y
                }
                """), [unused, right])
        }
        let lookup = try withConstants(try Parser.parseFunction("func @rows(%i: i64[3], %kw: i8[\(rows), \(depth)]) {\n  %y = gather(%kw, %i, axis: 0)\n  return %y\n}"), [unused, table])
        return (Module([try product("many", "n"), try product("one", "1"), lookup]), table)
    }

    @Test(arguments: ["avx2", "avx512", "avx512vnni", "neon-dotprod"]) func bytesAreStoredOnce(target: String) throws {
        let (module, table) = try Self.byteModule()
        try module.verify()
        let programs = try ProgramBuilder.build(module, target: try #require(Target.named(target)), threads: 2)
        #expect(Weights(programs).byteCount == table.byteCount)
        // Every block reaches 127, so that its scale is 1 and all sums are exact.
        let many = Tensor(.f32, [5, Self.depth]) { i in i % 8 == 3 ? 127 : Double((i * 53) % 255 - 127) }
        for (program, count) in zip(programs, [5, 1]) {
            let x = Tensor(.f32, [count, Self.depth]) { many.doubles[$0] }
            let y = try ProgramInterpreter(program: program, dimensions: count == 5 ? ["n": 5] : [:]).run([x, table])[0]
            let expected = (0..<count * Self.rows).map { i in
                (0..<Self.depth).reduce(0.0) { $0 + many.doubles[i / Self.rows * Self.depth + $1] * table.doubles[i % Self.rows * Self.depth + $1] }
            }
            #expect(y.doubles == expected)
        }
        let picked = try ProgramInterpreter(program: programs[2], dimensions: [:]).run([Tensor([95, 0, -30], shape: [3]), table])[0]
        #expect(picked.integers == [95, 0, 66].flatMap { row in (0..<Self.depth).map { table.integers[row * Self.depth + $0] } })
    }

    @Test(arguments: ["scalar", "avx2", "avx512"], [ElementType.f32, .f16, .bf16]) func isStoredOnce(target: String, element: ElementType) throws {
        try check(try Self.module(element), left: .f32, target)
    }

    /// Where products of 16-bit floats are added in pairs, a table is looked up in its pairs.
    @Test func pairsAreStoredOnce() throws {
        try check(try Self.module(.bf16, left: .bf16), left: .bf16, "avx512bf16")
    }

    private func check(_ stored: (module: Module, table: Tensor), left: ElementType, _ target: String) throws {
        let (module, table) = stored
        try module.verify()
        let programs = try ProgramBuilder.build(module, target: try #require(Target.named(target)), threads: 2)
        let weights = Set(programs.flatMap { program in
            program.usedStorages.compactMap { id -> StoredWeight? in if case .weight(let weight) = program[id].owner { weight } else { nil } }
        })
        #expect(weights.map(\.byteCount) == [table.byteCount])
        #expect(Weights(programs).byteCount == table.byteCount)

        func value(_ row: Int, _ column: Int) -> Double { table.doubles[row * Self.depth + column] }
        let many = Tensor(left, [5, Self.depth]) { i in Double(i % 13 - 6) / 4 }
        for (program, count) in zip(programs, [5, 1]) {
            let x = Tensor(left, [count, Self.depth]) { many.doubles[$0] }
            let y = try ProgramInterpreter(program: program, dimensions: count == 5 ? ["n": 5] : [:]).run([x])[0]
            // Multiples of 1/64 with few bits: sums are exact.
            let expected = (0..<count * Self.rows).map { i in (0..<Self.depth).reduce(0.0) { $0 + many.doubles[i / Self.rows * Self.depth + $1] * value(i % Self.rows, $1) } }
            #expect(y.doubles == expected)
        }
        let picked = try ProgramInterpreter(program: programs[2], dimensions: [:]).run([Tensor([95, 0, -30], shape: [3])])[0]
        #expect(picked.doubles == [95, 0, 66].flatMap { row in (0..<Self.depth).map { value(row, $0) } })
    }
}
