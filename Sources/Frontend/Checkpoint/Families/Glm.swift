/// GLM: from ChatGLM2 with the names of its remote code to GLM-4.7. Half of every head is rotated, in interleaved pairs up to GLM-4.
extension DecoderFamilies {
    static let glms: [DecoderFamily] = [
        DecoderFamily("glm", names: packed, defaults: glmDefaults, read: { d, c in try glm(&d, &c) }),
        DecoderFamily("glm4", names: sandwich, defaults: glmDefaults, read: { d, c in try glm(&d, &c) }),
        DecoderFamily(
            "glm4v", "glm4v_text", "glm46v", names: withVision(sandwich), defaults: ["rms_norm_eps": 1e-5, "attention_bias": true], irrelevant: visionKeys, vision: vision
        ) { d, c in try glm(&d, &c, sections: sections) },
        DecoderFamily("glm_ocr", "glm_ocr_text", names: withVision(sandwich), defaults: ["rms_norm_eps": 1e-5], irrelevant: visionKeys, vision: documents) { d, c in
            try glm(&d, &c, sections: sections)
            try d.readExtraLayers(&c)
        },
        DecoderFamily("glm4_moe", defaults: mixtureDefaults.merging(["partial_rotary_factor": 0.5, "routed_scaling_factor": 1]) { $1 }) { d, c in
            try d.readAttentionBias(&c, output: false)
            d.attention.normalizesHeads = try c.flag("use_qk_norm")
            d.rotary?.mayBePartial = true
            try d.readCorrectedExperts(&c)
        },
        DecoderFamily(
            "glm4v_moe", "glm4v_moe_text", names: withVision(DecoderNames()),
            defaults: mixtureDefaults.merging(["attention_bias": true, "partial_rotary_factor": 0.5, "routed_scaling_factor": 1]) { $1 }, irrelevant: visionKeys,
            neutral: ["use_qk_norm": [false]], vision: vision
        ) { d, c in
            try d.readAttentionBias(&c, output: false)
            d.rotary = RotaryForm(mayBePartial: true, sections: sections)
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
            defaults: ["rms_norm_eps": 1e-5, "partial_rotary_factor": 0.5, "rope_ratio": 1, "original_rope": true],
            irrelevant: [
                "apply_query_key_layer_scaling", "attention_softmax_in_fp32", "bias_dropout_fusion", "fp32_residual_connection", "num_hidden_layers", "prefix_projection",
                "vocab_size",
            ],
            neutral: [
                "add_bias_linear": [false], "apply_residual_connection_post_layernorm": [false], "interleaved_qkv": [false], "post_layer_norm": [true], "quantization_bit": [0],
                "rmsnorm": [true],
            ]
        ) { d, c in
            guard try c.flag("multi_query_attention") else { throw c.bad("multi_query_attention", "true: packed heads without groups are not supported", false) }
            d.attention.inputBias = try c.flag("add_qkv_bias")
            d.rotary = RotaryForm(isInterleaved: try c.flag("original_rope"), mayBePartial: true, thetaScale: try c.positive("rope_ratio"))
        },
    ]

    private static let glmDefaults: [String: JSONValue] = ["rms_norm_eps": 1.5625e-7, "head_dim": 128, "attention_bias": true, "partial_rotary_factor": 0.5]
    private static let mixtureDefaults: [String: JSONValue] = [
        "rms_norm_eps": 1e-5, "n_shared_experts": 1, "n_group": 1, "topk_group": 1, "norm_topk_prob": true,
    ]

    private static func glm(_ d: inout DecoderConfig, _ c: inout ConfigReader, sections: [Int] = []) throws {
        try d.readAttentionBias(&c, output: false)
        d.rotary = RotaryForm(isInterleaved: true, mayBePartial: true, sections: sections)
    }

    private static let packed: DecoderNames = {
        var names = DecoderNames()
        names.inner = ["gate_up_proj"]
        return names
    }()

    private static let sandwich: DecoderNames = {
        var names = packed
        (names.attentionPostNorm, names.feedForwardPostNorm) = ("post_self_attn_layernorm", "post_mlp_layernorm")
        return names
    }()

    // MARK: Pictures

    /// GLM-4.1V and 4.5V (GLM-V Team 2025).
    private static let vision = VisionFamily(
        roots: visionRoots, names: visionNames, patchNorm: "post_conv_layernorm", positions: "embeddings.position_embedding", downsample: "downsample",
        merger: ("merger.proj", "merger.post_projection_norm", "merger"), keys: ["num_hidden_layers": "depth", "num_attention_heads": "num_heads"],
        defaults: [
            "num_hidden_layers": 24, "hidden_size": 1536, "hidden_act": "silu", "num_attention_heads": 12, "in_channels": 3, "image_size": 336, "patch_size": 14, "rms_norm_eps": 1e-5,
            "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 4096, "intermediate_size": 13696, "rope_theta": 10000, "image_token_id": 151343,
        ]
    ) { c in
        c.layers.attention.outputBias = false
        c.layers.feedForward.width = c.width
    }

    /// GLM-OCR: biases, normalised heads, and no positions but rotary ones.
    private static let documents: VisionFamily = {
        var family = vision
        (family.patchNorm, family.positions) = (nil, nil)
        family.defaults.merge(["hidden_size": 1024, "num_attention_heads": 16, "attention_bias": true, "out_hidden_size": 1536, "intermediate_size": 4096, "image_token_id": 59280]) { $1 }
        family.settle = { c in
            c.layers.attention.normalizesHeads = true
            c.layers.feedForward.bias = true
            c.inner = c.width * c.patch[0]
        }
        return family
    }()

    private static let visionRoots = ["model.visual.", "visual."]

    private static let visionNames: DecoderNames = {
        var names = DecoderNames()
        (names.embedding, names.layers, names.finalNorm) = ("patch_embed.proj", "blocks", "post_layernorm")
        (names.inputNorm, names.attention, names.projections, names.attentionOutput) = ("norm1", "attn", ["qkv"], "proj")
        names.feedForwardNorm = "norm2"
        return names
    }()

    /// Pairs for time, height and width, where the configuration does not say.
    private static let sections = [8, 12, 12]

    private static let visionKeys: Set<String> = [
        "vision_config", "image_token_id", "video_token_id", "image_start_token_id", "image_end_token_id", "video_start_token_id", "video_end_token_id",
    ]

    /// Names of a decoder beside which an encoder of pictures lies.
    private static func withVision(_ names: DecoderNames) -> DecoderNames {
        var names = names
        names.roots = [("model.language_model.", "lm_head"), ("model.", "lm_head")]
        names.leftOut = visionRoots.map { ($0 + "*", "the vision tower") }
        return names
    }

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
