import Testing

@testable import GlmcCodegen
@testable import GlmcIR

/// Runs a program without control flow in the kernel interpreter, which checks every access.
struct ProgramInterpreter {
    let program: Program
    let dimensions: [String: Int]
    /// How much arithmetic a run takes.
    var operations: Int { program.launches.reduce(0) { $0 + ($1.operations.evaluate(dimensions) ?? 0) } }

    func run(_ inputs: [Tensor], order: KernelInterpreter.Order = .forward) throws -> [Tensor] {
        // Scratch areas outlive a phase, so they are memory like everything else.
        var storages = try program.storages.map { storage -> [UInt8] in
            switch storage.owner {
            case .input(let i), .state(let i): return Array(inputs[i].bytes)
            case .weight(let weight):
                var bytes = [UInt8](repeating: 0, count: weight.byteCount)
                bytes.withUnsafeMutableBytes { weight.write(to: $0) }
                return bytes
            case .arena, .output, .scratch: return [UInt8](repeating: 0x5A, count: try size(storage.byteCount))
            }
        }
        var dimensions = dimensions
        for step in program.steps {
            guard case .launch(let launch) = step else { throw Diagnostic(.unsupported, "only launches are interpreted") }
            var kernel = program.kernel(of: launch)
            for i in kernel.buffers.indices { kernel.buffers[i].role = .parameter }
            var memory = zip(kernel.buffers, launch.arguments).map { buffer, argument in
                var memory = KernelMemory(buffer.element, count: 0)
                memory.bytes = storages[argument.storage.index]
                return memory
            }
            try KernelInterpreter.run(kernel, on: &memory, dimensions: &dimensions, order: order)
            for (buffer, (argument, memory)) in zip(kernel.buffers, zip(launch.arguments, memory)) where buffer.isWritten {
                if case .weight = program[argument.storage].owner { throw Diagnostic(.internal, "a weight is written") }
                storages[argument.storage.index] = memory.bytes
            }
        }
        return try program.function.outputs.enumerated().map { i, output in
            let type = program.function.tensorType(output)
            guard let storage = program.storages.firstIndex(where: { $0.owner == .output(i) }) else { throw Diagnostic(.internal, "output \(i) has no memory") }
            return Tensor(type.element, try type.shape.map(size)) { $0.copyBytes(from: storages[storage].prefix($0.count)) }
        }
    }

    private func size(_ extent: Extent) throws -> Int {
        guard let size = program.bounded(extent).evaluate(dimensions) else { throw Diagnostic(.internal, "the size \(extent) is not known") }
        return size
    }
}

/// The tuned kernels of every target, one step after the other, against `evaluate`: every access in range, every element written,
/// nothing that depends on the order of independent iterations. The verifier has seen them before.
@Suite struct InterpretedKernelTests {
    /// Registers of 4, 8 and 16 lanes, with every kind of dot product.
    static let targets = ["neon-dotprod", "avx2", "avx512bf16"]
    /// Larger cases take too long.
    static let most = 1_000_000

    /// The verifier accepts the kernels of every target.
    @Test(arguments: [false, true]) func everyTargetVerifies(_ free: Bool) throws {
        let function = try KernelCollection(free: free).function
        for target in Target.all {
            for families in [[], KernelFamily.all] { _ = try ProgramBuilder.build(function, target: target, threads: 2, families: families) }
        }
    }

    @Test(arguments: KernelCase.all) func matchesEvaluate(_ example: KernelCase) throws {
        let (function, inputs, expected) = try example.run()
        for name in Self.targets {
            let target = try #require(Target.named(name))
            let interpreter = ProgramInterpreter(program: try ProgramBuilder.build(function, target: target, threads: 2), dimensions: example.dimensions)
            guard interpreter.operations <= Self.most else { continue }
            #expect(interpreter.program.launches.contains { $0.family == example.family })
            for order in [KernelInterpreter.Order.forward, .backward] {
                for (actual, reference) in zip(try interpreter.run(inputs, order: order), expected) {
                    #expect(actual.shape == reference.shape)
                    let error = relativeError(actual, reference)
                    #expect(error <= example.tolerance, "\(example.name) on \(name): \(error)")
                }
            }
        }
    }
}
