import Dispatch
import GlmcIR

/// A matrix [K, N] in codes of four or eight bits, in blocks along K that share a scale, and of four bits a minimum: the weights of `BlockMatMul`.
public struct BlockWeights: Sendable {
    public static let block = 32

    /// What a code takes.
    public enum Width: Int, Sendable { case four = 4, eight = 8 }

    /// In the order that `BlockMatMul` takes: u8 [K/2, N], or i8 [K, N].
    public let codes: Tensor
    /// f16 [K/32, N].
    public let scales: Tensor
    /// nil for codes of eight bits.
    public let minimums: Tensor?
    /// Relative squared error: Σ(w − ŵ)² / Σw².
    public let relativeError: Double

    /// Quantises a matrix, scale and minimum chosen for the least squared error of their block.
    /// - Returns: nil where K is no multiple of the block, or an element is not finite or beyond what f16 reaches.
    public init?(_ weights: Tensor, _ width: Width) {
        guard weights.rank == 2, weights.element.isProductWeight, weights.shape[0] % Self.block == 0, weights.count > 0 else { return nil }
        let (depth, columns) = (weights.shape[0], weights.shape[1]), blocks = depth / Self.block, byteCount = Self.block * width.rawValue / 8
        let stored = weights.stored, source = FloatReader(weights.element, stored.bytes), (down, across) = (stored.strides[0], stored.strides[1])
        var errors = [(lost: Double, total: Double)](repeating: (0, 0), count: columns)
        // By columns, as weights of linear layers lie in files.
        var grids = [BlockGrid](repeating: BlockGrid(scale: 0, minimum: .infinity), count: columns * blocks)
        let codes = Tensor(width == .four ? .u8 : .i8, [columns, blocks * byteCount]) { target in
            errors.withUnsafeMutableBufferPointer { errors in
                grids.withUnsafeMutableBufferPointer { grids in
                    nonisolated(unsafe) let (target, errors, grids, source) = (target, errors, grids, source)
                    DispatchQueue.concurrentPerform(iterations: (columns + 15) / 16) { part in
                        var values = [Float](repeating: 0, count: Self.block)
                        for n in part * 16..<Swift.min(part * 16 + 16, columns) {
                            for b in 0..<blocks {
                                source.load(n * across + b * Self.block * down, Self.block, by: down, into: &values, at: 0)
                                values.withUnsafeBufferPointer { values in
                                    guard let (grid, error) = width == .four ? BlockGrid.best(values) : BlockGrid.symmetric(values) else { return }
                                    grids[n * blocks + b] = grid
                                    errors[n].lost += Double(error)
                                    errors[n].total += values.reduce(0) { $0 + Double($1 * $1) }
                                    let place = (n * blocks + b) * byteCount
                                    if width == .four { grid.write(values, to: target, at: place) } else { grid.writeBytes(values, to: target, at: place) }
                                }
                            }
                        }
                    }
                }
            }
        }
        guard grids.allSatisfy({ $0.minimum.isFinite }) else { return nil }
        let lost = errors.reduce(0) { $0 + $1.lost }, total = errors.reduce(0) { $0 + $1.total }
        self.codes = codes.transposed([1, 0])
        scales = Tensor(.f16, [columns, blocks], values: { Double(grids[$0].scale) }).transposed([1, 0])
        minimums = width == .eight ? nil : Tensor(.f16, [columns, blocks], values: { Double(grids[$0].minimum) }).transposed([1, 0])
        relativeError = total > 0 ? lost / total : 0
    }

    /// The constants behind the rows of a `BlockMatMul`.
    public var constants: [Tensor] { [codes, scales] + (minimums.map { [$0] } ?? []) }
}

/// What codes stand for: `code · scale + minimum`, of 0…15, or, without a minimum, −127…127.
struct BlockGrid {
    var scale: Float16
    var minimum: Float16

