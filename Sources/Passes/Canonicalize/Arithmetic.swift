import GlmcIR

/// Rules about elementwise arithmetic.
let arithmeticRules: [Rule] = [
    constantsLast, neutralElement, inverseOfConstant, chainedConstants, negatedOperand, powerOfConstant, doubleUnary, idempotent,
]

/// `c + x` → `x + c`, for constants and commutative functions.
private let constantsLast = Rule("constants-last", on: Binary.self) { function, id, op in
    let operands = function[id].operands
    guard op.function.isCommutative, function.constant(operands[0]) != nil, function.constant(operands[1]) == nil else { return nil }
    return { try $0.replace(id, with: op, [operands[1], operands[0]]) }
}

/// `x + -0.0`, `x - 0.0`, `x * 1`, `x / 1`, `x ^ 1`, `min(x, ∞)`, `max(x, -∞)`, `x and true`, `x or false` → `x`, where broadcasting does not
/// widen `x`; for integers, and for floats that are never -0.0, zeros of either sign.
let neutralElement = Rule("neutral-element", on: Binary.self) { function, id, op in
    let node = function[id], x = node.operands[0]
    guard let c = function.splat(node.operands[1]), function.type(node.results[0]) == function.type(x) else { return nil }
    let element = function.tensorType(x).element
    let isNeutral = switch op.function {
    // -0.0 + 0.0 is 0.0.
    case .add: c == 0 && (!element.isFloat || c.sign == .minus || function.isNeverNegativeZero(x))
    case .subtract: c == 0 && (!element.isFloat || c.sign == .plus || function.isNeverNegativeZero(x))
    case .multiply, .divide, .power: c == 1
    case .minimum: c == .infinity
    case .maximum: c == -.infinity
    case .and: element == .bool && c != 0
    case .or, .xor: c == 0
    default: false
    }
    guard isNeutral else { return nil }
    return { try $0.replace(id, with: [x]) }
}

/// `x - c` → `x + (-c)`, and `x / c` → `x * (1/c)` for float constants whose reciprocals are ordinary numbers.
private let inverseOfConstant = Rule("inverse-of-constant", on: Binary.self) { function, id, op in
    let operands = function[id].operands
    guard let c = function.constant(operands[1]), c.element.isFloat, c.element.computeType != c.element || c.element == .f32 || c.element == .f64 else { return nil }
    let inverse: UnaryOperator
    switch op.function {
    case .subtract: inverse = .negate
    case .divide:
        guard c.count <= 1 << 20, c.doubles.allSatisfy({ $0.isFinite && (1 / Float($0)).isNormal }) else { return nil }
        inverse = .reciprocal
    default: return nil
    }
    return { rewriter in
        let constant = try rewriter.constant(Unary(inverse), [c], before: id)
        try rewriter.replace(id, with: Binary(inverse == .negate ? .add : .multiply), [operands[0], constant])
    }
}

/// `(x + a) + b` → `x + (a + b)` and the same for products, minima and maxima, for constants. Floats are reassociated, which
/// changes results by a rounding; not where the combined constant leaves the range of its type, or where sums of constants cancel out
/// (such pairs round `x`).
let chainedConstants = Rule("chained-constants", on: Binary.self) { function, id, op in
    guard [.add, .multiply, .minimum, .maximum].contains(op.function) else { return nil }
    let operands = function[id].operands
    guard let outer = function.constant(operands[1]), let (x, second) = function.binary(operands[0], op.function),
          let inner = function.constant(second), function.hasOneUse(operands[0]) else { return nil }
    // The combined constant must not be larger than both were.
    guard let shape = try? TensorType.broadcast(inner.type.shape, outer.type.shape).constants,
          shape.reduce(1, *) <= max(inner.count, outer.count) else { return nil }
    if inner.element.isFloat, op.function == .add || op.function == .multiply {
        guard let combined = op.constant(inner, outer), combined.isWithinRange else { return nil }
        let vanishes = combined.doubles.allSatisfy { $0 == 0 } && !(op.function == .add ? [inner] : [inner, outer]).contains { $0.doubles.allSatisfy { $0 == 0 } }
        guard !vanishes else { return nil }
    }
    return { rewriter in
        let constant = try rewriter.constant(op, [inner, outer], before: id)
        try rewriter.replace(id, with: op, [x, constant])
    }
}

extension Tensor {
    /// Whether all elements of a float type are finite, and 0 or of full precision in f32.
    var isWithinRange: Bool { doubles.allSatisfy { $0.isFinite && ($0 == 0 || element == .f64 || $0.magnitude >= Double(Float.leastNormalMagnitude)) } }
}

extension Binary {
    /// The result on constants; nil where it has none.
    func constant(_ a: Tensor, _ b: Tensor) -> Tensor? {
        guard let types = try? infer(InferenceContext(operands: [.tensor(a.type), .tensor(b.type)])) else { return nil }
        return try? evaluate([a, b], in: EvaluationContext(resultTypes: types)).first
    }
}

