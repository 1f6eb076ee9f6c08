import GlmcIR

extension OnnxRules {
    /// Attention and what transformers put around it.
    static let attentions: [OnnxRule] = [
        OnnxRule(values: "Attention", since: 23) { g, c in try g.attention(c) },
        OnnxRule("RotaryEmbedding", since: 23) { g, c in try g.rotaryEmbedding(c) },
        OnnxRule("FlexAttention", domain: "ai.onnx.preview") { g, c in try g.flexAttention(c) },
        OnnxRule(tensors: "LinearAttention", since: 27) { g, c in try g.linearAttention(c) },
    ]
}

extension GraphImporter {
    mutating func attention(_ c: OnnxCall) throws -> [Imported] {
        var (q, k, v) = (try c[0], try c[1], try c[2])
        let isPacked = rank(q) == 3
        if isPacked {
            q = try splitHeads(q, try c.int("q_num_heads", 0))
            k = try splitHeads(k, try c.int("kv_num_heads", 0))
            v = try splitHeads(v, try c.int("kv_num_heads", 0))
        }
        guard rank(q) == 4, rank(k) == 4, rank(v) == 4 else { throw Diagnostic(.invalid, "takes queries, keys and values of rank 3 or 4") }
        var pastLength: Extent = 0
        if let pastKey = try c.optional(4), let pastValue = try c.optional(5) {
            try require(pastKey, rank: 4, "the past keys")
            pastLength = shape(pastKey)[2]
            k = try concat([pastKey, k], axis: 2)
            v = try concat([pastValue, v], axis: 2)
        }
        let (presentKey, presentValue) = (k, v)
        if element(k) != element(q) { k = try cast(k, element(q)) }
        let valueElement = element(v)
        if valueElement != element(q) { v = try cast(v, element(q)) }
        let scale = try attentionScale(c, q)
        var (mask, isCausal) = try attentionMask(c, q, k, pastLength)
        let lengths = try c.optional(6).map { try cast($0, .i64) }

        let precision = try c.element("softmax_precision") ?? element(q)
        if !c.wants(3), precision == element(q) || element(q).computeType == .f32 && precision == .f32 {
            _ = try headGroup(q, k)
            let op = Attention(scale: scale, causal: isCausal, causalOffset: pastLength, softcap: try c.float("softcap", 0), hasLengths: lengths != nil)
            let y = try emit(op, [q, k, v] + [mask, lengths].compactMap { $0 })
            return [isPacked ? try mergeHeads(y) : y, presentKey, presentValue].map { .tensor($0) }
        }
        // Some step in between is asked for: the same computation in single steps.
        let group = try headGroup(q, k)
        if group != 1 {
            k = try repeatHeads(k, group)
            v = try repeatHeads(v, group)
        }
        let root = scale.squareRoot()
        var scores = try matmul(try mul(q, root), try swapAxes(try mul(k, root), 2, 3))
        let mode = try c.int("qk_matmul_output_mode", 0)
        var shown = scores
        let cap = try c.float("softcap", 0)
        if cap != 0 { scores = try mul(try unary(.tanh, try div(scores, cap)), cap) }
        if mode == 1 { shown = scores }
        if let lengths {
            let isValid = try binary(.less, try iota(shape(k)[2], axis: 3, rank: 4), try reshape(lengths, [shape(lengths)[0], 1, 1, 1]))
            mask = try mask.map { try combined($0, isValid) } ?? isValid
        }
        var bias = mask
        if isCausal {
            let causal = try causalMask(shape(q)[2], shape(k)[2], offset: try size(pastLength, .i64))
            bias = try bias.map { try combined($0, causal) } ?? causal
        }
        if let bias { scores = try add(scores, element(bias) == .bool ? try additive(bias, element(scores)) : bias) }
        if mode == 2 { shown = scores }
        var weights = try emit(Softmax(axis: 3), [try cast(scores, precision)])
        // A query that may attend nothing gives zeros.
        let best = try reduce(.maximum, try cast(scores, precision), [3])
        weights = try select(try unary(.isNegativeInfinity, best), try scalar(0, precision), weights)
        weights = try cast(weights, element(q))
        if mode == 3 { shown = weights }
        let y = try cast(try matmul(weights, v), element(q))
        return [isPacked ? try mergeHeads(y) : y, presentKey, presentValue, shown].map { .tensor($0) }
    }

    /// What scores are multiplied with: 1/√d where the node does not say.
    private mutating func attentionScale(_ c: OnnxCall, _ q: ValueID) throws -> Double {
        if let given = try c.float("scale") { return given }
        guard let depth = known(shape(q)[3]) else {
            throw Diagnostic.unsupported("the head size must be known at compile time where no scale is given", hint: "fix it with --shape or --dim")
        }
        return 1 / Double(max(depth, 1)).squareRoot()
    }

