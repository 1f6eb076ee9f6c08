import GlmcIR

/// Rules about reshapes and broadcasts.
let reshapeRules: [Rule] = [
    identityReshape, composedReshape, reshapeBehindUnary, reshapeBehindBinary, identityExpand, expandBehindUnary, implicitExpand,
]

/// A reshape to the shape that its operand has → the operand.
private let identityReshape = Rule("identity-reshape", on: Reshape.self) { function, id, _ in
    let node = function[id]
    guard function.type(node.operands[0]) == function.type(node.results[0]) else { return nil }
    return { try $0.replace(id, with: node.operands) }
}

/// `reshape(reshape(x))` → `reshape(x)`.
private let composedReshape = Rule("composed-reshape", on: Reshape.self) { function, id, op in
    guard let (_, _, operands) = function.match(function[id].operands[0], Reshape.self) else { return nil }
    return { try $0.replace(id, with: op, operands) }
}

/// `f(reshape(x))` → `reshape(f(x))` for elementwise `f` of one operand.
private let reshapeBehindUnary = Rule("reshape-behind-unary", at: Unary.self, Activation.self, Cast.self, Bitcast.self) { function, id in
    let node = function[id]
    guard let (_, reshape, operands) = function.match(node.operands[0], Reshape.self) else { return nil }
    return { rewriter in
        let inner = try rewriter.create1(node.op, operands, at: .before(id), provenance: node.provenance)
        try rewriter.replace(id, with: reshape, [inner])
    }
}

/// `f(reshape(x), y)` → `reshape(f(x, y))`, where `y` is a reshape from the same shape, has a single element, or covers only last
/// axes that the reshape leaves alone (a bias after the batch axes were unfolded).
private let reshapeBehindBinary = Rule("reshape-behind-binary", on: Binary.self) { function, id, op in
    let node = function[id], result = function.tensorType(node.results[0])
    for position in 0...1 {
        guard let (_, reshape, operands) = function.match(node.operands[position], Reshape.self) else { continue }
        let x = operands[0], y = node.operands[1 - position]
        let (from, other) = (function.tensorType(x).shape, function.tensorType(y).shape)
        guard function.type(node.operands[position]) == .tensor(result) else { continue }
        let second: (inout Rewriter) throws -> ValueID
        if let (_, same, operands) = function.match(y, Reshape.self), same == reshape, function.tensorType(operands[0]).shape == from {
            second = { _ in operands[0] }
        } else {
            // Leading axes of size 1 do not count.
            let significant = Array(other.drop { $0 == 1 })
            let rank = significant.count
            guard from.count >= rank, from.suffix(rank) == reshape.shape.suffix(rank) else { continue }
            second = { other.count <= from.count ? y : try $0.create1(Reshape(significant), [y], at: .before(id)) }
        }
        return { rewriter in
            let y = try second(&rewriter)
            let inner = try rewriter.create1(op, position == 0 ? [x, y] : [y, x], at: .before(id), provenance: node.provenance)
            try rewriter.replace(id, with: reshape, [inner])
        }
    }
    return nil
}

/// An expand to the shape that its operand has → the operand; `expand(expand(x))` → `expand(x)`.
private let identityExpand = Rule("identity-expand", on: Expand.self) { function, id, op in
    let node = function[id]
    if function.type(node.operands[0]) == function.type(node.results[0]) { return { try $0.replace(id, with: node.operands) } }
    guard let (_, _, operands) = function.match(node.operands[0], Expand.self) else { return nil }
    return { try $0.replace(id, with: op, operands) }
}

/// `f(expand(x))` → `expand(f(x))`: fewer elements to compute.
private let expandBehindUnary = Rule("expand-behind-unary", at: Unary.self, Activation.self, Cast.self, Bitcast.self) { function, id in
    let node = function[id]
    guard let (_, expand, operands) = function.match(node.operands[0], Expand.self) else { return nil }
    return { rewriter in
        let inner = try rewriter.create1(node.op, operands, at: .before(id), provenance: node.provenance)
        try rewriter.replace(id, with: expand, [inner])
    }
}

/// `f(expand(x), y)` → `f(x, y)`, where broadcasting gives the same shape anyway.
private let implicitExpand = Rule("implicit-expand", at: Binary.self, Select.self) { function, id in
    let node = function[id]
    for (position, operand) in node.operands.enumerated() {
        guard let (_, _, operands) = function.match(operand, Expand.self) else { continue }
        var replaced = node.operands
        replaced[position] = operands[0]
        guard let types = try? node.op.infer(function.inferenceContext(operands: replaced, regions: [], resultCount: 1)),
              types == [function.type(node.results[0])] else { continue }
        return { try $0.replace(id, with: node.op, replaced) }
    }
    return nil
}
