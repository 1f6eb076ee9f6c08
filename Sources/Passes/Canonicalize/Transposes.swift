import GlmcIR

/// Rules about transposes: they vanish, merge, or move behind the ops that do not care, where they meet others to cancel with.
/// Elementwise ops thereby move towards the convolution or product whose epilogue they can join.
let transposeRules: [Rule] = [
    composedTranspose, transposedUnitAxes, transposeBehindUnary, transposeBehindBinary, transposeBehindConcat, transposeBehindReduce,
    transposeBehindPad, transposeBehindSlice,
]

/// A permutation that undoes `permutation`.
func inverse(_ permutation: [Int]) -> [Int] {
    var result = [Int](repeating: 0, count: permutation.count)
    for (position, axis) in permutation.enumerated() { result[axis] = position }
    return result
}

/// `transpose(transpose(x, p), q)` → `transpose(x, p∘q)`; the identity → `x`.
private let composedTranspose = Rule("composed-transpose", on: Transpose.self) { function, id, op in
    let x = function[id].operands[0]
    if op.permutation == Array(op.permutation.indices) { return { try $0.replace(id, with: [x]) } }
    guard let (_, inner, operands) = function.match(x, Transpose.self) else { return nil }
    let composed = Transpose(op.permutation.map { inner.permutation[$0] })
    return { try $0.replace(id, with: composed, operands) }
}

/// A transpose that moves only axes of size 1 → `reshape`.
private let transposedUnitAxes = Rule("transposed-unit-axes", on: Transpose.self) { function, id, op in
    let node = function[id], shape = function.tensorType(node.operands[0]).shape
    let moving = op.permutation.filter { shape[$0] != 1 }
    guard moving == moving.sorted(), op.permutation != op.permutation.sorted() else { return nil }
    let reshape = Reshape(function.tensorType(node.results[0]).shape)
    return { try $0.replace(id, with: reshape, node.operands) }
}

/// `f(transpose(x))` → `transpose(f(x))` for elementwise `f` of one operand.
private let transposeBehindUnary = Rule("transpose-behind-unary", at: Unary.self, Activation.self, Cast.self, Bitcast.self) { function, id in
    let node = function[id]
    guard let (_, transpose, operands) = function.match(node.operands[0], Transpose.self) else { return nil }
    return { rewriter in
        let inner = try rewriter.create1(node.op, operands, at: .before(id), provenance: node.provenance)
        try rewriter.replace(id, with: transpose, [inner])
    }
}

/// `f(transpose(x, p), transpose(y, p))` → `transpose(f(x, y), p)`; `y` may also be a constant or have a single element.
private let transposeBehindBinary = Rule("transpose-behind-binary", on: Binary.self) { function, id, op in
    let node = function[id]
    for position in 0...1 {
        guard let (_, transpose, operands) = function.match(node.operands[position], Transpose.self) else { continue }
        let permutation = transpose.permutation, x = operands[0], y = node.operands[1 - position], type = function.tensorType(y)
        guard function.tensorType(x).rank == function.tensorType(node.results[0]).rank else { continue }
        let other: (inout Rewriter) throws -> ValueID
        if let (_, second, operands) = function.match(y, Transpose.self), second == transpose {
            other = { _ in operands[0] }
        } else if type.elementCount == 1 {
            other = { _ in y }
        } else if let constant = function.constant(y),
                  let aligned = constant.reshaped([Int](repeating: 1, count: permutation.count - constant.rank) + constant.shape) {
            other = { try $0.constant(Transpose(inverse(permutation)), [aligned], before: id) }
        } else {
            continue
        }
        return { rewriter in
            let y = try other(&rewriter)
            let inner = try rewriter.create1(op, position == 0 ? [x, y] : [y, x], at: .before(id), provenance: node.provenance)
            try rewriter.replace(id, with: transpose, [inner])
        }
    }
    return nil
}

/// `concat(transpose(x, p), transpose(y, p), axis)` → `transpose(concat(x, y, p[axis]), p)`.
private let transposeBehindConcat = Rule("transpose-behind-concat", on: Concat.self) { function, id, op in
    let node = function[id]
    let transposes = node.operands.compactMap { function.match($0, Transpose.self) }
    guard let first = transposes.first?.op, transposes.count == node.operands.count, transposes.allSatisfy({ $0.op == first }) else { return nil }
    return { rewriter in
        let joined = Concat(axis: first.permutation[op.axis])
        let inner = try rewriter.create1(joined, transposes.map { $0.operands[0] }, at: .before(id), provenance: node.provenance)
        try rewriter.replace(id, with: first, [inner])
    }
}

/// `reduce(transpose(x, p), axes)` → a reduction of `x` over the axes they came from, transposed if that is still needed. Not for
/// the last axis: that is how a normalisation of transposed rows starts, which is better left together.
private let transposeBehindReduce = Rule("transpose-behind-reduce", on: Reduce.self) { function, id, op in
    let node = function[id]
    guard let (_, transpose, operands) = function.match(node.operands[0], Transpose.self) else { return nil }
    let permutation = transpose.permutation
    guard !op.axes.contains(permutation.count - 1) else { return nil }
    let reduced = Reduce(op.function, axes: op.axes.map { permutation[$0] }.sorted(), keepDims: op.keepDims)
    let kept = permutation.indices.filter { op.keepDims || !op.axes.contains($0) }.map { permutation[$0] }
    let rank = kept.sorted()
    let outer = Transpose(kept.map { axis in rank.firstIndex(of: axis) ?? 0 })
    return { rewriter in
        let inner = try rewriter.create1(reduced, operands, at: .before(id), provenance: node.provenance)
        try rewriter.replace(id, with: outer, [inner])
    }
}

/// `pad(transpose(x))` → `transpose(pad(x))`.
private let transposeBehindPad = Rule("transpose-behind-pad", on: Pad.self) { function, id, op in
    let node = function[id]
    guard let (_, transpose, operands) = function.match(node.operands[0], Transpose.self) else { return nil }
    let back = inverse(transpose.permutation)
    let pad = Pad(before: back.map { op.before[$0] }, after: back.map { op.after[$0] }, value: op.value, mode: op.mode)
    return { rewriter in
        let inner = try rewriter.create1(pad, operands, at: .before(id), provenance: node.provenance)
        try rewriter.replace(id, with: transpose, [inner])
    }
}

/// `slice(transpose(x))` → `transpose(slice(x))`.
private let transposeBehindSlice = Rule("transpose-behind-slice", on: Slice.self) { function, id, op in
    let node = function[id]
    guard let (_, transpose, operands) = function.match(node.operands[0], Transpose.self) else { return nil }
    let back = inverse(transpose.permutation)
    let slice = Slice(starts: back.map { op.starts[$0] }, sizes: back.map { op.sizes[$0] }, steps: back.map { op.steps[$0] })
    return { rewriter in
        let inner = try rewriter.create1(slice, operands, at: .before(id), provenance: node.provenance)
        try rewriter.replace(id, with: transpose, [inner])
    }
}
