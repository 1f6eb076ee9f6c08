import GlmcIR

extension Pass {
    /// Finds layer and root-mean-square normalisations that exporters have written as reductions and elementwise ops.
    ///
    /// ```
    /// %0 = reduce.mean(%x, axes: [2], keep_dims: true) : f32[1, 8, 1]
    /// %1 = binary.subtract(%x, %0) : f32[1, 8, 64]
    /// %2 = binary.multiply(%1, %1) : f32[1, 8, 64]
    /// %3 = reduce.mean(%2, axes: [2], keep_dims: true) : f32[1, 8, 1]
    /// %4 = binary.add(%3, %epsilon) : f32[1, 8, 1]
    /// %5 = unary.sqrt(%4) : f32[1, 8, 1]
    /// %6 = binary.divide(%1, %5) : f32[1, 8, 64]
    /// %7 = binary.multiply(%6, %scale) : f32[1, 8, 64]
    /// %8 = binary.add(%7, %bias) : f32[1, 8, 64]
    /// ```
    /// becomes
    /// ```
    /// %0 = layer_norm(%x, %scale, %bias, axis: 2) : f32[1, 8, 64]
    /// ```
    ///
    /// First the core is found, with a scale of one and a bias of zero; then multiplications and additions behind it are
    /// absorbed one by one, so every subset of them works.
    public static let recognizeNorms = Pass(
        "recognize-norms", "Finds LayerNorm and RMSNorm in decomposed form",
        rules: [normCore, foldedNormCore, absorbScale, absorbBias])
}

extension Function {
    /// `y` and epsilon of a factor or divisor `√(y + epsilon)`; `inverted` tells that the value is the reciprocal of the root.
    fileprivate func root(_ value: ValueID, inverted: Bool) -> (ValueID, Double)? {
        var inner = value
        if inverted {
            if let x = unary(value, .reciprocalSqrt) {
                inner = x
            } else if let root = unary(value, .reciprocal), let x = unary(root, .sqrt) {
                inner = x
            } else {
                return nil
            }
        } else {
            guard let x = unary(value, .sqrt) else { return nil }
            inner = x
        }
        guard let (y, epsilon) = binaryWithSplat(inner, .add), epsilon >= 0 else { return (inner, 0) }
        return (y, decimal(epsilon))
    }

    /// `x` and the first axis of a mean over the last axes of `x` that keeps them.
    fileprivate func mean(_ value: ValueID) -> (ValueID, Int)? {
        guard let (_, op, operands) = match(value, Reduce.self), op.function == .mean, op.keepDims else { return nil }
        let rank = tensorType(operands[0]).rank, axes = op.axes.sorted()
        guard let first = axes.first, axes == Array(first..<rank) else { return nil }
        return (operands[0], first)
    }

    /// `y` of `y·y`.
    fileprivate func square(_ value: ValueID) -> ValueID? {
        if let (a, b) = binary(value, .multiply), a == b { return a }
        if let (a, power) = binaryWithSplat(value, .power), power == 2 { return a }
        return nil
    }

    /// `numerator` and the mean square of it that divides: the two halves of `d / √(mean(d²) + epsilon)`.
    fileprivate func normalized(_ node: NodeID) -> (numerator: ValueID, axis: Int, epsilon: Double)? {
        guard let op = self[node].op as? Binary, let result = self[node].results.first else { return nil }
        let pairs = op.function == .multiply ? orders(result, .multiply) : op.function == .divide ? orders(result, .divide) : []
        for (numerator, divisor) in pairs {
            guard let (square, epsilon) = root(divisor, inverted: op.function == .multiply), let (squared, axis) = mean(square),
                  self.square(squared) == numerator, tensorType(numerator).element.isFloat else { continue }
            return (numerator, axis, epsilon)
        }
        return nil
    }

    /// The mean that is subtracted: `x` and the axis of `x - mean(x)`.
    fileprivate func centred(_ value: ValueID) -> (ValueID, Int)? {
        guard let (x, subtrahend) = binary(value, .subtract), let (source, axis) = mean(subtrahend), source == x else { return nil }
        return (x, axis)
    }
}

/// `d / √(mean(d²) + ε)` → layer norm of `x` if `d = x - mean(x)` over the same axes, else RMS norm of `d`.
private let normCore = Rule("norm-core", on: Binary.self) { function, id, _ in
    guard let (numerator, axis, epsilon) = function.normalized(id) else { return nil }
    let element = function.tensorType(numerator).element
    if let (x, centredAxis) = function.centred(numerator), centredAxis == axis {
        return { rewriter in
            let one = try rewriter.scalar(1, element, at: .before(id)), zero = try rewriter.scalar(0, element, at: .before(id))
            try rewriter.replace(id, with: LayerNorm(axis: axis, epsilon: epsilon), [x, one, zero])
        }
    }
    return { rewriter in
        let one = try rewriter.scalar(1, element, at: .before(id))
        try rewriter.replace(id, with: RMSNorm(axis: axis, epsilon: epsilon), [numerator, one])
    }
}.explained("recognised from reductions and elementwise ops")

