/// GLM: from ChatGLM2 with the names of its remote code to GLM-4.7. Half of every head is rotated, in interleaved pairs up to GLM-4.
extension DecoderFamilies {
    static let glms: [DecoderFamily] = [
        DecoderFamily("glm", names: packed, defaults: glmDefaults, read: { d, c in try glm(&d, &c) }),
        DecoderFamily("glm4", names: sandwich, defaults: glmDefaults, read: { d, c in try glm(&d, &c) }),
        DecoderFamily(
            "glm4v", "glm4v_text", names: sandwich, defaults: ["rms_norm_eps": 1e-5, "attention_bias": true],
            irrelevant: [
                "vision_config", "image_token_id", "video_token_id", "image_start_token_id", "image_end_token_id", "video_start_token_id", "video_end_token_id",
            ], read: { d, c in try glm(&d, &c) }),
        DecoderFamily("glm4_moe", defaults: mixtureDefaults.merging(["partial_rotary_factor": 0.5, "routed_scaling_factor": 1]) { $1 }) { d, c in
            try d.readAttentionBias(&c, output: false)
            d.attention.normalizesHeads = try c.flag("use_qk_norm")
            d.rotary?.mayBePartial = true
            try d.readCorrectedExperts(&c)
        },
        DecoderFamily("glm4_moe_lite", defaults: mixtureDefaults.merging(["routed_scaling_factor": 1.8, "rope_interleave": true]) { $1 }, irrelevant: ["qk_head_dim"]) { d, c in
            try d.readAttentionBias(&c)
            d.attention.latent = LatentForm(
                queryRank: try c.optionalSize("q_lora_rank"), rank: try c.size("kv_lora_rank"), plainWidth: try c.size("qk_nope_head_dim", in: 1...1 << 16),
                rotaryWidth: try c.size("qk_rope_head_dim", in: 1...1 << 16), valueWidth: try c.size("v_head_dim", in: 1...1 << 16), norm: NormForm(epsilon: 1e-6))
            d.rotary?.isInterleaved = try c.flag("rope_interleave")
            if let latent = d.attention.latent {
                for layer in d.layers.indices { d.layers[layer].scale = 1 / Double(latent.plainWidth + latent.rotaryWidth).squareRoot() }
            }
            try d.readCorrectedExperts(&c)
        },
        DecoderFamily(
            "chatglm", names: chatNames,
            keys: [
                "vocab_size": "padded_vocab_size", "num_hidden_layers": "num_layers", "intermediate_size": "ffn_hidden_size", "max_position_embeddings": "seq_length",
                "rms_norm_eps": "layernorm_epsilon", "head_dim": "kv_channels", "num_key_value_heads": "multi_query_group_num",
            ],
            defaults: ["rms_norm_eps": 1e-5, "partial_rotary_factor": 0.5, "rope_ratio": 1, "rmsnorm": true, "original_rope": true, "post_layer_norm": true],
            irrelevant: [
                "apply_query_key_layer_scaling", "attention_softmax_in_fp32", "bias_dropout_fusion", "fp32_residual_connection", "prefix_projection", "vocab_size",
            ],
            neutral: ["interleaved_qkv": [false], "quantization_bit": [0]]
        ) { d, c in
            guard try c.flag("multi_query_attention") else { throw c.bad("multi_query_attention", "true: packed heads without groups are not supported", false) }
            let bias = try c.flag("add_bias_linear"), inputBias = try c.flag("add_qkv_bias")
            (d.attention.inputBias, d.attention.outputBias, d.feedForward.bias) = (bias || inputBias, bias, bias)
            d.norm.centres = try !c.flag("rmsnorm")
            d.hasFinalNorm = try c.flag("post_layer_norm")
            d.residualIsNormalized = try c.flag("apply_residual_connection_post_layernorm")
            d.rotary = RotaryForm(isInterleaved: try c.flag("original_rope"), mayBePartial: true, thetaScale: try c.positive("rope_ratio"))
        },
    ]

    private static let glmDefaults: [String: JSONValue] = ["rms_norm_eps": 1.5625e-7, "head_dim": 128, "attention_bias": true, "partial_rotary_factor": 0.5]
    private static let mixtureDefaults: [String: JSONValue] = [
        "rms_norm_eps": 1e-5, "n_shared_experts": 1, "n_group": 1, "topk_group": 1, "norm_topk_prob": true,
    ]

    private static func glm(_ d: inout DecoderConfig, _ c: inout ConfigReader) throws {
        try d.readAttentionBias(&c, output: false)
        d.rotary?.isInterleaved = true
        d.rotary?.mayBePartial = true
    }

    private static let packed: DecoderNames = {
        var names = DecoderNames()
        names.inner = ["gate_up_proj"]
        return names
    }()

    private static let sandwich: DecoderNames = {
        var names = packed
        names.roots = [("model.", "lm_head"), ("model.language_model.", "lm_head")]
        (names.attentionPostNorm, names.feedForwardPostNorm) = ("post_self_attn_layernorm", "post_mlp_layernorm")
        names.leftOut = [("model.visual.*", "the vision tower"), ("visual.*", "the vision tower")]
        return names
    }()

    private static let chatNames: DecoderNames = {
        var names = DecoderNames()
        names.roots = [("transformer.", "transformer.output_layer")]
        (names.embedding, names.layers, names.finalNorm) = ("embedding.word_embeddings", "encoder.layers", "encoder.final_layernorm")
        (names.attention, names.projections, names.attentionOutput) = ("self_attention", ["query_key_value"], "dense")
        (names.inner, names.outer) = (["dense_h_to_4h"], "dense_4h_to_h")
        names.ignored = ["*rotary_pos_emb.inv_freq"]
        return names
    }()
}