    /// How many query heads share a head of keys.
    private mutating func headGroup(_ q: ValueID, _ k: ValueID) throws -> Extent {
        if let group = shape(q)[1].exactQuotient(by: shape(k)[1]) { return group }
        guard let heads = known(shape(q)[1]), let shared = known(shape(k)[1]) else {
            throw Diagnostic.unsupported("the number of heads must be known at compile time, not \(shape(q)[1]) and \(shape(k)[1])", hint: "fix it with --shape or --dim")
        }
        guard shared > 0, heads % shared == 0 else { throw Diagnostic(.invalid, "\(heads) query heads do not share \(shared) key heads evenly") }
        return Extent(heads / shared)
    }

    /// Everything that restricts which keys a query sees, other than plain causality and the number of keys that count, as one mask; and whether causality remains.
    private mutating func attentionMask(_ c: OnnxCall, _ q: ValueID, _ k: ValueID, _ pastLength: Extent) throws -> (mask: ValueID?, isCausal: Bool) {
        let (queries, keys) = (shape(q)[2], shape(k)[2])
        var mask = try c.optional(3)
        if let given = mask {
            guard (1...4).contains(rank(given)) else { throw Diagnostic(.invalid, "the mask must have rank 1 to 4, not \(type(given))") }
            let width = shape(given)[rank(given) - 1]
            // A mask may be shorter than the keys; those beyond it are not attended.
            if width != keys, width != 1, let missing = (keys - width).constant, missing > 0 {
                let after = [Int](repeating: 0, count: rank(given) - 1) + [missing]
                mask = try pad(given, before: after.map { _ in 0 }, after: after, value: element(given) == .bool ? 0 : -.infinity)
            }
            if let given = mask, element(given) != .bool, element(given) != element(q) { mask = try cast(given, element(q)) }
        }
        var isCausal = try c.flag("is_causal")
        let (left, right) = (try c.int("left_window_size", -1), try c.int("right_window_size", -1))
        // The position of the first query among the keys: [1, 1, 1, 1] or one per sample.
        var offset = try reshape(try size(pastLength, .i64), [1, 1, 1, 1])
        if let lengths = try c.optional(6) {
            try require(lengths, rank: 1, "the lengths")
            let perSample = try reshape(try cast(lengths, .i64), [shape(lengths)[0], 1, 1, 1])
            offset = try sub(perSample, try size(queries, .i64))
            if isCausal {
                let causal = try causalMask(queries, keys, offset: offset)
                mask = try mask.map { try combined($0, causal) } ?? causal
                isCausal = false
            }
        }
        if left >= 0 || right >= 0 {
            let position = try add(try iota(queries, axis: 2, rank: 4), offset), key = try iota(keys, axis: 3, rank: 4)
            if left >= 0 {
                let near = try binary(.greaterOrEqual, key, try sub(position, Double(left)))
                mask = try mask.map { try combined($0, near) } ?? near
            }
            if right >= 0 {
                let near = try binary(.lessOrEqual, key, try add(position, Double(right)))
                mask = try mask.map { try combined($0, near) } ?? near
            }
        }
        return (mask, isCausal)
    }

    mutating func rotaryEmbedding(_ c: OnnxCall) throws -> ValueID {
        var x = try c[0]
        let isPacked = rank(x) == 3
        if isPacked { x = try splitHeads(x, try c.int("num_heads", 0)) }
        guard rank(x) == 4 else { throw Diagnostic(.invalid, "takes a tensor of rank 3 or 4, not \(type(x))") }
        guard let head = known(shape(x)[3]) else { throw Diagnostic.unsupported("the head size must be known at compile time, not \(type(x))") }
        let given = try c.int("rotary_embedding_dim", 0), width = given == 0 ? head : given
        guard width > 0, width <= head, width % 2 == 0 else { throw Diagnostic(.invalid, "rotary_embedding_dim \(width) does not fit heads of \(head)") }
        var (cosine, sine) = (try c[1], try c[2])
        if let positions = try c.optional(3) {
            cosine = try gather(cosine, positions, axis: 0)
            sine = try gather(sine, positions, axis: 0)
        }
        // [B, S, width/2] against [B, H, S, width/2].
        (cosine, sine) = (try unsqueeze(cosine, [1]), try unsqueeze(sine, [1]))
        let y = try rotated(x, cosine, sine, width: width, isInterleaved: try c.flag("interleaved"))
        return isPacked ? try mergeHeads(y) : y
    }

