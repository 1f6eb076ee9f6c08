import GlmcIR

extension Pass {
    /// Turns `quantize` and `dequantize` around an op into the op on integers.
    ///
    /// ```
    /// %0 = dequantize(%x, %sx, %zx) : f32[1, 4, 8, 8]
    /// %1 = pad(%0, before: [0, 0, 1, 1], after: [0, 0, 1, 1]) : f32[1, 4, 10, 10]
    /// %2 = dequantize(%w, %sw, %zw, axis: 0) : f32[8, 4, 3, 3]
    /// %3 = conv(%1, %2, strides: [1, 1], dilations: [1, 1]) : f32[1, 8, 8, 8]
    /// ```
    /// becomes
    /// ```
    /// %0 = pad(%x, before: [0, 0, 1, 1], after: [0, 0, 1, 1], value: 7.0) : u8[1, 4, 10, 10]
    /// %1 = conv(%0, %w, strides: [1, 1], dilations: [1, 1]) : i32[1, 8, 8, 8]
    /// %2 = cast(%1, to: f32) : f32[1, 8, 8, 8]
    /// %3 = binary.multiply(%2, %scale) : f32[1, 8, 8, 8]
    /// %4 = binary.add(%3, %correction) : f32[1, 8, 8, 8]
    /// ```
    ///
    /// `scale` is `sx·sw` per channel and `correction` is `−zx·Σw·scale`: with `x = (q − zx)·sx`, the zero point leaves the sum. Where the result is not
    /// rounded to integers again, `zx·Σw` leaves the sum of integers instead, so that what is 0 stays 0. The
    /// zero point is also the value of the padding. What follows the sum is ordinary arithmetic, which fuses behind the kernel like
    /// any other. A pass of its own because it serves both models that were quantised elsewhere and `quantize-static`.
    public static let lowerQuantized = Pass(
        "lower-quantized", "Turns quantize and dequantize around convolutions, products and moves into integer ops",
        rules: [signedActivation, redundantQuantize, movedBehind, transposedWeights, integerConvolution, integerProduct])
}

/// A dequantisation with one scale and zero point known at compile time.
struct KnownQuantization: Hashable {
    var scale: Double
    var zeroPoint: Int
}

extension Function {
    /// The scale and zero point of a `quantize` or `dequantize` with per-tensor constants, given its operands.
    func knownQuantization(_ operands: [ValueID]) -> KnownQuantization? {
        guard let scale = constant(operands[1]), let zero = constant(operands[2]), scale.count == 1, zero.element.isInteger,
              scale.doubles[0] > 0, scale.doubles[0].isFinite else { return nil }
        return KnownQuantization(scale: scale.doubles[0], zeroPoint: zero.integers[0])
    }

    /// The quantised form of an f32 value that is dequantised from 8 bits with known parameters.
    func dequantized(_ value: ValueID) -> (source: ValueID, known: KnownQuantization)? {
        guard let (_, op, operands) = match(value, Dequantize.self), op.element == .f32, let known = knownQuantization(operands),
              [.u8, .i8].contains(tensorType(operands[0]).element) else { return nil }
        return (operands[0], known)
    }
}

/// `dequantize(quantize(x))` through i8 → the same through u8, with 128 added to the zero point: kernels multiply u8 by s8.
private let signedActivation = Rule("signed-activation", on: Dequantize.self) { function, id, op in
    let node = function[id]
    guard op.element == .f32, let known = function.knownQuantization(node.operands),
          let (source, quantize, operands) = function.match(node.operands[0], Quantize.self), quantize.element == .i8,
          function.knownQuantization(operands) == known else { return nil }
    return { rewriter in
        let zero = try rewriter.create1(Constant(.scalar(Double(known.zeroPoint + 128), .u8)), [], at: .before(id))
        let scale = try rewriter.create1(Constant(.scalar(known.scale, .f32)), [], at: .before(id))
        let bytes = try rewriter.create1(Quantize(element: .u8, axis: 0), [operands[0], scale, zero], at: .before(id), provenance: rewriter.function[source].provenance)
        try rewriter.replace(id, with: Dequantize(axis: 0), [bytes, scale, zero])
    }
}

