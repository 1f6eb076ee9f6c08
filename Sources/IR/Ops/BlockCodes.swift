/// Weights [K, N] of two, four or eight bits in blocks along K, as constants of `BlockMatMul` and `BlockMatMulInteger`:
/// `w[k, n] = code[k, n] · scale[k / block, n] + minimum[k / block, n]`.
///
/// Operands from `first` on: codes; scales [K/block, N], f16, bf16 or f32; and optionally minimums of the scales' type and shape. Codes of eight bits are i8
/// [K, N]. Codes of `bits` bits, 0…2^bits − 1, are u8 [K/p, N] with p = 8/bits: every four bytes of a column hold 4p of them, byte `j` that of
/// `k = 4p·i + 4m + j` from its bit `bits · m` on; without minimums they are centred, `w = (code − 2^(bits−1)) · scale`.
public struct BlockCodes {
    var block: Int
    /// Bits of a code where codes are u8: 4 or 2.
    var bits: Int
    var first: Int

    /// The place of a code among bytes that hold `perByte`: its row, and its lowest bit.
    private func place(_ k: Int) -> (row: Int, shift: Int) {
        let group = 32 / bits
        return (k / group * 4 + k % 4, k % group / 4 * bits)
    }

    /// Codes in a byte of this type.
    public func perByte(_ element: ElementType) -> Int { element == .u8 ? 8 / bits : 1 }

    /// K of codes [K / `perByte`, N].
    public func depth(_ codes: Tensor) -> Int { codes.shape[0] * perByte(codes.element) }

    private func differ(_ a: Extent, _ b: Extent) -> Bool { a != b && a.isConstant && b.isConstant }

    /// - Returns: K and N.
    /// - Throws: `Diagnostic` for a block that is not of whole groups of codes, and operands that do not fit together.
    func check(_ types: [TensorType]) throws -> (depth: Extent, columns: Extent) {
        guard bits == 4 || bits == 2 else { throw Diagnostic(.invalid, "codes of \(bits) bits: must be 4 or 2") }
        let group = 32 / bits
        guard block > 0, block % group == 0, block <= 1 << 20 else { throw Diagnostic(.invalid, "a block of \(block): must be a positive multiple of \(group)") }
        let (codes, scales) = (types[first], types[first + 1])
        guard [.u8, .i8].contains(codes.element), codes.rank == 2, scales.element.isProductWeight, scales.rank == 2 else {
            throw Diagnostic(.invalid, "takes codes of u8 or i8 and float scales in matrices, not \(codes) and \(scales)")
        }
        let depth = codes.shape[0] * Extent(perByte(codes.element))
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
        return [SizeEquation(depth, codes[0] * Extent(perByte(element)))]
            + shapes[(first + 1)...].flatMap { [SizeEquation($0[0] * Extent(block), depth), SizeEquation($0[1], codes[1])] }
    }

    // MARK: Evaluation

    /// The code at (k, n), and the scale and minimum of its block.
    func reader(_ operands: [Tensor]) -> (_ k: Int, _ n: Int) -> (code: Double, scale: Double, minimum: Double) {
        let (codes, scales) = (operands[first].reader, operands[first + 1].reader), minimums = operands.count > first + 2 ? operands[first + 2].reader : nil
        let columns = operands[first].shape[1], block = block, bits = bits, centre = Double(1 << (bits - 1)), isPacked = operands[first].element == .u8
        return { k, n in
            let place = k / block * columns + n, scale = scales.load(at: place)
            guard isPacked else { return (Double(codes.loadInteger(at: k * columns + n)), scale, minimums?.load(at: place) ?? 0) }
            let (row, shift) = self.place(k)
            return (Double(codes.loadInteger(at: row * columns + n) >> shift & (1 << bits - 1)), scale, minimums?.load(at: place) ?? -centre * scale)
        }
    }

    /// The code at (k, n), i32.
    func code(_ k: Expr, _ n: Expr, from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        guard operands.types[first].element == .u8 else { return try operands.load(first, at: [k, n], in: &builder).converted(to: .i32) }
        let group = Expr.int(32 / bits), byte = try operands.load(first, at: [k / group * .int(4) + k % .int(4), n], in: &builder).converted(to: .i32)
        return .binary(.and, .binary(.shiftRight, byte, .cast(k % group / .int(4) * .int(bits), .i32)), .integer(1 << bits - 1, .i32))
    }

    /// The scale and the minimum of a block, f32; no minimum where it is 0.
    func parameters(_ block: Expr, _ n: Expr, from operands: OperandElements, in builder: inout KernelBuilder) throws -> (scale: Expr, minimum: Expr?) {
        let scale = builder.bind(try operands.load(first + 1, at: [block, n], in: &builder).converted(to: .f32), "scale")
        guard operands.count > first + 2 else { return (scale, operands.types[first].element == .u8 ? scale * .float(-Double(1 << (bits - 1)), .f32) : nil) }
        return (scale, try operands.load(first + 2, at: [block, n], in: &builder).converted(to: .f32))
    }
}
