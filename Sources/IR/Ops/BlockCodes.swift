/// Weights [K, N] of four or eight bits in blocks along K, as constants of `BlockMatMul` and `BlockMatMulInteger`:
/// `w[k, n] = code[k, n] · scale[k / block, n] + minimum[k / block, n]`.
///
/// Operands from `first` on: codes; scales [K/block, N], f16, bf16 or f32; and optionally minimums of the scales' type and shape. Codes of eight bits are i8
/// [K, N]. Codes of four bits, 0…15, are u8 [K/2, N]: every four bytes of a column hold eight, byte `j` that of `k = 8i + j` in its lower half, and that of
/// `k = 8i + 4 + j` in its upper half; without minimums they are centred, `w = (code − 8) · scale`.
public struct BlockCodes {
    var block: Int
    var first: Int

    /// The place of a code of four bits: its row among the bytes, and whether it is in the upper half.
    static func place(_ k: Int) -> (row: Int, isUpper: Bool) { (k / 8 * 4 + k % 4, k % 8 >= 4) }

    /// Codes in a byte of this type.
    public static func perByte(_ element: ElementType) -> Int { element == .u8 ? 2 : 1 }

    /// K of codes [K / `perByte`, N].
    public static func depth(_ codes: Tensor) -> Int { codes.shape[0] * perByte(codes.element) }

    private func differ(_ a: Extent, _ b: Extent) -> Bool { a != b && a.isConstant && b.isConstant }

    /// - Returns: K and N.
    /// - Throws: `Diagnostic` for a block that is not of whole groups of eight, and operands that do not fit together.
    func check(_ types: [TensorType]) throws -> (depth: Extent, columns: Extent) {
        guard block > 0, block % 8 == 0, block <= 1 << 20 else { throw Diagnostic(.invalid, "a block of \(block): must be a positive multiple of 8") }
        let (codes, scales) = (types[first], types[first + 1])
        guard [.u8, .i8].contains(codes.element), codes.rank == 2, scales.element.isProductWeight, scales.rank == 2 else {
            throw Diagnostic(.invalid, "takes codes of u8 or i8 and float scales in matrices, not \(codes) and \(scales)")
        }
        let depth = codes.shape[0] * Extent(Self.perByte(codes.element))
        guard !differ(scales.shape[0] * Extent(block), depth), !differ(scales.shape[1], codes.shape[1]), types.count == first + 2 || types[first + 2] == scales else {
            throw Diagnostic(.invalid, "\(types[first...].map(\.description).joined(separator: ", ")) with blocks of \(block) do not fit together")
        }
        return (depth, codes.shape[1])
    }

    /// - Parameter depth: of the other factor.
    func equations(in context: InferenceContext, depth: Extent) -> [SizeEquation] {
        let shapes = context.shapes
        guard shapes.count >= first + 2, shapes[first...].allSatisfy({ $0.count == 2 }), let element = context.operands[first].tensor?.element else { return [] }
        let codes = shapes[first]
        return [SizeEquation(depth, codes[0] * Extent(Self.perByte(element)))]
            + shapes[(first + 1)...].flatMap { [SizeEquation($0[0] * Extent(block), depth), SizeEquation($0[1], codes[1])] }
    }

    // MARK: Evaluation

    /// The code at (k, n), and the scale and minimum of its block.
    func reader(_ operands: [Tensor]) -> (_ k: Int, _ n: Int) -> (code: Double, scale: Double, minimum: Double) {
        let (codes, scales) = (operands[first].reader, operands[first + 1].reader), minimums = operands.count > first + 2 ? operands[first + 2].reader : nil
        let columns = operands[first].shape[1], block = block, isPacked = operands[first].element == .u8
        return { k, n in
            let place = k / block * columns + n, scale = scales.load(at: place)
            guard isPacked else { return (Double(codes.loadInteger(at: k * columns + n)), scale, minimums?.load(at: place) ?? 0) }
            let (row, isUpper) = Self.place(k)
            return (Double(codes.loadInteger(at: row * columns + n) >> (isUpper ? 4 : 0) & 15), scale, minimums?.load(at: place) ?? -8 * scale)
        }
    }

    /// The code at (k, n), i32.
    func code(_ k: Expr, _ n: Expr, from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        guard operands.types[first].element == .u8 else { return try operands.load(first, at: [k, n], in: &builder).converted(to: .i32) }
        let byte = try operands.load(first, at: [k / .int(8) * .int(4) + k % .int(4), n], in: &builder).converted(to: .i32)
        return .binary(.and, .binary(.shiftRight, byte, .cast(k % .int(8) / .int(4) * .int(4), .i32)), .integer(15, .i32))
    }

    /// The scale and the minimum of a block, f32; no minimum where it is 0.
    func parameters(_ block: Expr, _ n: Expr, from operands: OperandElements, in builder: inout KernelBuilder) throws -> (scale: Expr, minimum: Expr?) {
        let scale = builder.bind(try operands.load(first + 1, at: [block, n], in: &builder).converted(to: .f32), "scale")
        guard operands.count > first + 2 else { return (scale, operands.types[first].element == .u8 ? scale * .float(-8, .f32) : nil) }
        return (scale, try operands.load(first + 2, at: [block, n], in: &builder).converted(to: .f32))
    }
}
