/// Encoders of pictures, and of pictures and texts: one row each.
enum TowerFamilies {
    static let all = [vit, clip, siglip]

    /// Dosovitskiy et al. 2021.
    private static let vit = TowerFamily(
        towers: [
            TowerForm(
                type: "vit",
                input: .pictures(PatchForm(hasBias: true, whole: ("embeddings.cls_token", 3), positions: ("embeddings.position_embeddings", 3))),
                names: vitNames, pooling: .layerOfFirst("pooler.dense"),
                defaults: sizes.merging(["intermediate_size": 3072, "hidden_act": "gelu", "rms_norm_eps": 1e-12]) { $1 }, irrelevant: ["encoder_stride"]),
        ],
        labelled: .first, leftOut: ["*pooler.dense.*", "*embeddings.mask_token", "decoder.*"])

    private static let clip = TowerFamily(
        type: "clip",
        towers: [
            TowerForm(
                type: "clip_text_model", input: .texts(isCausal: true), names: texts, pooling: .endOfText(mistaken: 2), projection: "text_projection",
                defaults: [
                    "vocab_size": 49408, "hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 8, "max_position_embeddings": 77,
                    "hidden_act": "quick_gelu", "rms_norm_eps": 1e-5, "eos_token_id": 49407, "projection_dim": 512,
                ]),
            TowerForm(
                type: "clip_vision_model",
                input: .pictures(PatchForm(hasBias: false, whole: ("embeddings.class_embedding", 1), positions: positions, norm: "pre_layrnorm")),
                names: pictures, hasFinalNorm: false, pooling: .normOfFirst("post_layernorm"), projection: "visual_projection",
                defaults: sizes.merging(["patch_size": 32, "hidden_act": "quick_gelu", "rms_norm_eps": 1e-5, "projection_dim": 512]) { $1 }),
        ],
        labelled: .mean(from: 1), leftOut: ["*post_layernorm.*", "text_projection.weight", "visual_projection.weight"])

    /// Zhai et al. 2023.
    private static let siglip = TowerFamily(
        type: "siglip",
        towers: [
            TowerForm(
                type: "siglip_text_model", input: .texts(isCausal: false), names: texts, pooling: .layerOfLast("head"),
                defaults: sizes.merging(["vocab_size": 32000, "max_position_embeddings": 64, "hidden_act": "gelu_pytorch_tanh", "rms_norm_eps": 1e-6]) { $1 }),
            TowerForm(
                type: "siglip_vision_model", input: .pictures(PatchForm(hasBias: true, positions: positions)), names: pictures, pooling: .probe("head"),
                defaults: sizes.merging(["hidden_act": "gelu_pytorch_tanh", "rms_norm_eps": 1e-6]) { $1 }),
        ],
        labelled: .mean(from: 0), scores: ([1], true), leftOut: ["vision_model.head.*", "text_model.head.*", "head.*"])

    /// What transformers takes for granted of most towers.
    private static let sizes: [String: JSONValue] = [
        "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12, "num_channels": 3, "image_size": 224, "patch_size": 16,
    ]
    private static let positions = (name: "embeddings.position_embedding.weight", rank: 2)

    private static let texts: DecoderNames = {
        var names = DecoderNames()
        names.roots = [("text_model.", ""), ("", "")]
        (names.embedding, names.positions) = ("embeddings.token_embedding", "embeddings.position_embedding")
        (names.layers, names.finalNorm) = ("encoder.layers", "final_layer_norm")
        (names.inputNorm, names.attentionOutput) = ("layer_norm1", "out_proj")
        (names.feedForwardNorm, names.inner, names.outer) = ("layer_norm2", ["fc1"], "fc2")
        return names
    }()

    private static let pictures: DecoderNames = {
        var names = texts
        names.roots = [("vision_model.", ""), ("", "")]
        (names.embedding, names.finalNorm) = ("embeddings.patch_embedding", "post_layernorm")
        return names
    }()

    private static let vitNames: DecoderNames = {
        var names = DecoderNames()
        names.roots = [("vit.", ""), ("", "")]
        names.embedding = "embeddings.patch_embeddings.projection"
        (names.layers, names.finalNorm) = ("encoder.layer", "layernorm")
        (names.inputNorm, names.attention, names.attentionOutput) = ("layernorm_before", "attention", "output.dense")
        names.projections = ["attention.query", "attention.key", "attention.value"]
        (names.feedForwardNorm, names.feedForward, names.inner, names.outer) = ("layernorm_after", "", ["intermediate.dense"], "output.dense")
        return names
    }()
}
