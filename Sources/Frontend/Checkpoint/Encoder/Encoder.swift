import GlmcIR

/// An encoder of texts and what a task adds to it. Weights have the names that Hugging Face's models give them, alone or inside a task's model.
///
/// Inputs, all i64 `[batch, sequence]`: `input_ids`, `token_type_ids` where there are several kinds of tokens, `attention_mask`. Results: see `EncoderTask`.
struct Encoder {
    private var g: ModelGraph
    private let family: EncoderFamily
    private let config: EncoderConfig
    private let root: String
    /// Distances between tokens, whatever the configuration says: transformers has no other numbers.
    private let relative = RelativePositions(buckets: Self.buckets, furthest: 128, isBidirectional: true)
    static let buckets = 32
    private var names: EncoderNames { family.names }

    /// The model of a checkpoint.
    static func build(_ checkpoint: Checkpoint, _ family: EncoderFamily, _ options: ImportOptions) throws -> Function {
        let config = try EncoderConfig(checkpoint.config, family)
        // Another task does without the modules behind the encoder, understood or not.
        let pooling = [nil, .sentences].contains(options.task) ? try SentencePooling.read(checkpoint.path) : nil
        let task = try options.task ?? (pooling == nil ? config.architecture.map { try .of($0, among: EncoderTask.ofTexts) } ?? .features : .sentences)
        var encoder = Encoder(checkpoint.withNormsRenamed, family, config)
        try encoder.build(task, pooling, options)
        try encoder.g.finish(ignoring: ["*position_ids"] + family.heads.leftOut)
        return encoder.g.rewriter.function
    }

    private init(_ checkpoint: Checkpoint, _ family: EncoderFamily, _ config: EncoderConfig) {
        (self.family, self.config) = (family, config)
        g = ModelGraph(family.types[0], checkpoint)
        root = checkpoint.has(family.names.root + family.names.words + ".weight") ? family.names.root : ""
    }

    private mutating func build(_ task: EncoderTask, _ pooling: SentencePooling?, _ options: ImportOptions) throws {
        let kinds = config.kinds > 1 ? ["token_type_ids"] : []
        let inputs = try g.tokenInputs(["input_ids"] + kinds + ["attention_mask"], options, longest: config.longest(family))
        let ids = inputs[0], present = try g.binary(.notEqual, inputs[inputs.count - 1], 0)
        var x = try embeddings(ids, kinds.isEmpty ? nil : inputs[1])
        let mask = try mask(present)
        for layer in 0..<config.layers { x = try self.layer(x, mask, "\(root)\(names.layers).\(layer).") }
        g.rewriter.setMetadata("task", task.rawValue)
        let results = try head(task, x, present, pooling)
        for (name, value) in results { g.rewriter.setName(name, of: value) }
        g.rewriter.setResults(results.map(\.value))
    }

    // MARK: Embeddings

    /// - Parameter kinds: of the tokens, where there are several.
    private mutating func embeddings(_ ids: ValueID, _ kinds: ValueID?) throws -> ValueID {
        var x = try g.embedding(root + names.words, config.words, config.width, at: ids)
        if let table = names.kinds.map({ root + $0 }) {
            x = try g.add(x, try kinds.map { try g.embedding(table, config.kinds, config.width, at: $0) } ?? g.parameter(table + ".weight", [config.kinds, config.width]))
        }
        x = try g.norm(try g.add(x, try positions(ids)), root + names.embeddingNorm, config.width, config.norm)
        return config.width == config.hidden ? x : try g.linear(x, root + names.projection, config.width, config.hidden, bias: true)
    }

    private mutating func positions(_ ids: ValueID) throws -> ValueID {
        let name = root + names.positions
        switch family.positions {
        case .all:
            g.provenance = [name]
            return try g.slice(try g.parameter(name + ".weight", [config.positions, config.width]), axis: 0, start: 0, size: g.shape(ids)[1])
        case .behindPadding:
            let isText = try g.cast(try g.binary(.notEqual, ids, Double(config.padding)), .i64)
            let place = try g.mul(try g.emit(Cumulative(.add, axis: 1), [isText]), isText)
            return try g.embedding(name, config.positions, config.width, at: try g.add(place, Double(config.padding)))
        }
    }

