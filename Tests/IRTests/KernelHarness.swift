import GlmcFuzz

@testable import GlmcIR

/// Runs the lowering of one op in the kernel interpreter, every value densely in a buffer of its own.
struct KernelHarness {
    let op: any Op
    let operandTypes: [TensorType]
    let resultTypes: [TensorType]

    /// - Parameter types: the operands' types, symbolic or not; by default those of the sample's tensors.
    init(_ sample: OpSample, types: [TensorType]? = nil) throws {
        op = sample.op
        operandTypes = types ?? sample.operands.map(\.type)
        let context = InferenceContext(operands: operandTypes.map { .tensor($0) }, resultCount: 1)
        resultTypes = try op.infer(context).compactMap(\.tensor)
    }

    func evaluate(_ sample: OpSample, dimensions: [String: Int]) throws -> [Tensor] {
        try op.evaluate(sample.operands, in: EvaluationContext(dimensions: dimensions, resultTypes: resultTypes.map { .tensor($0) }))
    }

    /// The results of the generic lowering, read from memory in the shapes of `expected`.
    func interpret(
        _ sample: OpSample, dimensions: [String: Int], expected: [Tensor], order: KernelInterpreter.Order = .forward
    ) throws -> [Tensor] {
        var dimensions = dimensions
        let kernel = try lowered()
        try KernelVerifier.verify(kernel, results: resultTypes.enumerated().map { dense($1, BufferID(operandTypes.count + $0)) })
        var memory = sample.operands.map { KernelMemory($0) }
        for tensor in expected { memory.append(KernelMemory(tensor.element, count: tensor.count, pattern: 0x5A)) }
        try KernelInterpreter.run(kernel, on: &memory, dimensions: &dimensions, order: order)
        return zip(expected, memory.suffix(expected.count)).map { $1.tensor($0.shape) }
    }

    func lowered() throws -> KernelFunction {
        let operands = operandTypes.enumerated().map { dense($1, BufferID($0)) }
        let results = resultTypes.enumerated().map { dense($1, BufferID(operands.count + $0)) }
        var builder = KernelBuilder(buffers:
            operandTypes.enumerated().map { Buffer("x\($0)", $1.element, isWritten: false) }
                + resultTypes.enumerated().map { Buffer("y\($0)", $1.element, isWritten: true) })
        try emit(operands, results, in: &builder)
        return KernelFunction(op.mnemonic, buffers: builder.buffers, body: builder.finish())
    }

    private func dense(_ type: TensorType, _ buffer: BufferID) -> TensorView {
        TensorView(buffer, type.element, shape: type.shape, strides: Layout.rowMajor.strides(of: type.shape))
    }

    private func emit(_ operands: [TensorView], _ results: [TensorView], in builder: inout KernelBuilder) throws {
        if let op = op as? any LoopOp { return try op.lower(operands, to: results, in: &builder) }
        guard let op = op as? any PointwiseOp else { throw Diagnostic(.internal, "\(op.mnemonic) has no lowering") }
        for (number, result) in results.enumerated() { try copy(op, number, operands, to: result, in: &builder) }
    }

    private func copy(_ op: any PointwiseOp, _ number: Int, _ operands: [TensorView], to result: TensorView, in builder: inout KernelBuilder) throws {
        let elements = OperandElements(types: operandTypes, resultTypes: resultTypes, loads: operands.map { view in
            { index, _ in view.load(index) }
        })
        try builder.loops(over: result.shape, kind: .parallel) { builder, index in
            let value = try op.element(of: number, at: index, from: elements, in: &builder)
            let type = KernelType(result.element.computeType)
            guard value.type == type else { throw Diagnostic(.internal, "\(op.mnemonic) computes \(value.type) rather than \(type)") }
            builder.emit(result.store(value, index))
        }
    }
}
