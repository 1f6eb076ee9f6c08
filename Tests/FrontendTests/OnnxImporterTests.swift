import Foundation
import GlmcIR
import GlmcTestSupport
import Testing

@testable import GlmcFrontend

private func load(_ graph: Proto, opset: Int64 = 17, _ change: (inout ImportOptions) -> Void = { _ in }) throws -> ImportedModel {
    var options = ImportOptions()
    change(&options)
    let model = try OnnxReader.model(ByteSpan(Onnx.model(graph, opset: opset).bytes), file: "test.onnx")
    return try OnnxImporter.importModel(model, file: "test.onnx", options: options)
}

/// Everything that stands in the way of `graph`, one line each.
private func blockers(_ graph: Proto, _ change: (inout ImportOptions) -> Void = { _ in }) -> [String] {
    do {
        _ = try load(graph, change)
        return []
    } catch let error as Diagnostics {
        return error.all.map(\.description)
    } catch {
        return ["\(error)"]
    }
}

private let x = Onnx.value("x", 1, [2, 3])
private let y = Onnx.value("y", 1, [2, 3])

@Suite struct OnnxImporterTests {
    /// Scale and shift nearly cancel, and 16 bits of each would leave nothing.
    @Test func normalizesNarrowBatchesInFull() throws {
        let names = ["x", "scale", "shift", "mean", "variance"], values: [Double] = [1, -2.5, 0.05883789, 0.9921875, 0.14453125]
        let inputs = names.map { Onnx.value($0, 16, $0 == "x" ? [1, 1] : [1]) }
        let function = try load(Onnx.graph(nodes: [Onnx.node("BatchNormalization", names, ["y"])], inputs: inputs, outputs: [Onnx.value("y", 16, [1, 1])])).function
        let tensors = zip(names, values).map { name, value in Tensor(.bf16, name == "x" ? [1, 1] : [1], values: { _ in value }) }
        let expected = (1 - 0.9921875) * -2.5 / (0.14453125 + 1e-5).squareRoot() + 0.05883789
        #expect(abs(try Interpreter.run(function, tensors)[0].doubles[0] - expected) <= expected / 256)
    }

    /// What lies beside what counts may be infinite: factors of 0 would make it NaN.
    @Test func infinitiesStayWhereTheyAre() throws {
        // Columns of 1 x 2 blocks over an image of three: the middle element is in both.
        let columns = Onnx.node("Col2Im", ["x", "image", "block"], ["y"])
        let sizes = [Onnx.tensor("image", 7, [2]).packed(7, [1, 3]), Onnx.tensor("block", 7, [2]).packed(7, [1, 2])]
        let image = try load(Onnx.graph(nodes: [columns], initializers: sizes, inputs: [Onnx.value("x", 1, [1, 2, 2])], outputs: [Onnx.value("y", 1, [1, 1, 1, 3])]), opset: 18).function
        #expect(try Interpreter.run(image, [Tensor([Float.infinity, 2, 3, 4], shape: [1, 2, 2])])[0].doubles == [.infinity, 5, 4])
        let ignored = Onnx.node("NegativeLogLikelihoodLoss", ["x", "t"], ["y"], [Onnx.attribute("reduction", string: "sum"), Proto().string(1, "ignore_index").int(3, 1).int(20, 2)])
        let loss = try load(Onnx.graph(nodes: [ignored], inputs: [Onnx.value("x", 1, [2, 2]), Onnx.value("t", 7, [2])], outputs: [Onnx.value("y", 1, [])])).function
        #expect(try Interpreter.run(loss, [Tensor([Float.infinity, 2, 3, 4], shape: [2, 2]), Tensor([1, 0] as [Int], shape: [2])])[0].doubles == [-3])
    }

