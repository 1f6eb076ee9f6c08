import GlmcIR
import GlmcTestSupport
import Testing

@testable import GlmcFrontend

/// Inputs whose elements are sizes: what operators need to know at compile time becomes a dimension.
@Suite struct SizeInputTests {
    private func load(_ nodes: [Proto], _ inputs: [Proto], initializers: [Proto] = [], outputs: [String] = ["y"]) throws -> Function {
        let graph = Onnx.graph(nodes: nodes, initializers: initializers, inputs: inputs, outputs: outputs.map { Onnx.value($0, $0 == "i" ? 7 : 1, sizes: []) })
        let function = try OnnxImporter.importModel(try OnnxReader.model(ByteSpan(Onnx.model(graph).bytes), file: "test.onnx"), file: "test.onnx").function
        try Module(function).verify()
        return function
    }

    private func sizes(_ function: Function) -> [String] {
        function.dimensions.compactMap { name, info in
            if case .value(let input, let element) = info.source { "\(name) = \(function.inputNames[input])[\(element)]" } else { nil }
        }
    }

    private static let x = Onnx.value("x", 1, sizes: ["N", "6"])
    private static let data = Tensor((0..<12).map { Float($0) }, shape: [2, 6])
    private static let one = Onnx.tensor("one", 7, [1]).packed(7, [1])

    @Test func shapes() throws {
        let function = try load([Onnx.node("Reshape", ["x", "s"], ["y"])], [Self.x, Onnx.value("s", 7, [3])])
        #expect(sizes(function) == ["s_0 = s[0]", "s_1 = s[1]", "s_2 = s[2]"])
        #expect(try Interpreter.run(function, [Self.data, Tensor([3, 1, 4], shape: [3])]) == [try #require(Self.data.reshaped([3, 1, 4]))])
        #expect(throws: Diagnostic.self) { try Interpreter.run(function, [Self.data, Tensor([3, 1, 5], shape: [3])]) }
        #expect(throws: Diagnostic.self) { try Interpreter.run(function, [Self.data, Tensor([3, -1, 4], shape: [3])]) }
    }

    @Test func lengths() throws {
        let zero = Onnx.tensor("zero", 7, []).packed(7, [0]), step = Onnx.tensor("step", 7, []).packed(7, [2])
        let function = try load([Onnx.node("Range", ["zero", "n", "step"], ["i"])], [Onnx.value("n", 7, [])], initializers: [zero, step], outputs: ["i"])
        #expect(sizes(function) == ["n = n[0]"])
        #expect(try [0, 1, 5].map { try Interpreter.run(function, [Tensor([$0], shape: [])])[0].integers } == [[], [0], [0, 2, 4]])
    }

    /// Only what is needed becomes a size: the other input may be negative.
    @Test func asFewAsPossible() throws {
        let nodes = [Onnx.node("Expand", ["x", "s"], ["e"]), Onnx.node("Gather", ["e", "k"], ["y"])]
        let function = try load(nodes, [Onnx.value("x", 1, [1, 6]), Onnx.value("s", 7, [2]), Onnx.value("k", 7, [1])])
        #expect(sizes(function) == ["s_0 = s[0]", "s_1 = s[1]"])
        let row = Tensor((0..<6).map { Float($0) }, shape: [1, 6])
        #expect(try Interpreter.run(function, [row, Tensor([3, 6], shape: [2]), Tensor([-1], shape: [1])])[0].shape == [1, 6])
    }

    /// What compiles without is left alone.
    @Test func dataStayData() throws {
        #expect(sizes(try load([Onnx.node("Gather", ["x", "k"], ["y"])], [Self.x, Onnx.value("k", 7, [1])])).isEmpty)
    }

    // MARK: Branches

    /// `If(k == 16) x · w else x · v`, where v does not fit x: a run that would take the other branch is refused.
    @Test func theOnlyBranchThatCanRun() throws {
        let branches = [("then_branch", "w", 6), ("else_branch", "v", 5)].map { name, weight, rows in
            let values = Onnx.floatTensor(weight, [Int64(rows), 1], [Float](repeating: 1, count: rows))
            return Onnx.attribute(name, graph: Onnx.graph(nodes: [Onnx.node("MatMul", ["x", weight], ["r"])], initializers: [values], outputs: [Onnx.value("r", 1, sizes: ["", ""])]))
        }
        let nodes = [Onnx.node("Equal", ["k", "sixteen"], ["c"]), Onnx.node("If", ["c"], ["y"], branches)]
        let function = try load(nodes, [Self.x, Onnx.value("k", 7, [])], initializers: [Onnx.tensor("sixteen", 7, []).packed(7, [16])])
        #expect(sizes(function) == ["k = k[0]"])
        #expect(try Interpreter.run(function, [Self.data, Tensor([16], shape: [])])[0].doubles == [15, 51])
        for other in [15, 17] {
            #expect { try Interpreter.run(function, [Self.data, Tensor([other], shape: [])]) } throws: { "\($0)".contains("the then branch of If") }
        }
    }

    // MARK: Loops

