import GlmcIR

/// Builds the graph of a decoder, or of an encoder whose layers have the same form, once for all entry points: what differs between them is the context's.
struct Decoder<Context: DecoderContext> {
    let config: DecoderConfig
    let names: DecoderNames
    let root: (body: String, head: String)
    var context: Context
    /// What an encoder made, where the layers attend to that too.
    let source: EncodedSource?
    /// What stands in place of tokens for pictures, where there are any.
    let images: ImageTokens?
    var g: ModelGraph
    /// Cosines and sines [batch, 1, n, width/2], computed once for all layers that rotate alike.
    private var rotations: [Rope: (cosine: ValueID, sine: ValueID)] = [:]
    /// What is added to the scores of every layer.
    private var bias: ValueID?

    init(
        _ config: DecoderConfig, _ names: DecoderNames, root: (body: String, head: String), context: Context, source: EncodedSource? = nil, images: ImageTokens? = nil, in graph: ModelGraph
    ) {
        (self.config, self.names, self.root, self.context, self.source, self.images, g) = (config, names, root, context, source, images, graph)
    }

    /// Tokens i64 [batch, n] as hidden states f32 [batch, n, width], behind the last layer.
    mutating func hidden(_ tokens: ValueID) throws -> ValueID { try hidden(embedded: try embedded(tokens)) }

    /// Tokens i64 [batch, n] as what the first layer takes, f32 [batch, n, width].
    private mutating func embedded(_ tokens: ValueID) throws -> ValueID {
        var x = try g.embedding(root.body + names.embedding, config.vocabulary, config.width, at: tokens)
        if config.embeddingScale != 1 { x = try g.mul(x, config.embeddingScale) }
        if let images { x = try images.placed(in: x, of: tokens, in: &g) }
        if config.learnsPositions { x = try g.add(x, try g.embedding(root.body + names.positions, config.longest, config.width, at: context.positions)) }
        return x
    }

    /// The hidden states f32 [batch, n, width] behind the last layer, of what the first one takes.
    mutating func hidden(embedded x: ValueID) throws -> ValueID {
        var x = x
        bias = try config.relative.map { relative in
            let table = try g.parameter(root.body + names.distances + ".weight", [relative.buckets, config.attention.heads])
            g.provenance = [root.body + names.distances]
            return try relative.bias(table, context.positions, keys: context.keys, in: &g)
        }
        let inner = config.feedForward.isGated ? names.inner : names.ungatedInner ?? names.inner
        for (index, layer) in config.layers.enumerated() {
            let name = "\(root.body)\(names.layers).\(index)."
            func part(_ layer: String, _ part: String) -> String { part.isEmpty ? layer : layer + part + "." }
            let (names, posts) = (names, [names.attentionPostNorm, names.feedForwardPostNorm].map { $0.map { name + $0 } })
            x = try branch(x, name + names.inputNorm, posts[0]) { try $0.attention($1, index, layer, part(name, names.attention)) }
            if let source { x = try branch(x, name + names.crossNorm, nil) { try $0.crossAttention($1, source, index, layer, part(name, names.crossAttention)) } }
            x = try branch(x, name + names.feedForwardNorm, posts[1]) { decoder, y in
                if layer.isSparse, let experts = decoder.config.experts { return try decoder.mixture(y, experts, part(name, decoder.names.mixture)) }
                return try decoder.feedForward(y, decoder.config.feedForward, part(name, decoder.names.feedForward), inner, decoder.names.outer)
            }
        }
        return config.hasFinalNorm ? try g.norm(x, root.body + names.finalNorm, config.width, config.norm) : x
    }

    /// Hidden states [batch, n, width] as logits f32 [batch, n, vocabulary].
    mutating func logits(_ x: ValueID) throws -> ValueID {
        var y = try g.linear(x, config.isTied ? root.body + names.embedding : root.head, config.width, config.vocabulary, bias: false)
        if config.logitsDivisor != 1 { y = try g.div(y, config.logitsDivisor) }
        if config.logitsCap != 0 { y = try g.mul(try g.unary(.tanh, try g.div(y, config.logitsCap)), config.logitsCap) }
        return y
    }

