/// How a family of decoders sees pictures: an encoder whose layers have the form of a decoder's, with rotary positions of two axes, and whose states are
/// merged to embeddings that stand in place of tokens (GLM-4.1V; GLM-V Team 2025).
struct VisionFamily: Sendable {
    /// Where the encoder may lie in the file; the first place that holds an embedding of patches is taken.
    var roots: [String]
    /// `embedding` is that of patches.
    var names: DecoderNames
    /// Normalises patches; nil: nothing does.
    var patchNorm: String?
    /// A table of learned positions on a square, which are added behind that; nil: there are only rotary ones.
    var positions: String?
    /// The convolution that makes one state of neighbours.
    var downsample: String
    /// The map, the norm and the feed-forward behind it; parts of the feed-forward are called as those of layers.
    var merger: (projection: String, norm: String, feedForward: String)
    /// What the family calls keys of `vision_config`, by their usual names.
    var keys: [String: String]
    /// What holds where a key is absent, there or beside it.
    var defaults: [String: JSONValue]
    /// What the family does differently from what `VisionConfig` takes for granted.
    var settle: @Sendable (inout VisionConfig) -> Void

    /// Where the encoder lies in a checkpoint; nil: it holds none.
    func root(in checkpoint: Checkpoint) -> String? { roots.first { checkpoint.has($0 + names.embedding + ".weight") } }
}
