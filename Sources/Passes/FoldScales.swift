import GlmcIR

extension Pass {
    /// Folds multiplications by constants into the weights of the convolution or matrix product beside them. This is what
    /// becomes of a BatchNorm, which arrives as a multiplication and an addition per channel.
    ///
    /// ```
    /// %0 = conv(%x, %w, strides: [1, 1], dilations: [1, 1]) : f32[1, 8, 4, 4]
    /// %1 = binary.add(%0, %b) : f32[1, 8, 4, 4]
    /// %2 = binary.multiply(%1, %s) : f32[1, 8, 4, 4]
    /// %3 = binary.add(%2, %t) : f32[1, 8, 4, 4]
    /// ```
    /// becomes, with `%ws = %w · %s` and `%c = %b · %s + %t` computed here,
    /// ```
    /// %0 = conv(%x, %ws, strides: [1, 1], dilations: [1, 1]) : f32[1, 8, 4, 4]
    /// %1 = binary.add(%0, %c) : f32[1, 8, 4, 4]
    /// ```
    ///
    /// Nothing is folded that makes a weight or constant infinite or NaN that was not.
    ///
    /// A pass of its own because it rewrites weights, which costs time and memory and which quantisation wants done before it
    /// looks at their ranges.
    public static let foldScales = Pass("fold-scales", "Folds multiplications by constants into weights (Conv+BatchNorm)") { rewriter, context in
        try RuleDriver([scaleAfterProduct, scaleAfterBias, scaleBeforeProduct, chainedConstants]).run(&rewriter, context)
        for id in rewriter.function.allNodes {
            let node = rewriter.function[id]
            guard (node.op as? Binary)?.function == .multiply, rewriter.function.constant(node.operands[1]) != nil,
                  WeightedProduct(node.operands[0], in: rewriter.function) != nil, !rewriter.function.hasOneUse(node.operands[0]) else { continue }
            rewriter.remark("not folded into the weights before it: their result has other readers", at: id, missed: true)
        }
    }
}

/// A convolution or matrix product with constant float weights, seen by its channels.
private struct WeightedProduct {
    let node: NodeID
    let op: any Op
    let operands: [ValueID]
    let weights: Tensor
    /// The result's axis along which each slice of the weights acts on its own, counted from the back.
    let channelAxis: Int
    /// Number of channels in the result, and in the operand.
    let outputs: Int
    let inputs: Int

    init?(_ value: ValueID, in function: Function) {
        guard let node = function.definingNode(value) else { return nil }
        self.init(node: node, in: function)
    }

    init?(node: NodeID, in function: Function) {
        op = function[node].op
        guard op is Convolution || op is TransposedConvolution || op is MatMul else { return nil }
        operands = function[node].operands
        // Weights that are narrower than the sums would lose what the scale adds to them.
        guard let weights = function.constant(operands[1]), weights.element.isFloat, weights.rank >= 2,
              weights.element == function.tensorType(function[node].results[0]).element else { return nil }
        self.node = node
        self.weights = weights
        switch op {
        case let op as Convolution:
            (outputs, inputs, channelAxis) = (weights.shape[0], weights.shape[1] * op.groups, weights.rank - 1)
        case let op as TransposedConvolution:
            (outputs, inputs, channelAxis) = (weights.shape[1] * op.groups, weights.shape[0], weights.rank - 1)
        default:
            (outputs, inputs, channelAxis) = (weights.shape[weights.rank - 1], weights.shape[weights.rank - 2], 1)
        }
    }

    /// The values of a constant that varies along the channels only; one value if it does not vary. `axis` counts from the back.
    static func channels(_ constant: Tensor, axis: Int, count: Int) -> [Double]? {
        guard constant.element.isFloat else { return nil }
        if constant.count == 1 { return constant.doubles }
        let position = constant.rank - axis
        guard position >= 0, constant.shape[position] == count, constant.count == count else { return nil }
        return constant.doubles
    }

