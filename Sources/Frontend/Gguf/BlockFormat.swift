import GlmcIR

/// How one of ggml's types holds weights: in blocks of `count`, in which groups of neighbours share a scale and perhaps a minimum, `w = code · scale + minimum`.
/// Layouts: ggml-common.h and ggml-quants.c of llama.cpp.
struct BlockFormat: Sendable {
    /// Writes a block's codes, and its groups' scales and minimums.
    typealias Read = @Sendable (_ block: UnsafeRawPointer, _ codes: UnsafeMutablePointer<Int8>, _ scales: UnsafeMutablePointer<Float>, _ minimums: UnsafeMutablePointer<Float>) -> Void

    var name: String
    /// Elements of a block.
    var count: Int
    var byteCount: Int
    /// Elements that share a scale.
    var group: Int
    /// Bits that codes fit, 2, 4 or 8: 0…2^bits − 1 where there are minimums, −2^(bits−1)…2^(bits−1) − 1 where there are none.
    var bits: Int
    var hasMinimums: Bool
    /// What holds scales and minimums exactly.
    var parameter: ElementType
    var read: Read

    /// By ggml's number of the type.
    static let all: [UInt32: BlockFormat] = [
        2: small("Q4_0", 18, bits: 4) { block, codes, scales, _ in
            scales[0] = block.half(0)
            nibbles(block + 2, codes) { $0 - 8 }
        },
        3: small("Q4_1", 20, bits: 4, hasMinimums: true) { block, codes, scales, minimums in
            (scales[0], minimums[0]) = (block.half(0), block.half(2))
            nibbles(block + 4, codes) { $0 }
        },
        6: small("Q5_0", 22) { block, codes, scales, _ in
            scales[0] = block.half(0)
            nibbles(block + 6, codes) { $0 - 16 }
            addFifthBits(block + 2, codes)
        },
        7: small("Q5_1", 24, hasMinimums: true) { block, codes, scales, minimums in
            (scales[0], minimums[0]) = (block.half(0), block.half(2))
            nibbles(block + 8, codes) { $0 }
            addFifthBits(block + 4, codes)
        },
        8: small("Q8_0", 34) { block, codes, scales, _ in
            scales[0] = block.half(0)
            for i in 0..<32 { codes[i] = Int8(truncatingIfNeeded: block.byte(2 + i)) }
        },
        10: large("Q2_K", 84, group: 16, bits: 2, hasMinimums: true) { block, codes, scales, minimums in
            let scale = block.half(80), minimum = block.half(82)
            for g in 0..<16 { (scales[g], minimums[g]) = (scale * Float(block.byte(g) & 15), -minimum * Float(block.byte(g) >> 4)) }
            for i in 0..<256 { codes[i] = Int8(block.byte(16 + i / 128 * 32 + i % 32) >> (i % 128 / 32 * 2) & 3) }
        },
        11: large("Q3_K", 110, group: 16, bits: 4) { block, codes, scales, _ in
            let scale = block.half(108)
            for g in 0..<16 {
                let low = block.byte(96 + g % 8) >> (g / 8 * 4) & 15, high = block.byte(104 + g % 4) >> (g / 4 * 2) & 3
                scales[g] = scale * Float((low | high << 4) - 32)
            }
            for i in 0..<256 {
                let low = block.byte(32 + i / 128 * 32 + i % 32) >> (i % 128 / 32 * 2) & 3, high = block.byte(i % 32) >> (i / 32) & 1
                codes[i] = Int8(low + 4 * high - 4)
            }
        },
        12: large("Q4_K", 144, group: 32, bits: 4, hasMinimums: true) { block, codes, scales, minimums in
            sixBits(block, scales, minimums)
            for i in 0..<256 { codes[i] = Int8(block.byte(16 + i / 64 * 32 + i % 32) >> (i % 64 / 32 * 4) & 15) }
        },
        13: large("Q5_K", 176, group: 32, hasMinimums: true) { block, codes, scales, minimums in
            sixBits(block, scales, minimums)
            for i in 0..<256 {
                let low = block.byte(48 + i / 64 * 32 + i % 32) >> (i % 64 / 32 * 4) & 15
                codes[i] = Int8(low | (block.byte(16 + i % 32) >> (i / 32) & 1) << 4)
            }
        },
        14: large("Q6_K", 210, group: 16) { block, codes, scales, _ in
            let scale = block.half(208)
            for g in 0..<16 { scales[g] = scale * Float(Int8(truncatingIfNeeded: block.byte(192 + g))) }
            for i in 0..<256 {
                let (half, part, place) = (i / 128, i % 128 / 32, i % 32)
                let low = block.byte(half * 64 + part % 2 * 32 + place) >> (part / 2 * 4) & 15, high = block.byte(128 + half * 32 + place) >> (part * 2) & 3
                codes[i] = Int8((low | high << 4) - 32)
            }
        },
        20: small("IQ4_NL", 18) { block, codes, scales, _ in
            scales[0] = block.half(0)
            nibbles(block + 2, codes) { curve[Int($0)] }
        },
        23: large("IQ4_XS", 136, group: 32) { block, codes, scales, _ in
            let scale = block.half(0), high = block.byte(2) | block.byte(3) << 8
            for g in 0..<8 {
                let code = block.byte(4 + g / 2) >> (g % 2 * 4) & 15 | (high >> (2 * g) & 3) << 4
                scales[g] = scale * Float(code - 32)
                nibbles(block + 8 + 16 * g, codes + 32 * g) { curve[Int($0)] }
            }
        },
    ]

