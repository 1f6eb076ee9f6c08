import GlmcIR

extension Pass {
    /// Finds scaled dot-product attention between its two matrix products.
    ///
    /// ```
    /// %kt = transpose(%k, permutation: [0, 1, 3, 2]) : f32[1, 12, 64, 128]
    /// %0 = matmul(%q, %kt) : f32[1, 12, 128, 128]
    /// %1 = binary.multiply(%0, %0.125) : f32[1, 12, 128, 128]
    /// %2 = binary.add(%1, %mask) : f32[1, 12, 128, 128]
    /// %3 = softmax(%2, axis: 3) : f32[1, 12, 128, 128]
    /// %4 = matmul(%3, %v) : f32[1, 12, 128, 64]
    /// ```
    /// becomes
    /// ```
    /// %0 = attention(%q, %k, %v, %mask, scale: 0.125) : f32[1, 12, 128, 64]
    /// ```
    ///
    /// The scale may stand before or after the product, or in parts on both factors; masks may be added or chosen with a
    /// select; the batch may be one axis or two; keys and values that are repeated for grouped queries are read where they
    /// are. Softmax and products must have no other readers: with the scores kept, nothing is gained.
    public static let recognizeAttention = Pass("recognize-attention", "Finds scaled dot-product attention") { rewriter, context in
        try RuleDriver([productOfSoftmax, repeatedKeys, triangularMask]).run(&rewriter, context)
        for id in rewriter.function.allNodes {
            guard rewriter.function[id].op is MatMul, let softmax = rewriter.function.definingNode(rewriter.function[id].operands[0]),
                  rewriter.function[softmax].op is Softmax else { continue }
            let isShared = !rewriter.function.hasOneUse(rewriter.function[softmax].results[0])
            let reason = isShared ? "the softmax has other readers" : "the scores are no product with scales and masks only, or have other readers"
            rewriter.remark("a softmax and a product, but no attention: \(reason)", at: id, missed: true)
        }
    }
}

/// What is known about the scores of an attention: `scale · q·kᵀ + masks`.
private struct Scores {
    var q: ValueID
    /// [.., d, T]: transposed, as the product takes it.
    var keys: ValueID
    var scale = 1.0
    /// What is added, in order: a value times a factor, or a number where a condition holds (or does not hold).
    var masks: [Mask] = []

    enum Mask {
        case added(ValueID, factor: Double)
        case chosen(condition: ValueID, value: Double, where: Bool)
    }

    /// The keys before a transposition whose operand was a multiple of them.
    var beforeTranspose: (ValueID, Transpose)?

    /// Reads the scores from the softmax's operand downwards.
    static func read(_ value: ValueID, in function: Function, depth: Int = 0) -> Scores? {
        guard depth < 8, function.hasOneUse(value) else { return nil }
        if let operands = function.factors(value) {
            var scores = Scores(q: operands[0], keys: operands[1])
            scores.takeFactors(of: function)
            return scores
        }
        if let (_, _, operands) = function.match(value, Select.self) {
            // The condition is true where the score stays, or where it is masked out.
            for (kept, masked) in [(1, 2), (2, 1)] {
                guard let number = function.splat(operands[masked]), number < -1000 else { continue }
                guard var scores = read(operands[kept], in: function, depth: depth + 1) else { return nil }
                scores.masks.append(.chosen(condition: operands[0], value: number, where: masked == 1))
                return scores
            }
            return nil
        }
        if let (inner, factor) = function.binaryWithSplat(value, .multiply) ?? function.binaryWithSplat(value, .divide).map({ ($0, 1 / $1) }) {
            guard var scores = read(inner, in: function, depth: depth + 1) else { return nil }
            // Chosen masks stay what they are: large and negative.
            guard factor > 0 else { return nil }
            scores.scale *= factor
            scores.masks = scores.masks.map { mask in
                if case .added(let value, let f) = mask { .added(value, factor: f * factor) } else { mask }
            }
            return scores
        }
        for (inner, mask) in function.orders(value, .add) {
            guard var scores = read(inner, in: function, depth: depth + 1) else { continue }
            scores.masks.append(.added(mask, factor: 1))
            return scores
        }
        return nil
    }

    /// Moves factors of the queries and keys into the scale.
    private mutating func takeFactors(of function: Function) {
        if let (x, factor) = function.binaryWithSplat(q, .multiply), function.type(x) == function.type(q) {
            q = x
            scale *= factor
        }
        if let (x, factor) = function.binaryWithSplat(keys, .multiply), function.type(x) == function.type(keys) {
            keys = x
            scale *= factor
        }
        // A factor may also lie before the transposition.
        if let (_, transpose, operands) = function.match(keys, Transpose.self), let (x, factor) = function.binaryWithSplat(operands[0], .multiply),
           function.type(x) == function.type(operands[0]), transpose.permutation.count == 4 {
            beforeTranspose = (x, transpose)
            scale *= factor
        }
    }
}

