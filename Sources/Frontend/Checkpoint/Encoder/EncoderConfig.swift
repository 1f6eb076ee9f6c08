import GlmcIR

/// The sizes of an encoder and the form of its layers.
struct EncoderConfig {
    let layers: Int
    let hidden: Int
    let inner: Int
    let heads: Int
    /// The width of the embeddings.
    let width: Int
    /// Rows of the tables of words, kinds of tokens (0: there is no such table) and positions.
    let words: Int, kinds: Int, positions: Int
    /// The token that fills up texts.
    let padding: Int
    let labels: Int
    let norm: NormForm
    let activation: ActivationKind
    /// Words are scored with the embedding itself.
    let isTied: Bool
    /// What the configuration names as the class of the whole model.
    let architecture: String?

    init(_ object: JSONValue, _ family: EncoderFamily) throws {
        var c = try ConfigReader(object, names: family.keys, defaults: family.defaults)
        layers = try c.size("num_hidden_layers", in: 1...DecoderConfig.mostLayers)
        hidden = try c.size("hidden_size")
        inner = try c.size("intermediate_size")
        heads = try c.size("num_attention_heads")
        guard hidden % heads == 0 else { throw Diagnostic(.invalid, "\(heads) heads do not divide a hidden size of \(hidden)", at: c.place) }
        width = try c.optionalSize("embedding_size") ?? hidden
        words = try c.size("vocab_size")
        kinds = family.names.kinds == nil ? 0 : try c.size("type_vocab_size")
        positions = try c.size("max_position_embeddings")
        padding = switch family.positions {
        case .all: 0
        case .behindPadding(let number): try number ?? c.size("pad_token_id", in: 0...positions - 1)
        }
        guard family.positions == .all || padding + 1 < positions else { throw Diagnostic(.invalid, "\(positions) positions have no room behind that of padding, \(padding)", at: c.place) }
        norm = NormForm(centres: true, epsilon: try c.optionalNumber("layer_norm_eps") ?? 1e-12)
        activation = c.has("hidden_act") ? try c.choice("hidden_act", activationNames) : .gelu
        isTied = try !c.has("tie_word_embeddings") || c.flag("tie_word_embeddings")
        if c.has("position_embedding_type") { _ = try c.choice("position_embedding_type", ["absolute": true]) }
        for key in ["is_decoder", "add_cross_attention"] {
            guard try !c.flag(key) else { throw Diagnostic(.unsupported, "only encoders are supported", at: c.place + ["'\(key)'"]) }
        }
        architecture = try c.optionalList("architectures", "names") { $0.string }?.first
        labels = try c.labels()
        try c.finish(
            irrelevant: irrelevantKeys.union(family.irrelevant).union(["pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head", "pooler_type", "directionality"]),
            neutral: neutralKeys.merging(["relative_attention_num_buckets": [.int(Int64(Encoder.buckets))]]) { $1 })
    }

    /// The longest text, in tokens.
    func longest(_ family: EncoderFamily) -> Int { family.positions == .all ? positions : positions - padding - 1 }
}
