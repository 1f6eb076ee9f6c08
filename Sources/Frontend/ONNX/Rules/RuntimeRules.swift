import GlmcIR

extension OnnxRules {
    private static let microsoft = "com.microsoft"

    /// Operators that ONNX Runtime's quantizers and optimizers write.
    static let runtime: [OnnxRule] = [
        OnnxRule("MatMulNBits", domain: microsoft) { g, c in try g.matMulNBits(c) },
        OnnxRule("GatherBlockQuantized", domain: microsoft) { g, c in try g.gatherBlockQuantized(c) },
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

    /// Rows of a table of integers with a scale and a zero point per block of `block_size` along `quantize_axis`. Bytes may hold several elements, those in lower
    /// bits first, around 2^(bits−1) where zero points are left out; other types are around 0.
    mutating func gatherBlockQuantized(_ c: OnnxCall) throws -> ValueID {
        let data = try requiredConstant(c[0], "the data"), scales = try requiredConstant(c[2], "the scales")
        let bits = data.element == .u8 ? try c.int("bits", 4) : data.element.bitWidth
        guard let element = data.element == .u8 ? PackedForm.elements[bits] : data.element, data.rank > 0, scales.element.isFloat, scales.rank == data.rank else {
            throw Diagnostic(.invalid, "data of \(data.type) with \(bits) bits and scales of \(scales.type)")
        }
        let block = try c.int("block_size", 128)
        guard (element.isInteger ? 1 : 0)...1 << 20 ~= block else { throw Diagnostic(.invalid, "blocks of \(block)") }
        func codes(_ tensor: Tensor, _ shape: [Int]) throws -> Tensor {
            guard data.element == .u8 else { return tensor }
            let perByte = 8 / bits, packed = shape.dropLast() + [(shape[shape.count - 1] + perByte - 1) / perByte]
            guard tensor.element == .u8, tensor.shape == Array(packed) else {
                throw Diagnostic(.invalid, "values of \(bits) bits in the shape \(shape) take u8\(Array(packed)), not \(tensor.type)")
            }
            return PackedForm.unpacked(tensor, element, rows: shape.dropLast().reduce(1, *), width: shape[shape.count - 1], count: shape[shape.count - 1]).reshaped(shape) ?? tensor
        }
        var shape = data.shape
        if data.element == .u8 { shape[shape.count - 1] *= 8 / bits }
        let axis = try normalized(try c.int("quantize_axis", 1), rank: shape.count)
        let table = try codes(data, shape), reader = scales.reader
        let zeros: Tensor
        if let given = try c.optional(3) {
            zeros = try codes(try requiredConstant(given, "the zero points"), scales.shape)
        } else if element.isInteger {
            zeros = Tensor(element, scales.shape, integers: { _ in data.element == .u8 ? 1 << (bits - 1) : 0 })
        } else {
            zeros = Tensor(element, scales.shape, values: { _ in 0 })
        }
        let factors = withExtendedLifetime(scales) { Tensor(.f32, scales.shape, values: { reader.load(at: $0) }) }
        let grid = Dequantize(element: .f32, axis: axis, blockSize: block > 0 ? block : shape[axis])
        let rows = try emit(grid, [try constant(table), try constant(factors), try constant(zeros)])
        return try cast(try gather(rows, c[1], axis: try c.int("gather_axis", 0)), scales.element)
    }
}

/// How `MatMulNBits` packs a matrix [N, K].
private struct PackedForm {
    let columns: Int, depth: Int, bits: Int, block: Int
    private var blocks: Int { (depth + block - 1) / block }
    private var element: ElementType { Self.elements[bits] ?? .u8 }

    static let elements: [Int: ElementType] = [2: .u2, 4: .u4, 8: .u8]

    init(_ c: OnnxCall) throws {
        (columns, depth, bits, block) = (try c.int("N", 0), try c.int("K", 0), try c.int("bits", 4), try c.int("block_size", 0))
        guard Self.elements[bits] != nil, 8...1 << 20 ~= block, block % 8 == 0, 1...1 << 32 ~= columns, 1...1 << 32 ~= depth else {
            throw Diagnostic(.invalid, "a matrix of \(depth) rows and \(columns) columns with \(bits) bits in blocks of \(block)")
        }
    }

    private func demand(_ tensor: Tensor, _ what: String, _ shapes: [[Int]], _ isRightType: Bool) throws {
        guard isRightType, shapes.contains(tensor.shape) else { throw Diagnostic(.invalid, "the \(what) are \(tensor.type), and the attributes ask for the shape \(shapes[0])") }
    }

    /// Integers of `element` from `rows` rows of whole bytes, `width` in each, as a matrix of the first `count` of every row; lower bits come first.
    static func unpacked(_ packed: Tensor, _ element: ElementType, rows: Int, width: Int, count: Int) -> Tensor {
        let bits = element.bitWidth, perByte = 8 / bits, bytes = packed.bytes, rowBytes = (width + perByte - 1) / perByte, mask = 1 << bits - 1
        return withExtendedLifetime(packed) {
            Tensor(element, [rows, count]) { target in
                for n in 0..<rows {
                    for k in 0..<count { target[n * count + k] = UInt8(Int(bytes[n * rowBytes + k / perByte]) >> (k % perByte * bits) & mask) }
                }
            }
        }
    }

    /// [N, K].
    func codes(_ packed: Tensor) throws -> Tensor {
        let blob = block * bits / 8
        try demand(packed, "weights", [[columns, blocks, blob], [columns, blocks * blob]], packed.element == .u8)
        return Self.unpacked(packed, element, rows: columns, width: blocks * block, count: depth)
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
        return Self.unpacked(packed, element, rows: columns, width: blocks, count: blocks)
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
