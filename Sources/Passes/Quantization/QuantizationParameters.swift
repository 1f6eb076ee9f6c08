import GlmcIR

/// Scale and zero point of an activation in u8: `real = (q − zeroPoint)·scale`, and 0 is exact.
public struct ActivationParameters: Hashable, Sendable {
    public var scale: Float
    public var zeroPoint: UInt8

    public init(scale: Float, zeroPoint: UInt8) {
        self.scale = scale
        self.zeroPoint = zeroPoint
    }

    /// The parameters that cover `range` with 256 levels.
    public init(_ range: ValueRange) {
        let scale = Float((range.high - range.low) / 255)
        guard scale.isNormal else {
            self.init(scale: 1, zeroPoint: 0)
            return
        }
        let zero = (-range.low / Double(scale)).rounded(.toNearestOrEven)
        self.init(scale: scale, zeroPoint: UInt8(Swift.min(Swift.max(zero, 0), 255)))
    }

    var scaleTensor: Tensor { .scalar(Double(scale), .f32) }
    var zeroTensor: Tensor { .scalar(Double(zeroPoint), .u8) }
}

/// Weights in s8, symmetric, one scale per output channel.
public struct QuantizedWeights: Sendable {
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
        var scales = [Float](repeating: 1, count: channels)
        var lost = 0.0, total = 0.0, isFinite = true
        let reader = weights.reader
        let values = Tensor(.i8, weights.shape) { target in
            var channel = [Float](repeating: 0, count: outer * inner)
            for c in 0..<channels {
                for o in 0..<outer {
                    for i in 0..<inner {
                        channel[o * inner + i] = Float(reader.load(at: (o * channels + c) * inner + i))
                    }
                }
                let (scale, error) = QuantizedWeights.scale(channel)
                guard scale.isFinite else {
                    isFinite = false
                    return
                }
                scales[c] = scale
                lost += error
                for (k, value) in channel.enumerated() {
                    total += Double(value) * Double(value)
                    let level = Int8(Swift.min(Swift.max((value / scale).rounded(.toNearestOrEven), -127), 127))
                    target[((k / inner) * channels + c) * inner + k % inner] = UInt8(bitPattern: level)
                }
            }
        }
        guard isFinite else { return nil }
        self.values = values
        self.scales = Tensor(scales)
        relativeError = total > 0 ? lost / total : 0
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
                let level = Swift.min(Swift.max((value * inverse).rounded(.toNearestOrEven), -127), 127)
                let difference = value - level * scale
                error += difference * difference
            }
            if Double(error) < least { (best, least) = (scale, Double(error)) }
        }
        return (best, least)
    }
}
