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
