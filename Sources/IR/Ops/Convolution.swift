/// Convolution of `x` [N, C, spatial…] with `w` [O, C/groups, window…], without padding (an explicit `pad` before it) and without
/// bias (an `add` after it). Floats of one type, of which f16 and bf16 give f32 sums, or u8/i8 against u8/i8 giving exact i32 sums.
public struct Convolution: PointwiseOp, ContractionOp {
    public static let mnemonic = "conv"
    public static let summary = "Convolution without padding or bias"
    public static var attributes: [Attribute<Self>] {
        [Attribute("strides", \.strides), Attribute("dilations", \.dilations), Attribute("groups", \.groups)]
    }

    /// One entry per spatial axis, as are `dilations`.
    public var strides: [Int]
    public var dilations: [Int]
    public var groups: Int

    public init() { self.init(strides: [], dilations: [], groups: 1) }
    public init(strides: [Int], dilations: [Int], groups: Int = 1) {
        self.strides = strides
        self.dilations = dilations
        self.groups = groups
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
        guard groups > 0 else { throw Diagnostic(.invalid, "\(groups) groups") }
        if let channels = x.shape[1].constant, let depth = w.shape[1].constant, depth.multipliedReportingOverflow(by: groups) != (channels, false) {
            throw Diagnostic(.invalid, "\(channels) channels in \(groups) groups do not match a filter of depth \(depth)")
        }
        if let outputs = w.shape[0].constant, outputs % groups != 0 {
            throw Diagnostic(.invalid, "\(outputs) output channels do not divide into \(groups) groups")
        }
        let element = try productElement(x.element, w.element)
        let spatial = try (2..<x.rank).map { try window.positions($0 - 2, in: x.shape[$0]) }
        return [.tensor(TensorType(element, [x.shape[0], w.shape[0]] + spatial, layout: x.layout))]
    }

    public func equalSizes(in context: InferenceContext) -> [SizeEquation] {
        let shapes = context.shapes
        guard shapes.count == 2, shapes.allSatisfy({ $0.count >= 2 }) else { return [] }
        let depth = SizeEquation(shapes[0][1], shapes[1][1] * Extent(groups))
        return groups > 1 ? [depth, SizeEquation(shapes[1][0].modulo(Extent(groups)), 0)] : [depth]
    }

    /// A filter is at least one element large.
    public func nonNegativeSizes(in context: InferenceContext) -> [Extent] {
        context.shapes.count == 2 ? context.shapes[1].dropFirst(2).map { $0 - 1 } : []
    }

    public func multiplyAdds(_ operands: [TensorType], _ results: [TensorType]) -> Extent? {
        operands.count < 2 ? nil : results[0].elementCount * operands[1].shape.dropFirst().reduce(1, *)
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let types = operands.map { ValueType.tensor($0.type) }
        guard let type = try infer(InferenceContext(operands: types)).first?.tensor, let shape = type.shape.constants else { return [] }
        switch type.element.accumulator {
        case .double: return [convolve(operands[0], operands[1], type.element, shape, in: Double.self)]
        case .int32: return [convolve(operands[0], operands[1], type.element, shape, in: Int32.self)]
        case .int: return [convolve(operands[0], operands[1], type.element, shape, in: Int.self)]
        }
    }

    /// For every filter tap, adds the tap times a shifted row of the image to every row of the result.
    private func convolve<T: Accumulator>(_ x: Tensor, _ w: Tensor, _ element: ElementType, _ shape: [Int], in: T.Type) -> Tensor {
        let axes = 2..<x.rank
        let image = rowMajorStrides(x.shape), depth = w.shape[1], outputsPerGroup = shape[1] / groups
        let taps = flatOffsets(Array(w.shape[axes]), strides: axes.map { image[$0] * dilations[$0 - 2] })
        let rows = flatOffsets(Array(shape[axes].dropLast()), strides: axes.dropLast().map { image[$0] * strides[$0 - 2] })
        let width = shape[x.rank - 1], step = strides[x.rank - 3]
        return x.withValues(as: T.self) { x in
            w.withValues(as: T.self) { w in
                Tensor.computed(element, shape, in: T.self) { y in
                    for n in 0..<shape[0] {
                        for o in 0..<shape[1] {
                            let plane = y + (n * shape[1] + o) * rows.count * width
                            for c in 0..<depth {
                                let source = x + n * image[0] + (o / outputsPerGroup * depth + c) * image[1]
                                let filter = w + (o * depth + c) * taps.count
                                for (tap, offset) in taps.enumerated() {
                                    let weight = filter[tap]
                                    for (row, start) in rows.enumerated() {
                                        let from = source + offset + start, to = plane + row * width
                                        for i in 0..<width { to[i].add(from[i * step], times: weight) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    public var layoutBehavior: LayoutBehavior { .prefersChannelsLast }
    public var elementCost: ElementCost { .many }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        let (x, w) = (operands.types[0], operands.types[1])
        let sumType = operands.resultTypes[0].element.productType
        let depth = w.shape[1], taps = Array(w.shape.dropFirst(2))
        let group: Expr = groups == 1 ? .int(0) : builder.bind(index[1] / Expr(w.shape[0].floorDivided(by: Extent(groups))), "group")
        // Channels innermost where they are contiguous.
        let channelsInside = x.layout == .channelsLast
        return try builder.reduce(.add, over: channelsInside ? taps + [depth] : [depth] + taps, initial: .constant(0, sumType)) { builder, k in
            let c = channelsInside ? k[taps.count] : k[0]
            let tap = channelsInside ? Array(k.dropLast()) : Array(k.dropFirst())
            let position = tap.indices.map { index[$0 + 2] * .int(strides[$0]) + tap[$0] * .int(dilations[$0]) }
            let a = try operands.load(0, at: [index[0], group * Expr(depth) + c] + position, in: &builder)
            let b = try operands.load(1, at: [index[1], c] + tap, in: &builder)
            return a.converted(to: sumType) * b.converted(to: sumType)
        }
    }
}

extension ElementType {
    /// Whether products take weights of this type beside f32.
    public var isProductWeight: Bool { self == .f32 || self == .f16 || self == .bf16 }
}

/// The element type of a sum of products: i32 for 8-bit integers of any signedness, f32 for 16-bit floats (the second factor's, or both), else the
/// common type.
/// - Throws: `Diagnostic` where the two types do not multiply.
func productElement(_ a: ElementType, _ b: ElementType) throws -> ElementType {
    let bytes: Set<ElementType> = [.u8, .i8]
    if bytes.contains(a) && bytes.contains(b) { return .i32 }
    if b.isProductWeight, a == b || a == .f32 { return .f32 }
    guard a == b, a.isFloat || a.isInteger else {
        throw Diagnostic(.invalid, "cannot multiply \(a.rawValue) by \(b.rawValue)", hint: "insert a cast")
    }
    return a
}
