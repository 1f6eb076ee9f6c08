/// Gemma 1 to 3: embeddings scaled by √width, norms that multiply by 1 + w, tied heads. From version 2 on, norms on both sides of attention and
/// feed-forward, and windows; version 3 normalises heads and has a base of its own for layers with a window.
extension DecoderFamilies {
    static let gemmas: [DecoderFamily] = [
        DecoderFamily("gemma", defaults: defaults.merging(["hidden_act": "gelu_pytorch_tanh"]) { $1 }) { d, c in
            try common(&d, &c)
            // Early files say 'gelu' and mean the approximation by tanh.
            if c.has("hidden_activation") { d.feedForward.activation = try c.choice("hidden_activation", activationNames) }
            if d.feedForward.activation == .gelu { d.feedForward.activation = .geluTanh }
        },
        DecoderFamily(
            "gemma2", names: sandwich, keys: keys, defaults: defaults.merging(["sliding_window": 4096, "query_pre_attn_scalar": 256, "attn_logit_softcapping": 50, "final_logit_softcapping": 30]) { $1 },
            irrelevant: ["hidden_act", "sliding_window_size"]
        ) { d, c in
            try later(&d, &c)
            d.attention.softcap = try c.optionalPositive("attn_logit_softcapping") ?? 0
            try d.readWindows(&c) { $0 % 2 == 0 }
        },
        DecoderFamily(
            "gemma3_text", "gemma3", names: sandwich,
            keys: keys,
            defaults: defaults.merging([
                "vocab_size": 262_208, "num_attention_heads": 8, "num_key_value_heads": 4, "sliding_window": 4096, "query_pre_attn_scalar": 256, "rope_theta": 1e6,
                "rope_local_base_freq": 1e4, "max_position_embeddings": 131_072,
            ]) { $1 },
            irrelevant: [
                "hidden_act", "_sliding_window_pattern", "vision_config", "mm_tokens_per_image", "boi_token_index", "eoi_token_index", "image_token_index", "boi_token_id",
                "eoi_token_id", "image_token_id",
            ]
        ) { d, c in
            try later(&d, &c)
            d.attention.normalizesHeads = true
            let pattern = try c.optionalSize("sliding_window_pattern", in: 1...1 << 16) ?? 6
            try d.readWindows(&c) { ($0 + 1) % pattern != 0 }
            d.rotary?.localTheta = "rope_local_base_freq"
        },
    ]

    private static let keys = ["hidden_act": "hidden_activation"]
    private static let defaults: [String: JSONValue] = ["hidden_act": "gelu_pytorch_tanh", "head_dim": 256, "tie_word_embeddings": true]

    private static let sandwich: DecoderNames = {
        var names = DecoderNames()
        names.roots = [("model.", "lm_head"), ("model.language_model.", "lm_head"), ("language_model.model.", "language_model.lm_head")]
        names.attentionPostNorm = "post_attention_layernorm"
        (names.feedForwardNorm, names.feedForwardPostNorm) = ("pre_feedforward_layernorm", "post_feedforward_layernorm")
        names.leftOut = ["", "model."].flatMap { [("\($0)vision_tower.*", "the vision tower"), ("\($0)multi_modal_projector.*", "the projector of pictures")] }
        return names
    }()

    private static func common(_ d: inout DecoderConfig, _ c: inout ConfigReader) throws {
        try d.readAttentionBias(&c)
        d.embeddingScale = Double(d.width).squareRoot()
        d.norm.offset = 1
    }

    private static func later(_ d: inout DecoderConfig, _ c: inout ConfigReader) throws {
        try common(&d, &c)
        let scale = 1 / (try c.positive("query_pre_attn_scalar")).squareRoot()
        for layer in d.layers.indices { d.layers[layer].scale = scale }
        d.logitsCap = try c.optionalPositive("final_logit_softcapping") ?? 0
    }
}
