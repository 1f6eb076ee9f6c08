import GlmcIR

extension Pass {
    /// Finds activation functions that exporters have written as several elementwise ops.
    ///
    /// ```
    /// %0 = binary.multiply(%x, %0.7071) : f32[8]
    /// %1 = unary.erf(%0) : f32[8]
    /// %2 = binary.add(%1, %1.0) : f32[8]
    /// %3 = binary.multiply(%x, %2) : f32[8]
    /// %4 = binary.multiply(%3, %0.5) : f32[8]
    /// ```
    /// becomes
    /// ```
    /// %0 = activation.gelu(%x) : f32[8]
    /// ```
    ///
    /// Fusion would make one kernel of either form. What recognition gains is that kernels may compute the function as a whole
    /// (one polynomial instead of erf and three roundings), and that quantisation and profiles see one op.
    ///
    /// Products are compared as sets of factors and inner expressions as polynomials in `x`, so the order and grouping in which
    /// an exporter wrote them does not matter.
    public static let recognizeActivations = Pass(
        "recognize-activations", "Finds GELU, SiLU, HardSwish, Mish and others in decomposed form",
        rules: [
            maximumAsRelu, leakyMaximum, chainedConstants, neutralElement, clampAsHardSigmoid, scaledClampAsHardSigmoid, reciprocalAsSigmoid,
            quotientAsSilu, logAsSoftplus, quotientAsSoftsign, productAsGated,
        ])
}

/// `max(x, 0)` → relu.
private let maximumAsRelu = Rule("maximum-as-relu", on: Binary.self) { function, id, op in
    let node = function[id], type = function.tensorType(node.operands[0])
    guard op.function == .maximum, type.element.isFloat, function.splat(node.operands[1]) == 0, function.type(node.results[0]) == .tensor(type) else { return nil }
    return { try $0.replace(id, with: Activation(.relu), [node.operands[0]]) }
}

/// `max(x, a·x)` → leaky relu, for 0 < a < 1.
private let leakyMaximum = Rule("leaky-maximum", on: Binary.self) { function, id, op in
    let node = function[id]
    guard op.function == .maximum, function.tensorType(node.operands[0]).element.isFloat else { return nil }
    for (x, scaled) in function.orders(node.results[0], .maximum) {
        guard let (y, slope) = function.binaryWithSplat(scaled, .multiply), x == y, slope > 0, slope < 1,
              function.type(x) == function.type(node.results[0]) else { continue }
        return { try $0.replace(id, with: Activation(.leakyRelu, alpha: decimal(slope)), [x]) }
    }
    return nil
}

/// `min(max(a·x + b, 0), 1)` → hard sigmoid.
private let clampAsHardSigmoid = Rule("clamp-as-hard-sigmoid", on: Binary.self) { function, id, _ in
    guard let clamp = function.clampedLine(function[id].results[0]), isClose(clamp.top, 1) else { return nil }
    return { try $0.replace(id, with: Activation(.hardSigmoid, alpha: clamp.slope, beta: clamp.offset), [clamp.x]) }
}.explained("recognised from elementwise ops")

/// `min(max(x + 3, 0), 6) / 6` → hard sigmoid.
private let scaledClampAsHardSigmoid = Rule("scaled-clamp-as-hard-sigmoid", on: Binary.self) { function, id, op in
    guard op.function == .multiply, let (clamped, factor) = function.binaryWithSplat(function[id].results[0], .multiply),
          let clamp = function.clampedLine(clamped), isClose(clamp.top * factor, 1) else { return nil }
    return { try $0.replace(id, with: Activation(.hardSigmoid, alpha: decimal(clamp.slope * factor), beta: decimal(clamp.offset * factor)), [clamp.x]) }
}

/// `1 / (1 + exp(-x))` → sigmoid.
private let reciprocalAsSigmoid = Rule("reciprocal-as-sigmoid", on: Unary.self) { function, id, op in
    guard op.function == .reciprocal, let (x, rate) = function.onePlusExponential(function[id].operands[0]), rate == -1 else { return nil }
    return { try $0.replace(id, with: Activation(.sigmoid), [x]) }
}.explained("recognised from elementwise ops")

