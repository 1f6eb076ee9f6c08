import GlmcIR

/// A decoder in a checkpoint: its description, and where its weights are.
struct DecoderModel {
    let family: DecoderFamily
    let checkpoint: Checkpoint
    let config: DecoderConfig
    let root: (body: String, head: String)

    init(_ checkpoint: Checkpoint, _ family: DecoderFamily) throws {
        (self.family, self.checkpoint) = (family, checkpoint)
        config = try family.config(checkpoint.config, at: [checkpoint.configPlace])
        root = family.names.root(in: checkpoint)
    }

    /// Demands that all tensors belong to something.
    func finish(_ graph: ModelGraph) throws {
        var ignored = family.names.ignored + family.names.leftOut.map(\.pattern)
        let count = config.layers.count
        ignored += (count..<count + config.extraLayers).map { "\(root.body)\(family.names.layers).\($0).*" }
        let head = root.head + ".weight"
        if config.isTied, graph.hasTensor(head) {
            // Some files store a tied matrix twice.
            guard checkpoint.areEqual(head, root.body + family.names.embedding + ".weight") else {
                throw Diagnostic(.invalid, "differs from the embedding, to which \(checkpoint.configPlace) ties it", at: ["tensor '\(head)'"], hint: "set tie_word_embeddings to what the model was trained with")
            }
            ignored.append(head)
        }
        try graph.finish(ignoring: ignored)
    }

    /// Parts of the file that are not compiled.
    var warnings: [Diagnostic] {
        family.names.leftOut.compactMap { pattern, part in
            let prefix = pattern.dropLast()
            guard checkpoint.names.contains(where: { $0.hasPrefix(prefix) }) else { return nil }
            return Diagnostic(.unsupported, "\(part) is left out: the artifact takes text only", at: [checkpoint.path])
        }
    }
}

/// The entry points of a decoder, which share its weights and states.
extension DecoderModel {
    /// Room of the cache, where nothing else is asked for and the model has more positions.
    static let usualCapacity = 4096

    /// `score`, `prefill`, `decode` and `verify`, and for several sequences `decode_batch`.
    /// - Throws: `Diagnostics` with every tensor that does not fit the configuration.
    func module(_ options: ImportOptions) throws -> ImportedModel {
        let cache = CacheForm(
            capacity: options.context ?? min(config.longest, Self.usualCapacity), sequences: options.sequences ?? 1, element: options.cacheElement)
        guard cache.capacity <= config.longest else {
            throw Diagnostic(.invalid, "a context of \(cache.capacity) tokens exceeds the model's \(config.longest) positions")
        }
        var entries = [
            try score(options), try cached("prefill", .dimension("sequence"), cache), try cached("decode", 1, cache),
            try cached("verify", .dimension("sequence"), scoresAll: true, cache),
        ]
        if cache.sequences > 1 { entries.append(try batch(cache)) }
        return ImportedModel(Module(entries), warnings: warnings)
    }

    /// The logits of every token of whole sequences.
    ///
    /// Input: `tokens` i64 [batch, sequence]. Output: `logits` f32 [batch, sequence, vocabulary].
    private func score(_ options: ImportOptions) throws -> Function {
        var graph = ModelGraph("score", checkpoint)
        let tokens = try graph.tokenInputs(["tokens"], options, longest: config.longest)[0]
        var decoder = Decoder(config, family.names, root: root, context: try WholeSequences(tokens, in: &graph), in: graph)
        let logits = try decoder.logits(try decoder.hidden(tokens))
        decoder.g.rewriter.setName("logits", of: logits)
        decoder.g.rewriter.setResults([logits])
        try finish(decoder.g)
        return decoder.g.rewriter.function
    }

    /// The logits behind the last of `count` tokens that follow what the cache holds, or behind each; their keys and values join it.
    ///
    /// Inputs: `tokens` i64 [1, count], `past` i64: how many tokens the cache holds, for several sequences `slot` i64: of which one; then the states of
    /// `CachedSequence`. Output: `logits` f32 [1, vocabulary], or of all tokens [1, count, vocabulary], and the states.
    private func cached(_ name: String, _ count: Extent, scoresAll: Bool = false, _ cache: CacheForm) throws -> Function {
        var graph = ModelGraph(name, checkpoint)
        let tokens = tokens([1, count], in: &graph)
        var decoder = Decoder(config, family.names, root: root, context: try CachedSequence(tokens, cache, in: &graph), in: graph)
        let hidden = try decoder.hidden(tokens)
        let scored = scoresAll ? hidden : try decoder.g.slice(hidden, axis: 1, start: count - 1, size: 1)
        var logits = try decoder.logits(scored)
        if !scoresAll { logits = try decoder.g.reshape(logits, [1, Extent(config.vocabulary)]) }
        try finish(decoder.g)
        describe(cache, &decoder.g)
        decoder.g.setResults([("logits", logits)], decoder.context.updates)
        return decoder.g.rewriter.function
    }

    /// The logits behind one token more of each of the cache's first sequences; their keys and values join it.
    ///
    /// Inputs: `tokens` i64 [batch, 1], `past` i64 [batch]: how many tokens each sequence holds; then the states of `CachedSequence`. Output: `logits` f32
    /// [batch, vocabulary], and the states.
    private func batch(_ cache: CacheForm) throws -> Function {
        var graph = ModelGraph("decode_batch", checkpoint)
        let batch = Extent.dimension("batch"), tokens = tokens([batch, 1], in: &graph)
        var decoder = Decoder(config, family.names, root: root, context: try CachedBatch(tokens, cache, in: &graph), in: graph)
        let logits = try decoder.logits(try decoder.hidden(tokens))
        let rows = try decoder.g.reshape(logits, [batch, Extent(config.vocabulary)])
        try finish(decoder.g)
        describe(cache, &decoder.g)
        decoder.g.setResults([("logits", rows)], decoder.context.updates)
        return decoder.g.rewriter.function
    }

    /// Notes what the types of states do not tell: `context`, how many tokens a text may have, and `rewind`, by how many it may be taken back.
    private func describe(_ cache: CacheForm, _ graph: inout ModelGraph) {
        let hasRings = config.layers.contains { cache.rows(window: $0.window) < cache.capacity }
        graph.rewriter.setMetadata("context", "\(cache.capacity)")
        graph.rewriter.setMetadata("rewind", "\(hasRings ? cache.slack : cache.capacity)")
    }

    /// Adds the input `tokens`, whose named sizes are free.
    private func tokens(_ shape: [Extent], in graph: inout ModelGraph) -> ValueID {
        let tokens = graph.rewriter.addArgument(.tensor(TensorType(.i64, shape)), name: "tokens")
        for (axis, size) in shape.enumerated() {
            if let name = size.dimensionName { graph.rewriter.addDimension(name, DimensionInfo(.input(0, axis: axis))) }
        }
        return tokens
    }
}
