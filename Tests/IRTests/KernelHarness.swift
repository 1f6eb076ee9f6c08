@testable import GlmcIR

/// One op with operands that it accepts.
struct OpSample {
    var op: any Op
    var operands: [Tensor]
    /// Named dimensions that the op's attributes mention.
    var dimensions: [String: Int] = [:]
    /// How far floats may lie apart, relative to the largest magnitude.
    var tolerance: Double?
}

/// Runs the lowering of one op in the kernel interpreter, every value densely in a buffer of its own.
struct KernelHarness {
    let op: any Op
    let operandTypes: [TensorType]
    let resultTypes: [TensorType]

    /// - Parameter types: the operands' types, symbolic or not; by default those of the sample's tensors.
    init(_ sample: OpSample, types: [TensorType]? = nil) throws {
        op = sample.op
        operandTypes = types ?? sample.operands.map(\.type)
        let contents = sample.operands.map { $0.element.isInteger && $0.count <= 64 ? $0.integers.map { Extent($0) } : nil }
        let context = InferenceContext(operands: operandTypes.map { .tensor($0) }, contents: contents, resultCount: 1)
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
        try KernelVerifier.verify(kernel)
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

/// A small reproducible generator (SplitMix64).
struct Noise: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: Int) { state = UInt64(truncatingIfNeeded: seed) &* 0x9E37_79B9_7F4A_7C15 &+ 1 }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func int(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }
    mutating func bool() -> Bool { Bool.random(using: &self) }
    mutating func pick<T>(_ choices: [T]) -> T { choices[int(0...choices.count - 1)] }
    mutating func shape(rank: ClosedRange<Int> = 0...4, sizes: ClosedRange<Int> = 1...4) -> [Int] { (0..<int(rank)).map { _ in int(sizes) } }

    /// Small numbers, often equal to each other.
    mutating func tensor(_ element: ElementType, _ shape: [Int]) -> Tensor {
        switch element {
        case .bool: return Tensor(element, shape, integers: { _ in int(0...1) })
        case _ where element.isInteger:
            let range = element.integerRange ?? 0...1
            return Tensor(element, shape, integers: { _ in int(Swift.max(range.lowerBound, -9)...Swift.min(range.upperBound, 9)) })
        default: return Tensor(element, shape, values: { _ in Double(int(-40...40)) / 8 })
        }
    }

    /// Any bit patterns, for ops that only move elements.
    mutating func bits(_ element: ElementType, _ shape: [Int]) -> Tensor {
        if element == .bool || element.bitWidth < 8 { return tensor(element, shape) }
        if element.isFloat { return Tensor(element, shape, values: { _ in pick([0, -0.0, 1.5, -2, .infinity, -.infinity, .nan, 448]) }) }
        return Tensor(element, shape) { bytes in for i in bytes.indices { bytes[i] = UInt8(truncatingIfNeeded: next()) } }
    }

    /// Valid indices into an axis, some of them negative.
    mutating func indices(_ shape: [Int], into extent: Int) -> Tensor { tensor(pick([.i64, .i32]), shape, in: -extent...extent - 1) }

    mutating func tensor(_ element: ElementType, _ shape: [Int], in range: ClosedRange<Int>) -> Tensor {
        Tensor(element, shape, integers: { _ in int(range) })
    }

    static let movable: [ElementType] = [.f32, .f32, .i64, .u8, .f16, .bf16, .f64, .bool, .i4, .f8e5m2, .f8e4m3fn, .u64, .i16]
    static let numeric: [ElementType] = [.f32, .f32, .f64, .i64, .i32, .u64, .u32, .i8, .u8, .i16, .u16, .f16]
}
