import GlmcIR

/// Four-bit codes in words of 32 bits, eight neighbours along one axis in each.
struct PackedNibbles: Sendable {
    let words: ByteSpan
    /// Words from one row to the next and from one column to the next; along the packed axis, from one eight to the next.
    let strides: (row: Int, column: Int)
    let packsRows: Bool
    /// The place in a word, in codes, of each of the eight neighbours.
    var order = [0, 1, 2, 3, 4, 5, 6, 7]

    /// Calls `body` with a function that gives the code at (row, column).
    @inline(__always)
    func read<Result>(_ body: ((_ row: Int, _ column: Int) -> UInt8) -> Result) -> Result {
        words.withUnsafeBytes { bytes in
            order.withUnsafeBufferPointer { order in
                body { row, column in
                    let word = packsRows ? row / 8 * strides.row + column * strides.column : row * strides.row + column / 8 * strides.column
                    let value = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: word * 4, as: UInt32.self))
                    return UInt8(truncatingIfNeeded: value >> UInt32(4 * order[(packsRows ? row : column) & 7])) & 15
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

    /// - Throws: where the codes do not have the shape that four bits ask for.
    func demandFourBits(_ part: String, _ shape: [Int], isPossible: Bool) throws {
        let own = tensors["\(name).\(part)"]?.shape ?? []
        guard isPossible, own == shape else {
            throw Diagnostic(.unsupported, "has shape \(own), and a layer of [\(to), \(from)] asks for \(shape): only four bits are supported", at: place(part))
        }
    }

    static let floats: [SafetensorsElement] = [.f16, .bf16, .f32]

    func constant(_ tensor: SafetensorsTensor) throws -> Tensor { try Tensor(tensor.element.irType, tensor.shape, storage: tensor.bytes.owner, byteOffset: tensor.bytes.offset) }

    /// Rows that share a scale, from how many scales there are.
    func groupSize(_ part: String, axis: Int) throws -> Int {
        guard let shape = tensors["\(name).\(part)"]?.shape, shape.count == 2 else { throw Diagnostic(.invalid, "is missing or no matrix, and the layer is quantised", at: place(part)) }
        let groups = shape[axis]
        guard groups > 0, from % groups == 0, from / groups % 8 == 0 else {
            throw Diagnostic(.unsupported, "\(groups) groups of \(from) rows: they must be equally long, a multiple of 8", at: place(part))
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
    ///   - zeros: the codes of zero, by group and column, and what is added to them; nil: all are 8.
    func blocks(_ codes: PackedNibbles, scales: Tensor, zeros: (PackedNibbles, Int)?, size: Int, order: [Int]?) throws -> CheckpointMatrix.Weights {
        let (from, to, groups) = (from, to, from / size)
        let storage = TensorStorage.deferred(count: to * from / 2) { target in
            codes.read { code in
                for n in 0..<to {
                    for place in 0..<from / 2 {
                        let first = place / 4 * 8 + place % 4, (low, high) = order.map { ($0[first], $0[first + 4]) } ?? (first, first + 4)
                        target[n * (from / 2) + place] = code(low, n) | code(high, n) << 4
                    }
                }
            }
        }
        let bytes = try Tensor(.u8, [to, from / 2], storage: storage).transposed([1, 0])
        guard let (zeros, offset) = zeros, !zeros.read({ zero in (0..<groups).allSatisfy { g in (0..<to).allSatisfy { Int(zero(g, $0)) + offset == 8 } } }) else {
            return .blocks(codes: bytes, scales: scales, minimums: nil, size: size)
        }
        // Exact: the scale has at most 11 significant bits in 16-bit floats, the zero at most 5.
        let reader = scales.reader
        let minimums = zeros.read { zero in Tensor(.f32, [groups, to], values: { -reader.load(at: $0) * Double(Int(zero($0 / to, $0 % to)) + offset) }) }
        return .blocks(codes: bytes, scales: Tensor(.f32, [groups, to], values: { reader.load(at: $0) }), minimums: minimums, size: size)
    }
}
