import GlmcIR

/// A family of decoders: what its configuration and its tensors are called, and what it does differently from LLaMA (Touvron et al. 2023).
struct DecoderFamily: Sendable {
    /// `model_type` in the configuration.
    var types: [String]
    var names = DecoderNames()
    /// What the family calls keys, by their usual names.
    var keys: [String: String] = [:]
    /// What holds where a key is absent.
    var defaults: [String: JSONValue] = [:]
    /// Keys without influence on results, beside `irrelevantKeys`.
    var irrelevant: Set<String> = []
    /// Values at which keys have no influence, beside `standardNeutral`.
    var neutral: [String: [JSONValue]] = [:]
    /// How it sees pictures; nil: it does not.
    var vision: VisionFamily?
    /// Reads what the family has beyond `DecoderConfig(common:)`.
    var read: @Sendable (inout DecoderConfig, inout ConfigReader) throws -> Void = { _, _ in }
    /// What a file format settles otherwise than the family's configuration.
    var settle: @Sendable (inout DecoderConfig) -> Void = { _ in }

    init(
        _ types: String..., names: DecoderNames = DecoderNames(), keys: [String: String] = [:], defaults: [String: JSONValue] = [:], irrelevant: Set<String> = [],
        neutral: [String: [JSONValue]] = [:], vision: VisionFamily? = nil, read: @escaping @Sendable (inout DecoderConfig, inout ConfigReader) throws -> Void
    ) {
        (self.types, self.names, self.keys, self.defaults) = (types, names, keys, defaults)
        (self.irrelevant, self.neutral, self.vision, self.read) = (irrelevant, neutral, vision, read)
    }

    /// What most families take for granted.
    private static let standardDefaults: [String: JSONValue] = ["hidden_act": "silu", "rms_norm_eps": 1e-6, "rope_theta": 10000]

    /// What keys may say without changing anything, in families that do not read them.
    private static let standardNeutral: [String: [JSONValue]] = neutralKeys.merging([
        "attention_bias": [false], "mlp_bias": [false], "moe_layer_freq": [1], "rope_interleaved": [false], "scoring_func": ["sigmoid"], "topk_method": ["noaux_tc"],
        "use_bidirectional_attention": [false], "use_mrope": [false], "use_sliding_window": [false],
    ]) { $1 }

    /// All of a configuration, of which every key is accounted for. Models that also see pictures have the decoder's part in `text_config`.
    /// - Parameter place: where the configuration stands.
    func config(_ object: JSONValue, at place: [String] = ["config.json"]) throws -> DecoderConfig {
        let defaults = Self.standardDefaults.merging(defaults) { $1 }
        var outer = try ConfigReader(object, at: place, names: keys, defaults: defaults)
        guard let text = try outer.optionalObject("text_config")?.whole else { return try config(&outer) }
        var inner = try ConfigReader(text, at: outer.place + ["'text_config'"], names: keys, defaults: defaults)
        var config = try config(&inner)
        if outer.has("tie_word_embeddings"), try outer.flag("tie_word_embeddings") { config.isTied = true }
        try finish(outer)
        return config
    }

    private func config(_ c: inout ConfigReader) throws -> DecoderConfig {
        var config = try DecoderConfig(common: &c)
        try read(&config, &c)
        try config.finish(&c)
        try finish(c)
        settle(&config)
        return config
    }

    private func finish(_ c: ConfigReader) throws {
        try c.finish(irrelevant: irrelevantKeys.union(irrelevant), neutral: Self.standardNeutral.merging(neutral) { $1 })
    }
}