    /// What a model takes from its last run keeps its place; rows are added where those of earlier runs end, and what lies behind is never read.
    @Test func makesStatesOfCaches() throws {
        let axes = Onnx.tensor("axes", 7, [1]).packed(7, [1]), cache = { Onnx.value($0, 1, sizes: ["1", $1, "2"]) }
        let graph = Onnx.graph(
            nodes: [Onnx.node("Concat", ["past", "x"], ["present"], [Proto().string(1, "axis").int(3, 1).int(20, 2)]), Onnx.node("ReduceSum", ["present", "axes"], ["y"])],
            initializers: [axes], inputs: [cache("past", "rows"), cache("x", "more")], outputs: [Onnx.value("y", 1, [1, 1, 2]), cache("present", "all")])
        func states(_ input: String, _ output: String, context: Int? = 4) -> (inout ImportOptions) -> Void {
            { ($0.states, $0.context) = ([StatePattern(input: input, output: output)], context) }
        }
        let function = try load(graph, states("pas*", "presen*")).function
        #expect(function.states.count == 1 && function.inputNames == ["past", "x", "past_2"] && function.tensorType(function.inputs[0]).shape == [1, 4, 2])
        let held = Tensor([1, 2, .nan, .nan, .nan, .nan, .nan, .nan] as [Float], shape: [1, 4, 2]), more = Tensor([10, 20, 30, 40] as [Float], shape: [1, 2, 2])
        let results = try Interpreter.run(function, [held, more, Tensor(.i64, [], integers: { _ in 1 })])
        #expect(results[0].doubles == [41, 62] && results[1].doubles.prefix(6) == [1, 2, 10, 20, 30, 40])
        for (change, words) in [
            (states("cache.*", "present.*"), "no input is called 'cache.*'"), (states("past", "y"), "not this input with rows behind it"), (states("past", "nothing"), "no output 'nothing'"),
            (states("past", "present", context: nil), "--context N"),
        ] {
            #expect(blockers(graph, change).first?.contains(words) ?? false, "\(blockers(graph, change))")
        }
        let twice = blockers(graph) { ($0.states, $0.context) = ([StatePattern(input: "pas*", output: "presen*"), StatePattern(input: "past", output: "present")], 4) }
        #expect(twice.first?.contains("two patterns are about the state 'past'") ?? false, "\(twice)")

        // States of different lengths keep them.
        let both = Onnx.graph(
            nodes: ["a", "b"].map { Onnx.node("Concat", [$0, "x"], [$0 + "2"], [Proto().string(1, "axis").int(3, 1).int(20, 2)]) },
            inputs: [cache("a", "some"), cache("b", "others"), cache("x", "more")], outputs: [cache("a2", "all"), cache("b2", "all_others")])
        let two = try load(both) { ($0.states, $0.context) = ([StatePattern(input: "a", output: "a2"), StatePattern(input: "b", output: "b2")], 4) }.function
        #expect(two.states.count == 2 && two.inputNames == ["a", "b", "x", "past_some", "past_others"])
    }

    @Test func importsTheSmallModel() throws {
        let model = try OnnxReader.model(ByteSpan(Onnx.small), file: "test.onnx")
        let function = try OnnxImporter.importModel(model, file: "test.onnx").function
        try Verifier.verify(function)
        let input = Tensor((0..<16).map { Float($0) }, shape: [1, 1, 4, 4])
        let output = try #require(try Interpreter.run(function, [input]).first)
        #expect(output.shape == [1, 18])
        // Taps 0, 1/8, 2/8, 3/8 on elements 0, 1, 4, 5, plus a bias of 1/2, through the branch that is taken.
        #expect(output.doubles[0] == 0.125 + 1 + 1.875 + 0.5)
    }

    @Test func listsEveryBlocker() {
        let lines = blockers(Onnx.graph(
            nodes: [
                Onnx.node("Nonsense", ["x"], ["a"]), Onnx.node("Relu", ["a"], ["b"]), Onnx.node("ImageDecoder", ["b"], ["c"]),
                Onnx.node("Gibberish", ["x"], ["y"]),
            ], inputs: [x], outputs: [y]))
        #expect(lines.count == 3)
        #expect(lines.first?.contains("test.onnx: node 'n_a' (Nonsense, opset 17)") ?? false)
        #expect(lines.last?.contains("Gibberish") ?? false)
    }

