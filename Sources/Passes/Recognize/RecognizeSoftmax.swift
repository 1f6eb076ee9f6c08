import GlmcIR

extension Pass {
    /// Finds softmax and log-softmax that exporters have written as exponentials and sums.
    ///
    /// ```
    /// %0 = reduce.maximum(%x, axes: [1], keep_dims: true) : f32[4, 1]
    /// %1 = binary.subtract(%x, %0) : f32[4, 10]
    /// %2 = unary.exp(%1) : f32[4, 10]
    /// %3 = reduce.add(%2, axes: [1], keep_dims: true) : f32[4, 1]
    /// %4 = binary.divide(%2, %3) : f32[4, 10]
    /// ```
    /// becomes
    /// ```
    /// %0 = softmax(%x, axis: 1) : f32[4, 10]
    /// ```
    ///
    /// It works with and without the maximum, which changes nothing but the range in which exp does not overflow.
    public static let recognizeSoftmax = Pass(
        "recognize-softmax", "Finds softmax in decomposed form",
        rules: [quotientOfExponentials, logarithmOfSoftmax, shiftedByLogSum])
}

extension Function {
    /// `x` and the axis of `Σ x` over one axis that keeps it.
    fileprivate func sum(_ value: ValueID, _ sum: ReduceFunction = .add) -> (ValueID, Int)? {
        guard let (_, op, operands) = match(value, Reduce.self), op.function == sum, op.keepDims, op.axes.count == 1 else { return nil }
        return (operands[0], op.axes[0])
    }

    /// The argument of a softmax without the maximum that may have been subtracted from it.
    fileprivate func withoutMaximum(_ value: ValueID, axis: Int) -> ValueID {
        guard let (x, subtrahend) = binary(value, .subtract), let (source, sourceAxis) = sum(subtrahend, .maximum), source == x, sourceAxis == axis else { return value }
        return x
    }
}

/// `exp(x) / Σ exp(x)`, also as a product with the reciprocal → softmax.
private let quotientOfExponentials = Rule("quotient-of-exponentials", on: Binary.self) { function, id, op in
    let result = function[id].results[0]
    let candidates: [(ValueID, ValueID)] = switch op.function {
    case .divide: function.orders(result, .divide)
    case .multiply: function.orders(result, .multiply).compactMap { a, b in function.unary(b, .reciprocal).map { (a, $0) } }
    default: []
    }
    for (exponential, divisor) in candidates {
        guard let argument = function.unary(exponential, .exp), let (summed, axis) = function.sum(divisor), summed == exponential else { continue }
        let x = function.withoutMaximum(argument, axis: axis)
        return { try $0.replace(id, with: Softmax(axis: axis), [x]) }
    }
    return nil
}.explained("recognised from exponentials and a sum")

/// `log(softmax(x))` → log-softmax, which keeps small probabilities.
private let logarithmOfSoftmax = Rule("logarithm-of-softmax", on: Unary.self) { function, id, op in
    guard op.function == .log, let (_, softmax, operands) = function.match(function[id].operands[0], Softmax.self), !softmax.log else { return nil }
    return { try $0.replace(id, with: Softmax(axis: softmax.axis, log: true), operands) }
}

/// `x - log Σ exp(x)` → log-softmax.
private let shiftedByLogSum = Rule("shifted-by-log-sum", on: Binary.self) { function, id, op in
    guard op.function == .subtract else { return nil }
    let operands = function[id].operands
    let source: ValueID, axis: Int
    if let (x, sumAxis) = function.sum(operands[1], .logSumExp) {
        (source, axis) = (x, sumAxis)
    } else if let sum = function.unary(operands[1], .log), let (exponential, sumAxis) = function.sum(sum), let x = function.unary(exponential, .exp) {
        (source, axis) = (x, sumAxis)
    } else {
        return nil
    }
    guard source == operands[0] else { return nil }
    let x = function.withoutMaximum(source, axis: axis)
    return { try $0.replace(id, with: Softmax(axis: axis, log: true), [x]) }
}.explained("recognised from exponentials and a sum")
