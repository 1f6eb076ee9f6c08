/// Transposed convolution of `x` [N, C, spatial…] with `w` [C, O/groups, window…]: every input element adds its multiple of the
/// filter to the result, which is then extended by `outputPadding` zeros at the end and cropped.
///
/// Result extent: `(extent − 1)·stride + (window − 1)·dilation + 1 + outputPadding − cropBefore − cropAfter`.
public struct TransposedConvolution: PointwiseOp, ContractionOp {
    public static let mnemonic = "conv_transpose"
    public static let summary = "Transposed convolution without bias"
    public static var attributes: [Attribute<Self>] {
        [
            Attribute("strides", \.strides), Attribute("dilations", \.dilations), Attribute("groups", \.groups),
            Attribute("crop_before", \.cropBefore), Attribute("crop_after", \.cropAfter), Attribute("output_padding", \.outputPadding),
        ]
    }

    /// One entry per spatial axis, as in all lists here.
    public var strides: [Int]
    public var dilations: [Int]
    public var groups: Int
    public var cropBefore: [Int]
    public var cropAfter: [Int]
    public var outputPadding: [Int]

    public init() { self.init(strides: []) }
    /// Dilations default to 1, the rest to 0.
    public init(
        strides: [Int], dilations: [Int]? = nil, groups: Int = 1, cropBefore: [Int]? = nil, cropAfter: [Int]? = nil, outputPadding: [Int]? = nil
    ) {
        self.strides = strides
        self.dilations = dilations ?? strides.map { _ in 1 }
        self.groups = groups
        self.cropBefore = cropBefore ?? strides.map { _ in 0 }
        self.cropAfter = cropAfter ?? strides.map { _ in 0 }
        self.outputPadding = outputPadding ?? strides.map { _ in 0 }
    }

