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

    /// `score`, `prefill`, `decode` and `verify`.
    /// - Throws: `Diagnostics` with every tensor that does not fit the configuration.
    func module(_ options: ImportOptions) throws -> ImportedModel {
        let capacity = options.context ?? min(config.longest, Self.usualCapacity)
        guard capacity <= config.longest else {
            throw Diagnostic(.invalid, "a context of \(capacity) tokens exceeds the model's \(config.longest) positions")
        }
        let entries = [
            try score(options), try cached("prefill", .dimension("sequence"), capacity: capacity, options), try cached("decode", 1, capacity: capacity, options),
            try cached("verify", .dimension("sequence"), scoresAll: true, capacity: capacity, options),
        ]
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
    /// Inputs: `tokens` i64 [1, count], `past` i64: how many tokens the cache holds; then the states of `CachedSequences`. Output: `logits` f32
    /// [1, vocabulary], or of all tokens [1, count, vocabulary], and the states.
    private func cached(_ name: String, _ count: Extent, scoresAll: Bool = false, capacity: Int, _ options: ImportOptions) throws -> Function {
        var graph = ModelGraph(name, checkpoint)
        let tokens = graph.rewriter.addArgument(.tensor(TensorType(.i64, [1, count])), name: "tokens")
        if let dimension = count.dimensionName { graph.rewriter.addDimension(dimension, DimensionInfo(.input(0, axis: 1))) }
        var decoder = Decoder(config, family.names, root: root, context: try CachedSequences(tokens, capacity: capacity, element: options.cacheElement, in: &graph), in: graph)
        let hidden = try decoder.hidden(tokens)
        let scored = scoresAll ? hidden : try decoder.g.slice(hidden, axis: 1, start: count - 1, size: 1)
        var logits = try decoder.logits(scored)
        if !scoresAll { logits = try decoder.g.reshape(logits, [1, Extent(config.vocabulary)]) }
        try finish(decoder.g)
        decoder.g.setResults([("logits", logits)], decoder.context.updates)
        return decoder.g.rewriter.function
    }
}
