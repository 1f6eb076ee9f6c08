import GlmcIR

/// What a decoder, or an encoder whose layers have the same form, computes, independent of how its weights are called:
///
///     x = embedding·e;  for every layer: x += r·post(attention(norm(x))), x += r·post(ffn(norm(x)));  logits = cap(norm(x)·headᵀ / d)
///
/// All sizes are positive and bounded by `ConfigReader.largestSize`.
struct DecoderConfig {
    /// 0 where the input is no tokens.
    var vocabulary: Int
    /// Elements of a token's hidden state.
    var width: Int
    /// Positions that the model was made for.
    var longest: Int
    var norm: NormForm
    var hasFinalNorm = true
    var attention: AttentionForm
    var feedForward: FeedForwardForm
    var experts: ExpertsForm?
    var layers: [LayerForm]
    /// nil: nothing is rotated.
    var rotary: RotaryForm? = RotaryForm()
    /// Positions are rows of a table, added to the embedding.
    var learnsPositions = false
    /// Distances between tokens count for scores, the same in all layers; nil: they do not.
    var relative: RelativePositions?
    var isTied: Bool
    var embeddingScale = 1.0
    var residualScale = 1.0
    var logitsDivisor = 1.0
    /// Logits y become c·tanh(y/c); 0 for none.
    var logitsCap = 0.0
    /// Layers beyond the last that predict further tokens; they are left out.
    var extraLayers = 0
}

/// What differs from layer to layer.
struct LayerForm {
    /// nil: queries and keys are not rotated.
    var rope: Rope?
    /// Query i attends only keys j > i − window; nil: all before it.
    var window: Int?
    /// What scores are multiplied with.
    var scale: Double
    /// Feed-forward is a mixture of experts.
    var isSparse = false
}

/// How a family uses the rotary positions that its configuration describes.
struct RotaryForm {
    /// Pairs are elements 2i and 2i+1 instead of i and i + width/2.
    var isInterleaved = false
    /// Whether the family knows heads of which only a part is rotated.
    var mayBePartial = false
    /// What the base is multiplied with.
    var thetaScale = 1.0
    /// The key of the base in layers with a window, which have no scaling then.
    var localTheta: String?
    /// How many pairs belong to time, height, width, time, … of pictures, where the configuration does not say; empty: positions have one axis.
    var sections: [Int] = []
    /// Layers that are not rotated.
    var skipped: Set<Int> = []
}

struct AttentionForm {
    var heads: Int
    /// Heads of keys and values, each shared by `heads / keyHeads` heads of queries.
    var keyHeads: Int
    var headWidth: Int
    /// Biases of queries, keys and values.
    var inputBias = false
    /// Keys have a bias where queries and values have one.
    var biasesKeys = true
    var outputBias = false
    /// Queries and keys are normalised head by head before they are rotated.
    var normalizesHeads = false
    /// Scores s become c·tanh(s/c); 0 for none.
    var softcap = 0.0
    var latent: LatentForm?

    /// Whether queries, keys and values have a bias.
    var biases: [Bool] { [inputBias, inputBias && biasesKeys, inputBias] }
}

/// Multi-head latent attention (DeepSeek-V2): keys and values are expanded from one vector of `rank` numbers per token; a part of the key,
/// rotated and shared by all heads, comes beside it.
struct LatentForm {
    /// nil: queries come from the hidden state directly.
    var queryRank: Int?
    var rank: Int
    /// Elements of a head's query and key that are not rotated, and those that are.
    var plainWidth: Int
    var rotaryWidth: Int
    var valueWidth: Int
    var norm: NormForm
}

struct FeedForwardForm {
    var width: Int
    var activation: ActivationKind
    /// down(act(gate(x)) · up(x)) instead of down(act(up(x))).
    var isGated = true
    var bias = false
}

/// A mixture of experts: every token goes through the `perToken` experts that its router prefers.
struct ExpertsForm {
    enum Score { case softmax, sigmoid }

    var count: Int
    var perToken: Int
    /// Inner width of one expert.
    var width: Int
    /// Inner width of the expert that every token goes through; 0 for none.
    var sharedWidth = 0
    var score = Score.softmax
    /// A bias that counts for the choice of experts, not for their weights.
    var hasCorrection = false
    /// Only experts of the best `keptGroups` of `groups` groups are chosen; a group is as good as its two best experts.
    var groups = 1
    var keptGroups = 1
    /// The chosen weights are divided by their sum.
    var normalizes = false
    var scale = 1.0
}

extension DecoderConfig {
    static let mostLayers = 1000

    /// What the families have in common, from keys named as in LLaMA's configuration.
    /// - Parameter readsTokens: the input is tokens of a vocabulary.
    init(common c: inout ConfigReader, readsTokens: Bool = true) throws {
        vocabulary = readsTokens ? try c.size("vocab_size") : 0
        width = try c.size("hidden_size")
        longest = try c.optionalSize("max_position_embeddings", in: 1...1 << 31) ?? 1 << 31
        norm = NormForm(epsilon: try c.positive("rms_norm_eps"))
        let count = try c.size("num_hidden_layers", in: 1...Self.mostLayers)
        let heads = try c.size("num_attention_heads", in: 1...1 << 16), keyHeads = try c.optionalSize("num_key_value_heads", in: 1...1 << 16) ?? heads
        guard heads % keyHeads == 0 else { throw Diagnostic(.invalid, "\(heads) query heads do not share \(keyHeads) key heads evenly", at: c.place) }
        let headWidth = try c.optionalSize("head_dim", in: 1...1 << 16) ?? (width % heads == 0 ? width / heads : 0)
        attention = AttentionForm(heads: heads, keyHeads: keyHeads, headWidth: headWidth)
        feedForward = FeedForwardForm(width: try c.optionalSize("intermediate_size") ?? 4 * width, activation: try c.choice("hidden_act", activationNames))
        isTied = try c.flag("tie_word_embeddings")
        layers = Array(repeating: LayerForm(scale: 1 / Double(headWidth).squareRoot()), count: count)
    }