    /// x + r·post(body(norm(x))).
    private mutating func branch(_ x: ValueID, _ pre: String, _ post: String?, _ body: (inout Self, ValueID) throws -> ValueID) throws -> ValueID {
        var y = try body(&self, try g.norm(x, pre, config.width, config.norm))
        if let post { y = try g.norm(y, post, config.width, config.norm) }
        if config.residualScale != 1 { y = try g.mul(y, config.residualScale) }
        return try g.add(x, y)
    }

    // MARK: Attention

    private mutating func attention(_ x: ValueID, _ index: Int, _ layer: LayerForm, _ name: String) throws -> ValueID {
        let form = config.attention
        let (q, k, v) = try form.latent.map { try latent(x, $0, layer, name) } ?? grouped(x, layer, name)
        g.provenance = [String(name.dropLast())]
        let y = try context.attend(layer: index, q, k, v, window: layer.window, bias: bias, scale: layer.scale, softcap: form.softcap, in: &g)
        let width = form.heads * (form.latent?.valueWidth ?? form.headWidth)
        return try g.linear(try g.mergeHeads(y), name + names.attentionOutput, width, config.width, bias: form.outputBias, isTransposed: names.isTransposed)
    }

    private mutating func crossAttention(_ x: ValueID, _ source: EncodedSource, _ index: Int, _ layer: LayerForm, _ name: String) throws -> ValueID {
        let form = config.attention, width = form.heads * form.headWidth
        let q = try g.splitHeads(try g.linear(x, name + names.projections[0], config.width, width, bias: form.inputBias), form.heads)
        g.provenance = [String(name.dropLast())]
        let y = try g.emit(Attention(scale: layer.scale), [q, source.layers[index].key, source.layers[index].value] + (source.present.map { [$0] } ?? []))
        return try g.linear(try g.mergeHeads(y), name + names.attentionOutput, width, config.width, bias: form.outputBias)
    }

    /// Queries, and the keys and values that groups of them share, as heads.
    private mutating func grouped(_ x: ValueID, _ layer: LayerForm, _ name: String) throws -> (ValueID, ValueID, ValueID) {
        let form = config.attention, counts = [form.heads, form.keyHeads, form.keyHeads]
        let flat = try projections(x, names.projections.map { name + $0 }, counts.map { $0 * form.headWidth }, biases: form.biases)
        var heads = try zip(flat, counts).map { try g.splitHeads($0, $1) }
        if form.normalizesHeads {
            for (i, norm) in [names.queryNorm, names.keyNorm].enumerated() { heads[i] = try g.norm(heads[i], name + norm, form.headWidth, config.norm) }
        }
        if let rope = layer.rope {
            g.provenance = [name + "rope"]
            for i in 0..<2 { heads[i] = try rotated(heads[i], rope) }
        }
        return (heads[0], heads[1], heads[2])
    }

    /// Queries, and keys and values expanded from a vector of lower rank, as heads.
    private mutating func latent(_ x: ValueID, _ form: LatentForm, _ layer: LayerForm, _ name: String) throws -> (ValueID, ValueID, ValueID) {
        let heads = config.attention.heads, bias = config.attention.inputBias
        let (plain, turned, values) = (form.plainWidth, form.rotaryWidth, form.valueWidth), own = g.shape(x)
        var q = x
        if let rank = form.queryRank {
            q = try g.norm(try g.linear(x, name + "q_a_proj", config.width, rank, bias: bias), name + "q_a_layernorm", rank, form.norm)
            q = try g.linear(q, name + "q_b_proj", rank, heads * (plain + turned), bias: false)
        } else {
            q = try g.linear(x, name + "q_proj", config.width, heads * (plain + turned), bias: false)
        }
        q = try g.splitHeads(q, heads)
        let both = try g.linear(x, name + "kv_a_proj_with_mqa", config.width, form.rank + turned, bias: bias)
        let low = try g.norm(try g.slice(both, axis: 2, start: 0, size: Extent(form.rank)), name + "kv_a_layernorm", form.rank, form.norm)
        let high = try g.splitHeads(try g.linear(low, name + "kv_b_proj", form.rank, heads * (plain + values), bias: false), heads)
        g.provenance = [name + "rope"]
        var qTurned = try g.slice(q, axis: 3, start: Extent(plain), size: Extent(turned))
        var kTurned = try g.splitHeads(try g.slice(both, axis: 2, start: Extent(form.rank), size: Extent(turned)), 1)
        if let rope = layer.rope { (qTurned, kTurned) = (try rotated(qTurned, rope), try rotated(kTurned, rope)) }
        kTurned = try g.expand(kTurned, [own[0], Extent(heads), own[1], Extent(turned)])
        let k = try g.concat([try g.slice(high, axis: 3, start: 0, size: Extent(plain)), kTurned], axis: 3)
        q = try g.concat([try g.slice(q, axis: 3, start: 0, size: Extent(plain)), qTurned], axis: 3)
        return (q, k, try g.slice(high, axis: 3, start: Extent(plain), size: Extent(values)))
    }