/// `x / (1 + exp(-a·x))` → SiLU.
private let quotientAsSilu = Rule("quotient-as-silu", on: Binary.self) { function, id, op in
    let operands = function[id].operands
    guard op.function == .divide, let (x, rate) = function.onePlusExponential(operands[1]), x == operands[0], rate < 0 else { return nil }
    return { try $0.replace(id, with: gated(sigmoidOf: -rate), [x]) }
}.explained("recognised from elementwise ops")

/// `log(1 + exp(x))` → softplus.
private let logAsSoftplus = Rule("log-as-softplus", on: Unary.self) { function, id, op in
    let inner = function[id].operands[0]
    if op.function == .log1p, let x = function.unary(inner, .exp), function.tensorType(x).element.isFloat {
        return { try $0.replace(id, with: Activation(.softplus), [x]) }
    }
    guard op.function == .log, let (x, rate) = function.onePlusExponential(inner), rate == 1 else { return nil }
    return { try $0.replace(id, with: Activation(.softplus), [x]) }
}.explained("recognised from elementwise ops")

/// `x / (1 + |x|)` → softsign.
private let quotientAsSoftsign = Rule("quotient-as-softsign", on: Binary.self) { function, id, op in
    let operands = function[id].operands
    guard op.function == .divide, let (magnitude, one) = function.binaryWithSplat(operands[1], .add), one == 1,
          function.unary(magnitude, .absolute) == operands[0] else { return nil }
    return { try $0.replace(id, with: Activation(.softsign), [operands[0]]) }
}

/// `x` times a gate that depends on `x`: GELU (with erf or tanh), SiLU, HardSwish, Mish.
private let productAsGated = Rule("product-as-gated", on: Binary.self) { function, id, op in
    let node = function[id], result = node.results[0]
    guard op.function == .multiply, function.tensorType(result).element.isFloat else { return nil }
    for factor in Factors(result, in: function).values {
        guard let gate = Gate(factor, in: function) else { continue }
        // With x kept whole, the product must be exactly the gate times x, and a constant.
        let product = Factors(result, in: function, keeping: [gate.x, factor])
        guard product.values.count == 2, Set(product.values) == [factor, gate.x], function.type(gate.x) == function.type(result) else { continue }
        // What is left of the constant, if anything: some networks scale after the activation.
        let rest = product.constant * gate.scale / gate.expected
        if abs(rest - 1) < 1e-5 { return { try $0.replace(id, with: gate.activation, [gate.x]) } }
        guard rest.isFinite, rest != 0 else { continue }
        return { rewriter in
            let element = rewriter.function.tensorType(result).element
            let activation = try rewriter.create1(gate.activation, [gate.x], at: .before(id))
            let scale = try rewriter.scalar(rest, element, at: .before(id))
            try rewriter.replace(id, with: Binary(.multiply), [activation, scale])
        }
    }
    return nil
}.explained("recognised from elementwise ops")

/// A factor that turns `x` into an activation of `x`: `constant · factor · x` is `activation(x)` if `constant · scale` is `expected`.
private struct Gate {
    var x: ValueID
    var activation: Activation
    var scale: Double
    var expected: Double

