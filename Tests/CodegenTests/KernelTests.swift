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

/// Sums of products of bytes are exact for all of them, at the ends of their ranges too.
@Suite struct ByteProductTests {
    @Test(arguments: [
        "%x: u8[5, 64], %kw: i8[64, 40]) {\n  %y = matmul(%x, %kw)",
        "%x: f32[5, 64], %kw: i8[64, 40]) {\n  %q, %s, %t = block_quantize(%x, block: 32)\n  %y = block_row_matmul(%q, %s, %kw, block: 32)",
        "%x: i8[5, 64], %s: f32[5, 2], %kw: i8[64, 40]) {\n  %y = block_row_matmul(%x, %s, %kw, block: 32)",
        "%x: f32[5, 64], %kc: i8[64, 40], %kd: f32[2, 40]) {\n  %q, %s, %t = block_quantize(%x, block: 32)\n  %y = block_matmul_integer(%q, %s, %t, %kc, %kd, block: 32)",
        "%x: i8[5, 64], %s: f32[5, 2], %t: f32[5, 2], %kc: i8[64, 40], %kd: f32[2, 40]) {\n  %y = block_matmul_integer(%x, %s, %t, %kc, %kd, block: 32)",
        "%x: i8[5, 64], %s: f32[5, 2], %t: f32[5, 2], %kc: u8[32, 40], %kd: f32[2, 40]) {\n  %y = block_matmul_integer(%x, %s, %t, %kc, %kd, block: 32)",
    ]) func takesEveryByte(_ text: String) throws {
        let parsed = try Parser.parseFunction("func @f(\(text)\n  return %y\n}")
        let inputs = parsed.inputs.enumerated().map { position, value -> Tensor in
            let type = parsed.tensorType(value), shape = type.shape.compactMap(\.constant), low = type.element == .i8 ? -128 : 0
            if type.element == .f32 {
                // Blocks of rows that reach 127, and parameters of blocks.
                return Tensor(.f32, shape, values: { i in shape[1] == 64 ? (i % 32 == 0 ? 127 : i / 64 % 2 == 0 ? -127 : Double(i * 37 % 255 - 127)) : i % 2 == 0 ? 1 : 0.5 })
            }
            // Rows of the lowest and the highest bytes, then all of them.
            return Tensor(type.element, shape, integers: { i in i / shape[1] % 4 == 0 ? low : i / shape[1] % 4 == 1 ? low + 255 : low + (i * 37 + position) % 256 })
        }
        let function = try withConstants(parsed, inputs), expected = try Interpreter.run(function, inputs)[0]
        for target in NativeRun.targets {
            #expect(try NativeRun(function, target: target)(inputs, threads: 2)[0].doubles == expected.doubles, "\(target.name)")
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
