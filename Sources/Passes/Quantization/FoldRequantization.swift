import GlmcIR

extension Pass {
    /// Turns what is left of `quantize` and `dequantize` into multiplications and additions, and folds those into the arithmetic
    /// around them.
    ///
    /// ```
    /// %0 = cast(%sum, to: f32) : f32[1, 8, 8, 8]
    /// %1 = binary.multiply(%0, %scale) : f32[1, 8, 8, 8]
    /// %2 = binary.add(%1, %bias) : f32[1, 8, 8, 8]
    /// %3 = activation.relu(%2) : f32[1, 8, 8, 8]
    /// %4 = quantize(%3, %s, %z) : u8[1, 8, 8, 8]
    /// ```
    /// becomes, with the scale divided by `s`, for a zero point of 0
    /// ```
    /// %0 = cast(%sum, to: f32) : f32[1, 8, 8, 8]
    /// %1 = binary.multiply(%0, %scale') : f32[1, 8, 8, 8]
    /// %2 = binary.add(%1, %bias') : f32[1, 8, 8, 8]
    /// %3 = round_saturate(%2, to: u8) : u8[1, 8, 8, 8]
    /// ```
    ///
    /// What is rounded differs by a rounding of f32 from what ONNX defines, where scales were folded into each other; what is not, stays exact: a scale
    /// that nothing takes on is divided by, unless it is a power of two, and a zero point is added behind the rounding, which decides ties.
    public static let foldRequantization = Pass(
        "fold-requantization", "Folds scales and zero points into the arithmetic around them",
        rules: [quantizeAsArithmetic, dequantizeAsArithmetic, scaleInwards, constantOutwards, reluBySaturation])
}

/// A per-tensor or per-axis parameter, shaped to broadcast against `x`; nil where its type does not say that it fits.
private func broadcastParameter(_ tensor: Tensor, axis: Int, to x: TensorType) -> Tensor? {
    if tensor.count == 1 { return tensor.reshaped([]) }
    guard tensor.rank == 1 else { return nil }
    let position = axis < 0 ? axis + x.rank : axis
    guard x.shape[position] == Extent(tensor.count) else { return nil }
    return tensor.reshaped([tensor.count] + [Int](repeating: 1, count: x.rank - 1 - position))
}

/// `quantize(x, s, z)` with constants → `round_saturate(round(x·(1/s)) + z)`, where `1/s` is exact or joins other constants.
private let quantizeAsArithmetic = Rule("quantize-as-arithmetic", on: Quantize.self) { function, id, op in
    let node = function[id], x = function.tensorType(node.operands[0])
    guard x.element == .f32, op.blockSize == 0, op.element.isInteger, op.element.computeType == op.element, op.element.byteCount < 4,
          let scale = function.constant(node.operands[1]), let zero = function.constant(node.operands[2]), scale.element == .f32,
          scale.doubles.allSatisfy({ (1 / Float($0)).isNormal }),
          function.absorbsScale(node.operands[0]) || scale.doubles.allSatisfy({ $0.significand == 1 }), let s = broadcastParameter(scale, axis: op.axis, to: x),
          let z = broadcastParameter(zero, axis: op.axis, to: x) else { return nil }
    return { rewriter in
        let scales = s.doubles, offsets = z.doubles
        let inverse = try rewriter.create1(Constant(Tensor(.f32, s.shape, values: { 1 / scales[$0] })), [], at: .before(id))
        var value = try rewriter.create1(Binary(.multiply), [node.operands[0], inverse], at: .before(id), provenance: node.provenance)
        if offsets.contains(where: { $0 != 0 }) {
            let offset = try rewriter.create1(Constant(Tensor(.f32, z.shape, values: { offsets[$0] })), [], at: .before(id))
            value = try rewriter.create1(Unary(.round), [value], at: .before(id), provenance: node.provenance)
            value = try rewriter.create1(Binary(.add), [value, offset], at: .before(id), provenance: node.provenance)
        }
        try rewriter.replace(id, with: RoundSaturate(op.element), [value])
    }
}