    @Test(arguments: [
        ("cycle", [Onnx.node("Add", ["x", "b"], ["a"]), Onnx.node("Relu", ["a"], ["b"]), Onnx.node("Relu", ["b"], ["y"])], "cycle"),
        ("missing input", [Onnx.node("Add", ["x", "nowhere"], ["y"])], "'nowhere' is not defined"),
        ("defined twice", [Onnx.node("Relu", ["x"], ["y"]), Onnx.node("Neg", ["x"], ["y"])], "defined twice"),
        ("shadows an input", [Onnx.node("Relu", ["x"], ["x"]), Onnx.node("Neg", ["x"], ["y"])], "defined twice"),
        ("missing output", [Onnx.node("Relu", ["x"], ["z"])], "no node computes it"),
        ("wrong attribute", [Onnx.node("Transpose", ["x"], ["y"], [Onnx.attribute("perm", ints: [0, 0])])], "permutation"),
        ("no such axis", [Onnx.node("Flatten", ["x"], ["y"], [Proto().string(1, "axis").int(3, 9).int(20, 2)])], "axis 9"),
        ("an attribute twice", [Onnx.node("Softmax", ["x"], ["y"], [0, 1].map { Proto().string(1, "axis").int(3, $0).int(20, 2) })], "'axis' is given twice"),
        ("an attribute of no operator", [Onnx.node("Relu", ["x"], ["y"], [Proto().string(1, "alpha").int(3, 1).int(20, 2)])], "Relu has no attribute 'alpha'"),
        ("an attribute of another version", [Onnx.node("Squeeze", ["x"], ["y"], [Onnx.attribute("axes", ints: [0])])], "Squeeze has no attribute 'axes' in version 17"),
        ("too few inputs", [Onnx.node("Add", ["x"], ["y"])], "input 1 is missing"),
        ("wrong output type", [Onnx.node("Shape", ["x"], ["y"])], "output 'y': is declared as f32, and its node gives i64"),
        ("absurd pads", [Onnx.node("Pad", ["x", "p"], ["y"])], "'p' is not defined"),
    ])
    func refusesBrokenGraphs(_ name: String, _ nodes: [Proto], _ expected: String) {
        let lines = blockers(Onnx.graph(nodes: nodes, inputs: [x], outputs: [y]))
        #expect(lines.contains { $0.contains(expected) }, "\(name): \(lines)")
    }

    /// Bytes add up to bytes, whatever the products of the IR are.
    @Test func einsumKeepsItsType() throws {
        let equation = Proto().string(1, "equation").string(4, "ij,jk->ik").int(20, 3)
        let graph = Onnx.graph(nodes: [Onnx.node("Einsum", ["a", "b"], ["c"], [equation])], inputs: [Onnx.value("a", 2, [1, 2]), Onnx.value("b", 2, [2, 1])], outputs: [Onnx.value("c", 2, [1, 1])])
        let function = try load(graph).function
        let output = try #require(Interpreter.run(function, [Tensor(.u8, [1, 2], integers: { [200, 3][$0] }), Tensor(.u8, [2, 1], integers: { [2, 1][$0] })]).first)
        #expect(output.type == TensorType(.u8, [1, 1]) && output.doubles == [403 - 256])
    }

    @Test func logarithmsOfIntegersAreCut() throws {
        let graph = Onnx.graph(nodes: [Onnx.node("ReduceLogSum", ["a"], ["b"])], inputs: [Onnx.value("a", 7, [2])], outputs: [Onnx.value("b", 7, [1])])
        let output = try #require(try Interpreter.run(try load(graph).function, [Tensor([Int(5), 3], shape: [2])]).first)
        #expect(output.type == TensorType(.i64, [1]) && output.doubles == [2])
    }

    /// Lists of nothing are known as well as lists of something.
    @Test func valuesOfNothing() throws {
        let graph = Onnx.graph(
            nodes: [Onnx.node("ReduceProd", ["e"], ["one"]), Onnx.node("Add", ["e", "one"], ["y"]), Onnx.node("Hardmax", ["x"], ["z"])],
            initializers: [Onnx.tensor("e", 7, [0])], inputs: [Onnx.value("x", 1, [2, 0])], outputs: [Onnx.value("y", 7, [0]), Onnx.value("z", 1, [2, 0])])
        let results = try Interpreter.run(try load(graph).function, [Tensor(.f32, [2, 0], values: { _ in 0 })])
        #expect(results.map(\.shape) == [[0], [2, 0]])
    }

    @Test func padsWhatIsCutOff() throws {
        let graph = Onnx.graph(
            nodes: [Onnx.node("Pad", ["x", "p"], ["y"])], initializers: [Onnx.tensor("p", 7, [2]).packed(7, [-4, 3])], inputs: [Onnx.value("x", 1, [2])], outputs: [Onnx.value("y", 1, [1])])
        #expect(try Interpreter.run(try load(graph).function, [Tensor([1, 2] as [Float])])[0].doubles == [0])
    }

