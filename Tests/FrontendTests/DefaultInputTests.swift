import GlmcIR
import GlmcTestSupport
import Testing

@testable import GlmcFrontend

/// Initializers that are inputs too.
@Suite struct DefaultInputTests {
    private let x = Onnx.value("x", 1, [3]), w = Onnx.value("w", 1, [3]), y = Onnx.value("y", 1, [3])
    private let weights = Onnx.floatTensor("w", [3], [10, 20, 30])

    private func load(_ graph: Proto, version: Int64 = 8, _ change: (inout ImportOptions) -> Void = { _ in }) throws -> ImportedModel {
        var options = ImportOptions()
        change(&options)
        let model = try OnnxReader.model(ByteSpan(Onnx.model(graph, version: version).bytes), file: "test.onnx")
        let imported = try OnnxImporter.importModel(model, file: "test.onnx", options: options)
        try Verifier.verify(imported.function)
        return imported
    }

    private var sum: Proto { Onnx.graph(nodes: [Onnx.node("Add", ["x", "w"], ["y"])], initializers: [weights], inputs: [x, w], outputs: [y]) }

    private func tensor(_ values: Float...) -> Tensor { Tensor(values, shape: [values.count]) }

    @Test(arguments: [4, 8]) func areDefaultsSinceVersion4(_ version: Int64) throws {
        let model = try load(sum, version: version)
        #expect(model.function.inputNames == ["x", "w"] && model.warnings.isEmpty)
        #expect(try Interpreter.run(model.function, [tensor(1, 2, 3), nil])[0].doubles == [11, 22, 33])
        #expect(try Interpreter.run(model.function, [tensor(1, 2, 3), tensor(4, 5, 6)])[0].doubles == [5, 7, 9])
        #expect(throws: Diagnostic.self) { try Interpreter.run(model.function, [nil, tensor(4, 5, 6)]) }
        #expect(throws: Diagnostic.self) { try Interpreter.run(model.function, [tensor(1, 2, 3), tensor(4, 5)]) }
        #expect(throws: Diagnostics.self) { try load(sum, version: version) { $0.shapes = ["w": [4]] } }
    }

    @Test func areConstantsBeforeVersion4AndWhenFrozen() throws {
        for model in [try load(sum, version: 3), try load(sum) { $0.freezesInitializers = true }] {
            #expect(model.function.inputNames == ["x"] && model.function.defaults.isEmpty && model.warnings.isEmpty)
            #expect(try Interpreter.run(model.function, [tensor(1, 2, 3)])[0].doubles == [11, 22, 33])
        }
    }

    /// What an operator needs at compile time is no input of the artifact, and the others stay inputs.
    @Test func areBuiltInWhereTheirValueIsNeeded() throws {
        let shape = Onnx.tensor("s", 7, [2]).packed(7, [3, 1])
        let graph = Onnx.graph(
            nodes: [Onnx.node("Add", ["x", "w"], ["a"]), Onnx.node("Reshape", ["a", "s"], ["y"])], initializers: [weights, shape],
            inputs: [x, w, Onnx.value("s", 7, [2])], outputs: [Onnx.value("y", 1, [3, 1])])
        let model = try load(graph)
        #expect(model.function.inputNames == ["x", "w"])
        #expect(model.warnings.map(\.description).count == 1 && model.warnings[0].description.contains("'s'"))
        let result = try Interpreter.run(model.function, [tensor(1, 2, 3), nil])[0]
        #expect(result.shape == [3, 1] && result.doubles == [11, 22, 33])
        // A value that is given stands for the input, whatever its default.
        let given = try load(graph) { $0.boundInputs = ["s": Tensor([Int(1), 3], shape: [2])] }
        #expect(given.consumedInputs == ["s"] && given.function.inputNames == ["x", "w", "s"])
        #expect("\(given.function.type(given.function.outputs[0]))" == "f32[1, 3]")
    }

    @Test func areConstantsWhereTheyAreTooMany() throws {
        let names = (0..<1025).map { "w\($0)" }
        let graph = Onnx.graph(
            nodes: [Onnx.node("Add", ["x", "w7"], ["y"])], initializers: names.map { Onnx.floatTensor($0, [3], [1, 2, 3]) },
            inputs: [x] + names.map { Onnx.value($0, 1, [3]) }, outputs: [y])
        let model = try load(graph)
        #expect(model.function.inputNames == ["x"] && model.warnings.count == 1)
        #expect(try Interpreter.run(model.function, [tensor(1, 2, 3)])[0].doubles == [2, 4, 6])
    }

    @Test func areNoInputsWhereArtifactsTakeNone() throws {
        let rank9 = [Int64](repeating: 1, count: 9)
        let graph = Onnx.graph(
            nodes: [Onnx.node("Add", ["x", "w"], ["y"])], initializers: [Onnx.floatTensor("w", rank9, [7])], inputs: [x, Onnx.value("w", 1, rank9)],
            outputs: [Onnx.value("y", 1, rank9.dropLast() + [3])])
        #expect(try load(graph).function.inputNames == ["x"])
    }
}
