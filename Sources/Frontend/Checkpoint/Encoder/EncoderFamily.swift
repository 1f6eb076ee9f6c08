import GlmcIR

/// A family of encoders: what its configuration and its tensors are called, and what it does differently from BERT (Devlin et al. 2018).
struct EncoderFamily: Sendable {
    enum Positions: Sendable, Hashable {
        /// Counted from 0.
        case all
        /// Tokens that are not padding are counted, the first standing one behind the padding's number, at which all padding stands.
        /// - number: of padding, whatever the configuration says; nil: as that says.
        case behindPadding(number: Int? = nil)
    }

    /// `model_type` in the configuration.
    var types: [String]
    var names = EncoderNames()
    var heads = EncoderHeads()
    var positions = Positions.all
    /// What the family calls keys, by their usual names.
    var keys: [String: String] = [:]
    /// What holds where a key is absent.
    var defaults: [String: JSONValue] = [:]
    /// Keys without influence on results, beside `irrelevantKeys`.
    var irrelevant: Set<String> = []

    init(
        _ types: String..., names: EncoderNames = EncoderNames(), heads: EncoderHeads = EncoderHeads(), positions: Positions = .all, keys: [String: String] = [:],
        defaults: [String: JSONValue] = [:], irrelevant: Set<String> = []
    ) {
        (self.types, self.names, self.heads, self.positions) = (types, names, heads, positions)
        (self.keys, self.defaults, self.irrelevant) = (keys, defaults, irrelevant)
    }
}

/// How a family calls its tensors, without `.weight` and `.bias`. All but the heads' follow `root`, where the file has it; names of layers' parts follow
/// `LAYERS.N.`.
struct EncoderNames: Sendable {
    var root = "bert."
    var words = "embeddings.word_embeddings"
    var positions = "embeddings.position_embeddings"
    /// Kinds of tokens; nil: there are none.
    var kinds: String? = "embeddings.token_type_embeddings"
    var embeddingNorm = "embeddings.LayerNorm"
    /// From the embeddings' width to the layers', where they differ.
    var projection = "embeddings_project"
    /// What is added to scores by heads and distances, [buckets, heads]; nil: nothing is.
    var distances: String?

    var layers = "encoder.layer"
    /// Queries, keys and values.
    var projections = ["attention.self.query", "attention.self.key", "attention.self.value"]
    var attentionOutput = "attention.output.dense"
    var attentionNorm = "attention.output.LayerNorm"
    var inner = "intermediate.dense"
    var outer = "output.dense"
    var outputNorm = "output.LayerNorm"
}

/// What stands on top of an encoder, task by task.
struct EncoderHeads: Sendable {
    /// A layer on the state of a text's first token and what follows it, then one that has a row for every label.
    var ofTexts = (dense: "bert.pooler.dense", activation: ActivationKind.tanh, labels: "classifier")
    /// A layer on every state, its activation (nil: the encoder's own) and norm, then a row for every word: the embedding's, or `decoder`; and their bias,
    /// under the first of these names that the file has.
    var ofWords = (dense: "cls.predictions.transform.dense", activation: ActivationKind?.none, norm: "cls.predictions.transform.LayerNorm", decoder: "cls.predictions.decoder", bias: ["cls.predictions.decoder.bias", "cls.predictions.bias"])
    var ofTokens = "classifier"
    var ofAnswers = "qa_outputs"

    /// Patterns of tensors that only other tasks need.
    var leftOut = ["*pooler.*", "cls.*", "classifier.*", "qa_outputs.*"]
}