/// `x + (-y)` → `x - y`, `x - (-y)` → `x + y`, and `-0.0 - x` → `-x`, of integers `0 - x`.
private let negatedOperand = Rule("negated-operand", on: Binary.self) { function, id, op in
    let node = function[id]
    guard op.function == .add || op.function == .subtract else { return nil }
    // 0.0 - 0.0 is 0.0.
    if op.function == .subtract, let zero = function.splat(node.operands[0]), zero == 0,
       zero.sign == .minus || !function.tensorType(node.operands[1]).element.isFloat, function.type(node.operands[1]) == function.type(node.results[0]) {
        return { try $0.replace(id, with: Unary(.negate), [node.operands[1]]) }
    }
    guard let y = function.unary(node.operands[1], .negate) else { return nil }
    let opposite = Binary(op.function == .add ? .subtract : .add)
    return { try $0.replace(id, with: opposite, [node.operands[0], y]) }
}

/// `x ^ 2` → `x * x`, `x ^ -1` → `1/x`, and where `x` is never negative `x ^ ½` → `sqrt(x)` and `x ^ -½` → `1/sqrt(x)`, for floats: a power
/// takes -0.0 for 0.0 and -∞ for ∞, a root does not.
private let powerOfConstant = Rule("power-of-constant", on: Binary.self) { function, id, op in
    let node = function[id]
    guard op.function == .power, function.tensorType(node.operands[0]).element.isFloat, let c = function.splat(node.operands[1]),
          function.type(node.operands[0]) == function.type(node.results[0]) else { return nil }
    let x = node.operands[0]
    switch c {
    case 2: return { try $0.replace(id, with: Binary(.multiply), [x, x]) }
    case 0.5 where function.isNeverNegative(x): return { try $0.replace(id, with: Unary(.sqrt), [x]) }
    case -0.5 where function.isNeverNegative(x): return { try $0.replace(id, with: Unary(.reciprocalSqrt), [x]) }
    case -1: return { try $0.replace(id, with: Unary(.reciprocal), [x]) }
    default: return nil
    }
}

/// `-(-x)` and `not(not(x))` → `x`; `1/sqrt(x)` written as two steps → one.
private let doubleUnary = Rule("double-unary", on: Unary.self) { function, id, op in
    guard let (_, inner, operands) = function.match(function[id].operands[0], Unary.self) else { return nil }
    let x = operands[0]
    switch (op.function, inner.function) {
    case (.negate, .negate), (.not, .not), (.bitwiseNot, .bitwiseNot): return { try $0.replace(id, with: [x]) }
    case (.reciprocal, .sqrt): return { try $0.replace(id, with: Unary(.reciprocalSqrt), [x]) }
    default: return nil
    }
}

/// Functions that change nothing when applied twice: `relu(relu(x))`, `|‑x|`, `floor(floor(x))`, `max(x, x)`.
private let idempotent = Rule("idempotent", at: Unary.self, Activation.self, Binary.self) { function, id in
    let node = function[id]
    if let op = node.op as? Unary {
        guard let (_, inner, operands) = function.match(node.operands[0], Unary.self) else { return nil }
        switch (op.function, inner.function) {
        case (.absolute, .absolute), (.floor, .floor), (.ceil, .ceil), (.round, .round), (.truncate, .truncate), (.sign, .sign):
            return { try $0.replace(id, with: [node.operands[0]]) }
        case (.absolute, .negate): return { try $0.replace(id, with: op, [operands[0]]) }
        default: return nil
        }
    }
    if let op = node.op as? Activation {
        guard op.kind == .relu, let (_, inner, _) = function.match(node.operands[0], Activation.self), inner.isNonNegative else { return nil }
        return { try $0.replace(id, with: [node.operands[0]]) }
    }
    guard let op = node.op as? Binary, node.operands[0] == node.operands[1], [.minimum, .maximum, .and, .or].contains(op.function) else { return nil }
    return { try $0.replace(id, with: [node.operands[0]]) }
}

extension Activation {
    /// Whether no result is below zero.
    public var isNonNegative: Bool {
        switch kind {
        case .relu, .sigmoid, .hardSigmoid, .softplus: true
        default: false
        }
    }
}

extension Rewriter {
    /// Adds the constant that `op` computes from constants.
    public mutating func constant(_ op: any Op, _ operands: [Tensor], before id: NodeID) throws -> ValueID {
        let types = try op.infer(InferenceContext(operands: operands.map { .tensor($0.type) }))
        let results = try op.evaluate(operands, in: EvaluationContext(resultTypes: types))
        guard let result = results.first else { throw Diagnostic(.internal, "\(op.mnemonic) has no result") }
        return try create1(Constant(result), [], at: .before(id))
    }
}