/// `dequantize(q, s, z)` with constant parameters → `(cast(q) − z)·s`, or, where the result is rounded again, `cast(q)·s − z·s`, whose addend joins others; of a
/// constant → a constant.
private let dequantizeAsArithmetic = Rule("dequantize-as-arithmetic", on: Dequantize.self) { function, id, op in
    let node = function[id], q = function.tensorType(node.operands[0])
    guard let scale = function.constant(node.operands[1]), let zero = function.constant(node.operands[2]) else { return nil }
    if let values = function.constant(node.operands[0]) {
        return { rewriter in
            let real = try rewriter.constant(op, [values, scale, zero], before: id)
            try rewriter.replace(id, with: [real])
        }
    }
    guard op.element == .f32, op.blockSize == 0, scale.element == .f32, q.element.isInteger,
          let s = broadcastParameter(scale, axis: op.axis, to: q), let z = broadcastParameter(zero, axis: op.axis, to: q) else { return nil }
    return { rewriter in
        let scales = s.doubles, zeros = z.doubles, isRounded = rewriter.function.feedsRounding(node.results[0]), hasZeros = zeros.contains { $0 != 0 }
        func constant(_ tensor: Tensor) throws -> ValueID { try rewriter.create1(Constant(tensor), [], at: .before(id)) }
        func apply(_ function: BinaryOperator, _ a: ValueID, _ b: Tensor) throws -> ValueID {
            try rewriter.create1(Binary(function), [a, try constant(b)], at: .before(id), provenance: node.provenance)
        }
        var value = try rewriter.create1(Cast(to: .f32), [node.operands[0]], at: .before(id), provenance: node.provenance)
        if hasZeros, !isRounded { value = try apply(.subtract, value, Tensor(.f32, z.shape, values: { zeros[$0] })) }
        value = try apply(.multiply, value, s)
        if hasZeros, isRounded { value = try apply(.add, value, Tensor(.f32, z.shape, values: { -zeros[$0] * scales[$0] })) }
        try rewriter.replace(id, with: [value])
    }
}

extension Function {
    /// Whether multiplying `value` by a positive constant costs nothing, because constants further inside take it on.
    fileprivate func absorbsScale(_ value: ValueID, depth: Int = 0) -> Bool {
        guard depth < 16, hasOneUse(value), let id = definingNode(value), tensorType(value).element == .f32 else { return false }
        let node = self[id]
        switch node.op {
        case let op as Binary where op.function == .multiply: return constant(node.operands[1]) != nil
        case let op as Binary where op.function == .add || op.function == .maximum || op.function == .minimum:
            return absorbsScale(node.operands[0], depth: depth + 1)
                && (constant(node.operands[1]) != nil || absorbsScale(node.operands[1], depth: depth + 1))
        case let op as Activation where op.kind == .relu || op.kind == .leakyRelu: return absorbsScale(node.operands[0], depth: depth + 1)
        default: return false
        }
    }
}

extension Rewriter {
    /// `value` times a positive scalar, for a value that absorbs it.
    fileprivate mutating func scaled(_ value: ValueID, by factor: Tensor, before place: NodeID) throws -> ValueID {
        guard let id = function.definingNode(value) else { throw Diagnostic(.internal, "a scale was pushed into an argument") }
        let node = function[id]
        func product(_ operand: ValueID, _ rewriter: inout Rewriter) throws -> ValueID {
            if let known = rewriter.function.constant(operand) { return try rewriter.constant(Binary(.multiply), [known, factor], before: place) }
            return try rewriter.scaled(operand, by: factor, before: place)
        }
        var operands = node.operands
        if (node.op as? Binary)?.function == .multiply {
            operands[1] = try product(operands[1], &self)
        } else {
            for i in operands.indices { operands[i] = try product(operands[i], &self) }
        }
        return try create1(node.op, operands, at: .before(place), provenance: node.provenance)
    }
}

