import GlmcIR

/// The BERT encoder (Devlin et al. 2018) with the weight names of Hugging Face's `BertModel`, alone or inside a task model
/// (prefix `bert.`).
///
/// Inputs, all i64 `[batch, sequence]`: `input_ids`, `token_type_ids`, `attention_mask`. Output: `last_hidden_state`
/// f32 `[batch, sequence, hidden]`. The pooler and task heads are left to the caller.
struct Bert {
    private var g: ModelGraph
    private let prefix: String
    private let layers: Int
    private let hidden: Int
    private let inner: Int
    private let heads: Int
    private let norm: NormForm
    private let activation: ActivationKind
    /// Rows of the tables of words, kinds of tokens and positions.
    private let words: Int, kinds: Int, longest: Int

    /// Parts of task models, and a table that nothing reads.
    private static let leftOut = ["*embeddings.position_ids", "*pooler.*", "cls.*", "classifier.*", "qa_outputs.*"]

    static func build(_ checkpoint: Checkpoint, _ options: ImportOptions) throws -> Function {
        var bert = try Bert(checkpoint)
        try bert.build(options)
        try bert.g.finish(ignoring: leftOut)
        return bert.g.rewriter.function
    }

    private init(_ checkpoint: Checkpoint) throws {
        g = ModelGraph("bert", checkpoint)
        prefix = !checkpoint.has("bert.embeddings.word_embeddings.weight") ? "" : "bert."
        var c = try ConfigReader(checkpoint.config)
        layers = try c.size("num_hidden_layers", in: 1...DecoderConfig.mostLayers)
        hidden = try c.size("hidden_size")
        inner = try c.size("intermediate_size")
        heads = try c.size("num_attention_heads")
        guard hidden % heads == 0 else { throw Diagnostic(.invalid, "\(heads) heads do not divide a hidden size of \(hidden)", at: c.place) }
        (words, kinds, longest) = (try c.size("vocab_size"), try c.size("type_vocab_size"), try c.size("max_position_embeddings"))
        norm = NormForm(centres: true, epsilon: try c.optionalNumber("layer_norm_eps") ?? 1e-12)
        activation = c.has("hidden_act") ? try c.choice("hidden_act", activationNames) : .gelu
        if c.has("position_embedding_type") { _ = try c.choice("position_embedding_type", ["absolute": true]) }
        for key in ["is_decoder", "add_cross_attention"] {
            guard try !c.flag(key) else { throw Diagnostic(.unsupported, "only encoders are supported", at: c.place + ["'\(key)'"]) }
        }
        try c.finish(irrelevant: irrelevantKeys.union(["tie_word_embeddings", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head", "pooler_type", "directionality"]),
                     neutral: ["is_encoder_decoder": [false], "pruned_heads": [.object([])], "tie_encoder_decoder": [false]])
    }

    private mutating func build(_ options: ImportOptions) throws {
        let inputs = try g.tokenInputs(["input_ids", "token_type_ids", "attention_mask"], options, longest: longest)
        var x = try embeddings(inputs[0], inputs[1])
        // True where a key may be attended, for every head and query.
        let mask = try g.unsqueeze(try g.binary(.notEqual, inputs[2], 0), [1, 2])
        for layer in 0..<layers {
            let name = "\(prefix)encoder.layer.\(layer)."
            let attended = try attention(x, mask, name + "attention.self.")
            x = try sum(x, try g.linear(attended, name + "attention.output.dense", hidden, hidden, bias: true), name + "attention.output.LayerNorm")
            let wide = try g.activation(activation, try g.linear(x, name + "intermediate.dense", hidden, inner, bias: true))
            x = try sum(x, try g.linear(wide, name + "output.dense", inner, hidden, bias: true), name + "output.LayerNorm")
        }
        g.rewriter.setName("last_hidden_state", of: x)
        g.rewriter.setResults([x])
    }

    private mutating func embeddings(_ ids: ValueID, _ types: ValueID) throws -> ValueID {
        let name = prefix + "embeddings."
        let word = try g.embedding(name + "word_embeddings", words, hidden, at: ids), kind = try g.embedding(name + "token_type_embeddings", kinds, hidden, at: types)
        let places = try g.parameter(name + "position_embeddings.weight", [longest, hidden])
        return try sum(try g.add(word, kind), try g.slice(places, axis: 0, start: 0, size: g.shape(ids)[1]), name + "LayerNorm")
    }

    /// norm(x + y).
    private mutating func sum(_ x: ValueID, _ y: ValueID, _ name: String) throws -> ValueID { try g.norm(try g.add(y, x), name, hidden, norm) }

    /// [batch, sequence, hidden] to the heads' outputs side by side.
    private mutating func attention(_ x: ValueID, _ mask: ValueID, _ name: String) throws -> ValueID {
        var parts: [ValueID] = []
        for part in ["query", "key", "value"] { parts.append(try g.splitHeads(try g.linear(x, name + part, hidden, hidden, bias: true), heads)) }
        g.provenance = [String(name.dropLast())]
        return try g.mergeHeads(try g.emit(Attention(scale: 1 / Double(hidden / heads).squareRoot()), parts + [mask]))
    }
}
