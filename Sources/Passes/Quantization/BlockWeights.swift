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
                                    let (scale, error) = values.withUnsafeBufferPointer { $0.baseAddress.map(Self.scale) ?? (0, 0) }
                                    guard scale.isFinite else {
                                        isFit[n] = false
                                        return
                                    }
                                    scales[n * blocks + b] = scale
                                    errors[n].lost += Double(error)
                                    errors[n].total += values.reduce(0) { $0 + Double($1 * $1) }
                                    let inverse = scale == 0 ? 0 : 1 / Float(scale), place = (n * blocks + b) * (Self.block / 2)
                                    for i in 0..<Self.block / 2 {
                                        target[place + i] = UInt8(Self.code(values[2 * i] * inverse) + 8) | UInt8(Self.code(values[2 * i + 1] * inverse) + 8) << 4
                                    }
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

    /// The scale of least squared error of a block, and that error; an infinite scale where a value is not finite or too large.
    ///
    /// −8 reaches further than 7, so the value of largest magnitude is tried at either end, and a little beyond; each trial's scale is then the one that fits its
    /// codes best, Σwq / Σq².
    private static func scale(_ values: UnsafePointer<Float>) -> (Float16, Float) {
        var extreme: Float = 0, best: Float16 = 0, least: Float = 0
        for i in 0..<block {
            guard values[i].isFinite else { return (.infinity, 0) }
            if abs(values[i]) > abs(extreme) { extreme = values[i] }
            least += values[i] * values[i]
        }
        guard abs(extreme) < 65_000 else { return (.infinity, 0) }
        for trial in 0..<6 {
            let reach: Float = trial < 3 ? -8 - 0.5 * Float(trial) : 7 + 0.5 * Float(trial - 3), first = reach / extreme
            var fit: Float = 0, weight: Float = 0
            for i in 0..<block {
                let code = code(values[i] * first)
                fit += values[i] * code
                weight += code * code
            }
            let scale = Float16(fit / weight), wide = Float(scale), inverse = 1 / wide
            guard inverse.isFinite, wide.isFinite, wide != 0 else { continue }
            var error: Float = 0
            for i in 0..<block {
                let difference = values[i] - code(values[i] * inverse) * wide
                error += difference * difference
            }
            if error < least { (best, least) = (scale, error) }
        }
        return (best, least)
    }

    /// The integer in −8…7 that is nearest to `x`, ties to even; |x| is below 2²².
    @inline(__always)
    private static func code(_ x: Float) -> Float {
        let rounded = (x + 0x1.8p23) - 0x1.8p23
        return rounded < -8 ? -8 : rounded > 7 ? 7 : rounded
    }
}
