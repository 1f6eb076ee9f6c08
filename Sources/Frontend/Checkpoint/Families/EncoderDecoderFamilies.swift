import GlmcIR

/// Encoder-decoders: one row each.
enum EncoderDecoderFamilies {
    static let all = [t5, whisper]

    // MARK: T5

    /// Raffel et al. 2020, and version 1.1, whose feed-forward is gated.
    private static let t5 = EncoderDecoderFamily(
        types: ["t5"], encoder: t5Names("encoder.", feedForward: "layer.1"), decoder: t5Names("decoder.", feedForward: "layer.2"),
        keys: [
            "hidden_size": "d_model", "head_dim": "d_kv", "intermediate_size": "d_ff", "num_attention_heads": "num_heads", "num_hidden_layers": "num_layers",
            "rms_norm_eps": "layer_norm_epsilon",
        ],
        defaults: [
            "vocab_size": 32128, "hidden_size": 512, "head_dim": 64, "intermediate_size": 2048, "num_attention_heads": 8, "num_hidden_layers": 6, "rms_norm_eps": 1e-6,
            "hidden_act": "relu", "feed_forward_proj": "relu", "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128, "tie_word_embeddings": true,
        ],
        irrelevant: ["dense_act_fn", "dropout_rate", "is_gated_act", "n_positions", "output_past"]
    ) { model, c in
        try readHalf(&model.encoder, &c, isBidirectional: true)
        try readHalf(&model.decoder, &c, isBidirectional: false)
        if let count = try c.optionalSize("num_decoder_layers", in: 1...DecoderConfig.mostLayers) { model.decoder.layers = Array(repeating: model.decoder.layers[0], count: count) }
        // Newer files have a key of its own for what older ones say by tying.
        let isScaled = try c.has("scale_decoder_outputs") ? c.flag("scale_decoder_outputs") : model.decoder.isTied
        model.decoder.logitsDivisor = isScaled ? Double(model.decoder.width).squareRoot() : 1
    }

    private static func readHalf(_ half: inout DecoderConfig, _ c: inout ConfigReader, isBidirectional: Bool) throws {
        let (activation, isGated) = try c.choice("feed_forward_proj", feedForwards)
        (half.feedForward.activation, half.feedForward.isGated) = (activation, isGated)
        for layer in half.layers.indices { half.layers[layer].scale = 1 }
        let positions = RelativePositions(
            buckets: try c.size("relative_attention_num_buckets", in: 1...1 << 16), furthest: try c.size("relative_attention_max_distance", in: 1...1 << 16), isBidirectional: isBidirectional)
        guard positions.isValid else { throw Diagnostic(.invalid, "\(positions.buckets) buckets do not divide distances up to \(positions.furthest)", at: c.place) }
        half.relative = positions
    }

    /// Where it is gated, 'gelu' has always been the approximation by tanh.
    private static let feedForwards: [String: (activation: ActivationKind, isGated: Bool)] = [
        "relu": (.relu, false), "gelu": (.gelu, false), "gelu_new": (.geluTanh, false), "silu": (.silu, false),
        "gated-relu": (.relu, true), "gated-gelu": (.geluTanh, true), "gated-gelu_new": (.geluTanh, true), "gated-silu": (.silu, true),
    ]

    private static func t5Names(_ half: String, feedForward: String) -> DecoderNames {
        var names = DecoderNames()
        names.roots = [("", "lm_head")]
        (names.embedding, names.layers, names.finalNorm) = ("shared", half + "block", half + "final_layer_norm")
        (names.inputNorm, names.attention, names.projections, names.attentionOutput) = ("layer.0.layer_norm", "layer.0.SelfAttention", ["q", "k", "v"], "o")
        names.distances = half + "block.0.layer.0.SelfAttention.relative_attention_bias"
        (names.crossNorm, names.crossAttention) = ("layer.1.layer_norm", "layer.1.EncDecAttention")
        (names.feedForwardNorm, names.feedForward) = (feedForward + ".layer_norm", feedForward + ".DenseReluDense")
        (names.inner, names.ungatedInner, names.outer) = (["wi_0", "wi_1"], ["wi"], "wo")
        // Copies of `shared`, and a table that the published files hold and no layer reads.
        names.ignored = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"]
        return names
    }

    // MARK: Whisper

    /// Radford et al. 2022.
    private static let whisper = EncoderDecoderFamily(
        types: ["whisper"], encoder: whisperNames("encoder."), decoder: whisperNames("decoder."),
        keys: [
            "hidden_size": "d_model", "num_hidden_layers": "decoder_layers", "num_attention_heads": "decoder_attention_heads", "intermediate_size": "decoder_ffn_dim",
            "max_position_embeddings": "max_target_positions", "hidden_act": "activation_function",
        ],
        defaults: [
            "vocab_size": 51865, "hidden_size": 384, "num_hidden_layers": 4, "num_attention_heads": 6, "intermediate_size": 1536, "max_position_embeddings": 448, "hidden_act": "gelu",
            "rms_norm_eps": 1e-5, "encoder_layers": 4, "encoder_attention_heads": 6, "encoder_ffn_dim": 1536, "num_mel_bins": 80, "max_source_positions": 1500,
        ],
        irrelevant: [
            "activation_dropout", "alignment_heads", "apply_spec_augment", "classifier_proj_size", "decoder_layerdrop", "encoder_layerdrop", "forced_decoder_ids", "init_std",
            "mask_feature_length", "mask_feature_min_masks", "mask_feature_prob", "mask_time_length", "mask_time_min_masks", "mask_time_prob", "median_filter_width", "num_hidden_layers",
            "use_weighted_layer_sum",
        ],
        neutral: ["scale_embedding": [false]]
    ) { model, c in
        model.decoder.norm.centres = true
        (model.decoder.attention.inputBias, model.decoder.attention.biasesKeys, model.decoder.attention.outputBias) = (true, false, true)
        (model.decoder.feedForward.isGated, model.decoder.feedForward.bias) = (false, true)
        model.encoder = model.decoder
        model.decoder.learnsPositions = true
        let heads = try c.size("encoder_attention_heads", in: 1...1 << 16)
        let headWidth = model.encoder.width % heads == 0 ? model.encoder.width / heads : 0
        (model.encoder.attention.heads, model.encoder.attention.keyHeads, model.encoder.attention.headWidth) = (heads, heads, headWidth)
        model.encoder.layers = Array(repeating: LayerForm(scale: 1 / Double(headWidth).squareRoot()), count: try c.size("encoder_layers", in: 1...DecoderConfig.mostLayers))
        model.encoder.feedForward.width = try c.size("encoder_ffn_dim")
        let spectrum = SpectrumForm(
            channels: try c.size("num_mel_bins"), positions: try c.size("max_source_positions"), convolutions: ["encoder.conv1", "encoder.conv2"], table: "encoder.embed_positions")
        model.source = .spectrum(spectrum)
    }

    private static func whisperNames(_ half: String) -> DecoderNames {
        var names = DecoderNames()
        names.roots = [("model.", "proj_out"), ("", "proj_out")]
        (names.embedding, names.positions) = (half + "embed_tokens", half + "embed_positions")
        (names.layers, names.finalNorm) = (half + "layers", half + "layer_norm")
        (names.inputNorm, names.attentionOutput) = ("self_attn_layer_norm", "out_proj")
        (names.crossNorm, names.crossAttention) = ("encoder_attn_layer_norm", "encoder_attn")
        (names.feedForwardNorm, names.feedForward, names.inner, names.outer) = ("final_layer_norm", "", ["fc1"], "fc2")
        return names
    }
}