    private static func small(_ name: String, _ byteCount: Int, bits: Int = 8, hasMinimums: Bool = false, _ read: @escaping Read) -> BlockFormat {
        BlockFormat(name: name, count: 32, byteCount: byteCount, group: 32, bits: bits, hasMinimums: hasMinimums, parameter: .f16, read: read)
    }

    /// Scales are products of a 16-bit float and an integer.
    private static func large(_ name: String, _ byteCount: Int, group: Int, bits: Int = 8, hasMinimums: Bool = false, _ read: @escaping Read) -> BlockFormat {
        BlockFormat(name: name, count: 256, byteCount: byteCount, group: group, bits: bits, hasMinimums: hasMinimums, parameter: .f32, read: read)
    }

    // MARK: Parts of blocks

    /// What the codes of the types IQ4 stand for.
    private static let curve: [Int8] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]

    /// Thirty-two codes in sixteen bytes: the first sixteen in the lower halves.
    private static func nibbles(_ bytes: UnsafeRawPointer, _ codes: UnsafeMutablePointer<Int8>, _ code: (Int8) -> Int8) {
        for i in 0..<16 {
            codes[i] = code(Int8(bytes.byte(i) & 15))
            codes[i + 16] = code(Int8(bytes.byte(i) >> 4))
        }
    }

    /// Adds 16 where the bit of an element is set.
    private static func addFifthBits(_ bytes: UnsafeRawPointer, _ codes: UnsafeMutablePointer<Int8>) {
        for i in 0..<32 { codes[i] += Int8(bytes.byte(i / 8) >> (i % 8) & 1) << 4 }
    }

    /// Eight scales and minimums of six bits each in twelve bytes, behind the numbers that they are multiplied with.
    private static func sixBits(_ block: UnsafeRawPointer, _ scales: UnsafeMutablePointer<Float>, _ minimums: UnsafeMutablePointer<Float>) {
        let scale = block.half(0), minimum = block.half(2)
        func byte(_ i: Int) -> Int { block.byte(4 + i) }
        for g in 0..<8 {
            let s = g < 4 ? byte(g) & 63 : byte(g + 4) & 15 | (byte(g - 4) >> 6) << 4, m = g < 4 ? byte(g + 4) & 63 : byte(g + 4) >> 4 | (byte(g) >> 6) << 4
            (scales[g], minimums[g]) = (scale * Float(s), -minimum * Float(m))
        }
    }
}

extension UnsafeRawPointer {
    fileprivate func byte(_ offset: Int) -> Int { Int(load(fromByteOffset: offset, as: UInt8.self)) }
    fileprivate func half(_ offset: Int) -> Float { Float(Float16(bitPattern: UInt16(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self)))) }
}
