import GlmcIR

/// Rules about conversions, choices, paddings and reductions.
let miscellaneousRules: [Rule] = [
    identityCast, composedCast, constantCondition, negatedCondition, identityPad, composedPad, padIntoPool, trivialReduce, trivialPool,
]

/// A cast to the type that its operand has → the operand.
private let identityCast = Rule("identity-cast", on: Cast.self) { function, id, op in
    let x = function[id].operands[0]
    guard function.tensorType(x).element == op.to else { return nil }
    return { try $0.replace(id, with: [x]) }
}

/// `cast(cast(x))` → `cast(x)`, where the inner cast keeps every value.
private let composedCast = Rule("composed-cast", on: Cast.self) { function, id, op in
    guard let (_, inner, operands) = function.match(function[id].operands[0], Cast.self),
          function.tensorType(operands[0]).element.embeds(in: inner.to) else { return nil }
    return { try $0.replace(id, with: op, operands) }
}

extension ElementType {
    /// Whether every value of this type is a value of `other`.
    public func embeds(in other: ElementType) -> Bool {
        if self == other || self == .bool { return other != .string && !other.isComplex }
        if isInteger && other.isInteger {
            return isSignedInteger == other.isSignedInteger ? bitWidth <= other.bitWidth : isUnsignedInteger && bitWidth < other.bitWidth
        }
        let precision: [ElementType: Int] = [.f64: 53, .f32: 24, .f16: 11, .bf16: 8]
        if isInteger, let bits = precision[other] { return bitWidth <= bits && (other != .f16 || bitWidth < 16) }
        switch (self, other) {
        case (.f32, .f64), (.f16, .f32), (.f16, .f64), (.bf16, .f32), (.bf16, .f64): return true
        default: return false
        }
    }
}

/// A choice with a known condition, or between equal values → the value.
private let constantCondition = Rule("constant-condition", on: Select.self) { function, id, _ in
    let node = function[id]
    let chosen: ValueID
    if let condition = function.splat(node.operands[0]) {
        chosen = node.operands[condition != 0 ? 1 : 2]
    } else if node.operands[1] == node.operands[2] {
        chosen = node.operands[1]
    } else {
        return nil
    }
    let result = function.tensorType(node.results[0])
    if function.tensorType(chosen) == result { return { try $0.replace(id, with: [chosen]) } }
    return { try $0.replace(id, with: Expand(result.shape), [chosen]) }
}

/// `select(not c, a, b)` → `select(c, b, a)`.
private let negatedCondition = Rule("negated-condition", on: Select.self) { function, id, op in
    let operands = function[id].operands
    guard let condition = function.unary(operands[0], .not) else { return nil }
    return { try $0.replace(id, with: op, [condition, operands[2], operands[1]]) }
}

/// A pad by nothing → its operand.
private let identityPad = Rule("identity-pad", on: Pad.self) { function, id, op in
    guard op.before.allSatisfy({ $0 == 0 }), op.after.allSatisfy({ $0 == 0 }) else { return nil }
    let operands = function[id].operands
    return { try $0.replace(id, with: operands) }
}

/// `pad(pad(x))` with one constant → one pad.
private let composedPad = Rule("composed-pad", on: Pad.self) { function, id, op in
    guard let (_, inner, operands) = function.match(function[id].operands[0], Pad.self), op.mode == .constant, inner.mode == .constant,
          op.value.hasSameBits(as: inner.value) else { return nil }
    let sum = Pad(before: zip(inner.before, op.before).map { $0 + $1 }, after: zip(inner.after, op.after).map { $0 + $1 }, value: op.value)
    return { try $0.replace(id, with: sum, operands) }
}

/// `pool(pad(x))` → a pool with padding, where the padded elements count the same: zeros in an average that counts its padding,
/// minus infinity in a maximum, or zeros in a maximum of values that are never negative.
private let padIntoPool = Rule("pad-into-pool", on: Pool.self) { function, id, op in
    let operands = function[id].operands
    guard let (_, pad, source) = function.match(operands[0], Pad.self), pad.mode == .constant, !op.indices, !op.ceilMode,
          pad.before.prefix(2).allSatisfy({ $0 == 0 }), pad.after.prefix(2).allSatisfy({ $0 == 0 }) else { return nil }
    let isPadded = (op.padBefore + op.padAfter).contains { $0 != 0 }
    switch op.function {
    case .average, .lp: guard pad.value == 0, !isPadded || op.countIncludePad else { return nil }
    case .max:
        let isNonNegative = function.definingOp(source[0], as: Activation.self)?.isNonNegative ?? false
        guard pad.value == -.infinity || (pad.value == 0 && isNonNegative) else { return nil }
    }
    var pool = op
    pool.padBefore = zip(op.padBefore, pad.before.dropFirst(2)).map { $0 + $1 }
    pool.padAfter = zip(op.padAfter, pad.after.dropFirst(2)).map { $0 + $1 }
    // Every window must reach into the image, so that a maximum exists and padding stays smaller than the window.
    for axis in pool.window.indices {
        let reach = (pool.window[axis] - 1) * pool.dilations[axis] + 1
        guard pool.padBefore[axis] < reach, pool.padAfter[axis] < reach, pool.dilations[axis] == 1 else { return nil }
    }
    if op.function == .average { pool.countIncludePad = true }
    let padded = pool
    guard let types = try? padded.infer(InferenceContext(operands: [function.type(source[0])])), types == [function.type(function[id].results[0])] else { return nil }
    return { try $0.replace(id, with: padded, source) }
}

/// A reduction over axes of size 1 (or none) → a reshape, where one element reduces to itself.
private let trivialReduce = Rule("trivial-reduce", on: Reduce.self) { function, id, op in
    let node = function[id], type = function.tensorType(node.operands[0])
    guard [.add, .multiply, .minimum, .maximum, .mean, .and, .or].contains(op.function), op.axes.allSatisfy({ type.shape[$0] == 1 }) else { return nil }
    let shape = function.tensorType(node.results[0]).shape
    return { try $0.replace(id, with: Reshape(shape), node.operands) }
}

/// A pool over single elements → its operand.
private let trivialPool = Rule("trivial-pool", on: Pool.self) { function, id, op in
    let node = function[id]
    guard op.function != .lp, !op.indices, op.window.allSatisfy({ $0 == 1 }), function.type(node.operands[0]) == function.type(node.results[0]),
          (op.padBefore + op.padAfter).allSatisfy({ $0 == 0 }) else { return nil }
    return { try $0.replace(id, with: node.operands) }
}