/// `quantize(dequantize(q))` with one scale and zero point → `q`.
private let redundantQuantize = Rule("redundant-quantize", on: Quantize.self) { function, id, op in
    let node = function[id]
    guard let known = function.knownQuantization(node.operands), let (source, inner) = function.dequantized(node.operands[0]), known == inner,
          function.tensorType(source).element == op.element else { return nil }
    return { try $0.replace(id, with: [source]) }
}

/// `move(dequantize(q), …)` → `dequantize(move(q, …))`, where all moved operands have one scale and zero point.
private let movedBehind = Rule(
    "moved-behind", at: Reshape.self, Transpose.self, Slice.self, Expand.self, Relayout.self, Gather.self, GatherElements.self, GatherND.self,
    ReverseSequence.self, Concat.self, Pad.self, Pool.self, Resize.self
) { function, id in
    let node = function[id]
    guard let positions = function.movedOperands(id), !positions.isEmpty, node.results.count == 1 else { return nil }
    let sources = positions.compactMap { function.dequantized(node.operands[$0]) }
    guard sources.count == positions.count, let first = sources.first, sources.allSatisfy({ $0.known == first.known }),
          Set(sources.map { function.tensorType($0.source).element }).count == 1, let old = function.definingNode(node.operands[positions[0]]) else { return nil }
    let parameters = Array(function[old].operands[1...2])
    var op = node.op
    if var pad = op as? Pad, pad.mode == .constant {
        pad.value = Double(first.known.zeroPoint)
        op = pad
    }
    let moved = op
    var operands = node.operands
    for (position, source) in zip(positions, sources) { operands[position] = source.source }
    let inner = operands
    return { rewriter in
        let bytes = try rewriter.create1(moved, inner, at: .before(id), provenance: node.provenance)
        try rewriter.replace(id, with: Dequantize(axis: 0), [bytes] + parameters)
    }
}

/// `transpose(dequantize(constant))` → `dequantize(transposed constant)`.
private let transposedWeights = Rule("transposed-weights", on: Transpose.self) { function, id, op in
    guard let (_, dequantize, operands) = function.match(function[id].operands[0], Dequantize.self), dequantize.blockSize == 0,
          let values = function.constant(operands[0]), let scale = function.constant(operands[1]) else { return nil }
    var moved = dequantize
    if scale.count > 1 {
        let axis = dequantize.axis < 0 ? dequantize.axis + values.rank : dequantize.axis
        guard let position = op.permutation.firstIndex(of: axis) else { return nil }
        moved.axis = position
    }
    let result = moved
    return { rewriter in
        let transposed = try rewriter.constant(op, [values], before: id)
        try rewriter.replace(id, with: result, [transposed, operands[1], operands[2]])
    }
}

/// Constant weights as s8 around 0, with one scale for all, or one per index of `axis`.
private struct IntegerWeights {
    let values: Tensor
    let scales: [Double]
    /// Sums of the values that meet one result channel, by channel, for the correction of the zero point.
    let sums: [Int]

    /// - Parameters:
    ///   - channel: the axis of the result's channels.
    ///   - groups: products with batches of matrices have one sum per batch and column.
    init?(_ function: Function, _ value: ValueID, channel: Int, summed: Set<Int>) {
        guard let (_, op, operands) = function.match(value, Dequantize.self), op.element == .f32, op.blockSize == 0,
              let weights = function.constant(operands[0]), let scale = function.constant(operands[1]), let zero = function.constant(operands[2]),
              [.u8, .i8].contains(weights.element), scale.element == .f32,
              scale.count == 1 || (op.axis < 0 ? op.axis + weights.rank : op.axis) == channel else { return nil }
        scales = scale.doubles
        let zeros = zero.integers, source = weights.integers
        let inner = weights.shape[(channel + 1)...].reduce(1, *), extent = weights.shape[channel]
        var centred = source
        if zeros.contains(where: { $0 != 0 }) {
            for i in source.indices { centred[i] -= zeros[zeros.count == 1 ? 0 : i / inner % extent] }
        }
        guard centred.allSatisfy({ -128...127 ~= $0 }) else { return nil }
        let final = centred
        values = weights.element == .i8 && final == source ? weights : Tensor(.i8, weights.shape, integers: { final[$0] })
        // Sums over `summed` axes; the others keep their order.
        let kept = weights.shape.indices.filter { !summed.contains($0) }
        let strides = rowMajorStrides(weights.shape), keptStrides = rowMajorStrides(kept.map { weights.shape[$0] })
        var totals = [Int](repeating: 0, count: kept.reduce(1) { $0 * weights.shape[$1] })
        for i in final.indices {
            var position = 0
            for (axis, stride) in zip(kept, keptStrides) { position += i / strides[axis] % weights.shape[axis] * stride }
            totals[position] += final[i]
        }
        sums = totals
    }
}

