/// How a family calls its tensors, without `.weight` and `.bias`. Names of layers' parts follow `LAYERS.N.`, those of their parts' parts
/// the name of the part, which is empty where parts belong to the layer.
struct DecoderNames {
    /// Where the decoder may lie in the file, and the head beside it; the first place that holds an embedding is taken.
    var roots: [(body: String, head: String)] = [("model.", "lm_head")]
    var embedding = "embed_tokens"
    var positions = "wpe"
    var layers = "layers"
    var finalNorm = "norm"

    var inputNorm = "input_layernorm"
    var attention = "self_attn"
    /// Queries, keys, values: one tensor each, or one tensor with their rows in this order.
    var projections = ["q_proj", "k_proj", "v_proj"]
    var queryNorm = "q_norm"
    var keyNorm = "k_norm"
    var attentionOutput = "o_proj"
    /// Normalises the attention's output before it is added; nil: there is none.
    var attentionPostNorm: String?

    /// What is added to scores by distances, [buckets, heads], where anything is; it belongs to no layer.
    var distances = ""

    /// Attention to what an encoder made, with the projections of the other attention, and the norm before it.
    var crossAttention = ""
    var crossNorm = ""

    var feedForwardNorm = "post_attention_layernorm"
    var feedForward = "mlp"
    /// Gate and up: one tensor each, or one tensor with their rows in this order; only up where nothing is gated.
    var inner = ["gate_proj", "up_proj"]
    /// What takes the place of `inner` where nothing is gated, in families that know both.
    var ungatedInner: [String]?
    var outer = "down_proj"
    /// Normalises the feed-forward's output before it is added; nil: there is none.
    var feedForwardPostNorm: String?

    /// Mixtures of experts: the part, the router in it, and the experts' own tensors.
    var mixture = "mlp"
    var router = "gate"
    var correction = "gate.e_score_correction_bias"
    var experts = "experts"
    var expertInner = ["gate_proj", "up_proj"]
    var expertOuter = "down_proj"
    var sharedExpert = "shared_experts"

    /// Matrices are [from, to] instead of [to, from].
    var isTransposed = false
    /// Patterns of tensors that nobody needs.
    var ignored = ["*rotary_emb.inv_freq"]
    /// Patterns of tensors that belong to a part of the model that is left out, and what that part is.
    var leftOut: [(pattern: String, part: String)] = []

    /// Where the decoder lies in a checkpoint.
    func root(in checkpoint: Checkpoint) -> (body: String, head: String) { roots.first { checkpoint.has($0.body + embedding + ".weight") } ?? roots[0] }
}
