#if canImport(Glibc)
import Glibc
#endif

/// Scaled dot-product attention: softmax(cap(scale·q·kᵀ) + mask)·v, with cap(s) = softcap·tanh(s/softcap).
///
/// Operands: `q` [B, H, S, d], `k` [B, Hk, T, d], `v` [B, Hk, T, e], of one type, or f32 with keys and values of a 16-bit float type, and optionally `mask`, broadcastable to [B, H, S, T]: added
/// to the scores, or, as bool, true where a key may be attended. H is a multiple of Hk (grouped queries). With `causal`, query
/// `i` attends key `j` only for `j ≤ i + causalOffset`. With `hasLengths`, the last operand, i64 [B], says how many keys count, from the first one on; what lies behind
/// them is not read. A query all of whose keys are masked with −∞ gives
/// zeros, or NaN, as the written-out softmax does, with `maskedIsNaN`; without any key it gives zeros.
public struct Attention: LoopOp, ContractionOp {
    public static let mnemonic = "attention"
    public static let summary = "Scaled dot-product attention, with grouped heads, masks and caps"
    public static var attributes: [Attribute<Self>] {
        [
            Attribute("scale", \.scale), Attribute("causal", \.causal), Attribute("causal_offset", \.causalOffset),
            Attribute("softcap", \.softcap), Attribute("masked_is_nan", \.maskedIsNaN), Attribute("has_lengths", \.hasLengths),
        ]
    }

    @Bitwise public var scale: Double
    public var causal: Bool
    /// How many keys lie before the first query.
    public var causalOffset: Extent
    /// 0 for none.
    @Bitwise public var softcap: Double
    public var maskedIsNaN: Bool
    public var hasLengths: Bool

    public init() { self.init(scale: 1) }
    public init(scale: Double, causal: Bool = false, causalOffset: Extent = 0, softcap: Double = 0, maskedIsNaN: Bool = false, hasLengths: Bool = false) {
        self.scale = scale
        self.causal = causal
        self.causalOffset = causalOffset
        self.softcap = softcap
        self.maskedIsNaN = maskedIsNaN
        self.hasLengths = hasLengths
    }

