/// Matrix product of quantised rows with weights of two, four or eight bits (`BlockCodes`): i32 sums within a block, f32 sums over the blocks.
///
/// Operands: the results of `BlockQuantize` with the same block (`x` i8 […, M, K], its scales and its sums f32 […, M, K/block]), codes, scales, and optionally
/// minimums. With g the blocks of K, `y[m, n] = Σ_g xscale[m, g] · scale[g, n] · (Σ_{k∈g} x[m, k] · code[k, n]) + xsum[m, g] · minimum[g, n]`, f32.
public struct BlockMatMulInteger: PointwiseOp {
    public static let mnemonic = "block_matmul_integer"
    public static let summary = "Matrix product of rows in 8 bits with weights of two, four or eight bits, both in blocks that share a scale"
    public static var attributes: [Attribute<Self>] { [Attribute("block", \.block), Attribute("bits", \.bits)] }

    /// Reduction elements that share a scale; a multiple of 8; of 16 where codes take two bits, at most 2¹⁶, so that the sum of a block fits into 32 bits.
    public var block: Int

    /// Bits of a code where codes are u8: 4 or 2.
    public var bits: Int

    public init() { self.init(block: 32) }
    public init(block: Int, bits: Int = 4) { (self.block, self.bits) = (block, bits) }

    public var codes: BlockCodes { BlockCodes(block: block, bits: bits, first: 3) }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        guard context.operands.count == 5 || context.operands.count == 6 else {
            throw Diagnostic(.invalid, "takes 5 or 6 operands, not \(context.operands.count)")
        }
        guard block <= 1 << 16 else { throw Diagnostic(.invalid, "the sum of a block of \(block) may overflow 32 bits: at most 65536") }
        let types = try context.tensors(context.operands.count), x = types[0]
        let (depth, columns) = try codes.check(types)
        guard x.element == .i8, x.rank >= 2, types[1].element == .f32, types[1] == types[2], types[1].rank == x.rank else {
            throw Diagnostic(.invalid, "takes rows of i8 with f32 scales and sums, not \(x), \(types[1]) and \(types[2])")
        }
        let expected = x.shape.dropLast() + [depth.floorDivided(by: Extent(block))]
        for (a, b) in zip(x.shape.dropLast() + [depth] + types[1].shape, x.shape + expected) where a != b && a.isConstant && b.isConstant {
            throw Diagnostic(.invalid, "\(x) with scales of \(types[1]) and weights of \(depth) rows do not fit together in blocks of \(block)")
        }
        return [.tensor(TensorType(.f32, x.shape.dropLast() + [columns]))]
    }

    public func equalSizes(in context: InferenceContext) -> [SizeEquation] {
        let shapes = context.shapes
        guard shapes.count >= 5, let depth = shapes[0].last, shapes[1].count == shapes[0].count, shapes[2].count == shapes[0].count else { return [] }
        let parameters = shapes[1...2].flatMap { shape in
            zip(shape, shapes[0]).dropLast().map { SizeEquation($0, $1) } + [SizeEquation(shape[shape.count - 1] * Extent(block), depth)]
        }
        return parameters + codes.equations(in: context, depth: depth)
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let (x, scales, sums) = (operands[0].reader, operands[1].reader, operands[2].reader), read = codes.reader(operands)
        let columns = operands[3].shape[1], depth = codes.depth(operands[3]), blocks = depth / block
        return [Tensor(.f32, operands[0].shape.dropLast() + [columns], values: { i in
            let (row, n) = (i / columns, i % columns)
            return (0..<blocks).reduce(0.0) { total, g in
                let (_, scale, minimum) = read(g * block, n)
                let sum = (g * block..<(g + 1) * block).reduce(0.0) { $0 + x.load(at: row * depth + $1) * read($1, n).code }
                return total + scales.load(at: row * blocks + g) * scale * sum + sums.load(at: row * blocks + g) * minimum
            }
        })]
    }

    public var elementCost: ElementCost { .many }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        let column = index[index.count - 1], row = Array(index.dropLast()), codes = codes
        return try builder.reduce(.add, over: [operands.types[4].shape[0]], initial: .float(0, .f32)) { builder, g in
            let sum = try builder.reduce(.add, over: [Extent(codes.block)], initial: .integer(0, .i32)) { builder, i in
                let k = builder.bind(g[0] * .int(codes.block) + i[0], "k")
                return try operands.load(0, at: row + [k], in: &builder).converted(to: .i32) * codes.code(k, column, from: operands, in: &builder)
            }
            let (scale, minimum) = try codes.parameters(g[0], column, from: operands, in: &builder)
            let product = try operands.load(1, at: row + g, in: &builder) * .cast(sum, .f32) * scale
            return try minimum.map { product + (try operands.load(2, at: row + g, in: &builder)) * $0 } ?? product
        }
    }
}
