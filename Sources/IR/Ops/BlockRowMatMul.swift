/// Matrix product of rows that are quantised in blocks (`BlockQuantize`) with weights of 8 bits: i32 sums within a block, f32 sums over the blocks.
///
/// Operands: `x` i8 […, M, K]; its scales f32 […, M, K/block]; weights i8 [K, N]. With g the blocks of K,
/// `y[m, n] = Σ_g scale[m, g] · (Σ_{k∈g} x[m, k] · w[k, n])`, f32.
public struct BlockRowMatMul: PointwiseOp {
    public static let mnemonic = "block_row_matmul"
    public static let summary = "Matrix product of rows in 8 bits, in blocks that share a scale, with weights of 8 bits"
    public static var attributes: [Attribute<Self>] { [Attribute("block", \.block)] }

    /// Reduction elements that share a scale; a multiple of 8, at most 2¹⁶, so that the sum of a block fits into 32 bits.
    public var block: Int

    public init() { self.init(block: 32) }
    public init(block: Int) { self.block = block }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let types = try context.tensors(3), (x, scales, w) = (types[0], types[1], types[2])
        guard block > 0, block % 8 == 0, block <= 1 << 16 else { throw Diagnostic(.invalid, "a block of \(block): must be a positive multiple of 8, at most 65536") }
        guard x.element == .i8, x.rank >= 2, scales.element == .f32, scales.rank == x.rank, w.element == .i8, w.rank == 2 else {
            throw Diagnostic(.invalid, "takes rows of i8 with f32 scales and a matrix of i8, not \(x), \(scales) and \(w)")
        }
        let depth = x.shape[x.rank - 1], expected = x.shape.dropLast() + [depth]
        for (a, b) in zip(expected + [depth], scales.shape.dropLast() + [scales.shape[x.rank - 1] * Extent(block), w.shape[0]]) where a != b && a.isConstant && b.isConstant {
            throw Diagnostic(.invalid, "\(x) with scales of \(scales) and weights of \(w) do not fit together in blocks of \(block)")
        }
        return [.tensor(TensorType(.f32, x.shape.dropLast() + [w.shape[1]]))]
    }

    public func equalSizes(in context: InferenceContext) -> [SizeEquation] {
        let shapes = context.shapes
        guard shapes.count == 3, let depth = shapes[0].last, let count = shapes[1].last, shapes[1].count == shapes[0].count, shapes[2].count == 2 else { return [] }
        return SizeEquation.pairs(shapes[1].dropLast(), shapes[0].dropLast()) + [SizeEquation(count * Extent(block), depth), SizeEquation(shapes[2][0], depth)]
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let (x, scales, w) = (operands[0].reader, operands[1].reader, operands[2].reader)
        let (depth, columns) = (operands[2].shape[0], operands[2].shape[1]), blocks = depth / block
        return [Tensor(.f32, operands[0].shape.dropLast() + [columns], values: { i in
            let (row, n) = (i / columns, i % columns)
            return (0..<blocks).reduce(0.0) { total, g in
                let sum = (g * block..<(g + 1) * block).reduce(0) { $0 + x.loadInteger(at: row * depth + $1) * w.loadInteger(at: $1 * columns + n) }
                return total + scales.load(at: row * blocks + g) * Double(sum)
            }
        })]
    }

    public var elementCost: ElementCost { .many }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        let column = index[index.count - 1], row = Array(index.dropLast()), block = block
        return try builder.reduce(.add, over: [operands.types[1].shape[operands.types[1].rank - 1]], initial: .float(0, .f32)) { builder, g in
            let sum = try builder.reduce(.add, over: [Extent(block)], initial: .integer(0, .i32)) { builder, i in
                let k = builder.bind(g[0] * .int(block) + i[0], "k")
                return try operands.load(0, at: row + [k], in: &builder).converted(to: .i32) * operands.load(2, at: [k, column], in: &builder).converted(to: .i32)
            }
            return try operands.load(1, at: row + g, in: &builder) * .cast(sum, .f32)
        }
    }
}