    private mutating func rotated(_ heads: ValueID, _ rope: Rope) throws -> ValueID {
        let (cosine, sine) = try rotation(rope)
        return try g.rotated(heads, cosine, sine, width: rope.width, isInterleaved: rope.isInterleaved)
    }

    private mutating func rotation(_ rope: Rope) throws -> (cosine: ValueID, sine: ValueID) {
        if let known = rotations[rope] { return known }
        func constant(_ values: [Double], _ g: inout ModelGraph) throws -> ValueID { try g.constant(Tensor(values.map { Float($0) }, shape: [1, 1, values.count])) }
        var frequencies = try constant(rope.frequencies, &g)
        if let long = rope.long {
            // A sequence counts as long by its last token.
            let last = try g.unsqueeze(try g.reduce(.maximum, context.positions, [1]), [2])
            let isLong = try g.binary(.greaterOrEqual, last, try g.scalar(Double(long.beyond), .i64))
            frequencies = try g.select(isLong, try constant(long.frequencies, &g), frequencies)
        }
        let angles = try g.unsqueeze(try g.mul(try places(rope), frequencies), [1])
        var (cosine, sine) = (try g.unary(.cos, angles), try g.unary(.sin, angles))
        if rope.factor != 1 { (cosine, sine) = (try g.mul(cosine, rope.factor), try g.mul(sine, rope.factor)) }
        rotations[rope] = (cosine, sine)
        return (cosine, sine)
    }

    /// The positions that pairs turn by, f32 [batch, n, 1], or, where they have several axes, [batch, n, width/2].
    private mutating func places(_ rope: Rope) throws -> ValueID {
        let places = try g.cast(context.rotary, .f32)
        guard g.rank(places) == 3 else { return try g.unsqueeze(places, [2]) }
        return try g.transpose(try g.gather(places, try g.ints(rope.axes), axis: 0), [1, 2, 0])
    }

    /// Several linear maps of one input, from a tensor each or from one that holds their rows in order.
    private mutating func projections(_ x: ValueID, _ tensors: [String], _ widths: [Int], biases: [Bool], from: Int? = nil) throws -> [ValueID] {
        let from = from ?? config.width
        guard tensors.count == 1, widths.count > 1 else {
            return try tensors.indices.map { try g.linear(x, tensors[$0], from, widths[$0], bias: biases[$0], isTransposed: names.isTransposed) }
        }
        let all = try g.linear(x, tensors[0], from, widths.reduce(0, +), bias: biases[0], isTransposed: names.isTransposed)
        var start = 0
        return try widths.map { width in
            defer { start += width }
            return try g.slice(all, axis: g.rank(all) - 1, start: Extent(start), size: Extent(width))
        }
    }

    // MARK: Feed-forward

    private mutating func feedForward(_ x: ValueID, _ form: FeedForwardForm, _ name: String, _ inner: [String], _ outer: String) throws -> ValueID {
        let widths = [Int](repeating: form.width, count: form.isGated ? 2 : 1)
        let parts = try projections(x, inner.map { name + $0 }, widths, biases: widths.map { _ in form.bias })
        var y = try g.activation(form.activation, parts[0])
        if form.isGated { y = try g.mul(y, parts[1]) }
        return try g.linear(y, name + outer, form.width, config.width, bias: form.bias, isTransposed: names.isTransposed)
    }

