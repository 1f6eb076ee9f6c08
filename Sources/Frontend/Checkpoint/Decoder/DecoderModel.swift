import GlmcIR

/// A decoder in a checkpoint: its description, and where its weights are.
struct DecoderModel {
    let family: DecoderFamily
    let checkpoint: Checkpoint
    let config: DecoderConfig
    let root: (body: String, head: String)
    /// What makes embeddings of pictures; nil: the model takes text only.
    let vision: VisionTower?

    init(_ checkpoint: Checkpoint, _ family: DecoderFamily) throws {
        (self.family, self.checkpoint) = (family, checkpoint)
        let config = try family.config(checkpoint.config, at: [checkpoint.configPlace])
        self.config = config
        root = family.names.root(in: checkpoint)
        vision = try family.vision.flatMap { try VisionTower($0, checkpoint, decoder: config) }
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
        guard vision == nil else { return [] }
        return family.names.leftOut.compactMap { pattern, part in
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

    /// `score`, `prefill`, `decode` and `verify`, for several sequences also `decode_batch`, and of models that see pictures `encode_images`, `score_images`,
    /// `prefill_images` and `decode_images`.
    /// - Throws: `Diagnostics` with every tensor that does not fit the configuration.
    func module(_ options: ImportOptions) throws -> ImportedModel {
        let cache = CacheForm(
            capacity: options.context ?? min(config.longest, Self.usualCapacity), sequences: options.sequences ?? 1, element: options.cacheElement)
        guard cache.capacity <= config.longest else {
            throw Diagnostic(.invalid, "a context of \(cache.capacity) tokens exceeds the model's \(config.longest) positions")
        }
        var entries = [
            try score("score", .none, options), try cached("prefill", .none, .free("sequence"), cache), try cached("decode", .none, .fixed(1), cache),
            try cached("verify", .none, .free("sequence"), scoresAll: true, cache),
        ]
        if cache.sequences > 1 { entries.append(try batch(cache)) }
        if let vision {
            entries += [
                try encode("encode_images", vision, options), try score("score_images", .among, options), try cached("prefill_images", .among, .free("sequence"), cache),
                try cached("decode_images", .before, .fixed(1), cache),
            ]
        }
        return ImportedModel(Module(entries), warnings: warnings)
    }

    /// Where pictures stand in what an entry point reads.
    private enum Images {
        case none
        /// Only before its tokens: these have positions of their own.
        case before
        /// Also among its tokens.
        case among
    }

    /// `tokens` i64 [batch, sequence]; where there are pictures, `positions` i64 [3, batch, sequence]: those of every token in time, height and width; where they stand
    /// among the tokens, `image_embeds` f32 [image_tokens, width], which take the place of the tokens for them in this order.
    private func inputs(_ images: Images, batch: ModelInput.Size, sequence: ModelInput.Size) -> [ModelInput] {
        let inputs = [
            ModelInput(name: "tokens", element: .i64, shape: [batch, sequence]), ModelInput(name: "positions", element: .i64, shape: [.fixed(3), batch, sequence]),
            ModelInput(name: "image_embeds", element: .f32, shape: [.free("image_tokens"), .fixed(config.width)]),
        ]
        return switch images {
        case .none: [inputs[0]]
        case .before: Array(inputs[...1])
        case .among: inputs
        }
    }

    /// Inputs whose sizes options may fix.
    private var sizedInputs: [ModelInput] {
        inputs(vision == nil ? .none : .among, batch: .free("batch"), sequence: .free("sequence")) + (vision?.inputs ?? [])
    }

    private func decoder<Context>(_ context: Context, _ inputs: [ValueID], in g: ModelGraph) -> Decoder<Context> {
        let images = vision.flatMap { vision in inputs.count > 2 ? ImageTokens(token: vision.token, embeddings: inputs[2]) : nil }
        return Decoder(config, family.names, root: root, context: context, images: images, in: g)
    }

    /// The logits of every token of whole sequences.
    ///
    /// Inputs: see `inputs`. Output: `logits` f32 [batch, sequence, vocabulary].
    private func score(_ name: String, _ images: Images, _ options: ImportOptions) throws -> Function {
        var g = ModelGraph(name, checkpoint)
        let inputs = try g.inputs(inputs(images, batch: .free("batch"), sequence: .free("sequence")), options, longest: ["sequence": config.longest], among: sizedInputs)
        let context = try WholeSequences(inputs[0], rotary: inputs.dropFirst().first, in: &g)
        var decoder = decoder(context, inputs, in: g)
        let logits = try decoder.logits(try decoder.hidden(inputs[0]))
        decoder.g.rewriter.setName("logits", of: logits)
        decoder.g.rewriter.setResults([logits])
        try finish(decoder.g)
        return decoder.g.rewriter.function
    }

    /// The logits behind the last of `count` tokens that follow what the cache holds, or behind each; their keys and values join it.
    ///
    /// Inputs: see `inputs`, batch 1; `past` i64: how many tokens the cache holds; for several sequences `slot` i64: of which one; then the states of
    /// `CachedSequence`. Output: `logits` f32 [1, vocabulary], or of all tokens [1, count, vocabulary], and the states.
    private func cached(_ name: String, _ images: Images, _ count: ModelInput.Size, scoresAll: Bool = false, _ cache: CacheForm) throws -> Function {
        var g = ModelGraph(name, checkpoint)
        let inputs = try g.inputs(inputs(images, batch: .fixed(1), sequence: count), ImportOptions(), longest: [:])
        let context = try CachedSequence(inputs[0], cache, rotary: inputs.dropFirst().first, in: &g)
        var decoder = decoder(context, inputs, in: g)
        let hidden = try decoder.hidden(inputs[0])
        let scored = scoresAll ? hidden : try decoder.g.slice(hidden, axis: 1, start: decoder.g.shape(hidden)[1] - 1, size: 1)
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
        var g = ModelGraph("decode_batch", checkpoint)
        let tokens = try g.inputs(inputs(.none, batch: .free("batch"), sequence: .fixed(1)), ImportOptions(), longest: [:])[0]
        var decoder = decoder(try CachedBatch(tokens, cache, in: &g), [tokens], in: g)
        let logits = try decoder.logits(try decoder.hidden(tokens))
        let rows = try decoder.g.reshape(logits, [decoder.g.shape(logits)[0], Extent(config.vocabulary)])
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

    /// Pictures as what stands in place of tokens.
    ///
    /// Inputs: see `VisionTower.inputs`. Output: `image_embeds` f32 [images · rows · columns, width].
    private func encode(_ name: String, _ vision: VisionTower, _ options: ImportOptions) throws -> Function {
        var own = checkpoint
        own.tensors = own.tensors.filter { $0.key.hasPrefix(vision.root) }
        var g = ModelGraph(name, own)
        let pixels = try g.inputs(vision.inputs, options, longest: [:], among: sizedInputs)[0]
        g.setResults([("image_embeds", try vision.embeddings(pixels, in: &g))], [])
        try g.finish()
        return g.rewriter.function
    }
}