    init?(_ factor: ValueID, in function: Function) {
        if let (_, op, operands) = function.match(factor, Activation.self) {
            switch op.kind {
            case .sigmoid:
                // The argument may be a multiple of x.
                if let (x, rate) = function.binaryWithSplat(operands[0], .multiply), rate > 0, function.type(x) == function.type(factor) {
                    self.init(x, gated(sigmoidOf: rate))
                } else {
                    self.init(operands[0], Activation(.silu))
                }
                return
            case .hardSigmoid where isClose(op.alpha, 1.0 / 6) && isClose(op.beta, 0.5):
                self.init(operands[0], Activation(.hardSwish))
                return
            case .tanh:
                guard let (_, inner, source) = function.match(operands[0], Activation.self), inner.kind == .softplus else { return nil }
                self.init(source[0], Activation(.mish))
                return
            default: break
            }
        }
        if let inner = function.unary(factor, .tanh), let (_, op, operands) = function.match(inner, Activation.self), op.kind == .softplus {
            self.init(operands[0], Activation(.mish))
            return
        }
        if let clamp = function.clampedLine(factor), isClose(clamp.slope * 6, clamp.top), isClose(clamp.offset * 2, clamp.top) {
            self.init(clamp.x, Activation(.hardSwish), scale: clamp.top)
            return
        }
        // k·(1 + erf(x/√2)) and k·(1 + tanh(√(2/π)·(x + 0.044715·x³))).
        for (inner, isErf) in function.sigmoidalTerms(factor) {
            guard let outer = Polynomial(factor, in: inner.result, of: function), outer.isClose(to: [outer[0], outer[0]]), outer[0] != 0 else { continue }
            for x in function.candidates(inner.argument) {
                guard let argument = Polynomial(inner.argument, in: x, of: function) else { continue }
                let c = (2 / Double.pi).squareRoot()
                if isErf ? argument.isClose(to: [0, 0.5.squareRoot()]) : argument.isClose(to: [0, c, 0, c * 0.044715]) {
                    self.init(x, Activation(isErf ? .gelu : .geluTanh), scale: outer[0], expected: 0.5)
                    return
                }
            }
        }
        return nil
    }

    private init(_ x: ValueID, _ activation: Activation, scale: Double = 1, expected: Double = 1) {
        self.x = x
        self.activation = activation
        self.scale = scale
        self.expected = expected
    }
}

/// `x · sigmoid(rate · x)`.
private func gated(sigmoidOf rate: Double) -> Activation {
    abs(rate - 1.702) < 1e-5 ? Activation(.quickGelu) : Activation(.silu, alpha: decimal(rate))
}

extension Function {
    /// `x`, slope, offset and top of `min(max(slope·x + offset, 0), top)`, in either order.
    fileprivate func clampedLine(_ value: ValueID) -> (x: ValueID, slope: Double, offset: Double, top: Double)? {
        func atLeastZero(_ value: ValueID) -> ValueID? {
            if let (_, op, operands) = match(value, Activation.self), op.kind == .relu { return operands[0] }
            guard let (inner, bound) = binaryWithSplat(value, .maximum), bound == 0 else { return nil }
            return inner
        }
        let inner: ValueID, top: Double
        if let (y, bound) = binaryWithSplat(value, .minimum), let line = atLeastZero(y) {
            (inner, top) = (line, bound)
        } else if let y = atLeastZero(value), let (line, bound) = binaryWithSplat(y, .minimum) {
            (inner, top) = (line, bound)
        } else {
            return nil
        }
        guard tensorType(inner).element.isFloat, type(inner) == type(value), top > 0 else { return nil }
        // The innermost x says most.
        for x in candidates(inner).reversed() where type(x) == type(value) {
            guard let line = Polynomial(inner, in: x, of: self), line.degree == 1, line[0] != 0 else { continue }
            return (x, decimal(line[1]), decimal(line[0]), decimal(top))
        }
        return nil
    }

    /// `x` and `rate` of `1 + exp(rate·x)`.
    fileprivate func onePlusExponential(_ value: ValueID) -> (ValueID, Double)? {
        guard let (exponential, one) = binaryWithSplat(value, .add), one == 1, let inner = unary(exponential, .exp),
              tensorType(inner).element.isFloat, type(exponential) == type(value) else { return nil }
        if let x = unary(inner, .negate) { return (x, -1) }
        if let (x, rate) = binaryWithSplat(inner, .multiply), type(x) == type(inner) { return (x, rate) }
        return (inner, 1)
    }

    /// The erf and tanh nodes inside a sum or product, with their arguments.
    fileprivate func sigmoidalTerms(_ value: ValueID, depth: Int = 0) -> [(term: (result: ValueID, argument: ValueID), isErf: Bool)] {
        guard depth < 4 else { return [] }
        if let x = unary(value, .erf) { return [((value, x), true)] }
        if let x = unary(value, .tanh) { return [((value, x), false)] }
        if let (_, op, operands) = match(value, Activation.self), op.kind == .tanh { return [((value, operands[0]), false)] }
        guard let (_, op, operands) = match(value, Binary.self), op.function == .add || op.function == .multiply else { return [] }
        return operands.flatMap { sigmoidalTerms($0, depth: depth + 1) }
    }
}