    // MARK: Layers

    /// Which keys every query of every head may attend to, or what is added to their scores.
    private mutating func mask(_ present: ValueID) throws -> ValueID {
        let keys = try g.unsqueeze(present, [1, 2])
        guard let distances = names.distances else { return keys }
        let table = try g.parameter("\(root)\(distances).weight", [relative.buckets, config.heads])
        g.provenance = [root + distances]
        let length = g.shape(present)[1]
        return try g.add(try relative.bias(table, try g.iota(length, axis: 1, rank: 2), keys: length, in: &g), try g.additive(keys, .f32))
    }

    private mutating func layer(_ x: ValueID, _ mask: ValueID, _ name: String) throws -> ValueID {
        let hidden = config.hidden
        let attended = try g.linear(try attention(x, mask, name), name + names.attentionOutput, hidden, hidden, bias: true)
        let x = try g.norm(try g.add(attended, x), name + names.attentionNorm, hidden, config.norm)
        let wide = try g.activation(config.activation, try g.linear(x, name + names.inner, hidden, config.inner, bias: true))
        return try g.norm(try g.add(try g.linear(wide, name + names.outer, config.inner, hidden, bias: true), x), name + names.outputNorm, hidden, config.norm)
    }

    /// [batch, sequence, hidden] to the heads' outputs side by side.
    private mutating func attention(_ x: ValueID, _ mask: ValueID, _ name: String) throws -> ValueID {
        var parts: [ValueID] = []
        for part in names.projections { parts.append(try g.splitHeads(try g.linear(x, name + part, config.hidden, config.hidden, bias: true), config.heads)) }
        g.provenance = [name + "attention"]
        return try g.mergeHeads(try g.emit(Attention(scale: 1 / Double(config.hidden / config.heads).squareRoot()), parts + [mask]))
    }

    // MARK: Tasks

    /// - Parameter present: which tokens are no padding, bool [batch, sequence].
    private mutating func head(_ task: EncoderTask, _ x: ValueID, _ present: ValueID, _ pooling: SentencePooling?) throws -> [(name: String, value: ValueID)] {
        let heads = family.heads, hidden = config.hidden
        switch task {
        case .features:
            return [("last_hidden_state", x)]
        case .pooler:
            return [("pooler_output", try g.activation(.tanh, try g.linear(try g.first(x), root + "pooler.dense", hidden, hidden, bias: true)))]
        case .sentences:
            return [("sentence_embedding", try (pooling ?? SentencePooling()).pool(x, present, in: &g))]
        case .texts:
            let pooled = try g.activation(heads.ofTexts.activation, try g.linear(try g.first(x), heads.ofTexts.dense, hidden, hidden, bias: true))
            return [("logits", try g.linear(pooled, heads.ofTexts.labels, hidden, config.labels, bias: true))]
        case .tokens:
            return [("logits", try g.linear(x, heads.ofTokens, hidden, config.labels, bias: true))]
        case .answers:
            let both = try g.linear(x, heads.ofAnswers, hidden, 2, bias: true)
            return try ["start_logits", "end_logits"].enumerated().map { ($1, try g.squeeze(try g.slice(both, axis: 2, start: Extent($0), size: 1), [2])) }
        case .pictures, .imageEmbeds, .textEmbeds, .matches:
            throw task.refused(among: EncoderTask.ofTexts)
        case .words:
            let head = heads.ofWords
            let dense = try g.activation(head.activation ?? config.activation, try g.linear(x, head.dense, hidden, config.width, bias: true))
            let normed = try g.norm(dense, head.norm, config.width, config.norm)
            let scores = try g.linear(normed, config.isTied || !g.hasTensor(head.decoder + ".weight") ? root + names.words : head.decoder, config.width, config.words, bias: false)
            return [("logits", try g.add(scores, try g.parameter(head.bias.first { g.hasTensor($0) } ?? head.bias[0], [config.words])))]
        }
    }
}