    /// What stands behind queries, keys and values.
    public func optionalParts<Operand>(_ operands: [Operand]) -> (mask: Operand?, lengths: Operand?) {
        let count = operands.count - (hasLengths ? 1 : 0)
        return (count > 3 ? operands[3] : nil, hasLengths ? operands.last : nil)
    }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let least = hasLengths ? 4 : 3
        guard least...least + 1 ~= context.operands.count else {
            throw Diagnostic(.invalid, "takes \(least) or \(least + 1) operands, not \(context.operands.count)")
        }
        let types = try context.tensors(context.operands.count), (mask, lengths) = optionalParts(types)
        let (q, k, v) = (types[0], types[1], types[2])
        guard q.rank == 4, k.rank == 4, v.rank == 4, q.element.isFloat, k.element == v.element,
              k.element == q.element || q.element == .f32 && k.element.isProductWeight else {
            throw Diagnostic(.invalid, "takes three float tensors of rank 4, of one type or f32 and twice a 16-bit type, not \(q), \(k), \(v)")
        }
        func differ(_ a: Extent, _ b: Extent) -> Bool { a != b && a.isConstant && b.isConstant }
        if differ(q.shape[0], k.shape[0]) || differ(q.shape[0], v.shape[0]) || differ(q.shape[3], k.shape[3])
            || differ(k.shape[1], v.shape[1]) || differ(k.shape[2], v.shape[2]) {
            throw Diagnostic(.invalid, "the shapes \(q.shape), \(k.shape), \(v.shape) do not fit together")
        }
        if let heads = q.shape[1].constant, let shared = k.shape[1].constant, shared < 1 || heads % shared != 0 {
            throw Diagnostic(.invalid, "\(heads) query heads do not share \(shared) key heads evenly")
        }
        guard q.shape[1].exactQuotient(by: k.shape[1]) != nil else {
            throw Diagnostic.unsupported("the number of heads must be known at compile time, not \(q.shape[1]) and \(k.shape[1])")
        }
        if let lengths, lengths.element != .i64 || lengths.rank != 1 || differ(lengths.shape[0], q.shape[0]) {
            throw Diagnostic(.invalid, "the lengths are \(lengths), not i64 [\(q.shape[0])]")
        }
        if let mask {
            let scores = [q.shape[0], q.shape[1], q.shape[2], k.shape[2]]
            guard mask.element == q.element || mask.element == .bool else { throw Diagnostic(.invalid, "the mask is \(mask.element.rawValue)") }
            let common = try TensorType.broadcast(scores, mask.shape)
            guard mask.rank <= 4, zip(common, scores).allSatisfy({ !differ($0, $1) }) else {
                throw Diagnostic(.invalid, "a mask of shape \(mask.shape) does not broadcast to \(scores)")
            }
        }
        return [.tensor(TensorType(q.element, Array(q.shape[0..<3]) + [v.shape[3]]))]
    }

    public func equalSizes(in context: InferenceContext) -> [SizeEquation] {
        let shapes = context.shapes
        guard shapes.count >= 3, shapes[..<3].allSatisfy({ $0.count == 4 }) else { return [] }
        let (q, k, v) = (shapes[0], shapes[1], shapes[2])
        let pairs = [(k[0], q[0]), (v[0], q[0]), (k[3], q[3]), (v[1], k[1]), (v[2], k[2])].map { SizeEquation($0, $1) }
        let (mask, lengths) = optionalParts(shapes)
        return pairs + (mask.map { SizeEquation.broadcast($0, to: [q[0], q[1], q[2], k[2]]) } ?? []) + (lengths?.first.map { [SizeEquation($0, q[0])] } ?? [])
    }

    /// Every query meets every key, and every score a value.
    public func multiplyAdds(_ operands: [TensorType], _ results: [TensorType]) -> Extent? {
        operands.count < 2 || operands[1].rank < 3 ? nil : (operands[0].elementCount + results[0].elementCount) * operands[1].shape[2]
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let (q, k, v) = (operands[0], operands[1], operands[2])
        let (mask, lengths) = optionalParts(operands)
        let (batch, heads, queries, depth) = (q.shape[0], q.shape[1], q.shape[2], q.shape[3])
        let (shared, keys, width) = (k.shape[1], k.shape[2], v.shape[3])
        let maskIndex = mask.map { BroadcastIndex($0.shape, to: [batch, heads, queries, keys]) }, maskReader = mask?.reader
        let offset = causal ? try context.value(causalOffset) : 0, ends = lengths?.integers
        return [q.withValues(as: Double.self) { q0 in
            k.withValues(as: Double.self) { k0 in
                v.withValues(as: Double.self) { v0 in
                    Tensor.computed(q.element, [batch, heads, queries, width], in: Double.self) { y in
                        var scores = [Double](repeating: 0, count: keys)
                        for row in 0..<batch * heads * queries {
                            let head = row / queries, i = row % queries
                            let source = head / heads * shared + head % heads / Swift.max(heads / shared, 1)
                            var top = -Double.infinity, sum = 0.0
                            let end = ends.map { Swift.max(0, Swift.min($0[row / (heads * queries)], keys)) } ?? keys
                            for j in 0..<end {
                                var bias = causal && j > i + offset ? -Double.infinity : 0
                                if let maskReader, let maskIndex, let mask {
                                    let value = maskReader.load(at: maskIndex[row * keys + j])
                                    bias += mask.element == .bool ? (value == 0 ? -.infinity : 0) : value
                                }
                                var score = 0.0
                                for c in 0..<depth { score += q0[row * depth + c] * k0[(source * keys + j) * depth + c] }
                                score *= scale
                                if softcap > 0 { score = softcap * tanh(score / softcap) }
                                scores[j] = bias == -.infinity ? bias : score + bias
                                top = top.isNaN || scores[j].isNaN ? .nan : Swift.max(top, scores[j])
                            }
                            guard top != -.infinity else {
                                if maskedIsNaN && keys > 0 { for c in 0..<width { y[row * width + c] = .nan } }
                                continue
                            }
                            for j in 0..<end { scores[j] = exp(scores[j] - top); sum += scores[j] }
                            for j in 0..<end where scores[j] != 0 {
                                let weight = scores[j] / sum
                                for c in 0..<width { y[row * width + c] += weight * v0[(source * keys + j) * width + c] }
                            }
                        }
                    }
                }
            }
        }]
    }

    /// How many keys of batch position `n` count.
    public func keyCount(_ n: Expr, _ lengths: TensorView?, _ keys: Extent, in builder: inout KernelBuilder) -> Expr {
        lengths.map { builder.bind(.max(.int(0), .min($0.load([n]), Expr(keys))), "keys") } ?? Expr(keys)
    }

    /// What the sum of the weighted values, which is 0, is multiplied with where no key has a weight.
    public func withoutSum(_ keys: Extent, _ type: ElementType) -> Expr {
        maskedIsNaN ? .select(.binary(.equal, Expr(keys), .int(0)), .float(0, type), .float(.nan, type)) : .float(0, type)
    }

    public func lower(_ operands: [TensorView], to results: [TensorView], in builder: inout KernelBuilder) throws {
        let (q, k, v, y) = (operands[0], operands[1], operands[2], results[0])
        let type = y.element.computeType
        let (keys, depth, width) = (k.shape[2], q.shape[3], v.shape[3])
        let scoreShape = [q.shape[0], q.shape[1], q.shape[2], keys]
        let (mask, lengths) = optionalParts(operands)
        let scores = builder.scratch("scores", type, count: keys, perThread: true)
        let sums = builder.scratch("sums", type, count: width, perThread: true)
        func at(_ buffer: BufferID, _ i: Expr) -> Access { Access(buffer, i, KernelType(type)) }
        builder.parallelRows(of: q.shape, over: [0, 1, 2]) { builder, row in
            let (b, h, i) = (row[0], row[1], row[2])
            let shared = q.shape[1] == k.shape[1] ? h
                : builder.bind(h / Expr(q.shape[1].floorDivided(by: k.shape[1])), "hk")
            let top = builder.declare(.float(-.infinity, type), "top"), end = keyCount(b, lengths, keys, in: &builder)
            builder.loop("j", to: end) { builder, j in
                var score = builder.reduce(.add, over: [depth], initial: .float(0, type)) { _, c in
                    q.load([b, h, i, c[0]]).converted(to: type) * k.load([b, shared, j, c[0]]).converted(to: type)
                } * .float(scale, type)
                if softcap > 0 { score = .unary(.tanh, score * .float(1 / softcap, type)) * .float(softcap, type) }
                if let mask {
                    let value = builder.bind(mask.load(broadcastIndex([b, h, i, j], of: scoreShape, to: mask.shape)), "m")
                    if mask.element == .bool {
                        score = .select(value, score, .float(-.infinity, type))
                    } else {
                        let bias = value.converted(to: type)
                        score = .select(.unary(.isNegativeInfinity, bias), bias, score + bias)
                    }
                }
                if causal { score = .select(i + Expr(causalOffset) < j, .float(-.infinity, type), score) }
                let bound = builder.bind(score, "s")
                builder.emit(.assign(top, .max(.variable(top), bound)))
                builder.emit(.store(at(scores, j), bound))
            }
            // Where every key is masked, subtracting 0 instead of -inf leaves exp(-inf) = 0 everywhere.
            let shift = builder.bind(.select(.unary(.isNegativeInfinity, .variable(top)), .float(0, type), .variable(top)), "shift")
            let sum = builder.reduce(.add, over: [keys], initial: .float(0, type)) { builder, j in
                let weight = Expr.unary(.exp, .load(at(scores, j[0])) - shift)
                let e = builder.bind(lengths == nil ? weight : .select(j[0] < end, weight, .float(0, type)), "e")
                builder.emit(.store(at(scores, j[0]), e))
                return e
            }
            let factor = builder.bind(.select(.binary(.equal, sum, .float(0, type)), withoutSum(keys, type), .binary(.divide, .float(1, type), sum)), "r")
            builder.simdLoops(over: [width]) { builder, c in builder.emit(.store(at(sums, c[0]), .float(0, type))) }
            builder.loop("j", to: end) { builder, j in
                let weight = builder.bind(.load(at(scores, j)), "p")
                builder.simdLoops(over: [width]) { builder, c in
                    let product = weight * v.load([b, shared, j, c[0]]).converted(to: type)
                    builder.emit(.store(at(sums, c[0]), .load(at(sums, c[0])) + product))
                }
            }
            builder.simdLoops(over: [width]) { builder, c in
                builder.emit(y.store(.load(at(sums, c[0])) * factor, [b, h, i, c[0]]))
            }
        }
    }
}
