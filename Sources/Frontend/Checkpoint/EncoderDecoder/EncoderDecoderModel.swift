import GlmcIR

/// An encoder-decoder in a checkpoint: its description, and where its weights are.
struct EncoderDecoderModel {
    private let family: EncoderDecoderFamily
    private let checkpoint: Checkpoint
    private var config: EncoderDecoderConfig
    private let root: (body: String, head: String)
    /// What the files say the model is for; nil: all that it can do.
    private let task: EncoderTask?

    /// How the names of transformers' classes end that have a head over all words, or none behind the encoder.
    private static let understood = ["ForConditionalGeneration", "WithLMHeadModel", "EncoderModel"]

    /// Room of the states, where nothing else is asked for and the model has more positions.
    static let usualCapacity = 512

    init(_ checkpoint: Checkpoint, _ family: EncoderDecoderFamily) throws {
        (self.family, self.checkpoint) = (family, checkpoint)
        config = try family.config(checkpoint.config)
        root = family.decoder.root(in: checkpoint)
        var c = try ConfigReader(checkpoint.config)
        let architecture = try c.optionalList("architectures", "names") { $0.string }?.first
        task = architecture?.hasSuffix("EncoderModel") == true ? .features : nil
        if let architecture, !Self.understood.contains(where: architecture.hasSuffix) {
            throw Diagnostic(
                .unsupported, "'\(architecture)' is not supported", at: ["config.json", "'architectures'"],
                hint: "classes whose names end in \(Self.understood.joined(separator: ", ")) are; where the model has their tensors, name such a class")
        }
        // Whether the head is the embedding is what the tensors say, whatever the configuration does.
        let head = root.head + ".weight"
        config.decoder.isTied = !checkpoint.has(head) || checkpoint.areEqual(head, root.body + family.decoder.embedding + ".weight")
    }

    /// `score`, `encode`, `prefill` and `decode`, which share weights and states; or, of an encoder alone, its states.
    /// - Throws: `Diagnostics` with every tensor that does not fit the configuration.
    func module(_ options: ImportOptions) throws -> ImportedModel {
        if let task = options.task ?? task {
            guard task == .features else { throw task.refused(among: [.features]) }
            return ImportedModel(Module(try features(options)))
        }
        if let sequences = options.sequences, sequences > 1 {
            throw Diagnostic(.unsupported, "an encoder-decoder continues one text at a time, not \(sequences)", hint: "leave --batch out, and run one session per text")
        }
        let longest = config.decoder.longest, capacity = options.context ?? min(longest, Self.usualCapacity)
        guard capacity <= longest else { throw Diagnostic(.invalid, "a context of \(capacity) tokens exceeds the model's \(longest) positions") }
        let room = Room(target: capacity, source: fixedSource ?? capacity, element: options.cacheElement)
        return ImportedModel(Module([try score(options), try encode(room), try cached("prefill", .free("sequence"), room), try cached("decode", .fixed(1), room)]))
    }

    /// What the states have room for, and what their elements are rounded to.
    private struct Room {
        var target: Int, source: Int
        var element: ElementType
    }

    /// How many states the encoder makes, where that is the same for all inputs.
    private var fixedSource: Int? { if case .spectrum(let form) = config.source { form.positions } else { nil } }

    // MARK: Halves

    /// What the encoder takes: `input_ids` i64 [batch, source], and with it, where there are several, `attention_mask` i64 [batch, source]; or
    /// `input_features` f32 [batch, channels, frames].
    private func inputs(batch: ModelInput.Size, isMasked: Bool) -> [ModelInput] {
        switch config.source {
        case .tokens: (isMasked ? ["input_ids", "attention_mask"] : ["input_ids"]).map { ModelInput(name: $0, element: .i64, shape: [batch, .free("source")]) }
        case .spectrum(let form): [ModelInput(name: "input_features", element: .f32, shape: [batch, .fixed(form.channels), .fixed(2 * form.positions)])]
        }
    }

    /// The encoder's states, f32 [batch, source, width].
    /// - Parameter present: which inputs count, bool [batch, source]; nil: all.
    private func encoded(_ input: ValueID, present: ValueID?, in g: inout ModelGraph) throws -> ValueID {
        let x = switch config.source {
        case .tokens: input
        case .spectrum(let form): try form.embedded(input, width: config.encoder.width, body: root.body, in: &g)
        }
        return try Decoder.states(x, config.encoder, family.encoder, root: root, present: present, in: &g)
    }

    private func source(_ states: ValueID, present: ValueID?, in g: inout ModelGraph) throws -> EncodedSource {
        try EncodedSource(states, present: present, config.decoder, family.decoder, body: root.body, in: &g)
    }

    // MARK: Entry points

