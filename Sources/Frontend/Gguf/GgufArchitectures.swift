import GlmcIR

/// An architecture that GGUF files name, and the family of decoders that computes likewise.
struct GgufArchitecture: Sendable {
    /// `general.architecture`.
    var name: String
    /// The family's `model_type`.
    var family: String
    /// That of models with a mixture of experts, where they have a family of their own.
    var mixture: String?
    /// Rotary pairs are neighbours: the file's rows of queries and keys are in that order, whatever the family's own is.
    var rotatesNeighbours = false
    /// Reads what the architecture has beyond what all have in common.
    var read: @Sendable (inout GgufConfig) throws -> Void = { _ in }

    static let all: [GgufArchitecture] = [
        GgufArchitecture(name: "llama", family: "llama", mixture: "mixtral", rotatesNeighbours: true) { c in
            guard c.isMixture else { return }
            try c.demand("expert_gating_func", is: softmax)
            try c.take("expert_count", as: "num_local_experts")
            try c.take("expert_used_count", as: "num_experts_per_tok")
            // Experts are as wide as `feed_forward_length`.
            _ = try c.value("expert_feed_forward_length")
        },
        GgufArchitecture(name: "qwen2", family: "qwen2"),
        GgufArchitecture(name: "qwen3", family: "qwen3"),
        GgufArchitecture(name: "qwen3moe", family: "qwen3_moe") { c in
            try c.demand("expert_gating_func", is: softmax)
            try c.take("expert_count", as: "num_experts")
            try c.take("expert_used_count", as: "num_experts_per_tok")
            try c.take("expert_feed_forward_length", as: "moe_intermediate_size")
            c.set("norm_topk_prob", true)
        },
        GgufArchitecture(name: "gemma", family: "gemma"),
        GgufArchitecture(name: "gemma2", family: "gemma2") { c in
            try c.take("attn_logit_softcapping", as: "attn_logit_softcapping")
            try c.take("final_logit_softcapping", as: "final_logit_softcapping")
            try readQueryScale(&c, largest: 46)
        },
        GgufArchitecture(name: "gemma3", family: "gemma3_text") { c in
            try c.take("final_logit_softcapping", as: "final_logit_softcapping")
            c.set("rope_local_base_freq", try c.value("rope.freq_base_swa") ?? 10_000)
            try readQueryScale(&c, largest: 62)
            if c.members["sliding_window"] == nil { c.set("sliding_window_pattern", 1) }
        },
        GgufArchitecture(name: "phi3", family: "phi3"),
        GgufArchitecture(name: "chatglm", family: "glm", rotatesNeighbours: true),
        GgufArchitecture(name: "glm4", family: "glm4", rotatesNeighbours: true),
        GgufArchitecture(name: "glm4moe", family: "glm4_moe") { c in
            try c.demand("expert_gating_func", is: sigmoid)
            for (own, usual) in [
                ("expert_count", "n_routed_experts"), ("expert_used_count", "num_experts_per_tok"), ("expert_feed_forward_length", "moe_intermediate_size"),
                ("expert_shared_count", "n_shared_experts"), ("leading_dense_block_count", "first_k_dense_replace"), ("expert_weights_norm", "norm_topk_prob"),
                ("expert_weights_scale", "routed_scaling_factor"), ("expert_group_count", "n_group"), ("expert_group_used_count", "topk_group"),
            ] { try c.take(own, as: usual) }
        },
        GgufArchitecture(name: "granite", family: "granite", rotatesNeighbours: true) { c in
            try c.take("attention.scale", as: "attention_multiplier")
            try c.take("embedding_scale", as: "embedding_multiplier")
            try c.take("residual_scale", as: "residual_multiplier")
            try c.take("logit_scale", as: "logits_scaling")
        },
        GgufArchitecture(name: "smollm3", family: "smollm3", rotatesNeighbours: true),
        GgufArchitecture(name: "gpt2", family: "gpt2"),
    ]

    /// How experts are weighed, as llama.cpp numbers it.
    private static let softmax: JSONValue = 1, sigmoid: JSONValue = 2

    /// What scores are divided by, squared: an element of a head, but in the largest model of the family, which is known by its layers, of the hidden state.
    private static func readQueryScale(_ c: inout GgufConfig, largest: Int) throws {
        let width = try c.demandedSize("embedding_length"), heads = try c.demandedSize("attention.head_count")
        let isLargest = try c.size("block_count") == largest
        c.set("query_pre_attn_scalar", isLargest ? .int(Int64(width / heads)) : c.members["head_dim"] ?? .int(Int64(width / heads)))
    }
}
