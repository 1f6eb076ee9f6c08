public enum ResizeMode: String, Hashable, Sendable, CaseIterable, EnumAttribute { case nearest, linear, cubic }

/// How a position `i` of the result maps to a position of the operand. `scale` is result extent over operand extent, unless given.
/// Formulas from the ONNX Resize specification, computed in f32 (in part of `half_pixel_symmetric`, f64); `resized` is the result's extent.
/// That is what ONNX Runtime, PyTorch and OpenVINO do (docs/numerics.md).
public enum CoordinateTransform: String, Hashable, Sendable, CaseIterable, EnumAttribute {
    /// (i + ½)/scale − ½.
    case halfPixel = "half_pixel"
    /// As half_pixel, shifted so that the centres of both images agree when the result was truncated.
    case halfPixelSymmetric = "half_pixel_symmetric"
    /// As half_pixel, but 0 if there is one result position.
    case pytorchHalfPixel = "pytorch_half_pixel"
    /// i·(extent − 1)/(resized − 1).
    case alignCorners = "align_corners"
    /// i/scale.
    case asymmetric
    /// A region of interest stretched over the result; positions outside the operand give `extrapolation`.
    case tfCropAndResize = "tf_crop_and_resize"
}

public enum NearestMode: String, Hashable, Sendable, CaseIterable, EnumAttribute {
    case roundPreferFloor = "round_prefer_floor"
    case roundPreferCeil = "round_prefer_ceil"
    case floor, ceil

    /// How far from the middle between two pixels a coordinate is still a tie: as ONNX Runtime has it, since coordinates in f32 miss the middle by
    /// a few roundings.
    private static let tie = 1e-6

    /// The nearest pixel as `⌊x + shift⌋`, or as `⌈x + shift⌉` with `isCeiling`.
    var rule: (shift: Double, isCeiling: Bool) {
        switch self {
        case .roundPreferFloor: (-0.5 - Self.tie, true)
        case .roundPreferCeil: (0.5 + Self.tie, false)
        case .floor: (0, false)
        case .ceil: (0, true)
        }
    }

    /// The pixel nearest to `x` of `limit` pixels.
    func pixel(_ x: Double, limit: Int) -> Int {
        Int(Swift.min(Swift.max((x + rule.shift).rounded(rule.isCeiling ? .up : .down), 0), Double(limit - 1)))
    }
}

/// Resizes a tensor along any of its axes by interpolation. Axes that keep their extent are copied. Integers are rounded half to
/// even and saturate.
public struct Resize: PointwiseOp {
    public static let mnemonic = "resize"
    public static let summary = "Interpolates a tensor to another size"
    public static var attributes: [Attribute<Self>] {
        [
            Attribute("sizes", \.sizes), Attribute("scales", \.scales), Attribute("mode", \.mode), Attribute("transform", \.coordinateTransform),
            Attribute("nearest", \.nearestMode), Attribute("cubic_coefficient", \.cubicCoefficient), Attribute("exclude_outside", \.excludeOutside),
            Attribute("extrapolation", \.extrapolation), Attribute("antialias", \.antialias), Attribute("roi", \.roi),
        ]
    }

    /// The result's shape.
    public var sizes: [Extent]
    /// One per axis where the model gives scales (they decide coordinates); empty for size ratios.
    @Bitwise public var scales: [Double]
    public var mode: ResizeMode
    public var coordinateTransform: CoordinateTransform
    public var nearestMode: NearestMode
    @Bitwise public var cubicCoefficient: Double
    /// Whether taps outside the operand get weight 0, the others being scaled up, instead of the nearest element.
    public var excludeOutside: Bool
    @Bitwise public var extrapolation: Double
    /// Whether linear and cubic filters are stretched when shrinking.
    public var antialias: Bool
    /// Starts and ends of all axes, relative to the extents; empty unless cropping.
    @Bitwise public var roi: [Double]

