import Testing

@testable import GlmcFuzz
@testable import GlmcIR

/// The generator of random graphs, what it expects of their results, and how it makes findings small.
@Suite struct RandomGraphTests {
    @Test func everyOpHasARow() {
        let rows = Set(OpSamples.all.keys).union(RandomGraph.patterns.keys)
        #expect(Set(OpRegistry.standard.entries.keys).subtracting(rows) == [])
    }

    /// A row that nothing comes of would leave its op without a test.
    @Test func everyOpAppearsInGraphs() {
        // Most rows come up in the first hundred; those that few graphs make use of need more.
        var seen: Set<String> = []
        for seed in 0..<2000 where seen.count < OpRegistry.standard.entries.count {
            let function = RandomGraph.make(seed: UInt64(seed)).function
            seen.formUnion(function.allNodes.map { function[$0].op.mnemonic })
        }
        #expect(Set(OpRegistry.standard.entries.keys).subtracting(seen) == [])
    }

    @Test func graphsAreLegalAndRepeatable() throws {
        for seed in 0..<100 {
            let test = RandomGraph.make(seed: UInt64(seed), isDynamic: seed % 2 == 0)
            try Verifier.verify(test.function)
            _ = try Interpreter.run(test.function, test.runs[0])
            #expect(test.text(remarks: []) == RandomGraph.make(seed: UInt64(seed), isDynamic: seed % 2 == 0).text(remarks: []))
        }
    }

    @Test func joinedCasesKeepTheirResults() throws {
        for dynamic in [false, true] {
            let cases = (0..<12).map { RandomGraph.make(seed: UInt64(700 + $0), isDynamic: dynamic) }
            let whole = try FuzzCase.joined(cases)
            try Verifier.verify(whole.function)
            let apart = try cases.flatMap { try Interpreter.run($0.function, $0.runs[0]) }
            #expect(try Interpreter.run(whole.function, whole.runs[0]) == apart)
        }
    }

    /// exp(x) - exp(x - 1e-7·x) and the like may lose all digits; a product by a wrong constant may not.
    @Test func boundsFollowFromRounding() throws {
        let text = """
            func @f(%x: f32[4]) {
              %big = constant(value: f32[](1000000.0)) : f32[]
              %up = binary.add(%x, %big) : f32[4]
              %down = binary.subtract(%up, %big) : f32[4]
              %less = binary.less(%down, %x) : bool[4]
              return %x, %down, %less
            }
            """
        let function = try Parser.parseFunction(text), x = Tensor([0.1, 0.2, 0.3, 0.4] as [Float])
        var expected = try Expectation(function, [x])
        #expect(expected.difference(0, x) == nil)
        #expect(expected.difference(0, Tensor([0.1, 0.2, 0.3001, 0.4] as [Float])) != nil)
        #expect(expected.difference(1, x) == nil)
        #expect(expected.difference(1, Tensor([100, 0.2, 0.3, 0.4] as [Float])) != nil)
        #expect(expected.difference(2, Tensor(.bool, [4], integers: { _ in 1 })) == nil)
        #expect(expected.difference(0, Tensor([0.1, 0.2, .nan, 0.4] as [Float])) != nil)
        #expect(expected.difference(0, Tensor([0.1, 0.2, 0.3] as [Float])) != nil)
    }

    @Test func movesKeepTheSignOfZero() throws {
        let function = try Parser.parseFunction("func @f(%x: f32[2]) {\n  %y = transpose(%x, permutation: [0]) : f32[2]\n  return %y\n}")
        var expected = try Expectation(function, [Tensor([-0.0, 1] as [Float])])
        #expect(expected.difference(0, Tensor([-0.0, 1] as [Float])) == nil)
        #expect(expected.difference(0, Tensor([0.0, 1] as [Float])) != nil)
    }

    /// The fault is taken to be any softmax that an output depends on: one must be left, and mostly nothing else.
    @Test func reducesToWhatFails() throws {
        var reduced = 0, smallest = 0
        for seed in 0..<400 {
            let whole = RandomGraph.make(seed: UInt64(seed), isDynamic: seed % 2 == 0), start = whole.part(whole.function.outputs) ?? whole
            func holds(_ test: FuzzCase) -> Bool { test.function.allNodes.contains { test.function[$0].op is Softmax } }
            guard holds(start) else { continue }
            let small = Reducer.reduce(start, budget: 500, isFailing: holds)
            try Verifier.verify(small.function)
            _ = try Interpreter.run(small.function, small.runs[0])
            #expect(holds(small) && small.function.allNodes.count <= start.function.allNodes.count && small.runs.count == 1, "seed \(seed): \(small.function)")
            if small.function.allNodes.count <= 2 { smallest += 1 }
            reduced += 1
            if reduced == 12 { break }
        }
        #expect(reduced == 12 && smallest >= 8, "\(smallest) of \(reduced)")
    }
}