    /// `body` takes i, go and s, and gives go, t and what `outputs` names.
    private func loop(_ nodes: [Proto], outputs: [String], stacked: [String] = [], initializers: [Proto] = []) throws -> Function {
        let body = Onnx.graph(
            nodes: nodes + [Onnx.node("Identity", ["go"], ["again"])], inputs: [Onnx.value("i", 7, []), Onnx.value("go", 9, []), Onnx.value("s", 1, sizes: ["", ""])],
            outputs: [Onnx.value("again", 9, []), Onnx.value("t", 1, sizes: ["", ""])] + stacked.map { Onnx.value($0, 1, sizes: ["", ""]) })
        let always = Onnx.tensor("always", 9, []).packed(5, [1])
        return try load(
            [Onnx.node("Loop", ["rounds", "always", "x"], outputs, [Onnx.attribute("body", graph: body)])], [Onnx.value("rounds", 7, []), Self.x], initializers: [always] + initializers,
            outputs: outputs)
    }

    private func run(_ function: Function, _ rounds: Int) throws -> [Tensor] { try Interpreter.run(function, [Tensor([rounds], shape: []), Self.data]) }

    @Test func stacksOfAGivenNumberOfRounds() throws {
        let function = try loop([Onnx.node("Add", ["s", "s"], ["t"]), Onnx.node("Neg", ["t"], ["z"])], outputs: ["y", "zs"], stacked: ["z"])
        for rounds in [0, 1, 3] {
            let results = try run(function, rounds)
            #expect(results[0].doubles == Self.data.doubles.map { $0 * Double(1 << rounds) })
            #expect(results[1].shape == [rounds, 2, 6])
            #expect(results[1].doubles == (0..<rounds).flatMap { round in Self.data.doubles.map { -$0 * Double(2 << round) } })
        }
    }

    /// A loop that carries nothing, of iterations that are given or known.
    @Test(arguments: [nil, 3, 0] as [Int64?]) func loopsWithoutStates(_ trips: Int64?) throws {
        let body = Onnx.graph(
            nodes: [Onnx.node("Cast", ["i"], ["z"], [Proto().string(1, "to").int(3, 1).int(20, 2)]), Onnx.node("Identity", ["go"], ["again"])],
            inputs: [Onnx.value("i", 7, []), Onnx.value("go", 9, [])], outputs: [Onnx.value("again", 9, []), Onnx.value("z", 1, [])])
        let constants = [Onnx.tensor("always", 9, []).packed(5, [1])] + (trips.map { [Onnx.tensor("rounds", 7, []).packed(7, [$0])] } ?? [])
        let function = try load(
            [Onnx.node("Loop", ["rounds", "always"], ["y"], [Onnx.attribute("body", graph: body)])], trips == nil ? [Onnx.value("rounds", 7, [])] : [], initializers: constants)
        for count in trips.map({ [Int($0)] }) ?? [0, 1, 4] {
            let result = try Interpreter.run(function, trips == nil ? [Tensor([count], shape: [])] : [])
            #expect(result[0].shape == [count] && result[0].doubles == (0..<count).map(Double.init))
        }
    }

    /// A state that grows behind or before what it holds, along either axis.
    @Test(arguments: [0, 1, -1], [false, true]) func statesThatGrow(_ axis: Int64, _ inFront: Bool) throws {
        // Each round adds its number: a row of six, or a column of two.
        let along = Int(axis == 0 ? 0 : 1), added = along == 0 ? [1, 6] : [2, 1]
        let axisAttribute = Proto().string(1, "axis").int(3, axis).int(20, 2)
        let nodes = [
            Onnx.node("Cast", ["i"], ["f"], [Proto().string(1, "to").int(3, 1).int(20, 2)]), Onnx.node("Expand", ["f", "part"], ["p"]),
            Onnx.node("Concat", inFront ? ["p", "s"] : ["s", "p"], ["t"], [axisAttribute]),
        ]
        let function = try loop(nodes, outputs: ["y"], initializers: [Onnx.tensor("part", 7, [2]).packed(7, added.map { Int64($0) })])
        for rounds in [0, 1, 4] {
            var columns = (0..<2).map { row in (0..<6).map { Double(6 * row + $0) } }
            for round in 0..<rounds {
                if along == 0 {
                    columns.insert([Double](repeating: Double(round), count: 6), at: inFront ? 0 : columns.count)
                } else {
                    for row in 0..<2 { columns[row].insert(Double(round), at: inFront ? 0 : columns[row].count) }
                }
            }
            let result = try run(function, rounds)[0]
            #expect(result.shape == [2 + (along == 0 ? rounds : 0), 6 + (along == 1 ? rounds : 0)])
            #expect(result.doubles == columns.flatMap { $0 })
        }
    }

    /// A state that a round looks at is none that only grows.
    @Test func statesThatAreReadMustKeepTheirShape() {
        #expect(throws: Diagnostics.self) { try loop([Onnx.node("Concat", ["s", "s"], ["t"], [Proto().string(1, "axis").int(3, 0).int(20, 2)])], outputs: ["y"]) }
        let nodes = [Onnx.node("Neg", ["s"], ["p"]), Onnx.node("Concat", ["s", "p"], ["t"], [Proto().string(1, "axis").int(3, 0).int(20, 2)])]
        #expect(throws: Diagnostics.self) { try loop(nodes, outputs: ["y"]) }
    }
}
