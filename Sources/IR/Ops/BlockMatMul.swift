/// Matrix product of `x` f32 […, M, K] with weights of two, four or eight bits (`BlockCodes`); f32 sums.
///
/// Operands: `x`, codes, scales, and optionally minimums.
public struct BlockMatMul: PointwiseOp {
    public static let mnemonic = "block_matmul"
    public static let summary = "Matrix product with weights of two, four or eight bits in blocks that share a scale"
    public static var attributes: [Attribute<Self>] { [Attribute("block", \.block), Attribute("bits", \.bits)] }

    /// Reduction elements that share a scale; a multiple of 8; of 16 where codes take two bits.
    public var block: Int

    /// Bits of a code where codes are u8: 4 or 2.
    public var bits: Int

    public init() { self.init(block: 32) }
    public init(block: Int, bits: Int = 4) { (self.block, self.bits) = (block, bits) }

    public var codes: BlockCodes { BlockCodes(block: block, bits: bits, first: 1) }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        guard context.operands.count == 3 || context.operands.count == 4 else {
            throw Diagnostic(.invalid, "takes 3 or 4 operands, not \(context.operands.count)")
        }
        let types = try context.tensors(context.operands.count), x = types[0]
        let (depth, columns) = try codes.check(types)
        guard x.element == .f32, x.rank >= 2 else { throw Diagnostic(.invalid, "takes rows of f32, not \(x)") }
        guard x.shape[x.rank - 1] == depth || !x.shape[x.rank - 1].isConstant || !depth.isConstant else {
            throw Diagnostic(.invalid, "rows of \(x.shape[x.rank - 1]) meet weights of \(depth)")
        }
        return [.tensor(TensorType(.f32, x.shape.dropLast() + [columns]))]
    }

    public func equalSizes(in context: InferenceContext) -> [SizeEquation] {
        guard let x = context.shapes.first, x.count >= 2 else { return [] }
        return codes.equations(in: context, depth: x[x.count - 1])
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let columns = operands[1].shape[1], read = codes.reader(operands)
        let weights = Tensor(.f32, [codes.depth(operands[1]), columns], values: { i in
            let (code, scale, minimum) = read(i / columns, i % columns)
            return code * scale + minimum
        })
        return try MatMul().evaluate([operands[0], weights], in: context)
    }

    public var elementCost: ElementCost { .many }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        let column = index[index.count - 1], codes = codes
        return try builder.reduce(.add, over: [operands.types[1].shape[0] * Extent(codes.perByte(operands.types[1].element))], initial: .float(0, .f32)) { builder, k in
            let x = try operands.load(0, at: index.dropLast() + [k[0]], in: &builder)
            let code = try codes.code(k[0], column, from: operands, in: &builder)
            let (scale, minimum) = try codes.parameters(k[0] / .int(codes.block), column, from: operands, in: &builder)
            let product = Expr.cast(code, .f32) * scale
            return x * (minimum.map { product + $0 } ?? product)
        }
    }
}
