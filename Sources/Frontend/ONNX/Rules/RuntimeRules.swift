import GlmcIR

extension OnnxRules {
    private static let microsoft = "com.microsoft"

    /// Operators that ONNX Runtime's quantizers and optimizers write.
    static let runtime: [OnnxRule] = [
        OnnxRule("MatMulNBits", domain: microsoft) { g, c in try g.matMulNBits(c) },
    ]
}

extension GraphImporter {
    /// `x · wᵀ + bias` with w [N, K] in codes of `bits` bits, in blocks along K that share a scale and a zero point, both 2^(bits−1) where they are left out:
    /// `w[n, k] = (code[n, k] − zero[n, k / block]) · scale[n, k / block]`. In bytes, lower bits come first.
    mutating func matMulNBits(_ c: OnnxCall) throws -> ValueID {
        let form = try PackedForm(c)
        for (i, what) in [(4, "g_idx")] where try c.optional(i) != nil { throw Diagnostic.unsupported("the input '\(what)' is not supported") }
        guard try c.int("weight_prepacked", 0) == 0 else { throw Diagnostic.unsupported("weights in the order of one processor are not supported") }
        let packed = try requiredConstant(c[1], "the weights"), scales = try form.scales(try requiredConstant(c[2], "the scales"))
        let codes = try form.codes(packed), x = try c[0], zeros = try c.optional(3).map { try requiredConstant($0, "the zero points") }
        let weights: ValueID
        if let zeros, zeros.element.isFloat {
            weights = try constant(try form.weights(codes, scales, zeros))
        } else {
            let grid = Dequantize(element: .f32, axis: 1, blockSize: form.block)
            weights = try emit(grid, [try constant(codes), try constant(scales), try constant(try form.zeros(zeros))])
        }
        var y = try matmul(try cast(x, .f32), try swapAxes(weights, 0, 1))
        if let bias = try c.optional(5) { y = try add(y, try cast(bias, .f32)) }
        return try cast(y, element(x))
    }
}

/// How `MatMulNBits` packs a matrix [N, K].
private struct PackedForm {
    let columns: Int, depth: Int, bits: Int, block: Int
    private var blocks: Int { (depth + block - 1) / block }
    private var element: ElementType { bits == 8 ? .u8 : bits == 4 ? .u4 : .u2 }

    init(_ c: OnnxCall) throws {
        (columns, depth, bits, block) = (try c.int("N", 0), try c.int("K", 0), try c.int("bits", 4), try c.int("block_size", 0))
        guard [2, 4, 8].contains(bits), 8...1 << 20 ~= block, block % 8 == 0, 1...1 << 32 ~= columns, 1...1 << 32 ~= depth else {
            throw Diagnostic(.invalid, "a matrix of \(depth) rows and \(columns) columns with \(bits) bits in blocks of \(block)")
        }
    }

    private func demand(_ tensor: Tensor, _ what: String, _ shapes: [[Int]], _ isRightType: Bool) throws {
        guard isRightType, shapes.contains(tensor.shape) else { throw Diagnostic(.invalid, "the \(what) are \(tensor.type), and the attributes ask for the shape \(shapes[0])") }
    }

    /// Integers of `bits` bits each, `width` of which lie behind each other from a whole byte on, as a matrix of the first `count` of them.
    private func unpacked(_ packed: Tensor, width: Int, count: Int) -> Tensor {
        let perByte = 8 / bits, bytes = packed.bytes, rowBytes = (width + perByte - 1) / perByte, mask = 1 << bits - 1
        return withExtendedLifetime(packed) {
            Tensor(element, [columns, count]) { target in
                for n in 0..<columns {
                    for k in 0..<count { target[n * count + k] = UInt8(Int(bytes[n * rowBytes + k / perByte]) >> (k % perByte * bits) & mask) }
                }
            }
        }
    }

    /// [N, K].
    func codes(_ packed: Tensor) throws -> Tensor {
        let blob = block * bits / 8
        try demand(packed, "weights", [[columns, blocks, blob], [columns, blocks * blob]], packed.element == .u8)
        return unpacked(packed, width: blocks * block, count: depth)
    }

    /// f32 [N, K / block].
    func scales(_ scales: Tensor) throws -> Tensor {
        try demand(scales, "scales", [[columns, blocks], [columns * blocks]], scales.element.isFloat)
        let reader = scales.reader
        return withExtendedLifetime(scales) { Tensor(.f32, [columns, blocks], values: { reader.load(at: $0) }) }
    }

    /// [N, K / block], of the codes' type.
    func zeros(_ packed: Tensor?) throws -> Tensor {
        guard let packed else { return Tensor(element, [columns, blocks], integers: { _ in 1 << (bits - 1) }) }
        let rowBytes = (blocks * bits + 7) / 8
        try demand(packed, "zero points", [[columns, rowBytes], [columns * rowBytes]], packed.element == .u8)
        return unpacked(packed, width: blocks, count: blocks)
    }

    /// The matrix of codes with zero points that are no integers, f32 [N, K].
    func weights(_ codes: Tensor, _ scales: Tensor, _ zeros: Tensor) throws -> Tensor {
        try demand(zeros, "zero points", [[columns, blocks], [columns * blocks]], true)
        let (codeReader, scaleReader, zeroReader) = (codes.reader, scales.reader, zeros.reader)
        return withExtendedLifetime((codes, scales, zeros)) {
            Tensor(.f32, [columns, depth], values: { i in
                let group = i / depth * blocks + i % depth / block
                return (codeReader.load(at: i) - zeroReader.load(at: group)) * scaleReader.load(at: group)
            })
        }
    }
}