/// `conv(dequantize(x), dequantize(w))` → the integer convolution, rescaled.
private let integerConvolution = Rule("integer-convolution", on: Convolution.self) { function, id, op in
    let node = function[id], filter = function.tensorType(node.operands[1])
    guard let shape = filter.shape.constants, let (x, known) = function.dequantized(node.operands[0]), function.constant(x) == nil,
          let weights = IntegerWeights(function, node.operands[1], channel: 0, summed: Set(1..<shape.count)),
          shape[1...].reduce(1, *) <= IntegerSum.maximumTerms else { return nil }
    let channels = [shape[0]] + shape[2...].map { _ in 1 }
    return { try $0.replaceByInteger(id, op, [x, nil], weights, known, scaleShape: channels, sumShape: channels) }
}

/// `matmul(dequantize(a), dequantize(b))` with constant `b` → the integer product, rescaled.
private let integerProduct = Rule("integer-product", on: MatMul.self) { function, id, op in
    let node = function[id], matrix = function.tensorType(node.operands[1])
    guard let shape = matrix.shape.constants, let (a, known) = function.dequantized(node.operands[0]), function.constant(a) == nil,
          let weights = IntegerWeights(function, node.operands[1], channel: shape.count - 1, summed: [shape.count - 2]),
          shape[shape.count - 2] <= IntegerSum.maximumTerms else { return nil }
    let columns = shape[shape.count - 1]
    let sums = shape.count == 2 ? [columns] : Array(shape.dropLast(2)) + [1, columns]
    return { try $0.replaceByInteger(id, op, [a, nil], weights, known, scaleShape: [columns], sumShape: sums) }
}

extension Rewriter {
    /// Replaces a node by its integer form: op, cast, scale, correction. `nil` among the operands stands for the weights.
    fileprivate mutating func replaceByInteger(
        _ id: NodeID, _ op: any Op, _ operands: [ValueID?], _ weights: IntegerWeights, _ known: KnownQuantization, scaleShape: [Int], sumShape: [Int]
    ) throws {
        let provenance = function[id].provenance
        func constant(_ tensor: Tensor, _ rewriter: inout Rewriter) throws -> ValueID { try rewriter.create1(Constant(tensor), [], at: .before(id)) }
        let values = try constant(weights.values, &self)
        let sum = try create1(op, operands.map { $0 ?? values }, at: .before(id), provenance: provenance)
        // What is rounded again need not be exact, and an addend of floats joins others.
        let isExact = known.zeroPoint != 0 && !function.feedsRounding(function[id].results[0])
        var whole = sum
        if isExact {
            let offset = Tensor(.i32, sumShape, integers: { known.zeroPoint * weights.sums[$0] })
            whole = try create1(Binary(.subtract), [sum, try constant(offset, &self)], at: .before(id), provenance: provenance)
        }
        let real = try create1(Cast(to: .f32), [whole], at: .before(id), provenance: provenance)
        let scales = weights.scales.map { $0 * known.scale }
        let scale = scales.count == 1 ? Tensor.scalar(scales[0], .f32) : Tensor(.f32, scaleShape, values: { scales[$0] })
        var result = try create1(Binary(.multiply), [real, try constant(scale, &self)], at: .before(id), provenance: provenance)
        if known.zeroPoint != 0, !isExact {
            let channels = Swift.max(scales.count, 1)
            let correction = Tensor(.f32, sumShape, values: { -Double(known.zeroPoint * weights.sums[$0]) * scales[$0 % channels] })
            result = try create1(Binary(.add), [result, try constant(correction, &self)], at: .before(id), provenance: provenance)
        }
        try replace(id, with: [result])
    }
}