    /// The statistics are of the type that `stash_type` names.
    @Test func statisticsOfDoubles() throws {
        let graph = Onnx.graph(
            nodes: [Onnx.node("LayerNormalization", ["x", "s"], ["y", "mean", "deviation"])], inputs: [Onnx.value("x", 11, [1, 2]), Onnx.value("s", 11, [2])],
            outputs: [Onnx.value("y", 11, [1, 2]), Onnx.value("mean", 1, [1, 1]), Onnx.value("deviation", 1, [1, 1])])
        let x = Tensor(.f64, [1, 2], values: { [1, 3][$0] }), s = Tensor(.f64, [2], values: { _ in 1 })
        let results = try Interpreter.run(try load(graph).function, [x, s])
        #expect(results.map(\.type.element) == [.f64, .f32, .f32] && results[1].doubles == [2] && abs(results[2].doubles[0] - 1) < 1e-4)
    }

    /// What a loop reads and cannot be imported is reported where it stands, and no defect of the loop.
    @Test func loopsBehindWhatIsNotSupported() {
        let body = Onnx.graph(
            nodes: [Onnx.node("Identity", ["c"], ["d"]), Onnx.node("Add", ["a", "u"], ["b"])],
            inputs: [Onnx.value("i", 7, []), Onnx.value("c", 9, []), Onnx.value("a", 1, [2, 3])], outputs: [Onnx.value("d", 9, []), Onnx.value("b", 1, [2, 3])])
        let lines = blockers(Onnx.graph(
            nodes: [Onnx.node("Nonsense", ["x"], ["u"]), Onnx.node("Loop", ["n", "", "x"], ["y"], [Onnx.attribute("body", graph: body)])],
            initializers: [Onnx.tensor("n", 7, []).packed(7, [40])], inputs: [x], outputs: [y]))
        #expect(lines.count == 1 && lines[0].contains("Nonsense"), "\(lines)")
    }

    /// protobuf-c would take `"\0lo"` for an input that is left out.
    @Test func refusesZeroBytesInNames() {
        let lines = blockers(Onnx.graph(nodes: [Onnx.node("Mul", ["x", "x"], ["\0lo"]), Onnx.node("Clip", ["x", "\0lo"], ["y"])], inputs: [x], outputs: [y]))
        #expect(lines.count == 1 && lines[0].contains("zero byte"), "\(lines)")
    }

    /// Parts that are computed must make up the axis.
    @Test func checksThatPartsMakeUpTheWhole() throws {
        func sized(_ name: String, _ sizes: String...) -> Proto { Onnx.value(name, 1, sizes: sizes) }
        let graph = Onnx.graph(
            nodes: [Onnx.node("Shape", ["p"], ["s"]), Onnx.node("Split", ["x", "s"], ["y", "z"])], inputs: [sized("x", "n"), sized("p", "a", "b")],
            outputs: [sized("y", "k"), sized("z", "l")])
        let function = try load(graph).function, p = Tensor(.f32, [2, 3], values: { _ in 0 })
        #expect(try Interpreter.run(function, [Tensor(.f32, [5], values: { Double($0) }), p]).map(\.doubles) == [[0, 1], [2, 3, 4]])
        #expect(throws: Diagnostic.self) { try Interpreter.run(function, [Tensor(.f32, [4], values: { _ in 0 }), p]) }
        #expect(throws: Diagnostic.self) { try Interpreter.run(function, [Tensor(.f32, [6], values: { _ in 0 }), p]) }
    }

    @Test func ordersNodes() throws {
        let graph = Onnx.graph(nodes: [Onnx.node("Neg", ["a"], ["y"]), Onnx.node("Relu", ["x"], ["a"])], inputs: [x], outputs: [y])
        #expect(try load(graph).function.allNodes.count == 2)
    }