private let productOfSoftmax = Rule("product-of-softmax", on: MatMul.self) { function, id, _ in
    let node = function[id]
    guard function.hasOneUse(node.operands[0]) else { return nil }
    var probabilities = node.operands[0], maskedIsNaN = true
    // PyTorch replaces the NaNs of rows all of whose keys are masked by zeros.
    if let (_, _, operands) = function.match(probabilities, Select.self), let tested = function.unary(operands[0], .isNaN), tested == operands[2],
       function.splat(operands[1]) == 0, function[tested].uses.count == 2 {
        probabilities = tested
        maskedIsNaN = false
    } else if !function.hasOneUse(probabilities) {
        return nil
    }
    guard let (_, softmax, source) = function.match(probabilities, Softmax.self), !softmax.log else { return nil }
    let rank = function.tensorType(node.results[0]).rank
    guard softmax.axis == rank - 1 || softmax.axis == -1, rank == 3 || rank == 4, let scores = Scores.read(source[0], in: function) else { return nil }
    let (q, v) = (function.tensorType(scores.q), function.tensorType(node.operands[1]))
    let keys = function.tensorType(scores.keys), result = function.tensorType(source[0])
    guard q.element == .f32 || q.element == .f16 || q.element == .bf16 || q.element == .f64, q.element == keys.element, q.element == v.element, q.rank == rank, keys.rank == rank, v.rank == rank,
          q.shape.dropLast(2) == keys.shape.dropLast(2), q.shape.dropLast(2) == v.shape.dropLast(2), result.shape.dropLast(2) == q.shape.dropLast(2),
          function.tensorType(node.results[0]).shape.dropLast() == q.shape.dropLast(), scores.masks.allSatisfy({ $0.fits(result, function) }) else { return nil }
    let isNaN = maskedIsNaN
    return { rewriter in
        // With one batch axis, it plays the part of the heads.
        func withHeads(_ value: ValueID, _ rewriter: inout Rewriter) throws -> ValueID {
            let shape = rewriter.function.tensorType(value).shape
            guard rank == 3, shape.count == 3 else { return value }
            return try rewriter.create1(Reshape([1] + shape), [value], at: .before(id))
        }
        let swapped = try scores.untransposedKeys(rank: rank, before: id, &rewriter)
        var operands = [try withHeads(scores.q, &rewriter), try withHeads(swapped, &rewriter), try withHeads(node.operands[1], &rewriter)]
        if let mask = try scores.mask(before: id, &rewriter) { operands.append(try withHeads(mask, &rewriter)) }
        let rounded = try rewriter.create1(Attention(scale: decimal(scores.scale), maskedIsNaN: isNaN), operands, at: .before(id))
        let sums = rewriter.function.tensorType(node.results[0]).element
        let attention = sums == q.element ? rounded : try rewriter.create1(Cast(to: sums), [rounded], at: .before(id))
        if rank == 4 { return try rewriter.replace(id, with: [attention]) }
        try rewriter.replace(id, with: Reshape(rewriter.function.tensorType(node.results[0]).shape), [attention])
    }
}.explained("recognised from two products and a softmax")

extension Function {
    /// The factors of a matrix product in their own type: sums of 16-bit floats are f32, rounded back.
    fileprivate func factors(_ value: ValueID) -> [ValueID]? {
        guard let (_, cast, sum) = match(value, Cast.self) else { return match(value, MatMul.self)?.operands }
        guard hasOneUse(sum[0]), let (_, _, operands) = match(sum[0], MatMul.self), tensorType(operands[0]).element == cast.to else { return nil }
        return operands
    }
}

extension Scores.Mask {
    /// Whether the mask broadcasts to the scores without widening them.
    func fits(_ scores: TensorType, _ function: Function) -> Bool {
        let type = switch self {
        case .added(let value, _): function.tensorType(value)
        case .chosen(let condition, _, _): function.tensorType(condition)
        }
        return type.rank <= scores.rank && zip(type.shape.reversed(), scores.shape.reversed()).allSatisfy { $0 == 1 || $0 == $1 }
    }
}

