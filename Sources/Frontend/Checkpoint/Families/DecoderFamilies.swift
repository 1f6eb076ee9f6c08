/// The decoders that can be built, one row each, or one file where a family has names of its own.
enum DecoderFamilies {
    static let all: [DecoderFamily] = llamas + gemmas + glms + [gpt2]

    /// Rows that use LLaMA's names, or nearly.
    private static let llamas: [DecoderFamily] = [
        DecoderFamily("llama") { d, c in
            try d.readAttentionBias(&c)
            d.feedForward.bias = try c.flag("mlp_bias")
        },
        DecoderFamily("mistral", defaults: ["sliding_window": 4096]) { d, c in try d.readWindow(&c) },
        DecoderFamily("qwen2", defaults: ["sliding_window": 4096]) { d, c in
            d.attention.inputBias = true
            try d.readUpperWindows(&c)
        },
        DecoderFamily("qwen3", defaults: ["head_dim": 128, "sliding_window": 4096]) { d, c in
            try d.readAttentionBias(&c)
            d.attention.normalizesHeads = true
            try d.readUpperWindows(&c)
        },
        DecoderFamily("qwen3_moe", defaults: ["sliding_window": 4096], irrelevant: ["max_window_layers"]) { d, c in
            try d.readAttentionBias(&c)
            d.attention.normalizesHeads = true
            if try c.flag("use_sliding_window") { try d.readWindow(&c) } else { _ = c.value("sliding_window") }
            try d.readExperts(&c, count: c.has("num_experts") ? "num_experts" : "num_local_experts", width: "moe_intermediate_size")
            d.experts?.normalizes = try c.flag("norm_topk_prob")
            let step = try c.optionalSize("decoder_sparse_step", in: 1...1 << 16) ?? 1
            let dense = try c.optionalList("mlp_only_layers", "numbers of layers") { $0.int } ?? []
            for layer in d.layers.indices { d.layers[layer].isSparse = (layer + 1) % step == 0 && !dense.contains(layer) }
        },
        DecoderFamily("mixtral", names: mixtralNames, defaults: ["rms_norm_eps": 1e-5, "rope_theta": 1e6]) { d, c in
            try d.readWindow(&c)
            try d.readExperts(&c, count: "num_local_experts", width: "intermediate_size")
            d.experts?.normalizes = true
        },
        DecoderFamily("phi3", names: phi3Names, defaults: ["rms_norm_eps": 1e-5]) { d, c in
            try d.readWindow(&c)
            d.rotary?.mayBePartial = true
        },
        DecoderFamily("smollm3", defaults: ["rope_theta": 2e6, "tie_word_embeddings": true], irrelevant: ["max_window_layers"]) { d, c in
            try d.readAttentionBias(&c)
            d.feedForward.bias = try c.flag("mlp_bias")
            let interval = try c.optionalSize("no_rope_layer_interval", in: 1...1 << 16) ?? 4
            let rotated = try c.optionalList("no_rope_layers", count: d.layers.count, "0 and 1, where 1 says that a layer is rotated") { [0: false, 1: true][$0.int ?? 2] }
            let skipped = Set(d.layers.indices.filter { !(rotated?[$0] ?? (($0 + 1) % interval != 0)) })
            d.rotary?.skipped = skipped
            let slides = try c.flag("use_sliding_window")
            try d.readWindows(&c) { slides && skipped.contains($0) }
        },
        DecoderFamily("granite", defaults: ["attention_multiplier": 1, "embedding_multiplier": 1, "residual_multiplier": 1, "logits_scaling": 1]) { d, c in
            try d.readAttentionBias(&c)
            d.feedForward.bias = try c.flag("mlp_bias")
            d.embeddingScale = try c.number("embedding_multiplier")
            d.residualScale = try c.number("residual_multiplier")
            d.logitsDivisor = try c.positive("logits_scaling")
            let scale = try c.number("attention_multiplier")
            for layer in d.layers.indices { d.layers[layer].scale = scale }
        },
    ]

    private static let mixtralNames: DecoderNames = {
        var names = DecoderNames()
        (names.mixture, names.expertInner, names.expertOuter) = ("block_sparse_moe", ["w1", "w3"], "w2")
        return names
    }()

    private static let phi3Names: DecoderNames = {
        var names = DecoderNames()
        (names.projections, names.inner) = (["qkv_proj"], ["gate_up_proj"])
        return names
    }()
}
