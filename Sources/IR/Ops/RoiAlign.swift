/// Pools regions of interest by bilinear sampling. Operands: `x` [N, C, H, W], `rois` [R, 4] (x1, y1, x2, y2 before scaling),
/// the image of each region (i64 [R]). Result [R, C, height, width]. As in ONNX, `max` takes the maximum over the weighted corner
/// values, not over the interpolated ones.
public struct RoiAlign: PointwiseOp {
    public static let mnemonic = "roi_align"
    public static let summary = "Pools regions of interest by bilinear sampling"
    public static var attributes: [Attribute<Self>] {
        [
            Attribute("max", \.isMax), Attribute("height", \.height), Attribute("width", \.width), Attribute("sampling_ratio", \.samplingRatio),
            Attribute("spatial_scale", \.spatialScale), Attribute("half_pixel", \.halfPixel),
        ]
    }

    public var isMax: Bool
    public var height: Int
    public var width: Int
    /// Samples per bin and axis; 0 for as many as the bin is elements long.
    public var samplingRatio: Int
    @Bitwise public var spatialScale: Double
    /// Whether regions are shifted by half an element.
    public var halfPixel: Bool

    public init() { self.init(height: 1, width: 1) }
    public init(height: Int, width: Int, isMax: Bool = false, samplingRatio: Int = 0, spatialScale: Double = 1, halfPixel: Bool = true) {
        self.isMax = isMax
        self.height = height
        self.width = width
        self.samplingRatio = samplingRatio
        self.spatialScale = spatialScale
        self.halfPixel = halfPixel
    }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let types = try context.tensors(3)
        let (x, rois, images) = (types[0], types[1], types[2])
        guard x.rank == 4, rois.rank == 2, rois.shape[1] == 4 || !rois.shape[1].isConstant, images.rank == 1, x.element.isFloat, rois.element.isFloat, images.element.isInteger else {
            throw Diagnostic(.invalid, "cannot pool regions \(rois), \(images) of \(x)")
        }
        guard height > 0, width > 0, 0...1 << 16 ~= samplingRatio else { throw Diagnostic(.invalid, "a result of \(height) by \(width) with sampling ratio \(samplingRatio)") }
        return [.tensor(x.with(shape: [rois.shape[0], x.shape[1], Extent(height), Extent(width)]))]
    }

    public func equalSizes(in context: InferenceContext) -> [SizeEquation] {
        let shapes = context.shapes
        guard shapes.count == 3, shapes[1].count == 2, shapes[2].count == 1 else { return [] }
        return [SizeEquation(shapes[1][1], 4), SizeEquation(shapes[2][0], shapes[1][0])]
    }

    public func checkConstants(_ constants: [Tensor?], types: [TensorType]) throws {
        try checkValues(constants[2], "index", upTo: types[0].shape[0] - 1)
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let (x, rois, images) = (operands[0], operands[1].doubles, operands[2].integers)
        let (channels, h, w) = (x.shape[1], x.shape[2], x.shape[3])
        guard images.count == operands[1].shape[0], images.allSatisfy({ 0..<x.shape[0] ~= $0 }) else { throw Diagnostic(.invalid, "a region lies in an image that does not exist") }
        let offset = halfPixel ? 0.5 : 0
        return [x.withValues(as: Double.self) { values in
            Tensor.computed(x.element, [images.count, channels, height, width], in: Double.self) { y in
                for (r, image) in images.enumerated() {
                    let corner = (0..<4).map { rois[r * 4 + $0] * spatialScale - offset }
                    var extent = (h: corner[3] - corner[1], w: corner[2] - corner[0])
                    if !halfPixel { extent = (Swift.max(extent.h, 1), Swift.max(extent.w, 1)) }
                    let bin = (h: extent.h / Double(height), w: extent.w / Double(width))
                    func samples(_ size: Double) -> Int { samplingRatio > 0 ? samplingRatio : Int(Swift.min(Swift.max(size.rounded(.up), 0), 1e6)) }
                    let count = (h: samples(bin.h), w: samples(bin.w))
                    for c in 0..<channels {
                        let plane = values + (image * channels + c) * h * w
                        for ph in 0..<height {
                            for pw in 0..<width {
                                var total: Double?
                                for iy in 0..<count.h {
                                    for ix in 0..<count.w {
                                        let v = corner[1] + Double(ph) * bin.h + (Double(iy) + 0.5) * bin.h / Double(count.h)
                                        let u = corner[0] + Double(pw) * bin.w + (Double(ix) + 0.5) * bin.w / Double(count.w)
                                        let terms = corners(plane, v, u, h, w)
                                        let value = isMax ? terms.max() ?? 0 : terms.reduce(0, +)
                                        total = total.map { isMax ? Swift.max($0, value) : $0 + value } ?? value
                                    }
                                }
                                let scale = isMax ? 1 : Double(Swift.max(count.h * count.w, 1))
                                y[((r * channels + c) * height + ph) * width + pw] = (total ?? 0) / scale
                            }
                        }
                    }
                }
            }
        }]
    }

    /// The four corner values around (v, u), times their bilinear weights; zeros outside.
    private func corners(_ plane: UnsafePointer<Double>, _ v: Double, _ u: Double, _ h: Int, _ w: Int) -> [Double] {
        guard v >= -1, v <= Double(h), u >= -1, u <= Double(w) else { return [0] }
        func split(_ x: Double, _ extent: Int) -> (low: Int, high: Int, ratio: Double) {
            let x = Swift.max(x, 0), low = Int(x)
            return low >= extent - 1 ? (extent - 1, extent - 1, 0) : (low, low + 1, x - Double(low))
        }
        let (a, b) = (split(v, h), split(u, w))
        return [
            plane[a.low * w + b.low] * (1 - a.ratio) * (1 - b.ratio), plane[a.low * w + b.high] * (1 - a.ratio) * b.ratio,
            plane[a.high * w + b.low] * a.ratio * (1 - b.ratio), plane[a.high * w + b.high] * a.ratio * b.ratio,
        ]
    }

    public var elementCost: ElementCost { .many }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        let shape = operands.types[0].shape
        let type = operands.resultTypes[0].element.computeType
        func c(_ value: Double) -> Expr { .float(value, type) }
        let image = builder.bind(try operands.load(2, at: [index[0]], in: &builder).converted(to: .i64), "image")
        builder.require(image, from: 0, through: shape[0] - 1)
        let safe = builder.bind(.max(.int(0), .min(image, Expr(shape[0]) - .int(1))), "image")
        // Per axis (rows, then columns): start, bin size, samples per bin.
        var axes: [(start: Expr, bin: Expr, samples: Expr)] = []
        for (column, size, position) in [(1, height, index[2]), (0, width, index[3])] {
            func edge(_ i: Int, _ builder: inout KernelBuilder) throws -> Expr {
                let value = try operands.load(1, at: [index[0], .int(i)], in: &builder).converted(to: type)
                return builder.bind(value * c(spatialScale) - c(halfPixel ? 0.5 : 0), "e")
            }
            let low = try edge(column, &builder), high = try edge(column + 2, &builder)
            let extent = halfPixel ? high - low : .max(high - low, c(1))
            let bin = builder.bind(.binary(.divide, extent, c(Double(size))), "bin")
            let samples: Expr = samplingRatio > 0 ? .int(samplingRatio)
                : builder.bind(.cast(.min(.max(.unary(.ceil, bin), c(0)), c(1e6)), .i64), "samples")
            axes.append((builder.bind(low + .cast(position, type) * bin, "start"), bin, samples))
        }
        let total = builder.declare(isMax ? c(-.infinity) : c(0), "acc")
        func sample(_ axis: Int, _ i: Expr, _ builder: inout KernelBuilder) -> Expr {
            let step = Expr.binary(.divide, (.cast(i, type) + c(0.5)) * axes[axis].bin, .cast(axes[axis].samples, type))
            return builder.bind(axes[axis].start + step, "p")
        }
        func split(_ x: Expr, _ extent: Expr, _ builder: inout KernelBuilder) -> (low: Expr, high: Expr, ratio: Expr) {
            let last = extent - .int(1)
            let bounded = builder.bind(.max(c(0), .min(x, .cast(last, type))), "p")
            let low = builder.bind(.max(.int(0), .min(.cast(bounded, .i64), last)), "low")
            return (low, builder.bind(.min(low + .int(1), last), "high"), builder.bind(bounded - .cast(low, type), "r"))
        }
        try builder.loop("iy", to: axes[0].samples) { builder, iy in
            let v = sample(0, iy, &builder)
            try builder.loop("ix", to: axes[1].samples) { builder, ix in
                let u = sample(1, ix, &builder)
                let h = Expr(shape[2]), w = Expr(shape[3])
                let overlaps = v >= c(-1) && u >= c(-1) && .binary(.lessOrEqual, v, .cast(h, type)) && .binary(.lessOrEqual, u, .cast(w, type))
                let inside = Expr.holdsElements([shape[0], shape[2], shape[3]]).map { $0 && overlaps } ?? overlaps
                let value = try builder.guarded(inside, otherwise: c(0)) { builder in
                    let a = split(v, h, &builder), b = split(u, w, &builder)
                    var terms: [Expr] = []
                    for (row, p) in [(a.low, c(1) - a.ratio), (a.high, a.ratio)] {
                        for (column, q) in [(b.low, c(1) - b.ratio), (b.high, b.ratio)] {
                            let x = try operands.load(0, at: [safe, index[1], row, column], in: &builder)
                            terms.append(builder.bind(x * p * q, "w"))
                        }
                    }
                    return terms.dropFirst().reduce(terms[0]) { isMax ? .max($0, $1) : $0 + $1 }
                }
                builder.emit(.assign(total, isMax ? .max(.variable(total), value) : .variable(total) + value))
            }
        }
        let count = builder.bind(axes[0].samples * axes[1].samples, "count")
        if isMax { return .select(.binary(.equal, count, .int(0)), c(0), .variable(total)) }
        return .binary(.divide, .variable(total), .cast(.max(count, .int(1)), type))
    }
}
