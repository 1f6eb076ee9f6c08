import GlmcFuzz
import Testing

@testable import GlmcIR

/// `evaluate` against the interpreted lowering of every op, on random attributes, shapes and values.
@Suite struct LoweringTests {
    @Test(arguments: OpSamples.all.keys.sorted()) func loweringAgreesWithEvaluate(_ mnemonic: String) throws {
        let generator = try #require(OpSamples.all[mnemonic])
        for seed in 0..<60 {
            var noise = Noise(seed)
            let sample = generator(&noise)
            #expect(sample.op.mnemonic == mnemonic)
            try check(sample, "\(mnemonic), seed \(seed)")
        }
    }

    @Test(arguments: ReferenceCase.all) func loweringAgreesOnReferences(_ name: String) throws {
        let test = try ReferenceCase(name)
        var values: [ValueID: Tensor] = [:]
        _ = try Interpreter(test.function).run(test.inputs) { values[$0] = $1 }
        for id in test.function.allNodes {
            let node = test.function[id]
            try check(OpSample(op: node.op, operands: node.operands.compactMap { values[$0] }), name)
        }
    }

    private func check(_ sample: OpSample, _ what: String) throws {
        do {
            let harness = try KernelHarness(sample)
            let expected = try harness.evaluate(sample, dimensions: sample.dimensions)
            for order in [KernelInterpreter.Order.forward, .backward] {
                let results = try harness.interpret(sample, dimensions: sample.dimensions, expected: expected, order: order)
                try compare(results, expected, sample, what + (order == .backward ? ", backwards" : ""))
            }
            try checkSymbolic(sample, expected, what)
        } catch let error as Diagnostic {
            Issue.record("\(what): \(sample): \(error)")
        }
    }

    @Test func logarithmsOfLargeValuesKeepTheirDigits() throws {
        for base: Float in [1e6, 1e20] {
            let sample = OpSample(op: Softmax(axis: -1, log: true), operands: [Tensor((0..<8).map { base + Float($0) / 2 })]), harness = try KernelHarness(sample)
            let expected = try harness.evaluate(sample, dimensions: [:]), found = try harness.interpret(sample, dimensions: [:], expected: expected)
            for (a, b) in zip(found[0].doubles, expected[0].doubles) { #expect(abs(a - b) < 1e-5) }
        }
    }

    /// The same with every size of more than 1 hidden behind a named dimension, where the op allows it.
    private func checkSymbolic(_ sample: OpSample, _ expected: [Tensor], _ what: String) throws {
        var dimensions = sample.dimensions
        let types = sample.operands.map { tensor in
            TensorType(tensor.element, tensor.shape.map { size in
                if size == 1 { return 1 }
                dimensions["size\(size)"] = size
                return .dimension("size\(size)")
            })
        }
        guard let harness = try? KernelHarness(sample, types: types), harness.resultTypes.count == expected.count else { return }
        let known = zip(harness.resultTypes, expected).allSatisfy { type, tensor in
            zip(type.shape, tensor.shape).allSatisfy { extent, size in (extent.evaluate(dimensions) ?? size) == size }
        }
        guard known else {
            Issue.record("\(what): \(sample): symbolic shapes \(harness.resultTypes) do not agree with \(expected.map(\.shape))")
            return
        }
        let results: [Tensor]
        do {
            results = try harness.interpret(sample, dimensions: dimensions, expected: expected)
        } catch let error as Diagnostic where error.kind == .unsupported {
            return
        }
        try compare(results, expected, sample, what + ", symbolic")
    }

    private func compare(_ results: [Tensor], _ expected: [Tensor], _ sample: OpSample, _ what: String) throws {
        for (number, (result, wanted)) in zip(results, expected).enumerated() {
            if let difference = sample.difference(result, wanted) { Issue.record("\(what): \(sample): result \(number) \(difference)") }
        }
    }
}