    /// Attention whose scores and probabilities pass through the model's own subgraphs.
    mutating func flexAttention(_ c: OnnxCall) throws -> ValueID {
        var (q, k, v) = (try c[0], try c[1], try c[2])
        guard rank(q) == 4, rank(k) == 4, rank(v) == 4 else { throw Diagnostic(.invalid, "takes tensors of rank 4") }
        let group = try headGroup(q, k)
        if group != 1 { (k, v) = (try repeatHeads(k, group), try repeatHeads(v, group)) }
        let precision = try c.element("softmax_precision") ?? (element(q) == .f64 ? .f64 : .f32), own = element(q)
        q = try cast(q, precision)
        let scale = try attentionScale(c, q)
        var scores = try mul(try matmul(q, try swapAxes(try cast(k, precision), 2, 3)), scale)
        if c.hasAttribute("score_mod") { scores = try modified(scores, try c.graph("score_mod")) }
        var weights = try emit(Softmax(axis: 3), [scores])
        if c.hasAttribute("prob_mod") { weights = try modified(weights, try c.graph("prob_mod")) }
        return try cast(try matmul(weights, try cast(v, precision)), own)
    }

    private mutating func modified(_ x: ValueID, _ graph: OnnxGraph) throws -> ValueID {
        guard case .tensor(let result)? = try importSubgraph(graph, inputs: [.tensor(x)]).first else {
            throw Diagnostic.unsupported("the subgraph '\(graph.name)' cannot be imported")
        }
        return result
    }

    /// The recurrence of linear attention, unrolled over a known number of tokens.
    mutating func linearAttention(_ c: OnnxCall) throws -> [ValueID] {
        let heads = try c.int("q_num_heads", 0), shared = try c.int("kv_num_heads", 0)
        guard shared > 0, heads % shared == 0 else { throw Diagnostic(.invalid, "\(heads) query heads do not share \(shared) key heads") }
        let own = element(try c[0])
        let wide: ElementType = own == .f64 ? .f64 : .f32
        var q = try splitHeads(try cast(c[0], wide), heads)
        let k = try splitHeads(try cast(c[1], wide), shared), v = try splitHeads(try cast(c[2], wide), shared)
        guard let tokens = known(shape(q)[2]), tokens <= 1024, let depth = known(shape(k)[3]) else {
            throw Diagnostic.unsupported("the number of tokens must be known at compile time and at most 1024")
        }
        let given = try c.float("scale", 0), scale = given == 0 ? 1 / Double(max(depth, 1)).squareRoot() : given
        let rule = try c.string("update_rule", "gated_delta")
        let isGated = rule.hasPrefix("gated"), isDelta = rule.hasSuffix("delta")
        let batch = shape(k)[0], width = shape(v)[3]
        var state = try c.optional(3).map { try cast($0, wide) } ?? filled(0, wide, [batch, Extent(shared), Extent(depth), width])
        let stateElement = try c.optional(3).map { element($0) } ?? own
        // Queries of one group share a state: [B, Hk, group, T, d].
        q = try reshape(q, [batch, Extent(shared), Extent(heads / shared), Extent(tokens), Extent(depth)])
        var decay: ValueID?
        if isGated {
            let raw = try cast(c[4], wide)
            try require(raw, rank: 3, "the decay")
            let perKey = shape(raw)[2] != Extent(shared) || depth == 1
            // [B, T, H·d] or [B, T, H] as [B, H, T, d or 1].
            decay = try unary(.exp, perKey ? try splitHeads(raw, shared) : try unsqueeze(try swapAxes(raw, 1, 2), [3]))
        }
        var rate: ValueID?
        if isDelta { rate = try unsqueeze(try swapAxes(try cast(c[5], wide), 1, 2), [3]) }
        func token(_ x: ValueID, _ t: Int, _ g: inout GraphImporter) throws -> ValueID { try g.slice(x, axis: 2, start: Extent(t), size: 1) }
        var outputs: [ValueID] = []
        for t in 0..<tokens {
            let key = try swapAxes(try token(k, t, &self), 2, 3)  // [B, H, d, 1]
            var value = try token(v, t, &self)  // [B, H, 1, e]
            if let decay { state = try mul(state, try swapAxes(try token(decay, t, &self), 2, 3)) }
            if let rate {
                let known = try matmul(try token(k, t, &self), state)
                value = try mul(try sub(value, known), try token(rate, t, &self))
            }
            state = try add(state, try mul(key, value))
            let query = try reshape(try slice(q, axis: 3, start: Extent(t), size: 1), [batch, Extent(shared), Extent(heads / shared), Extent(depth)])
            let y = try mul(try matmul(query, state), scale)  // [B, Hk, group, e]
            outputs.append(try reshape(y, [batch, 1, Extent(heads) * width]))
        }
        return [try cast(try concat(outputs, axis: 1), own), try cast(state, stateElement)]
    }
}
