import Dispatch
import GlmcIR

/// A matrix [K, N] in codes of four bits, centred at 8, in blocks along K that share a scale: the weights of `BlockMatMul`.
public struct BlockWeights: Sendable {
    public static let block = 32

    /// u8 [K/2, N], two codes in a byte.
    public let codes: Tensor
    /// f16 [K/32, N].
    public let scales: Tensor
    /// Relative squared error: Σ(w − ŵ)² / Σw².
    public let relativeError: Double

    /// Quantises a matrix, each scale chosen for the least squared error of its block.
    /// - Returns: nil where K is no multiple of the block, or an element is not finite or beyond what f16 scales reach.
    public init?(_ weights: Tensor) {
        guard weights.rank == 2, weights.element.isProductWeight, weights.shape[0] % Self.block == 0, weights.count > 0 else { return nil }
        let (depth, columns) = (weights.shape[0], weights.shape[1]), blocks = depth / Self.block
        let stored = weights.stored, source = FloatReader(weights.element, stored.bytes), (down, across) = (stored.strides[0], stored.strides[1])
        var errors = [(lost: Double, total: Double)](repeating: (0, 0), count: columns), isFit = [Bool](repeating: true, count: columns)
        // By columns, as weights of linear layers lie in files.
        var scales = [Float16](repeating: 0, count: columns * blocks)
        let codes = Tensor(.u8, [columns, depth / 2]) { target in
            errors.withUnsafeMutableBufferPointer { errors in
                isFit.withUnsafeMutableBufferPointer { isFit in
                    scales.withUnsafeMutableBufferPointer { scales in
                        nonisolated(unsafe) let (target, errors, isFit, scales, source) = (target, errors, isFit, scales, source)
                        DispatchQueue.concurrentPerform(iterations: (columns + 15) / 16) { part in
                            var values = [Float](repeating: 0, count: Self.block)
                            for n in part * 16..<Swift.min(part * 16 + 16, columns) {
                                for b in 0..<blocks {
                                    source.load(n * across + b * Self.block * down, Self.block, by: down, into: &values, at: 0)
                                    let block = SIMD32(values), (scale, error) = Self.scale(block)
                                    guard scale.isFinite else {
                                        isFit[n] = false
                                        return
                                    }
                                    scales[n * blocks + b] = scale
                                    errors[n].lost += error
                                    errors[n].total += Double((block * block).sum())
                                    let codes = Self.codes(block, scale == 0 ? 0 : 1 / Float(scale)) + 8, place = (n * blocks + b) * (Self.block / 2)
                                    for i in 0..<Self.block / 2 { target[place + i] = UInt8(codes[2 * i]) | UInt8(codes[2 * i + 1]) << 4 }
                                }
                            }
                        }
                    }
                }
            }
        }
        guard isFit.allSatisfy({ $0 }) else { return nil }
        let lost = errors.reduce(0) { $0 + $1.lost }, total = errors.reduce(0) { $0 + $1.total }
        self.codes = codes.transposed([1, 0])
        self.scales = Tensor(.f16, [columns, blocks], values: { Double(scales[$0]) }).transposed([1, 0])
        relativeError = total > 0 ? lost / total : 0
    }

    /// The scale of least squared error, and that error; an infinite scale where a value is not finite or too large.
    ///
    /// −8 reaches further than 7, so the value of largest magnitude is tried at either end, and a little beyond; each trial's scale is then the one that fits its
    /// codes best, Σwq / Σq².
    private static func scale(_ values: SIMD32<Float>) -> (Float16, Double) {
        let extreme = abs(values.max()) > abs(values.min()) ? values.max() : values.min()
        guard abs(extreme) < 65_000, values.sum().isFinite else { return (.infinity, 0) }
        var best: Float16 = 0, least = (values * values).sum()
        for reach: Float in [-8, -8.5, -9, 7, 7.5, 8] {
            let first = extreme / reach, codes = Self.codes(values, 1 / first), weight = (codes * codes).sum()
            guard weight > 0 else { continue }
            let scale = Float16((values * codes).sum() / weight), wide = Float(scale)
            guard wide != 0, (1 / wide).isFinite else { continue }
            let difference = values - Self.codes(values, 1 / wide) * wide, error = (difference * difference).sum()
            if error < least { (best, least) = (scale, error) }
        }
        return (best, Double(least))
    }

    /// The integers in −8…7 that are nearest to `values · inverse`, ties to even; these are below 2²² in magnitude.
    private static func codes(_ values: SIMD32<Float>, _ inverse: Float) -> SIMD32<Float> {
        let magic = SIMD32<Float>(repeating: 0x1.8p23)
        return (values * inverse + magic - magic).clamped(lowerBound: SIMD32(repeating: -8), upperBound: SIMD32(repeating: 7))
    }
}
