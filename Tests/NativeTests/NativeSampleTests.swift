import Foundation
import GlmcIR
import GlmcFuzz
import Testing

@testable import GlmcCodegen

/// Random examples of every op through emitted C, against `evaluate`. One artifact holds an example of every op.
@Suite struct NativeSampleTests {
    /// `GLMC_SAMPLE_SEEDS=a..b` runs other examples than the few that are enough for every day.
    private static let seeds: Range<Int> = {
        let ends = ProcessInfo.processInfo.environment["GLMC_SAMPLE_SEEDS"]?.components(separatedBy: "..").compactMap { Int($0) } ?? []
        return ends.count == 2 && ends[0] < ends[1] ? ends[0]..<ends[1] : 0..<3
    }()

    @Test(arguments: seeds) func staticShapes(_ seed: Int) throws { try check(seed, isSymbolic: false) }
    /// The same with sizes that are only known when the artifact runs.
    @Test(arguments: seeds) func freeDimensions(_ seed: Int) throws { try check(seed, isSymbolic: true) }

    /// The verifier accepts the kernels of every op for every target, tuned and not.
    @Test(arguments: seeds, [false, true]) func everyTargetVerifies(_ seed: Int, isSymbolic: Bool) throws {
        let function = try collection(seed, isSymbolic: isSymbolic).function
        for target in Target.all {
            for families in [[], KernelFamily.all] { _ = try ProgramBuilder.build(function, target: target, threads: 2, families: families) }
        }
    }

    private struct Case {
        var sample: OpSample
        var results: Range<Int>
        var expected: [Tensor]
    }

    private func check(_ seed: Int, isSymbolic: Bool) throws {
        let (function, inputs, cases) = try collection(seed, isSymbolic: isSymbolic)
        let results = try NativeRunner().run(function, inputs)
        for test in cases {
            for (number, (result, wanted)) in zip(results[test.results], test.expected).enumerated() {
                if let difference = test.sample.difference(result, wanted) { Issue.record("\(test.sample): result \(number) \(difference)") }
            }
        }
    }

    /// A function with examples of every op, and what they should give.
    private func collection(_ seed: Int, isSymbolic: Bool) throws -> (function: Function, inputs: [Tensor], cases: [Case]) {
        var rewriter = Rewriter(Function("samples"))
        var inputs: [Tensor] = [], outputs: [ValueID] = [], cases: [Case] = []
        for (number, mnemonic) in OpSamples.all.keys.sorted().enumerated() {
            guard let generator = OpSamples.all[mnemonic] else { continue }
            for round in 0..<2 {
                let name = "_\(number)_\(round)"
                var noise = Noise(1000 + seed * 2 + round, suffix: name)
                let sample = generator(&noise)
                let results = try add(sample, name, isSymbolic: isSymbolic, to: &rewriter, &inputs)
                let context = EvaluationContext(dimensions: sample.dimensions, resultTypes: results.map { rewriter.function.type($0) })
                let expected = try sample.op.evaluate(sample.operands, in: context)
                cases.append(Case(sample: sample, results: outputs.count..<outputs.count + results.count, expected: try expected.map(Self.widened)))
                for result in results {
                    let wide = Self.interface(rewriter.function.tensorType(result).element)
                    let passes = rewriter.function.tensorType(result).element == wide
                    outputs.append(passes ? result : try rewriter.create1(Cast(to: wide), [result], at: .end(rewriter.function.body)))
                }
            }
        }
        rewriter.setResults(outputs)
        for (i, output) in outputs.enumerated() { rewriter.setName("y\(i)", of: output) }
        return (rewriter.function, inputs, cases)
    }

    /// The type in which tensors of type `element` pass the interface of an artifact.
    private static func interface(_ element: ElementType) -> ElementType {
        element == .bool || element.bitWidth >= 8 ? element : element.computeType
    }

    private static func widened(_ tensor: Tensor) throws -> Tensor {
        let context = EvaluationContext(resultTypes: [.tensor(tensor.type)])
        return try Cast(to: interface(tensor.element)).evaluate([tensor], in: context)[0]
    }

    /// Adds the sample's op on new inputs.
    private func add(_ sample: OpSample, _ name: String, isSymbolic: Bool, to rewriter: inout Rewriter, _ inputs: inout [Tensor]) throws -> [ValueID] {
        for (dimension, size) in sample.dimensions {
            rewriter.addDimension(dimension, DimensionInfo(.input(inputs.count, axis: 0)))
            _ = rewriter.addArgument(.tensor(TensorType(.u8, [.dimension(dimension)])), name: "size\(name)")
            inputs.append(Tensor(.u8, [size], integers: { _ in 0 }))
        }
        let symbolic = sample.operands.map { tensor in
            TensorType(tensor.element, tensor.shape.map { $0 == 1 ? 1 : .dimension("size\($0)\(name)") })
        }
        let accepts = (try? sample.op.infer(InferenceContext(operands: symbolic.map { .tensor($0) }))) != nil
        let types = isSymbolic && accepts ? symbolic : sample.operands.map(\.type)
        var operands: [ValueID] = []
        for (position, (tensor, type)) in zip(sample.operands, types).enumerated() {
            for (axis, extent) in type.shape.enumerated() {
                if let dimension = extent.dimensionName { rewriter.addDimension(dimension, DimensionInfo(.input(inputs.count, axis: axis))) }
            }
            let wide = Self.interface(type.element)
            let argument = rewriter.addArgument(.tensor(type.with(element: wide)), name: "x\(name)_\(position)")
            operands.append(wide == type.element ? argument : try rewriter.create1(Cast(to: type.element), [argument], at: .end(rewriter.function.body)))
            inputs.append(try Self.widened(tensor))
        }
        let body = rewriter.function.body
        let results = try rewriter.create(sample.op, operands, at: .end(body), provenance: [sample.op.mnemonic])
        // What an op may find at most is the size of its operands.
        for extent in results.flatMap({ rewriter.function.tensorType($0).shape }) {
            if let found = extent.dimensionName, found.hasPrefix("found") {
                let bound = types.map(\.elementCount).max { ($0.constant ?? 0) < ($1.constant ?? 0) } ?? 0
                rewriter.addDimension(found, DimensionInfo(.dataDependent(bound: types.count == 1 ? types[0].elementCount : bound)))
            }
        }
        return results
    }
}
