import GlmcIR

/// Encoders: one row each.
enum EncoderFamilies {
    static let all = [
        EncoderFamily("bert"),
        EncoderFamily("roberta", "xlm-roberta", "camembert", names: named { $0.root = "roberta." }, heads: robertaHeads, positions: .behindPadding(), defaults: robertaDefaults),
        EncoderFamily("mpnet", names: mpnetNames, heads: robertaHeads, positions: .behindPadding(number: 1), defaults: robertaDefaults, irrelevant: ["type_vocab_size"]),
        EncoderFamily("electra", names: named { $0.root = "electra." }, heads: electraHeads, irrelevant: ["summary_activation", "summary_last_dropout", "summary_type", "summary_use_proj"]),
        EncoderFamily(
            "distilbert", names: distilbertNames, heads: distilbertHeads,
            keys: ["hidden_size": "dim", "intermediate_size": "hidden_dim", "num_attention_heads": "n_heads", "num_hidden_layers": "n_layers", "hidden_act": "activation"],
            irrelevant: ["qa_dropout", "seq_classif_dropout", "sinusoidal_pos_embds", "tie_weights_", "output_past"]),
    ]

    private static func named(_ change: (inout EncoderNames) -> Void) -> EncoderNames {
        var names = EncoderNames()
        change(&names)
        return names
    }

    /// Liu et al. 2019.
    private static let robertaDefaults: [String: JSONValue] = ["layer_norm_eps": 1e-5, "pad_token_id": 1]
    private static let robertaHeads: EncoderHeads = {
        var heads = EncoderHeads()
        heads.ofTexts = ("classifier.dense", .tanh, "classifier.out_proj")
        heads.ofWords = ("lm_head.dense", .gelu, "lm_head.layer_norm", "lm_head.decoder", ["lm_head.decoder.bias", "lm_head.bias"])
        heads.leftOut = ["*pooler.*", "lm_head.*", "classifier.*", "qa_outputs.*"]
        return heads
    }()

    /// Song et al. 2020.
    private static let mpnetNames = named {
        $0.root = "mpnet."
        $0.kinds = nil
        $0.distances = "encoder.relative_attention_bias"
        $0.projections = ["attention.attn.q", "attention.attn.k", "attention.attn.v"]
        $0.attentionOutput = "attention.attn.o"
        $0.attentionNorm = "attention.LayerNorm"
    }

    /// Clark et al. 2020.
    private static let electraHeads: EncoderHeads = {
        var heads = EncoderHeads()
        heads.ofTexts = ("classifier.dense", .gelu, "classifier.out_proj")
        heads.ofWords = ("generator_predictions.dense", .gelu, "generator_predictions.LayerNorm", "generator_lm_head", ["generator_lm_head.bias"])
        heads.leftOut = ["discriminator_predictions.*", "generator_predictions.*", "generator_lm_head.*", "classifier.*", "qa_outputs.*"]
        return heads
    }()

    /// Sanh et al. 2019.
    private static let distilbertNames = named {
        $0.root = "distilbert."
        $0.kinds = nil
        $0.layers = "transformer.layer"
        $0.projections = ["attention.q_lin", "attention.k_lin", "attention.v_lin"]
        $0.attentionOutput = "attention.out_lin"
        $0.attentionNorm = "sa_layer_norm"
        $0.inner = "ffn.lin1"
        $0.outer = "ffn.lin2"
        $0.outputNorm = "output_layer_norm"
    }
    private static let distilbertHeads: EncoderHeads = {
        var heads = EncoderHeads()
        heads.ofTexts = ("pre_classifier", .relu, "classifier")
        heads.ofWords = ("vocab_transform", nil, "vocab_layer_norm", "vocab_projector", ["vocab_projector.bias"])
        heads.leftOut = ["pre_classifier.*", "classifier.*", "qa_outputs.*", "vocab_transform.*", "vocab_layer_norm.*", "vocab_projector.*"]
        return heads
    }()
}
