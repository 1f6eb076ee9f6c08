import GlmcIR

/// Codes of 2, 4 or 8 bits in words of 32 bits, neighbours along one axis in each.
struct PackedCodes: Sendable {
    let words: ByteSpan
    let bits: Int
    /// Words from one row to the next and from one column to the next; along the packed axis, from one word to the next.
    let strides: (row: Int, column: Int)
    let packsRows: Bool
    /// The place in a word, in codes, of each of the neighbours, where they are not in order.
    var order: [Int]?

    /// Calls `body` with a function that gives the code at (row, column).
    @inline(__always)
    func read<Result>(_ body: ((_ row: Int, _ column: Int) -> UInt8) -> Result) -> Result {
        words.withUnsafeBytes { bytes in
            let perWord = 32 / bits, mask = UInt8(truncatingIfNeeded: 1 << bits - 1)
            return (order ?? Array(0..<perWord)).withUnsafeBufferPointer { order in
                body { row, column in
                    let word = packsRows ? row / perWord * strides.row + column * strides.column : row * strides.row + column / perWord * strides.column
                    let value = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: word * 4, as: UInt32.self))
                    return UInt8(truncatingIfNeeded: value >> UInt32(bits * order[(packsRows ? row : column) % perWord])) & mask
                }
            }
        }
    }
}

/// The tensors of one layer, by the name behind the layer's.
struct MatrixParts {
    let name: String
    let from: Int
    let to: Int
    let tensors: [String: SafetensorsTensor]

    func has(_ part: String) -> Bool { tensors["\(name).\(part)"] != nil }

    func place(_ part: String) -> [String] { ["tensor '\(name).\(part)'"] }

    /// - Throws: where the tensor is missing or has another shape or type.
    func tensor(_ part: String, _ shape: [Int], _ elements: [SafetensorsElement]) throws -> SafetensorsTensor {
        guard let tensor = tensors["\(name).\(part)"] else { throw Diagnostic(.invalid, "is missing, and the layer is quantised", at: place(part)) }
        guard tensor.shape == shape else { throw Diagnostic(.invalid, "has shape \(tensor.shape), and a quantised layer of [\(to), \(from)] asks for \(shape)", at: place(part)) }
        guard elements.contains(tensor.element) else {
            throw Diagnostic(.invalid, "is \(tensor.element.rawValue), not \(elements.map(\.rawValue).joined(separator: " or "))", at: place(part))
        }
        return tensor
    }

    /// The bits of codes that are packed in words along an axis of `count` elements, from how many words there are.
    /// - Throws: for other numbers of bits than `supported`.
    func bits(_ part: String, axis: Int, count: Int, _ supported: [Int]) throws -> Int {
        let shape = tensors["\(name).\(part)"]?.shape ?? [], words = shape.count == 2 ? shape[axis] : 0
        guard let bits = supported.first(where: { words * 32 == count * $0 }) else {
            throw Diagnostic(
                .unsupported, "has shape \(shape), and a layer of [\(to), \(from)] asks for \(count) codes along axis \(axis): only \(supported.map(String.init).joined(separator: ", ")) bits are supported",
                at: place(part))
        }
        return bits
    }

    static let floats: [SafetensorsElement] = [.f16, .bf16, .f32]

    func constant(_ tensor: SafetensorsTensor) throws -> Tensor { try Tensor(tensor.element.irType, tensor.shape, storage: tensor.bytes.owner, byteOffset: tensor.bytes.offset) }

    /// Rows that share a scale, from how many scales there are.
    func groupSize(_ part: String, axis: Int, bits: Int) throws -> Int {
        guard let shape = tensors["\(name).\(part)"]?.shape, shape.count == 2 else { throw Diagnostic(.invalid, "is missing or no matrix, and the layer is quantised", at: place(part)) }
        let groups = shape[axis], multiple = max(8, 32 / bits)
        guard groups > 0, from % groups == 0, from / groups % multiple == 0 else {
            throw Diagnostic(.unsupported, "\(groups) groups of \(from) rows: they must be equally long, a multiple of \(multiple)", at: place(part))
        }
        return from / groups
    }

    /// The order in which rows of the same group follow each other, from the group of each row; nil where they do as they are.
    func order(_ part: String, size: Int) throws -> [Int]? {
        guard has(part) else { return nil }
        let index = try constant(try tensor(part, [from], [.i32])).integers, groups = from / size
        if index.enumerated().allSatisfy({ $1 == $0 / size }) { return nil }
        guard index.allSatisfy({ (0..<groups).contains($0) }) else { throw Diagnostic(.invalid, "names a group beyond \(groups)", at: place(part)) }
        let order = index.indices.sorted { (index[$0], $0) < (index[$1], $1) }
        guard order.enumerated().allSatisfy({ index[$1] == $0 / size }) else { throw Diagnostic(.unsupported, "has groups of unequal length", at: place(part)) }
        return order
    }

    /// The constants of a product.
    ///
    /// - Parameters:
    ///   - scales: [groups, to].
    ///   - zeros: the codes of zero, by group and column, and what is added to them; nil: all are 2^(bits−1).
    func blocks(_ codes: PackedCodes, scales: Tensor, zeros: (PackedCodes, Int)?, size: Int, order: [Int]?) throws -> CheckpointMatrix.Weights {
        let (from, to, groups) = (from, to, from / size), bits = codes.bits, perByte = 8 / bits, bytes = from / perByte, centre = 1 << (bits - 1)
        let storage = TensorStorage.deferred(count: to * bytes) { target in
            codes.read { code in
                for n in 0..<to {
                    for place in 0..<bytes {
                        let first = place / 4 * 4 * perByte + place % 4
                        let byte = (0..<perByte).reduce(UInt8(0)) { $0 | code(order?[first + 4 * $1] ?? first + 4 * $1, n) << UInt8($1 * bits) }
                        // Whole bytes are signed.
                        target[n * bytes + place] = perByte == 1 ? byte ^ 0x80 : byte
                    }
                }
            }
        }
        let packed = try Tensor(perByte == 1 ? .i8 : .u8, [to, bytes], storage: storage).transposed([1, 0])
        guard let (zeros, offset) = zeros, !zeros.read({ zero in (0..<groups).allSatisfy { g in (0..<to).allSatisfy { Int(zero(g, $0)) + offset == centre } } }) else {
            return .blocks(codes: packed, scales: scales, minimums: nil, size: size, bits: bits)
        }
        // Exact: the scale has at most 11 significant bits in 16-bit floats, the zero at most 9.
        let reader = scales.reader, moved = perByte == 1 ? offset - centre : offset
        let minimums = zeros.read { zero in Tensor(.f32, [groups, to], values: { -reader.load(at: $0) * Double(Int(zero($0 / to, $0 % to)) + moved) }) }
        return .blocks(codes: packed, scales: Tensor(.f32, [groups, to], values: { reader.load(at: $0) }), minimums: minimums, size: size, bits: bits)
    }
}