/// `x·g + (b - mean(x)·g)` with `g = scale/√(variance + ε)` → layer norm: the form that TensorFlow writes.
private let foldedNormCore = Rule("folded-norm-core", on: Binary.self) { function, id, op in
    guard op.function == .add, let result = function[id].results.first else { return nil }
    for (product, rest) in function.orders(result, .add) {
        guard let (bias, shift) = function.binary(rest, .subtract) else { continue }
        for (x, factor) in function.orders(product, .multiply) {
            for (average, sameFactor) in function.orders(shift, .multiply) where sameFactor == factor {
                guard let (source, axis) = function.mean(average), source == x else { continue }
                for (inverse, scale) in function.orders(factor, .multiply) + [(factor, factor)] {
                    guard let (variance, epsilon) = function.root(inverse, inverted: true), let (squared, squaredAxis) = function.mean(variance),
                          squaredAxis == axis, let difference = function.square(squared), let centred = function.centred(difference), centred == (x, axis),
                          function.varies(bias, onlyBehind: axis, of: x) else { continue }
                    let hasScale = inverse != factor
                    guard !hasScale || function.varies(scale, onlyBehind: axis, of: x) else { continue }
                    let element = function.tensorType(x).element
                    return { rewriter in
                        let scale = hasScale ? scale : try rewriter.scalar(1, element, at: .before(id))
                        try rewriter.replace(id, with: LayerNorm(axis: axis, epsilon: epsilon), [x, scale, bias])
                    }
                }
            }
        }
    }
    return nil
}.explained("recognised from reductions and elementwise ops")

extension Function {
    /// Whether a value broadcasts to `x` without changing its shape, and is constant along the axes before `axis`.
    fileprivate func varies(_ value: ValueID, onlyBehind axis: Int, of x: ValueID) -> Bool {
        let (parameter, shape) = (tensorType(value), tensorType(x).shape)
        guard parameter.rank <= shape.count, parameter.element == tensorType(x).element else { return false }
        let lead = shape.count - parameter.rank
        return parameter.shape.enumerated().allSatisfy { $1 == 1 || ($0 + lead >= axis && $1 == shape[$0 + lead]) }
    }

    /// A norm that only this node reads, with its operands, and the other operand of the node.
    fileprivate func parameter(of id: NodeID, _ function: BinaryOperator) -> (norm: NodeID, other: ValueID)? {
        guard (self[id].op as? Binary)?.function == function, let result = self[id].results.first else { return nil }
        for (normalized, other) in orders(result, function) where hasOneUse(normalized) {
            guard let norm = definingNode(normalized) else { continue }
            let axis: Int
            if let op = self[norm].op as? LayerNorm { axis = op.axis } else if let op = self[norm].op as? RMSNorm { axis = op.axis } else { continue }
            let x = self[norm].operands[0]
            guard varies(other, onlyBehind: axis < 0 ? axis + tensorType(x).rank : axis, of: x) else { continue }
            return (norm, other)
        }
        return nil
    }
}

/// `norm(x, 1, 0) * s` → `norm(x, s, 0)`.
private let absorbScale = Rule("absorb-scale", on: Binary.self) { function, id, _ in
    guard let (norm, scale) = function.parameter(of: id, .multiply) else { return nil }
    let node = function[norm]
    guard function.splat(node.operands[1]) == 1, node.operands.count == 2 || function.splat(node.operands[2]) == 0 else { return nil }
    return { rewriter in
        let operands = [node.operands[0], scale] + node.operands.dropFirst(2)
        let result = try rewriter.create1(node.op, operands, at: .before(id), provenance: node.provenance)
        try rewriter.replace(id, with: [result])
    }
}

/// `layer_norm(x, s, 0) + b` → `layer_norm(x, s, b)`.
private let absorbBias = Rule("absorb-bias", on: Binary.self) { function, id, _ in
    guard let (norm, bias) = function.parameter(of: id, .add) else { return nil }
    let node = function[norm]
    guard node.operands.count == 3, function.splat(node.operands[2]) == 0 else { return nil }
    return { rewriter in
        let result = try rewriter.create1(node.op, [node.operands[0], node.operands[1], bias], at: .before(id), provenance: node.provenance)
        try rewriter.replace(id, with: [result])
    }
}
