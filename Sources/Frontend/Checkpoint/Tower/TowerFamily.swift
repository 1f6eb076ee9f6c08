/// A family of encoders of pictures, and of pictures and texts side by side: what its configuration and its tensors are called, and what it does
/// differently from CLIP (Radford et al. 2021).
struct TowerFamily: Sendable {
    /// `model_type` of a model with all towers; nil: there is only one.
    var type: String?
    var towers: [TowerForm]
    /// Which states of a picture's tokens the layer `classifier` takes.
    var labelled: LabelledStates
    /// The scale of scores, `logit_scale`, and whether a bias, `logit_bias`, is added to them.
    var scores: (scaleShape: [Int], hasBias: Bool) = ([], false)
    /// Patterns of tensors that only other tasks need.
    var leftOut: [String] = []

    enum LabelledStates: Sendable {
        case first
        /// The mean of all from this one on.
        case mean(from: Int)
    }

    /// `model_type` in the configuration: of the whole, and of every tower alone.
    var types: [String] { (type.map { [$0] } ?? []) + towers.map(\.type) }
}

/// One encoder. Its layers have the form of a decoder's, with layer normalisation, biases, and learned positions.
struct TowerForm: Sendable {
    enum Input: Sendable {
        case pictures(PatchForm)
        /// - Parameter isCausal: tokens meet those up to their own.
        case texts(isCausal: Bool)
    }

    /// How one state stands for all, and the name of what makes it.
    enum Pooling: Sendable {
        /// The first, normalised.
        case normOfFirst(String)
        /// A layer on the first, and an activation.
        case layerOfFirst(String)
        /// A layer on the last.
        case layerOfLast(String)
        /// That of the token that ends the text; where the configuration names this one by mistake, that of the largest token.
        case endOfText(mistaken: Int)
        /// What a learned query attends to, through a feed-forward.
        case probe(String)
    }

    /// `model_type` of such a tower alone.
    var type: String
    var input: Input
    /// `embedding` is that of tokens or of patches.
    var names: DecoderNames
    /// The states are normalised behind the last layer.
    var hasFinalNorm = true
    var pooling: Pooling
    /// The matrix that makes an embedding of the pooled state; nil: it is one.
    var projection: String?
    /// What holds where a key is absent.
    var defaults: [String: JSONValue]
    /// Keys without influence on results, beside `irrelevantKeys`.
    var irrelevant: Set<String> = []

    var readsPictures: Bool { if case .pictures = input { true } else { false } }
    /// The key of its configuration, where it stands in that of a whole model.
    var key: String { readsPictures ? "vision_config" : "text_config" }
    /// The task that gives its embeddings.
    var embeds: EncoderTask { readsPictures ? .imageEmbeds : .textEmbeds }
}

/// How a picture becomes tokens: a linear map of every patch, positions, and, before them, a token for the whole.
struct PatchForm: Sendable {
    var hasBias: Bool
    /// The tensor of the token for the whole, [width] behind axes of size 1, and its rank.
    var whole: (name: String, rank: Int)?
    /// The tensor of positions, [tokens, width] behind axes of size 1, and its rank.
    var positions: (name: String, rank: Int)
    /// Normalises all tokens before the first layer.
    var norm: String?
}