/// `(x·c₁ + c₂)·k` → `x·(c₁·k) + c₂·k`, through sums, maxima and ReLU, for a positive scalar `k`.
private let scaleInwards = Rule("scale-inwards", on: Binary.self) { function, id, op in
    let operands = function[id].operands
    guard op.function == .multiply, let factor = function.constant(operands[1]), factor.element == .f32, factor.count == 1, factor.rank == 0,
          factor.doubles[0] > 0, function.absorbsScale(operands[0]) else { return nil }
    return { rewriter in
        let result = try rewriter.scaled(operands[0], by: factor, before: id)
        try rewriter.replace(id, with: [result])
    }
}

/// `(x + c) + y` → `(x + y) + c`, where the sum feeds another constant sum or a rounding, so that constants meet.
private let constantOutwards = Rule("constant-outwards", on: Binary.self) { function, id, op in
    let node = function[id], type = function.tensorType(node.results[0])
    guard op.function == .add, type.element == .f32, function.constant(node.operands[1]) == nil, function.feedsRounding(node.results[0]) else { return nil }
    for position in 0...1 {
        guard let (_, inner, operands) = function.match(node.operands[position], Binary.self), inner.function == .add,
              function.hasOneUse(node.operands[position]), function.constant(operands[1]) != nil,
              function.tensorType(operands[0]).shape == type.shape else { continue }
        let other = node.operands[1 - position]
        return { rewriter in
            let sum = try rewriter.create1(op, [operands[0], other], at: .before(id), provenance: node.provenance)
            try rewriter.replace(id, with: op, [sum, operands[1]])
        }
    }
    return nil
}

extension Function {
    /// Whether a value goes, through cheap arithmetic only, into a rounding to integers.
    func feedsRounding(_ value: ValueID, depth: Int = 0) -> Bool {
        guard depth < 16, hasOneUse(value), let user = users(of: value).first else { return false }
        switch self[user].op {
        case is RoundSaturate: return true
        case let op as Quantize: return op.element.isInteger
        case let op as Unary where op.function == .round: return true
        case let op as Binary where [.add, .multiply, .maximum, .minimum].contains(op.function): return feedsRounding(self[user].results[0], depth: depth + 1)
        case let op as Activation where !op.kind.isTranscendental: return feedsRounding(self[user].results[0], depth: depth + 1)
        default: return false
        }
    }
}

/// `round_saturate(relu(x))` → `round_saturate(x)` for an unsigned type, and `round_saturate(round(relu(x)) + z)` → `round_saturate(round(x) + z)` where
/// `z` is the least number of the type: saturation does what ReLU does.
private let reluBySaturation = Rule("relu-by-saturation", on: RoundSaturate.self) { function, id, op in
    let node = function[id]
    guard function.hasOneUse(node.operands[0]) else { return nil }
    if let x = function.reluArgument(node.operands[0]), op.to.isUnsignedInteger { return { try $0.replace(id, with: op, [x]) } }
    guard let (_, add, terms) = function.match(node.operands[0], Binary.self), add.function == .add, let zero = function.splat(terms[1]),
          zero == op.to.integerRange.map({ Double($0.lowerBound) }), function.hasOneUse(terms[0]),
          let (_, round, rounded) = function.match(terms[0], Unary.self), round.function == .round, function.hasOneUse(rounded[0]),
          let x = function.reluArgument(rounded[0]) else { return nil }
    return { rewriter in
        let value = try rewriter.create1(round, [x], at: .before(id), provenance: node.provenance)
        let sum = try rewriter.create1(add, [value, terms[1]], at: .before(id), provenance: node.provenance)
        try rewriter.replace(id, with: op, [sum])
    }
}

extension Function {
    /// `x` where `value` is `relu(x)`, or the larger of `x` and a number that is not positive.
    fileprivate func reluArgument(_ value: ValueID) -> ValueID? {
        if let (_, activation, operands) = match(value, Activation.self), activation.kind == .relu { return operands[0] }
        guard let (_, binary, operands) = match(value, Binary.self), binary.function == .maximum, splat(operands[1]).map({ $0 <= 0 }) == true else { return nil }
        return operands[0]
    }
}