    /// Whether no weight multiplied by one of the scales leaves the range of its type.
    func staysFinite(_ scales: [Double]) -> Bool {
        let largest: Double = switch weights.element {
        case .f16: 65_504
        case .f64: .greatestFiniteMagnitude
        default: Double(Float.greatestFiniteMagnitude)
        }
        let top = weights.largestMagnitude
        return scales.allSatisfy { $0.isFinite && top * $0.magnitude <= largest }
    }

    /// The weights with output channel `o` multiplied by `scales[o]`.
    func scalingOutputs(_ scales: [Double]) -> Tensor {
        switch op {
        case is Convolution: return weights.scaled(by: scales, inner: weights.count / max(outputs, 1))
        case let op as TransposedConvolution:
            // [C, O/groups, window…]: the group of a row of C decides which scales its columns take.
            let (columns, window) = (weights.shape[1], weights.count / max(weights.shape[0] * weights.shape[1], 1))
            let rows = max(weights.shape[0] / op.groups, 1)
            guard scales.count > 1 else { return weights.scaled(by: scales, inner: 1) }
            return weights.scaled { i in
                let (row, column) = (i / (window * columns), i / window % columns)
                return scales[row / rows * columns + column]
            }
        default: return weights.scaled(by: scales, inner: 1)
        }
    }

    /// The weights with input channel `c` multiplied by `scales[c]`.
    func scalingInputs(_ scales: [Double]) -> Tensor {
        switch op {
        case let op as Convolution:
            // [O, C/groups, window…]: the group of a row of O decides which scales its columns take.
            let (columns, window) = (weights.shape[1], weights.count / max(weights.shape[0] * weights.shape[1], 1))
            let rows = max(weights.shape[0] / op.groups, 1)
            guard scales.count > 1 else { return weights.scaled(by: scales, inner: 1) }
            return weights.scaled { i in
                let (row, column) = (i / (window * columns), i / window % columns)
                return scales[row / rows * columns + column]
            }
        case is TransposedConvolution: return weights.scaled(by: scales, inner: weights.count / max(inputs, 1))
        default: return weights.scaled(by: scales, inner: outputs)
        }
    }
}

extension Tensor {
    /// The largest magnitude of an element, NaNs aside.
    fileprivate var largestMagnitude: Double {
        guard element == .f32 else { return doubles.reduce(0) { $1.magnitude > $0 ? $1.magnitude : $0 } }
        var largest: Float = 0
        let bytes = bytes
        for i in 0..<count {
            let magnitude = bytes.loadUnaligned(fromByteOffset: i &* 4, as: Float.self).magnitude
            if magnitude > largest { largest = magnitude }
        }
        return Double(largest)
    }

    /// Every element times the scale of its slice: element `i` belongs to slice `i / inner`, modulo the number of scales.
    fileprivate func scaled(by scales: [Double], inner: Int) -> Tensor {
        guard element == .f32 else {
            let (reader, inner) = (reader, max(inner, 1))
            return Tensor(element, shape, values: { reader.load(at: $0) * scales[$0 / inner % scales.count] })
        }
        let factors = scales.map { Float($0) }
        return Tensor(.f32, shape) { target in
            guard let x = bytes.baseAddress, let y = target.baseAddress?.assumingMemoryBound(to: Float.self) else { return }
            let count = count
            func row(_ start: Int, _ length: Int, _ factor: Float) {
                for i in start..<start + length { y[i] = x.loadUnaligned(fromByteOffset: i &* 4, as: Float.self) * factor }
            }
            if factors.count == 1 { return row(0, count, factors[0]) }
            if inner > 1 {
                for slice in 0..<count / inner { row(slice * inner, inner, factors[slice % factors.count]) }
            } else {
                factors.withUnsafeBufferPointer { factors in
                    for start in stride(from: 0, to: count, by: factors.count) {
                        for i in 0..<factors.count { y[start + i] = x.loadUnaligned(fromByteOffset: (start &+ i) &* 4, as: Float.self) * factors[i] }
                    }
                }
            }
        }
    }