    public init() { self.init(sizes: []) }
    public init(
        sizes: [Extent], scales: [Double] = [], mode: ResizeMode = .nearest, coordinateTransform: CoordinateTransform = .halfPixel,
        nearestMode: NearestMode = .roundPreferFloor, cubicCoefficient: Double = -0.75, excludeOutside: Bool = false, extrapolation: Double = 0,
        antialias: Bool = false, roi: [Double] = []
    ) {
        self.sizes = sizes
        self.scales = scales
        self.mode = mode
        self.coordinateTransform = coordinateTransform
        self.nearestMode = nearestMode
        self.cubicCoefficient = cubicCoefficient
        self.excludeOutside = excludeOutside
        self.extrapolation = extrapolation
        self.antialias = antialias
        self.roi = roi
    }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let x = try context.tensors(1)[0]
        guard x.element.isFloat || x.element.isInteger else { throw Diagnostic(.invalid, "cannot interpolate \(x.element.rawValue)") }
        guard sizes.count == x.rank, scales.isEmpty || scales.count == x.rank, roi.isEmpty || roi.count == 2 * x.rank else {
            throw Diagnostic(.invalid, "\(sizes.count) sizes, \(scales.count) scales and \(roi.count) roi values for rank \(x.rank)")
        }
        guard scales.allSatisfy({ $0 > 1e-9 && $0 < 1e9 }), roi.allSatisfy({ abs($0) < 1e9 }), sizes.allSatisfy({ ($0.constant ?? 1) >= 0 }) else {
            throw Diagnostic(.invalid, "sizes \(sizes) must not be negative, scales \(scales) must be positive, roi \(roi) finite")
        }
        for (from, to) in zip(x.shape, sizes) where from == 0 && to != 0 { throw Diagnostic(.invalid, "cannot stretch an empty axis to \(to)") }
        guard !antialias || mode == .nearest || (0..<x.rank).allSatisfy({ isIdentity($0, x.shape) || staticScale($0, x.shape) != nil }) else {
            throw Diagnostic.unsupported("antialiased resizing needs sizes known at compile time", hint: "fix the free dimensions with --shape")
        }
        return [.tensor(x.with(shape: sizes))]
    }

    public func nonNegativeSizes(in context: InferenceContext) -> [Extent] {
        guard let shape = context.shapes.first, shape.count == sizes.count else { return [] }
        // What has no elements can only become what has none.
        return shape.indices.filter { sizes[$0] != shape[$0] }.map { shape[$0] - .minimum(sizes[$0], 1) }
    }

    /// Whether an axis is copied.
    func isIdentity(_ axis: Int, _ shape: [Extent]) -> Bool {
        sizes[axis] == shape[axis] && (scales.isEmpty || abs(scales[axis] - 1) < 1e-9)
            && (coordinateTransform != .tfCropAndResize || roi.isEmpty || (roi[axis] == 0 && roi[axis + shape.count] == 1))
    }

    /// The scale of an axis where it is known at compile time.
    func staticScale(_ axis: Int, _ shape: [Extent]) -> Double? {
        if !scales.isEmpty { return scales[axis] }
        guard let from = shape[axis].constant, let to = sizes[axis].constant, from > 0 else { return nil }
        return Double(to) / Double(from)
    }

    public var layoutBehavior: LayoutBehavior { .prefersChannelsLast }
    public var elementCost: ElementCost { mode == .nearest ? .cheap : .many }

    // MARK: Evaluation

    /// One axis of the result: for every position, the taps (index and weight), or none where it is extrapolated.
    private func taps(_ axis: Int, _ from: Int, _ to: Int) -> [[(index: Int, weight: Double)]?] {
        let scale = scales.isEmpty ? Float(to) / Float(from) : Float(scales[axis])
        return (0..<to).map { i in
            let x = Double(coordinate(Float(i), axis, scale, Float(from), Float(to)))
            if coordinateTransform == .tfCropAndResize && (x < 0 || x > Double(from - 1)) { return nil }
            let floor = x.rounded(.down)
            if mode == .nearest { return [(nearestMode.pixel(x, limit: from), 1)] }
            let stretch = antialias ? Swift.min(scales.isEmpty ? Double(to) / Double(from) : scales[axis], 1) : 1
            let reach = mode == .linear ? 1.0 : 2.0
            let first = Int((-reach / stretch).rounded(.down)) + 1
            let ratio = x - floor
            var list: [(index: Int, weight: Double)] = []
            // Reach 1 needs the pixels around x, reach 2 one more on each side, stretched accordingly.
            for k in first...(1 - first) {
                let distance = abs(Double(k) - ratio) * stretch
                var weight = mode == .linear ? Swift.max(0, 1 - distance) : cubic(distance)
                let index = Int(floor) + k
                if excludeOutside && (index < 0 || index >= from) { weight = 0 }
                list.append((Swift.min(Swift.max(index, 0), from - 1), weight))
            }
            let sum = list.reduce(0) { $0 + $1.weight }
            if (antialias || excludeOutside) && sum != 0 { for k in list.indices { list[k].weight /= sum } }
            return list
        }
    }

    /// Keys' cubic convolution kernel.
    private func cubic(_ x: Double) -> Double {
        let a = cubicCoefficient
        if x <= 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
        return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0
    }

    private func coordinate(_ i: Float, _ axis: Int, _ scale: Float, _ from: Float, _ to: Float) -> Float {
        switch coordinateTransform {
        case .halfPixel: return (i + 0.5) / scale - 0.5
        case .halfPixelSymmetric: return Float(Double(from / 2 * (1 - to / (scale * from))) + (Double(i) + 0.5) / Double(scale) - 0.5)
        case .pytorchHalfPixel: return to == 1 ? 0 : (i + 0.5) / scale - 0.5
        case .alignCorners: return to == 1 ? 0 : i * (from - 1) / (to - 1)
        case .asymmetric: return i / scale
        case .tfCropAndResize:
            let (start, end) = region(axis)
            let inside = to == 1 ? (end - start) * (from - 1) / 2 : i * ((end - start) * (from - 1)) / (to - 1)
            return inside + start * (from - 1)
        }
    }

    /// Start and end of the region of interest along an axis.
    func region(_ axis: Int) -> (start: Float, end: Float) {
        roi.isEmpty ? (0, 1) : (Float(roi[axis]), Float(roi[axis + sizes.count]))
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let x = operands[0]
        let shape = try sizes.map { try context.value($0) }
        guard x.count > 0, shape.allSatisfy({ $0 >= 0 }) else { return [Tensor(x.element, shape, values: { _ in 0 })] }
        // One axis after the other.
        var values = x.doubles, current = x.shape
        for axis in 0..<x.rank where !isIdentity(axis, x.type.shape) || current[axis] != shape[axis] {
            let taps = taps(axis, current[axis], shape[axis])
            let inner = current[(axis + 1)...].reduce(1, *), outer = current[..<axis].reduce(1, *), from = current[axis]
            var next = [Double](repeating: 0, count: outer * taps.count * inner)
            for o in 0..<outer {
                for (i, list) in taps.enumerated() {
                    let to = (o * taps.count + i) * inner
                    guard let list else {
                        for j in 0..<inner { next[to + j] = extrapolation }
                        continue
                    }
                    for (index, weight) in list {
                        for j in 0..<inner { next[to + j] += weight * values[(o * from + index) * inner + j] }
                    }
                }
            }
            values = next
            current[axis] = taps.count
        }
        if let range = x.element.integerRange {
            return [Tensor(x.element, shape, integers: { Swift.min(Swift.max(ElementWriter.truncate(values[$0].rounded(.toNearestOrEven)), range.lowerBound), range.upperBound) })]
        }
        return [Tensor(x.element, shape, values: { values[$0] })]
    }
}
