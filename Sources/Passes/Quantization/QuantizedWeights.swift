import Dispatch
import GlmcIR
import Synchronization

/// Weights in s8, symmetric, one scale per output channel.
public struct QuantizedWeights: Sendable {
    /// Of the shape of the weights.
    public let values: Tensor
    /// f32, one per index of the channel axis.
    public let scales: Tensor
    /// Relative squared error: Σ(w − ŵ)² / Σw².
    public let relativeError: Double

    /// Quantises `weights` per index of `axis`, each scale chosen for the least squared error between clipping nothing and
    /// clipping half.
    /// - Returns: nil where the weights are not f32, f16 or bf16, or not finite.
    public init?(_ weights: Tensor, axis: Int) {
        guard weights.element.isProductWeight, weights.shape.indices.contains(axis) else { return nil }
        let channels = weights.shape[axis], inner = weights.shape[(axis + 1)...].reduce(1, *), outer = weights.shape[..<axis].reduce(1, *)
        var errors = [(lost: Double, total: Double)](repeating: (0, 0), count: channels), scales = [Float](repeating: 1, count: channels)
        let source = FloatReader(weights.element, weights.bytes)
        let values = Tensor(.i8, weights.shape) { target in
            let target = target.bindMemory(to: Int8.self)
            errors.withUnsafeMutableBufferPointer { errors in
                scales.withUnsafeMutableBufferPointer { scales in
                    nonisolated(unsafe) let (target, errors, scales, source) = (target, errors, scales, source)
                    DispatchQueue.concurrentPerform(iterations: (channels + 15) / 16) { block in
                        var channel = [Float](repeating: 0, count: outer * inner)
                        for c in block * 16..<Swift.min(block * 16 + 16, channels) {
                            for o in 0..<outer { source.load((o * channels + c) * inner, inner, into: &channel, at: o * inner) }
                            let (scale, error) = QuantizedWeights.scale(channel)
                            scales[c] = scale
                            guard scale.isFinite else { continue }
                            errors[c] = (error, channel.reduce(0) { $0 + Double($1) * Double($1) })
                            let inverse = 1 / scale
                            for (k, value) in channel.enumerated() {
                                target[((k / inner) * channels + c) * inner + k % inner] = Int8(level(value * inverse))
                            }
                        }
                    }
                }
            }
        }
        guard scales.allSatisfy(\.isFinite) else { return nil }
        let lost = errors.reduce(0) { $0 + $1.lost }, total = errors.reduce(0) { $0 + $1.total }
        self.init(values: values, scales: Tensor(scales), relativeError: total > 0 ? lost / total : 0)
    }

    private init(values: Tensor, scales: Tensor, relativeError: Double) {
        (self.values, self.scales, self.relativeError) = (values, scales, relativeError)
    }

    /// The scale of least squared error, and that error; an infinite scale where a value is not finite.
    private static func scale(_ channel: [Float]) -> (Float, Double) {
        var largest: Float = 0
        for value in channel {
            guard value.isFinite else { return (.infinity, 0) }
            largest = Swift.max(largest, abs(value))
        }
        guard largest >= .leastNormalMagnitude * 128 else { return (1, 0) }
        var best: Float = largest / 127, least = Double.infinity
        for step in 0..<11 {
            let scale = largest * (1 - Float(step) * 0.05) / 127, inverse = 1 / scale
            var error: Float = 0
            for value in channel {
                let difference = value - level(value * inverse) * scale
                error += difference * difference
            }
            if Double(error) < least { (best, least) = (scale, Double(error)) }
        }
        return (best, least)
    }
}

/// The integer in −127…127 that is nearest to `x`, ties to even; |x| is below 2²².
@inline(__always)
private func level(_ x: Float) -> Float {
    // Adding 1.5·2²³ leaves no room for a fraction.
    let rounded = (x + 0x1.8p23) - 0x1.8p23
    return Swift.min(Swift.max(rounded, -127), 127)
}

/// Reads runs of floats of any width.
struct FloatReader {
    private let element: ElementType
    private let bytes: UnsafeRawBufferPointer

    init(_ element: ElementType, _ bytes: UnsafeRawBufferPointer) { (self.element, self.bytes) = (element, bytes) }

    /// Widens `count` elements, each `stride` behind the one before, from element `start` on.
    func load(_ start: Int, _ count: Int, by stride: Int = 1, into target: inout [Float], at place: Int) {
        switch element {
        case .f32: for i in 0..<count { target[place + i] = bytes.loadUnaligned(fromByteOffset: (start + i * stride) * 4, as: Float.self) }
        case .bf16:
            for i in 0..<count { target[place + i] = Float(bitPattern: UInt32(bytes.loadUnaligned(fromByteOffset: (start + i * stride) * 2, as: UInt16.self)) << 16) }
        default:
            let reader = ElementReader(element, bytes)
            for i in 0..<count { target[place + i] = Float(reader.load(at: start + i * stride)) }
        }
    }
}

/// Quantised weights by what was quantised: entry points of a module, and the products and look-ups of one, share them.
public final class QuantizedWeightTable: Sendable {
    private struct Key: Hashable {
        let storage: ObjectIdentifier
        let offset: Int
        let shape: [Int]
        let strides: [Int]
        /// The axis of the scales, or the width of the codes.
        let form: Int
    }
    /// The tensors are kept so that no other storage gets their identity.
    private let known = Mutex<[Key: (source: Tensor, weights: QuantizedWeights?)]>([:])
    private let knownBlocks = Mutex<[Key: (source: Tensor, weights: BlockWeights?)]>([:])

    public init() {}

    /// What `QuantizedWeights(weights, axis:)` gives; of a transposed matrix as it lies, so that the matrix and its transpose share their values.
    func weights(_ weights: Tensor, axis: Int) -> QuantizedWeights? {
        let stored = weights.stored, isTransposed = weights.rank == 2 && weights.shape[0] != 1 && stored.strides == [1, weights.shape[0]]
        guard isTransposed, let lying = try? Tensor(weights.element, weights.shape.reversed(), storage: stored.storage, byteOffset: stored.byteOffset) else {
            return Self.remember(known, weights, axis) { QuantizedWeights(weights, axis: axis) }
        }
        return Self.remember(known, lying, 1 - axis) { QuantizedWeights(lying, axis: 1 - axis) }?.transposed
    }

    /// What `BlockWeights(weights, width)` gives.
    func blocks(_ weights: Tensor, _ width: BlockWeights.Width) -> BlockWeights? { Self.remember(knownBlocks, weights, width.rawValue) { BlockWeights(weights, width) } }

    private static func remember<Weights: Sendable>(_ known: borrowing Mutex<[Key: (source: Tensor, weights: Weights?)]>, _ source: Tensor, _ form: Int, _ make: () -> Weights?) -> Weights? {
        let stored = source.stored
        let key = Key(storage: ObjectIdentifier(stored.storage), offset: stored.byteOffset, shape: source.shape, strides: stored.strides, form: form)
        // Under the lock, so that what several functions hold is quantised once: threads work on the parts of one matrix.
        return known.withLock { known in
            if let found = known[key] { return found.weights }
            let weights = make()
            source.evict()
            known[key] = (source, weights)
            return weights
        }
    }
}

extension QuantizedWeights {
    /// Those of the transposed matrix.
    fileprivate var transposed: QuantizedWeights { QuantizedWeights(values: values.transposed([1, 0]), scales: scales, relativeError: relativeError) }
}
