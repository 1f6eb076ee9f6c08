import Dispatch
import GlmcIR

/// A tensor whose rows lie in blocks of one of ggml's types.
struct BlockTensor: Sendable {
    let format: BlockFormat
    /// The last axis is one of whole blocks.
    let shape: [Int]
    private let bytes: ByteSpan
    /// All elements in f32, once somebody asks for them.
    private let widened: TensorStorage

    /// - Parameter bytes: as many as the shape needs.
    init(format: BlockFormat, shape: [Int], bytes: ByteSpan) {
        (self.format, self.shape, self.bytes) = (format, shape, bytes)
        widened = .deferred(count: shape.reduce(4, *)) { target in
            Self.read(format, bytes) { block, codes, scales, minimums in
                let floats = target.baseAddress.map { $0.assumingMemoryBound(to: Float.self) + block * format.count }
                for i in 0..<format.count { floats?[i] = Float(codes[i]) * scales[i / format.group] + (format.hasMinimums ? minimums[i / format.group] : 0) }
            }
        }
    }

    /// The elements, each rounded once where a minimum is added.
    func floats() throws -> Tensor { try Tensor(.f32, shape, storage: widened) }

    /// One of the tensors along the first axis.
    func part(_ index: Int) -> BlockTensor? {
        let rest = Array(shape.dropFirst()), count = rest.reduce(1, *) / format.count * format.byteCount
        return bytes.slice(offset: index * count, count: count).map { BlockTensor(format: format, shape: rest, bytes: $0) }
    }

    /// The transpose as the constants of `BlockMatMul`, of a tensor of two axes.
    /// - Parameter isLookedUp: codes take a byte each, whatever fits them.
    func matrix(isLookedUp: Bool) throws -> CheckpointMatrix.Weights {
        let (rows, columns) = (shape[0], shape[1]), format = format, bytes = bytes
        let bits = isLookedUp ? 8 : format.bits, packs = bits < 8, perByte = 8 / bits
        let codes = TensorStorage.deferred(count: rows * columns / perByte) { target in
            Self.read(format, bytes) { block, codes, _, _ in
                let place = block * format.count / perByte
                guard packs else {
                    for i in 0..<format.count { target[place + i] = UInt8(bitPattern: codes[i]) }
                    return
                }
                let centre: Int8 = format.hasMinimums ? 0 : 1 << (bits - 1), mask = UInt8(1 << bits - 1)
                for i in 0..<format.count / perByte {
                    let first = i / 4 * 4 * perByte + i % 4
                    target[place + i] = (0..<perByte).reduce(UInt8(0)) { $0 | (UInt8(bitPattern: codes[first + 4 * $1] + centre) & mask) << UInt8($1 * bits) }
                }
            }
        }
        func parameters(_ pick: @escaping @Sendable (_ scale: Float, _ minimum: Float) -> Float) throws -> Tensor {
            let groups = columns / format.group, size = format.parameter.byteCount
            let storage = TensorStorage.deferred(count: rows * groups * size) { target in
                Self.read(format, bytes) { block, _, scales, minimums in
                    for g in 0..<format.count / format.group {
                        let value = pick(scales[g], minimums[g]), place = (block * format.count / format.group + g) * size
                        if size == 2 { target.storeBytes(of: Float16(value).bitPattern, toByteOffset: place, as: UInt16.self) } else {
                            target.storeBytes(of: value.bitPattern, toByteOffset: place, as: UInt32.self)
                        }
                    }
                }
            }
            return try Tensor(format.parameter, [rows, groups], storage: storage).transposed([1, 0])
        }
        return .blocks(
            codes: try Tensor(packs ? .u8 : .i8, [rows, columns / perByte], storage: codes).transposed([1, 0]), scales: try parameters { scale, _ in scale },
            minimums: format.hasMinimums ? try parameters { _, minimum in minimum } : nil, size: format.group, bits: bits)
    }

    /// Calls `body` with every block, several at once: its number, codes, scales and minimums.
    private static func read(
        _ format: BlockFormat, _ bytes: ByteSpan,
        _ body: (_ block: Int, _ codes: UnsafeMutablePointer<Int8>, _ scales: UnsafeMutablePointer<Float>, _ minimums: UnsafeMutablePointer<Float>) -> Void
    ) {
        let count = bytes.count / format.byteCount, part = 256
        bytes.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return }
            nonisolated(unsafe) let (base, body) = (start, body)
            DispatchQueue.concurrentPerform(iterations: (count + part - 1) / part) { first in
                withUnsafeTemporaryAllocation(of: Int8.self, capacity: format.count) { codes in
                    withUnsafeTemporaryAllocation(of: Float.self, capacity: 2 * format.count / format.group) { parameters in
                        guard let codes = codes.baseAddress, let scales = parameters.baseAddress else { return }
                        let minimums = scales + format.count / format.group
                        minimums.update(repeating: 0, count: format.count / format.group)
                        for block in first * part..<min(first * part + part, count) {
                            format.read(base + block * format.byteCount, codes, scales, minimums)
                            body(block, codes, scales, minimums)
                        }
                    }
                }
            }
        }
    }
}