    /// Σ weight·expert(x) over the experts that each token's router prefers; the others' weights are 0.
    private mutating func mixture(_ x: ValueID, _ form: ExpertsForm, _ name: String) throws -> ValueID {
        let weights = try routing(x, form, name)
        var expert = config.feedForward
        expert.width = form.width
        var sum: ValueID?
        for i in 0..<form.count {
            let y = try feedForward(x, expert, "\(name)\(names.experts).\(i).", names.expertInner, names.expertOuter)
            let weighted = try g.mul(y, try g.slice(weights, axis: 2, start: Extent(i), size: 1))
            sum = try sum.map { try g.add($0, weighted) } ?? weighted
        }
        if form.sharedWidth > 0 {
            expert.width = form.sharedWidth
            let y = try feedForward(x, expert, name + names.sharedExpert + ".", names.inner, names.outer)
            sum = try sum.map { try g.add($0, y) } ?? y
        }
        return sum ?? x
    }

    /// The weight of every expert for every token, [batch, n, experts].
    private mutating func routing(_ x: ValueID, _ form: ExpertsForm, _ name: String) throws -> ValueID {
        let raw = try g.linear(x, name + names.router, config.width, form.count, bias: false)
        let scores = try form.score == .softmax ? g.emit(Softmax(axis: -1), [raw]) : g.activation(.sigmoid, raw)
        var choice = scores
        if form.hasCorrection { choice = try g.add(scores, try g.parameter(name + names.correction, [form.count])) }
        if form.groups > 1 {
            let own = g.shape(choice), each = form.count / form.groups
            let grouped = try g.reshape(choice, [own[0], own[1], Extent(form.groups), Extent(each)])
            let best = try g.emitMany(TopK(k: Extent(min(2, each)), axis: 3), [grouped], 2)[0]
            let kept = try chosen(try g.reduce(.add, best, [3], keep: false), form.keptGroups)
            let open = try g.select(try g.unsqueeze(kept, [3]), grouped, try g.scalar(-.infinity, .f32))
            choice = try g.reshape(open, own)
        }
        var weights = try g.select(try chosen(choice, form.perToken), scores, try g.scalar(0, .f32))
        // Sigmoids may all vanish.
        if form.normalizes { weights = try g.div(weights, try g.add(try g.reduce(.add, weights, [2]), 1e-20)) }
        return form.scale == 1 ? weights : try g.mul(weights, form.scale)
    }

    /// True for the `count` largest elements of the last axis of [batch, n, m].
    private mutating func chosen(_ x: ValueID, _ count: Int) throws -> ValueID {
        let indices = try g.emitMany(TopK(k: Extent(count), axis: 2), [x], 2)[1]
        let places = try g.iota(g.shape(x)[2], axis: 3, rank: 4)
        let hits = try g.cast(try g.binary(.equal, try g.unsqueeze(indices, [3]), places), .f32)
        return try g.binary(.greater, try g.reduce(.maximum, hits, [2], keep: false), 0)
    }
}

extension Decoder where Context == WholeSequences {
    /// The states of an encoder, f32 [batch, n, width].
    /// - Parameters:
    ///   - input: tokens i64 [batch, n], or what the first layer takes, f32 [batch, n, width].
    ///   - isCausal: tokens meet those up to their own; otherwise all.
    ///   - present: which tokens count, bool [batch, n]; nil: all.
    ///   - rotary: positions on several axes, i64 [axes, batch, n]; nil: 0, 1, … on one.
    static func states(
        _ input: ValueID, _ config: DecoderConfig, _ names: DecoderNames, root: (body: String, head: String), isCausal: Bool = false, present: ValueID? = nil, rotary: ValueID? = nil,
        in g: inout ModelGraph
    ) throws -> ValueID {
        let context = try WholeSequences(input, isCausal: isCausal, present: present, rotary: rotary, in: &g)
        var encoder = Decoder(config, names, root: root, context: context, in: g)
        let states = try g.rank(input) == 2 ? encoder.hidden(input) : encoder.hidden(embedded: input)
        g = encoder.g
        return states
    }
}