    /// Every element times a scale that depends on its flat index.
    fileprivate func scaled(_ scale: (Int) -> Double) -> Tensor {
        let reader = reader
        return Tensor(element, shape, values: { reader.load(at: $0) * scale($0) })
    }
}

extension WeightedProduct {
    /// A node like this one with other weights, in the place of `id`.
    func replacing(_ id: NodeID, weights: Tensor, input: ValueID? = nil, in rewriter: inout Rewriter) throws {
        let constant = try rewriter.create1(Constant(weights), [], at: .before(id))
        let provenance = rewriter.function[node].provenance
        let result = try rewriter.create1(op, [input ?? operands[0], constant], at: .before(id), provenance: provenance)
        try rewriter.replace(id, with: [result])
    }
}

/// `(x ⋅ w) * s` → `x ⋅ (w * s)`.
private let scaleAfterProduct = Rule("scale-after-product", on: Binary.self) { function, id, op in
    guard op.function == .multiply else { return nil }
    let node = function[id]
    guard function.hasOneUse(node.operands[0]), let scale = function.constant(node.operands[1]),
          let product = WeightedProduct(node.operands[0], in: function), function.type(node.operands[0]) == function.type(node.results[0]),
          let scales = WeightedProduct.channels(scale, axis: product.channelAxis, count: product.outputs), product.staysFinite(scales) else { return nil }
    return { rewriter in
        try product.replacing(id, weights: product.scalingOutputs(scales), in: &rewriter)
    }
}.explained("a multiplication behind it became part of the weights")

/// `(x ⋅ w + b) * s` → `x ⋅ w * s + b * s`.
private let scaleAfterBias = Rule("scale-after-bias", on: Binary.self) { function, id, op in
    guard op.function == .multiply else { return nil }
    let node = function[id]
    guard function.hasOneUse(node.operands[0]), let scale = function.constant(node.operands[1]),
          let (y, second) = function.binary(node.operands[0], .add), function.hasOneUse(y), let bias = function.constant(second),
          let product = WeightedProduct(y, in: function), function.type(y) == function.type(node.results[0]),
          let scales = WeightedProduct.channels(scale, axis: product.channelAxis, count: product.outputs), product.staysFinite(scales),
          WeightedProduct.channels(bias, axis: product.channelAxis, count: product.outputs) != nil,
          op.constant(bias, scale)?.doubles.allSatisfy(\.isFinite) ?? false else { return nil }
    return { rewriter in
        let scaled = try rewriter.create1(op, [y, node.operands[1]], at: .before(id), provenance: node.provenance)
        let shift = try rewriter.constant(op, [bias, scale], before: id)
        try rewriter.replace(id, with: Binary(.add), [scaled, shift])
    }
}

/// `(x * s) ⋅ w` → `x ⋅ (s * w)`, also through zero padding.
private let scaleBeforeProduct = Rule("scale-before-product", at: Convolution.self, TransposedConvolution.self, MatMul.self) { function, id in
    guard let product = WeightedProduct(node: id, in: function) else { return nil }
    var input = product.operands[0]
    let padding = function.match(input, Pad.self)
    if let padding {
        guard function.hasOneUse(input), padding.op.mode == .constant, padding.op.value == 0 else { return nil }
        input = padding.operands[0]
    }
    guard function.hasOneUse(input), let (x, factor) = function.binary(input, .multiply), let scale = function.constant(factor),
          function.type(x) == function.type(input), !(product.op is MatMul) || scale.count == 1 || padding == nil,
          let scales = WeightedProduct.channels(scale, axis: product.channelAxis, count: product.inputs), product.staysFinite(scales) else { return nil }
    return { rewriter in
        var operand = x
        if let padding { operand = try rewriter.create1(padding.op, [x], at: .before(id), provenance: rewriter.function[padding.node].provenance) }
        try product.replacing(id, weights: product.scalingInputs(scales), input: operand, in: &rewriter)
    }
}.explained("a multiplication before it became part of the weights")
