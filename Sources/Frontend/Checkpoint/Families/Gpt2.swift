/// GPT-2 (Radford et al. 2019): layer normalisation, learned positions, matrices stored [from, to], a tied head.
extension DecoderFamilies {
    static let gpt2 = DecoderFamily(
        "gpt2", names: gpt2Names,
        keys: [
            "hidden_size": "n_embd", "num_hidden_layers": "n_layer", "num_attention_heads": "n_head", "max_position_embeddings": "n_positions", "intermediate_size": "n_inner",
            "hidden_act": "activation_function", "rms_norm_eps": "layer_norm_epsilon",
        ],
        defaults: ["hidden_act": "gelu_new", "rms_norm_eps": 1e-5, "tie_word_embeddings": true, "scale_attn_weights": true, "max_position_embeddings": 1024],
        irrelevant: [
            "n_ctx", "reorder_and_upcast_attn", "summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type", "summary_use_proj",
        ]
    ) { d, c in
        d.norm.centres = true
        (d.attention.inputBias, d.attention.outputBias) = (true, true)
        (d.feedForward.isGated, d.feedForward.bias) = (false, true)
        (d.learnsPositions, d.rotary) = (true, nil)
        let isScaled = try c.flag("scale_attn_weights"), isScaledByLayer = try c.flag("scale_attn_by_inverse_layer_idx")
        for layer in d.layers.indices {
            if !isScaled { d.layers[layer].scale = 1 }
            if isScaledByLayer { d.layers[layer].scale /= Double(layer + 1) }
        }
    }

    private static let gpt2Names: DecoderNames = {
        var names = DecoderNames()
        names.roots = [("transformer.", "lm_head"), ("", "lm_head")]
        (names.embedding, names.layers, names.finalNorm) = ("wte", "h", "ln_f")
        (names.inputNorm, names.attention, names.projections, names.attentionOutput) = ("ln_1", "attn", ["c_attn"], "c_proj")
        (names.feedForwardNorm, names.inner, names.outer) = ("ln_2", ["c_fc"], "c_proj")
        names.isTransposed = true
        names.ignored = ["*attn.bias", "*attn.masked_bias"]
        return names
    }()
}
