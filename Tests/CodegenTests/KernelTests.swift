import GlmcCodegen
import GlmcIR
import Testing

/// Every tuned kernel family on awkward shapes against `evaluate`, on every target of this machine.
@Suite struct KernelTests {
    @Test(arguments: KernelCase.all) func matchesEvaluate(_ example: KernelCase) throws {
        let (function, inputs, expected) = try example.run()
        for target in NativeRun.targets {
            if target.vectorBits > 0 {
                #expect(KernelFamily.chosen(in: function, target: target).contains(example.family), "\(example.name) on \(target.name)")
            }
            let results = try NativeRun(function, target: target)(inputs, threads: 2)
            for (actual, reference) in zip(results, expected) {
                #expect(actual.shape == reference.shape)
                let error = relativeError(actual, reference)
                #expect(error <= example.tolerance, "\(example.name) on \(target.name): \(error)")
            }
        }
    }
}

extension KernelCase {
    /// The function with its constants, inputs for it, and what `evaluate` makes of them.
    func run() throws -> (function: Function, inputs: [Tensor], expected: [Tensor]) {
        let parsed = try Parser.parseFunction(text)
        var random = RandomInputs()
        let inputs = try random.tensors(for: parsed, dimensions: dimensions)
        let function = try withConstants(parsed, inputs)
        return (function, inputs, try Interpreter.run(function, inputs, dimensions: dimensions))
    }
}

/// The function with its constant inputs, those whose name begins with `prefix`, replaced by the tensors that would have been passed.
func withConstants(_ function: Function, _ inputs: [Tensor], prefix: String = "k") throws -> Function {
    var rewriter = Rewriter(function)
    guard let first = function.nodes(in: function.body).first else { return function }
    for (value, tensor) in zip(function.inputs, inputs) where function[value].name.hasPrefix(prefix) {
        let constant = try rewriter.create1(Constant(tensor), [], at: .before(first), name: "w")
        try rewriter.replaceUses(of: value, with: constant)
    }
    return rewriter.function
}
