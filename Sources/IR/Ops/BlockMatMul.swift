/// Matrix product of `x` f32 […, M, K] with weights of four bits, `w[k, n] = code[k, n] · scale[k / block, n] + minimum[k / block, n]`; f32 sums.
///
/// Operands: `x`; `codes` u8 [K/2, N], two codes in a byte, that of the lower `k` in the lower half; `scales` [K/block, N], f16, bf16 or f32; and optionally
/// `minimums` of the scales' type and shape. Without these, codes are centred: `w = (code − 8) · scale`.
public struct BlockMatMul: PointwiseOp {
    public static let mnemonic = "block_matmul"
    public static let summary = "Matrix product with weights of four bits in blocks that share a scale"
    public static var attributes: [Attribute<Self>] { [Attribute("block", \.block)] }

    /// Reduction elements that share a scale; even.
    public var block: Int

    public init() { self.init(block: 32) }
    public init(block: Int) { self.block = block }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        guard context.operands.count == 3 || context.operands.count == 4 else {
            throw Diagnostic(.invalid, "takes 3 or 4 operands, not \(context.operands.count)")
        }
        let types = try context.tensors(context.operands.count)
        let (x, codes, scales) = (types[0], types[1], types[2])
        guard block > 0, block % 2 == 0, block <= 1 << 20 else { throw Diagnostic(.invalid, "a block of \(block): must be even and positive") }
        guard x.element == .f32, x.rank >= 2, codes.element == .u8, codes.rank == 2, scales.element.isProductWeight, scales.rank == 2 else {
            throw Diagnostic(.invalid, "takes f32 rows, u8 codes and float scales in matrices, not \(x), \(codes) and \(scales)")
        }
        let depth = codes.shape[0] * 2
        func differ(_ a: Extent, _ b: Extent) -> Bool { a != b && a.isConstant && b.isConstant }
        guard !differ(x.shape[x.rank - 1], depth), !differ(scales.shape[0] * Extent(block), depth), !differ(scales.shape[1], codes.shape[1]),
              types.count == 3 || types[3] == scales else {
            throw Diagnostic(.invalid, "\(types.map(\.description).joined(separator: ", ")) with blocks of \(block) do not fit together")
        }
        return [.tensor(TensorType(.f32, x.shape.dropLast() + [codes.shape[1]]))]
    }

    public func equalSizes(in context: InferenceContext) -> [SizeEquation] {
        let shapes = context.shapes
        guard shapes.count >= 3, shapes[0].count >= 2, shapes[1...].allSatisfy({ $0.count == 2 }), let depth = shapes[0].last else { return [] }
        return [SizeEquation(depth, shapes[1][0] * 2)]
            + shapes[2...].flatMap { [SizeEquation($0[0] * Extent(block), depth), SizeEquation($0[1], shapes[1][1])] }
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let (codes, scales) = (operands[1].reader, operands[2].reader), minimums = operands.count > 3 ? operands[3].reader : nil
        let columns = operands[1].shape[1]
        let weights = Tensor(.f32, [operands[1].shape[0] * 2, columns], values: { i in
            let (k, n) = i.quotientAndRemainder(dividingBy: columns)
            let code = codes.loadInteger(at: k / 2 * columns + n) >> (k % 2 * 4) & 15, place = k / block * columns + n
            guard let minimums else { return Double(code - 8) * scales.load(at: place) }
            return Double(code) * scales.load(at: place) + minimums.load(at: place)
        })
        return try MatMul().evaluate([operands[0], weights], in: context)
    }

    public var elementCost: ElementCost { .many }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        let column = index[index.count - 1], depth = operands.types[1].shape[0] * 2
        return try builder.reduce(.add, over: [depth], initial: .float(0, .f32)) { builder, k in
            let x = try operands.load(0, at: index.dropLast() + [k[0]], in: &builder)
            let byte = try operands.load(1, at: [k[0] / .int(2), column], in: &builder).converted(to: .i32)
            let shift = Expr.cast(k[0] % .int(2) * .int(4), .i32)
            let code = Expr.binary(.and, .binary(.shiftRight, byte, shift), .integer(15, .i32))
            let place = [k[0] / .int(block), column]
            let scale = try operands.load(2, at: place, in: &builder).converted(to: .f32)
            guard operands.count > 3 else { return x * (.cast(.binary(.subtract, code, .integer(8, .i32)), .f32) * scale) }
            let minimum = try operands.load(3, at: place, in: &builder).converted(to: .f32)
            return x * (.cast(code, .f32) * scale + minimum)
        }
    }
}