extension Scores {
    /// The keys with one key per row.
    func untransposedKeys(rank: Int, before id: NodeID, _ rewriter: inout Rewriter) throws -> ValueID {
        let swap = rank == 3 ? [0, 2, 1] : [0, 1, 3, 2]
        var (source, permutation) = (keys, swap)
        if let (x, transpose) = beforeTranspose {
            (source, permutation) = (x, swap.map { transpose.permutation[$0] })
        } else if let (_, transpose, operands) = rewriter.function.match(keys, Transpose.self) {
            (source, permutation) = (operands[0], swap.map { transpose.permutation[$0] })
        }
        return permutation == permutation.sorted() ? source : try rewriter.create1(Transpose(permutation), [source], at: .before(id))
    }

    /// One additive or boolean mask for all that is masked; nil for none.
    func mask(before id: NodeID, _ rewriter: inout Rewriter) throws -> ValueID? {
        let element = rewriter.function.tensorType(q).element
        if masks.count == 1, case .chosen(let condition, let value, let isMasked) = masks[0], value == -.infinity {
            return isMasked ? try rewriter.create1(Unary(.not), [condition], at: .before(id)) : condition
        }
        var sum: ValueID?
        for mask in masks {
            var term: ValueID
            switch mask {
            case .added(let value, let factor):
                term = value
                if factor != 1 {
                    let constant = try rewriter.scalar(factor, element, at: .before(id))
                    term = try rewriter.create1(Binary(.multiply), [value, constant], at: .before(id))
                }
            case .chosen(let condition, let value, let isMasked):
                // A number so large that adding it drowns the score replaces the score, as the select does: a row without any
                // key then weighs all keys alike.
                let maskBias = value.isFinite ? (element == .f16 ? -60000 : -1e30) : value
                let masked = try rewriter.scalar(maskBias, element, at: .before(id)), kept = try rewriter.scalar(0, element, at: .before(id))
                term = try rewriter.create1(Select(), isMasked ? [condition, masked, kept] : [condition, kept, masked], at: .before(id))
            }
            sum = try sum.map { try rewriter.create1(Binary(.add), [$0, term], at: .before(id)) } ?? term
        }
        return sum
    }
}

/// Keys and values that are repeated for the queries of a group → the shared ones.
private let repeatedKeys = Rule("repeated-keys", on: Attention.self) { function, id, op in
    let node = function[id]
    guard let (k, keyGroup) = function.repeatedHeads(node.operands[1]), let (v, valueGroup) = function.repeatedHeads(node.operands[2]),
          keyGroup == valueGroup else { return nil }
    return { try $0.replace(id, with: op, [node.operands[0], k, v] + node.operands.dropFirst(3)) }
}.explained("reads shared keys and values where they are")

extension Function {
    /// `x` [B, H, T, d] and n of `reshape(expand([B, H, 1, T, d] → [B, H, n, T, d]) → [B, H·n, T, d])`.
    fileprivate func repeatedHeads(_ value: ValueID) -> (ValueID, Extent)? {
        guard let (_, _, repeated) = match(value, Reshape.self), let (_, expand, source) = match(repeated[0], Expand.self),
              let (_, _, original) = match(source[0], Reshape.self) else { return nil }
        let (from, to) = (tensorType(original[0]).shape, tensorType(value).shape)
        guard from.count == 4, to.count == 4, expand.shape.count == 5, from[0] == to[0], from[2] == to[2], from[3] == to[3],
              tensorType(source[0]).shape == [from[0], from[1], 1, from[2], from[3]],
              expand.shape == [from[0], from[1], expand.shape[2], from[2], from[3]], to[1] == from[1] * expand.shape[2] else { return nil }
        return (original[0], expand.shape[2])
    }
}

/// A constant mask with zeros up to the diagonal and large negative numbers behind it → `causal`.
private let triangularMask = Rule("triangular-mask", on: Attention.self) { function, id, op in
    let node = function[id]
    guard let masking = op.optionalParts(node.operands).mask, !op.causal, let mask = function.constant(masking), mask.rank >= 2 else { return nil }
    let (rows, columns) = (mask.shape[mask.rank - 2], mask.shape[mask.rank - 1])
    guard rows > 1, rows == columns, mask.count == rows * columns,
          function.tensorType(node.operands[0]).shape[2] == Extent(rows), function.tensorType(node.operands[1]).shape[2] == Extent(columns) else { return nil }
    let reader = mask.reader, isBool = mask.element == .bool
    for i in 0..<rows {
        for j in 0..<columns {
            let value = reader.load(at: i * columns + j)
            guard j <= i ? value == (isBool ? 1 : 0) : isBool ? value == 0 : value <= -1e9 || (value <= -65000 && mask.element == .f16) else { return nil }
        }
    }
    var causal = op
    causal.causal = true
    let attention = causal
    return { try $0.replace(id, with: attention, node.operands.filter { $0 != masking }) }
}.explained("the mask is causal")