    /// The rest that families have in common, where it depends on what they read themselves: rotary positions.
    mutating func finish(_ c: inout ConfigReader) throws {
        guard attention.headWidth > 0 || attention.latent != nil else {
            throw Diagnostic(.invalid, "\(attention.heads) heads do not divide a hidden size of \(width), and there is no 'head_dim'", at: c.place)
        }
        guard let rotary else { return }
        let positions = try RopeConfig(&c, head: attention.latent?.rotaryWidth ?? attention.headWidth, longest: longest, form: rotary)
        let (full, sliding) = (try positions.rope(sliding: false), try positions.rope(sliding: true))
        for layer in layers.indices where !rotary.skipped.contains(layer) {
            let rope = layers[layer].window == nil ? full : sliding
            layers[layer].rope = rope
            if attention.latent != nil { layers[layer].scale *= rope.scoreFactor }
        }
    }

    // MARK: What some families have

    /// `attention_bias`: on queries, keys and values, and, unless told otherwise, on the output too.
    mutating func readAttentionBias(_ c: inout ConfigReader, output: Bool = true) throws {
        attention.inputBias = try c.flag("attention_bias")
        attention.outputBias = output && attention.inputBias
    }

    /// `layer_types` says which layers have a window; where it is absent, `isSliding` does. `sliding_window` is its size.
    mutating func readWindows(_ c: inout ConfigReader, _ isSliding: (Int) -> Bool) throws {
        let types = try c.optionalList("layer_types", count: layers.count, "'full_attention' and 'sliding_attention'") {
            ["full_attention": false, "sliding_attention": true][$0.string ?? ""]
        }
        let window = try c.optionalSize("sliding_window", in: 1...1 << 31)
        for layer in layers.indices where types?[layer] ?? isSliding(layer) {
            guard let window else {
                guard types != nil else { continue }
                throw c.bad("sliding_window", "a whole number where 'layer_types' names sliding layers", nil)
            }
            layers[layer].window = window
        }
    }

    /// Windows on the layers from `max_window_layers` on, where `use_sliding_window` asks for them.
    mutating func readUpperWindows(_ c: inout ConfigReader) throws {
        let isUsed = try c.flag("use_sliding_window"), first = try c.optionalSize("max_window_layers", in: 0...1 << 31) ?? 28
        guard isUsed else {
            _ = c.value("sliding_window")
            return try readWindows(&c) { _ in false }
        }
        try readWindows(&c) { $0 >= first }
    }

    /// The same window on all layers, where `sliding_window` gives one.
    mutating func readWindow(_ c: inout ConfigReader) throws { try readWindows(&c) { _ in true } }

    /// Softmax over the experts, of which every token goes through `num_experts_per_tok`; all layers have them.
    mutating func readExperts(_ c: inout ConfigReader, count: String, width: String) throws {
        let form = ExpertsForm(count: try c.size(count, in: 1...4096), perToken: try c.size("num_experts_per_tok", in: 1...4096), width: try c.size(width))
        guard form.perToken <= form.count else { throw Diagnostic(.invalid, "\(form.perToken) of \(form.count) experts are asked for", at: c.place) }
        experts = form
        for layer in layers.indices { layers[layer].isSparse = true }
    }

    /// Experts as in DeepSeek-V3: sigmoid scores, a correction, groups, and experts that all tokens go through; the first layers have none.
    mutating func readCorrectedExperts(_ c: inout ConfigReader) throws {
        try readExperts(&c, count: "n_routed_experts", width: "moe_intermediate_size")
        guard var form = experts else { return }
        form.sharedWidth = try c.optionalSize("n_shared_experts", in: 0...4096).map { $0 * form.width } ?? 0
        (form.score, form.hasCorrection) = (.sigmoid, true)
        (form.groups, form.keptGroups) = (try c.size("n_group", in: 1...4096), try c.size("topk_group", in: 1...4096))
        guard form.count % form.groups == 0, form.keptGroups <= form.groups, form.perToken <= form.count / form.groups * form.keptGroups else {
            throw Diagnostic(.invalid, "\(form.perToken) experts from \(form.keptGroups) of \(form.groups) groups do not fit \(form.count) experts", at: c.place)
        }
        form.normalizes = try c.flag("norm_topk_prob")
        form.scale = try c.number("routed_scaling_factor")
        experts = form
        let dense = try c.optionalSize("first_k_dense_replace", in: 0...Self.mostLayers) ?? 1
        let types = try c.optionalList("mlp_layer_types", count: layers.count, "'dense' and 'sparse'") { ["dense": false, "sparse": true][$0.string ?? ""] }
        for layer in layers.indices { layers[layer].isSparse = types?[layer] ?? (layer >= dense) }
        try readExtraLayers(&c)
    }

    /// Layers that predict further tokens.
    mutating func readExtraLayers(_ c: inout ConfigReader) throws {
        extraLayers = try c.optionalSize("num_nextn_predict_layers", in: 0...16) ?? c.optionalSize("num_mtp_layers", in: 0...16) ?? 0
    }
}