    @Test func namesAndFixesFreeDimensions() throws {
        let shape = Proto().message(1, Proto().string(2, "batch")).message(1, Proto().int(1, 3))
        let input = Proto().string(1, "x").message(2, Proto().message(1, Proto().int(1, 1).message(2, shape)))
        let graph = Onnx.graph(nodes: [Onnx.node("Relu", ["x"], ["y"])], inputs: [input], outputs: [y])
        let free = try load(graph).function
        #expect("\(free.type(free.outputs[0]))" == "f32[batch, 3]")
        let fixed = try load(graph) { $0.dimensions = ["batch": 4] }.function
        #expect("\(fixed.type(fixed.outputs[0]))" == "f32[4, 3]")
        let shaped = try load(graph) { $0.shapes = ["x": [5, 3]] }.function
        #expect("\(shaped.type(shaped.outputs[0]))" == "f32[5, 3]")
        #expect(blockers(graph) { $0.shapes = ["x": [5, 4]] }.first?.contains("axis 1") ?? false)
        #expect(blockers(graph) { $0.shapes = ["x": [5]] }.first?.contains("rank 2") ?? false)
        #expect(blockers(graph) { $0.shapes = ["z": [5]] }.first?.contains("no input 'z'") ?? false)
        #expect(blockers(graph) { $0.dimensions = ["seq": 5] }.first?.contains("no dimension 'seq'") ?? false)
        #expect(blockers(graph) { $0.dimensions = ["batch": 5]; $0.shapes = ["x": [4, 3]] }.first?.contains("two sizes") ?? false)
    }

    @Test func bindsOnlyWhatIsNeeded() throws {
        let shape = Onnx.value("s", 7, [2]), other = Onnx.value("o", 1, [3, 2])
        let graph = Onnx.graph(
            nodes: [Onnx.node("Reshape", ["x", "s"], ["a"]), Onnx.node("Add", ["a", "o"], ["y"])], inputs: [x, shape, other],
            outputs: [Onnx.value("y", 1, [3, 2])])
        let bound = ["s": Tensor([3, 2]), "o": Tensor([Float](repeating: 0, count: 6), shape: [3, 2])]
        #expect(try load(graph) { $0.boundInputs = bound }.consumedInputs == ["s"])
        #expect(try load(graph).consumedInputs.isEmpty, "the shape is an input's")
    }

    @Test func inlinesFunctions() throws {
        let body = Proto().string(1, "twice").string(4, "p").string(5, "q").string(10, "own")
            .message(7, Onnx.node("Add", ["p", "p"], ["q"])).message(9, Proto().int(2, 17))
        func call(_ name: String) -> Proto { Onnx.node(name, ["x"], ["y"]).string(7, "own") }
        let graph = Onnx.graph(nodes: [call("twice")], inputs: [x], outputs: [y])
        let file = Onnx.model(graph).message(25, body)
        let model = try OnnxReader.model(ByteSpan(file.bytes), file: "test.onnx")
        #expect(try OnnxImporter.importModel(model, file: "test.onnx").function.allNodes.count == 1)
        let recursive = Proto().string(1, "twice").string(4, "p").string(5, "q").string(10, "own").message(7, call("twice"))
        let bad = try OnnxReader.model(ByteSpan(Onnx.model(graph).message(25, recursive).bytes), file: "test.onnx")
        #expect(throws: Diagnostics.self) { try OnnxImporter.importModel(bad, file: "test.onnx") }
    }

    /// Whatever happens to the bytes of a model, importing it ends in a function that verifies or in diagnostics.
    @Test func mutatedModelsNeverTrap() throws {
        var generator = TestGenerator(state: 4)
        var imported = 0
        for _ in 0..<2500 {
            if fuzz(generator.mutate(Onnx.small)) { imported += 1 }
        }
        #expect(imported > 50)
    }

    /// The same for one model of every kind in the ONNX test suite, where that is present.
    @Test(.enabled(if: NodeSuiteTests.root != nil)) func mutatedCasesNeverTrap() throws {
        let root = try #require(NodeSuiteTests.root)
        var generator = TestGenerator(state: 5)
        for name in try FileManager.default.contentsOfDirectory(atPath: root).sorted() {
            let bytes = try Files.map(root + "/" + name + "/model.onnx").array
            if bytes.count > 20_000 { continue }
            for _ in 0..<3 { _ = fuzz(generator.mutate(bytes)) }
        }
    }

    /// Reads and imports; whether that gave a function.
    private func fuzz(_ bytes: [UInt8]) -> Bool {
        do {
            let model = try OnnxReader.model(ByteSpan(bytes), file: "test.onnx")
            try Verifier.verify(OnnxImporter.importModel(model, file: "test.onnx").function)
            return true
        } catch let error as Diagnostics {
            let text = error.description
            #expect(error.all.allSatisfy { $0.kind != .internal }, "\(text)")
        } catch let error as Diagnostic {
            #expect(error.kind != .internal, "\(error)")
        } catch {
            Issue.record("unexpected \(error)")
        }
        return false
    }
}