    /// The grid of least squared error for the elements of a block, of which there are a multiple of 8, and that error; nil where an element is not finite
    /// or too large.
    ///
    /// Codes are tried that reach from end to end, and a little less far and further; the grid is then the line through them that fits best.
    static func best(_ values: UnsafeBufferPointer<Float>) -> (BlockGrid, Float)? {
        var low = Float.infinity, high = -Float.infinity, isFinite = true
        for value in values {
            low = Swift.min(low, value)
            high = Swift.max(high, value)
            isFinite = isFinite && value.isFinite
        }
        guard isFinite, low > -65_000, high < 65_000 else { return nil }
        var best = BlockGrid(scale: Float16((high - low) / 15), minimum: Float16(low)), least = best.error(values)
        guard high > low else { return (best, least) }
        let count = Float(values.count)
        for trial in 0..<12 {
            // 13.4 … 16.15 steps over the range, centred.
            let steps = 13.4 + 0.25 * Float(trial), inverse = steps / (high - low), start = low - (15 - steps) * 0.5 / inverse
            var (sum, squares, total, product) = (Float(0), Float(0), Float(0), Float(0))
            for value in values {
                let code = code((value - start) * inverse)
                sum += code
                squares += code * code
                total += value
                product += value * code
            }
            let spread = count * squares - sum * sum, scale = (count * product - sum * total) / spread
            guard scale.isFinite, scale > 0 else { continue }
            let grid = BlockGrid(scale: Float16(scale), minimum: Float16((total - scale * sum) / count))
            guard grid.scale.isFinite, grid.minimum.isFinite else { continue }
            let error = grid.error(values)
            if error < least { (best, least) = (grid, error) }
        }
        return (best, least)
    }

    /// The grid whose ends are the largest magnitude, and its squared error; nil where an element is not finite or too large.
    static func symmetric(_ values: UnsafeBufferPointer<Float>) -> (BlockGrid, Float)? {
        var largest: Float = 0
        for value in values {
            guard value.isFinite else { return nil }
            largest = Swift.max(largest, abs(value))
        }
        let grid = BlockGrid(scale: Float16(largest / 127), minimum: 0)
        guard grid.scale.isFinite else { return nil }
        let (scale, inverse) = (Float(grid.scale), grid.inverse)
        return (grid, values.reduce(0) { sum, value in
            let difference = value - byte(value * inverse) * scale
            return sum + difference * difference
        })
    }

    /// Writes the codes of a block, a byte each.
    func writeBytes(_ values: UnsafeBufferPointer<Float>, to target: UnsafeMutableRawBufferPointer, at place: Int) {
        let inverse = inverse
        for (i, value) in values.enumerated() { target[place + i] = UInt8(bitPattern: Int8(Self.byte(value * inverse))) }
    }

    /// The integer in −127…127 that is nearest to `x`, ties to even; |x| is below 2²².
    @inline(__always)
    private static func byte(_ x: Float) -> Float {
        let rounded = (x + 0x1.8p23) - 0x1.8p23
        return rounded < -127 ? -127 : rounded > 127 ? 127 : rounded
    }

    private var inverse: Float {
        let inverse = 1 / Float(scale)
        return inverse.isFinite ? inverse : 0
    }

    private func error(_ values: UnsafeBufferPointer<Float>) -> Float {
        let (scale, minimum, inverse) = (Float(scale), Float(minimum), inverse)
        var error: Float = 0
        for value in values {
            let difference = value - (Self.code((value - minimum) * inverse) * scale + minimum)
            error += difference * difference
        }
        return error
    }

    /// Writes the codes of a block, half as many bytes: byte 4i + j holds that of element 8i + j in its lower half, that of 8i + 4 + j in its upper half.
    func write(_ values: UnsafeBufferPointer<Float>, to target: UnsafeMutableRawBufferPointer, at place: Int) {
        let (minimum, inverse) = (Float(minimum), inverse)
        func code(_ i: Int) -> UInt8 { UInt8(Self.code((values[i] - minimum) * inverse)) }
        for i in 0..<values.count / 2 {
            let first = i / 4 * 8 + i % 4
            target[place + i] = code(first) | code(first + 4) << 4
        }
    }

    /// The integer in 0…15 that is nearest to `x`, ties to even; |x| is below 2²².
    @inline(__always)
    private static func code(_ x: Float) -> Float {
        let rounded = (x + 0x1.8p23) - 0x1.8p23
        return rounded < 0 ? 0 : rounded > 15 ? 15 : rounded
    }
}
