public enum GridPadding: String, Hashable, Sendable, CaseIterable, EnumAttribute { case zeros, border, reflection }

/// Samples `x` [N, C, spatial…] at the positions of `grid` [N, out…, D], whose last axis lists coordinates from the last spatial
/// axis to the first, −1 and 1 being the edges (`alignCorners`: the centres of the outermost elements). Under `border`, positions are moved
/// inside before they are weighted; cubic ones keep their weights, and only their taps are moved, as in ONNX Runtime and PyTorch.
public struct GridSample: PointwiseOp {
    public static let mnemonic = "grid_sample"
    public static let summary = "Samples an image at given positions"
    public static var attributes: [Attribute<Self>] {
        [Attribute("mode", \.mode), Attribute("padding", \.padding), Attribute("align_corners", \.alignCorners)]
    }

    public var mode: ResizeMode
    public var padding: GridPadding
    public var alignCorners: Bool

    public init() { self.init(mode: .linear) }
    public init(mode: ResizeMode, padding: GridPadding = .zeros, alignCorners: Bool = false) {
        self.mode = mode
        self.padding = padding
        self.alignCorners = alignCorners
    }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let types = try context.tensors(2)
        let (x, grid) = (types[0], types[1])
        guard x.rank >= 3, grid.rank == x.rank, grid.shape[grid.rank - 1] == Extent(x.rank - 2), x.element.isFloat, grid.element.isFloat else {
            throw Diagnostic(.invalid, "cannot sample \(x) at \(grid)")
        }
        if let empty = x.shape.dropFirst(2).firstIndex(of: 0) { throw Diagnostic(.invalid, "axis \(empty) of \(x) has no elements to sample") }
        if let a = x.shape[0].constant, let b = grid.shape[0].constant, a != b { throw Diagnostic(.invalid, "\(a) images, \(b) grids") }
        return [.tensor(x.with(shape: Array(x.shape[0..<2]) + grid.shape[1..<grid.rank - 1]))]
    }

    public func nonNegativeSizes(in context: InferenceContext) -> [Extent] { context.shapes.first?.dropFirst(2).map { $0 - 1 } ?? [] }

    public var elementCost: ElementCost { .many }

    // MARK: Evaluation

    private func reflect(_ x: Double, _ extent: Int) -> Double {
        let low = alignCorners ? 0 : -0.5, high = alignCorners ? Double(extent - 1) : Double(extent) - 0.5
        guard high > low else { return 0 }
        let distance = abs(x - low), count = (distance / (high - low)).rounded(.down), rest = distance - count * (high - low)
        return count.truncatingRemainder(dividingBy: 2) == 0 ? low + rest : high - rest
    }

    /// The position inside an axis of `extent` elements; computed in f32, as the reference does.
    private func position(_ n: Double, _ extent: Int) -> Double {
        let x = alignCorners ? (n + 1) / 2 * Double(extent - 1) : ((n + 1) * Double(extent) - 1) / 2
        let rounded = Double(Float(mode == .nearest ? Double(Float(x)).rounded(.toNearestOrEven) : x))
        guard rounded.isFinite, abs(rounded) < 1e15 else { return -1e15 }
        switch padding {
        case .zeros: return rounded
        case .border where mode == .cubic: return rounded
        case .border: return Swift.min(Swift.max(rounded, 0), Double(extent - 1))
        case .reflection: return reflect(rounded, extent)
        }
    }

    private func weights(_ ratio: Double) -> [Double] {
        if mode == .nearest { return [1] }
        if mode == .linear { return [1 - ratio, ratio] }
        let a = -0.75
        func near(_ x: Double) -> Double { ((a + 2) * x - (a + 3)) * x * x + 1 }
        func far(_ x: Double) -> Double { ((a * x - 5 * a) * x + 8 * a) * x - 4 * a }
        return [far(1 + ratio), near(ratio), near(1 - ratio), far(2 - ratio)]
    }

    public func equalSizes(in context: InferenceContext) -> [SizeEquation] {
        let shapes = context.shapes
        guard shapes.count == 2, shapes[0].count >= 3, shapes[1].count == shapes[0].count else { return [] }
        return [SizeEquation(shapes[1][0], shapes[0][0]), SizeEquation(shapes[1][shapes[1].count - 1], Extent(shapes[0].count - 2))]
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let (x, grid) = (operands[0], operands[1])
        let rank = x.rank - 2, spatial = Array(x.shape[2...]), strides = rowMajorStrides(spatial)
        let points = grid.shape[1..<grid.rank - 1].reduce(1, *), plane = spatial.reduce(1, *)
        let reader = grid.reader
        return [x.withValues(as: Double.self) { values in
            Tensor.computed(x.element, Array(x.shape[0..<2]) + grid.shape[1..<grid.rank - 1], in: Double.self) { y in
                guard plane > 0 else { return }
                for n in 0..<x.shape[0] {
                    for point in 0..<points {
                        // The taps of all axes, multiplied out.
                        var taps: [(offset: Int, weight: Double)] = [(0, 1)]
                        for axis in 0..<rank {
                            let at = position(reader.load(at: (n * points + point) * rank + rank - 1 - axis), spatial[axis])
                            // What is nowhere, or beyond all numbers, is outside.
                            let base = Int(at.isNaN ? -1e9 : Swift.min(Swift.max(at.rounded(.down), -1e9), 1e9)), first = mode == .cubic ? -1 : 0
                            taps = taps.flatMap { tap in
                                weights(at - Double(base)).enumerated().compactMap { k, weight -> (offset: Int, weight: Double)? in
                                    var i = base + first + k
                                    if i < 0 || i >= spatial[axis] {
                                        switch padding {
                                        case .zeros: return nil
                                        case .border: i = Swift.min(Swift.max(i, 0), spatial[axis] - 1)
                                        case .reflection: i = Swift.min(Swift.max(Int(reflect(Double(i), spatial[axis])), 0), spatial[axis] - 1)
                                        }
                                    }
                                    return (tap.offset + i * strides[axis], tap.weight * weight)
                                }
                            }
                        }
                        for c in 0..<x.shape[1] {
                            let source = values + (n * x.shape[1] + c) * plane
                            y[(n * x.shape[1] + c) * points + point] = taps.reduce(0) { $0 + source[$1.offset] * $1.weight }
                        }
                    }
                }
            }
        }]
    }

    // MARK: Lowering

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        let shape = operands.types[0].shape, rank = shape.count - 2
        let type = operands.resultTypes[0].element.computeType
        var axes: [[Tap]] = []
        for axis in 0..<rank {
            let n = try operands.load(1, at: [index[0]] + index[2...] + [.int(rank - 1 - axis)], in: &builder)
            axes.append(taps(builder.bind(n.converted(to: type), "n"), Expr(shape[axis + 2]), in: &builder))
        }
        func sum(_ axis: Int, _ position: [Expr], _ isInside: Expr?, _ builder: inout KernelBuilder) throws -> Expr {
            guard axis < rank else {
                let value = try operands.load(0, at: position, in: &builder)
                return isInside.map { .select($0, value, .constant(0, type)) } ?? value
            }
            var total: Expr?
            for tap in axes[axis] {
                let all = isInside.map { outer in tap.isInside.map { outer && $0 } ?? outer } ?? tap.isInside
                let value = try sum(axis + 1, position + [tap.index], all, &builder)
                let term = tap.weight.map { value * $0 } ?? value
                total = total.map { $0 + term } ?? term
            }
            return total.map { axes[axis].count > 1 ? builder.bind($0, "s") : $0 } ?? .constant(0, type)
        }
        return try sum(0, Array(index[0..<2]), nil, &builder)
    }

    /// An element of an axis that a sample is made of.
    private struct Tap {
        var index: Expr
        /// nil: 1.
        var weight: Expr?
        /// Whether there is such an element: what is read in its place may be anything, and no factor makes nothing of that. nil: always.
        var isInside: Expr?
    }

    private func taps(_ n: Expr, _ extent: Expr, in builder: inout KernelBuilder) -> [Tap] {
        let type = n.type.element
        func c(_ value: Double) -> Expr { .float(value, type) }
        let size = Expr.cast(extent, type), last = extent - .int(1)
        func clamped(_ i: Expr) -> Expr { .max(.int(0), .min(i, last)) }
        func reflect(_ x: Expr, _ builder: inout KernelBuilder) -> Expr {
            let low = alignCorners ? c(0) : c(-0.5)
            let range = builder.bind(.max(alignCorners ? size - c(1) : size, c(1e-30)), "range")
            let distance = builder.bind(.unary(.absolute, x - low), "d")
            let count = builder.bind(.unary(.floor, .binary(.divide, distance, range)), "n")
            let rest = builder.bind(distance - count * range, "r")
            let isEven = Expr.binary(.equal, count, .unary(.floor, count * c(0.5)) * c(2))
            return .select(isEven, low + rest, low + range - rest)
        }
        var x = alignCorners ? (n + c(1)) * c(0.5) * (size - c(1)) : ((n + c(1)) * size - c(1)) * c(0.5)
        if mode == .nearest { x = .unary(.round, x) }
        x = builder.bind(x, "x")
        switch padding {
        case .zeros: break
        case .border where mode == .cubic: break
        case .border: x = builder.bind(.max(c(0), .min(x, size - c(1))), "x")
        case .reflection: x = builder.bind(reflect(x, &builder), "x")
        }
        let floor = builder.bind(.unary(.floor, x), "f")
        let base = builder.bind(.cast(floor, .i64), "i")
        var weights: [Expr?] = [nil]
        let ratio = builder.bind(x - floor, "r")
        switch mode {
        case .nearest: break
        case .linear: weights = [c(1) - ratio, ratio]
        case .cubic:
            let a = -0.75
            func near(_ x: Expr) -> Expr { (x * c(a + 2) - c(a + 3)) * x * x + c(1) }
            func far(_ x: Expr) -> Expr { ((x * c(a) - c(5 * a)) * x + c(8 * a)) * x - c(4 * a) }
            let rest = builder.bind(c(1) - ratio, "r")
            weights = [far(c(1) + ratio), near(ratio), near(rest), far(c(1) + rest)]
        }
        let first = mode == .cubic ? -1 : 0
        return weights.enumerated().map { k, weight in
            let i = builder.bind(base + .int(first + k), "i")
            switch padding {
            case .zeros:
                let inside = builder.bind(i >= .int(0) && i < extent, "inside")
                return Tap(index: builder.bind(clamped(i), "i"), weight: weight.map { builder.bind($0, "w") }, isInside: inside)
            case .border: return Tap(index: builder.bind(clamped(i), "i"), weight: weight.map { builder.bind($0, "w") })
            case .reflection:
                let mirrored = Expr.cast(reflect(.cast(i, type), &builder), .i64)
                return Tap(index: builder.bind(clamped(mirrored), "i"), weight: weight.map { builder.bind($0, "w") })
            }
        }
    }
}