    /// The encoder alone.
    ///
    /// Inputs: those of the encoder. Output: `last_hidden_state` f32 [batch, source, width].
    private func features(_ options: ImportOptions) throws -> Function {
        var g = ModelGraph(family.types[0], checkpoint)
        let inputs = try g.inputs(inputs(batch: .free("batch"), isMasked: true), options, longest: [:])
        let present = try inputs.count > 1 ? g.binary(.notEqual, inputs[1], 0) : nil
        g.setResults([("last_hidden_state", try encoded(inputs[0], present: present, in: &g))], [])
        g.rewriter.setMetadata("task", EncoderTask.features.rawValue)
        try g.finish(ignoring: family.decoder.ignored + [root.body + "decoder.*", root.head + ".weight"])
        return g.rewriter.function
    }

    /// The logits of every token of whole sequences.
    ///
    /// Inputs: those of the encoder, and `tokens` i64 [batch, sequence], which the decoder has read. Output: `logits` f32 [batch, sequence, vocabulary].
    private func score(_ options: ImportOptions) throws -> Function {
        var g = ModelGraph("score", checkpoint)
        let inputs = try g.inputs(inputs(batch: .free("batch"), isMasked: true) + [.tokens("tokens")], options, longest: ["sequence": config.decoder.longest])
        let present = try inputs.count > 2 ? g.binary(.notEqual, inputs[1], 0) : nil
        let source = try source(try encoded(inputs[0], present: present, in: &g), present: present, in: &g)
        let tokens = inputs[inputs.count - 1]
        var decoder = Decoder(config.decoder, family.decoder, root: root, context: try WholeSequences(tokens, in: &g), source: source, in: g)
        let logits = try decoder.logits(try decoder.hidden(tokens))
        decoder.g.setResults([("logits", logits)], [])
        try decoder.g.finish(ignoring: family.decoder.ignored + (config.decoder.isTied ? [root.head + ".weight"] : []))
        return decoder.g.rewriter.function
    }

    /// What the decoder attends to, once for all its tokens, of one sequence.
    ///
    /// Inputs: those of the encoder with batch 1; then the states `cross_key.N` and `cross_value.N` [1, heads, room, d] of every layer of the decoder, whose first
    /// `source` rows are written. Output: `last_hidden_state` f32 [1, source, width], and the states.
    private func encode(_ room: Room) throws -> Function {
        var g = ModelGraph("encode", checkpoint)
        let input = try g.inputs(inputs(batch: .fixed(1), isMasked: false), ImportOptions(), longest: [:])[0]
        let states = try encoded(input, present: nil, in: &g)
        var updates: [StateUpdate] = []
        for (index, layer) in try source(states, present: nil, in: &g).layers.enumerated() {
            for (name, rows) in [("cross_key", layer.key), ("cross_value", layer.value)] {
                updates.append(try g.written(rows, to: "\(name).\(index)", CacheForm(capacity: room.source, element: room.element), from: 0))
            }
        }
        g.setResults([("last_hidden_state", states)], updates)
        return g.rewriter.function
    }

    /// The logits behind the last of `count` tokens that follow what the cache holds; their keys and values join it.
    ///
    /// Inputs: `tokens` i64 [1, count], `past` i64: how many tokens the cache holds, the states of `CachedSequence`, and what `encode` made: `cross_key.N` and
    /// `cross_value.N`, which are only read, and, unless it is always the same, `source` i64: of how many inputs. Output: `logits` f32 [1, vocabulary], and the
    /// states.
    private func cached(_ name: String, _ count: ModelInput.Size, _ room: Room) throws -> Function {
        var g = ModelGraph(name, checkpoint)
        let tokens = try g.inputs([ModelInput(name: "tokens", element: .i64, shape: [.fixed(1), count])], ImportOptions(), longest: [:])[0]
        let context = try CachedSequence(tokens, CacheForm(capacity: room.target, element: room.element), in: &g)
        let length = fixedSource.map { Extent($0) } ?? g.rewriter.addSizeInput("source")
        let form = config.decoder.attention
        let kept = TensorType(room.element, [1, Extent(form.heads), Extent(room.source), Extent(form.headWidth)])
        try Verifier.checkType(.tensor(kept))
        func read(_ name: String) throws -> ValueID { try g.slice(g.rewriter.addArgument(.tensor(kept), name: name), axis: 2, start: 0, size: length) }
        let source = EncodedSource(try config.decoder.layers.indices.map { (try read("cross_key.\($0)"), try read("cross_value.\($0)")) })
        var decoder = Decoder(config.decoder, family.decoder, root: root, context: context, source: source, in: g)
        let hidden = try decoder.hidden(tokens)
        let last = try decoder.g.slice(hidden, axis: 1, start: decoder.g.shape(hidden)[1] - 1, size: 1)
        let logits = try decoder.g.reshape(try decoder.logits(last), [1, Extent(config.decoder.vocabulary)])
        decoder.g.setResults([("logits", logits)], decoder.context.updates)
        return decoder.g.rewriter.function
    }
}