    private func window(_ w: TensorType) -> Window { Window(size: Array(w.shape.dropFirst(2)), strides: strides, dilations: dilations) }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let types = try context.tensors(2)
        let (x, w) = (types[0], types[1])
        guard x.rank >= 3, w.rank == x.rank else {
            throw Diagnostic(.invalid, "takes an image and a filter of one rank of at least 3, not \(x) and \(w)")
        }
        let window = window(w)
        try window.check(spatialRank: x.rank - 2)
        for (name, list) in [("crop_before", cropBefore), ("crop_after", cropAfter), ("output_padding", outputPadding)] {
            guard list.count == x.rank - 2, list.allSatisfy({ $0 >= 0 && $0 < 1 << 40 }) else {
                throw Diagnostic(.invalid, "\(name) \(list) must have one non-negative entry per spatial axis")
            }
        }
        guard groups > 0 else { throw Diagnostic(.invalid, "\(groups) groups") }
        if let channels = x.shape[1].constant, let rows = w.shape[0].constant, channels != rows || channels % groups != 0 {
            throw Diagnostic(.invalid, "\(channels) channels in \(groups) groups do not match a filter for \(rows)")
        }
        let element = try productElement(x.element, w.element)
        let spatial = try (0..<x.rank - 2).map { axis -> Extent in
            let full = (x.shape[axis + 2] - 1) * Extent(strides[axis]) + window.reach(axis)
            let extent = full + Extent(outputPadding[axis]) - Extent(cropBefore[axis]) - Extent(cropAfter[axis])
            if let value = extent.constant, value < 0 { throw Diagnostic(.invalid, "crops axis \(axis + 2) to \(value) elements") }
            return extent
        }
        return [.tensor(TensorType(element, [x.shape[0], w.shape[1] * Extent(groups)] + spatial, layout: x.layout))]
    }

    public func equalSizes(in context: InferenceContext) -> [SizeEquation] {
        let shapes = context.shapes
        guard shapes.count == 2, shapes.allSatisfy({ $0.count >= 2 }) else { return [] }
        return [SizeEquation(shapes[0][1], shapes[1][0])]
    }

    /// A filter is at least one element large.
    public func nonNegativeSizes(in context: InferenceContext) -> [Extent] {
        context.shapes.count == 2 ? context.shapes[1].dropFirst(2).map { $0 - 1 } : []
    }

    /// Every element of the image meets the filter's output channels and taps.
    public func multiplyAdds(_ operands: [TensorType], _ results: [TensorType]) -> Extent? {
        operands.count < 2 ? nil : operands[0].elementCount * operands[1].shape.dropFirst().reduce(1, *)
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let types = operands.map { ValueType.tensor($0.type) }
        guard let type = try infer(InferenceContext(operands: types)).first?.tensor, let shape = type.shape.constants else { return [] }
        switch type.element.accumulator {
        case .double: return [scatter(operands[0], operands[1], type.element, shape, in: Double.self)]
        case .int32: return [scatter(operands[0], operands[1], type.element, shape, in: Int32.self)]
        case .int: return [scatter(operands[0], operands[1], type.element, shape, in: Int.self)]
        }
    }

    /// Adds every input row times every tap into one uncropped plane per output channel, then copies the cropped part.
    private func scatter<T: Accumulator>(_ x: Tensor, _ w: Tensor, _ element: ElementType, _ shape: [Int], in: T.Type) -> Tensor {
        let axes = 0..<x.rank - 2
        let full = axes.map { shape[$0 + 2] + cropBefore[$0] + cropAfter[$0] }, plane = rowMajorStrides(full)
        let taps = flatOffsets(Array(w.shape[2...]), strides: axes.map { plane[$0] * dilations[$0] })
        let rows = flatOffsets(Array(x.shape[2...].dropLast()), strides: axes.dropLast().map { plane[$0] * strides[$0] })
        let kept = flatOffsets(Array(shape[2...]), strides: plane)
        let corner = axes.reduce(0) { $0 + cropBefore[$1] * plane[$1] }
        let width = x.shape[x.rank - 1], step = strides[x.rank - 3]
        let (depth, outputs) = (x.shape[1] / groups, w.shape[1])
        let size = full.reduce(1, *)
        return x.withValues(as: T.self) { x in
            w.withValues(as: T.self) { w in
                Tensor.computed(element, shape, in: T.self) { y in
                    let buffer = UnsafeMutablePointer<T>.allocate(capacity: Swift.max(size, 1))
                    defer { buffer.deallocate() }
                    for n in 0..<shape[0] {
                        for o in 0..<shape[1] {
                            buffer.initialize(repeating: .zero, count: size)
                            let group = o / outputs
                            for c in group * depth..<(group + 1) * depth {
                                let source = x + (n * depth * groups + c) * rows.count * width
                                let filter = w + (c * outputs + o % outputs) * taps.count
                                for (tap, offset) in taps.enumerated() {
                                    for (row, start) in rows.enumerated() {
                                        let to = buffer + offset + start, from = source + row * width
                                        for i in 0..<width { to[i * step].add(from[i], times: filter[tap]) }
                                    }
                                }
                            }
                            let to = y + (n * shape[1] + o) * kept.count
                            for (i, offset) in kept.enumerated() { to[i] = buffer[corner + offset] }
                        }
                    }
                }
            }
        }
    }

    public var layoutBehavior: LayoutBehavior { .prefersChannelsLast }
    public var elementCost: ElementCost { .many }

    /// Gathers: for every tap, the input element that it would have come from, where there is one.
    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        let (x, w) = (operands.types[0], operands.types[1])
        let sumType = operands.resultTypes[0].element.productType
        let depth = x.shape[1].floorDivided(by: Extent(groups)), outputs = Expr(w.shape[1])
        let group: Expr = groups == 1 ? .int(0) : builder.bind(index[1] / outputs, "group")
        let output = groups == 1 ? index[1] : builder.bind(index[1] % outputs, "o")
        let accumulator = builder.declare(.constant(0, sumType), "acc")
        func nest(_ axis: Int, _ builder: inout KernelBuilder, _ position: [Expr], _ tap: [Expr]) throws {
            guard axis < strides.count else {
                let sum = try builder.reduce(.add, over: [depth], initial: .constant(0, sumType)) { builder, c in
                    let channel = group * Expr(depth) + c[0]
                    let a = try operands.load(0, at: [index[0], channel] + position, in: &builder)
                    let b = try operands.load(1, at: [channel, output] + tap, in: &builder)
                    return a.converted(to: sumType) * b.converted(to: sumType)
                }
                return builder.emit(.assign(accumulator, .variable(accumulator) + sum))
            }
            try builder.loop("k", to: Expr(w.shape[axis + 2])) { builder, k in
                let from = builder.bind(index[axis + 2] + .int(cropBefore[axis]) - k * .int(dilations[axis]), "p")
                let stride = Expr.int(strides[axis])
                let inside = from >= .int(0) && from < Expr(x.shape[axis + 2]) * stride
                let hit = strides[axis] == 1 ? inside : inside && .binary(.equal, from % stride, .int(0))
                try builder.when(hit) { builder in
                    try nest(axis + 1, &builder, position + [builder.bind(from / stride, "q")], tap + [k])
                }
            }
        }
        try nest(0, &builder, [], [])
        return .variable(accumulator)
    }
}
