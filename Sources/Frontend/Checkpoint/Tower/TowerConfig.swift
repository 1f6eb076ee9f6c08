import GlmcIR

/// The sizes of a tower and the form of its layers.
struct TowerConfig {
    let layers: DecoderConfig
    /// nil: the input is texts.
    let picture: PictureSizes?
    /// Elements of the pooled state; nil: there is none.
    let pooled: Int?
    let poolingActivation: ActivationKind
    /// The token that ends a text.
    let end: Int
    /// Elements of the embedding that a projection makes.
    let embedded: Int

    /// - Parameters:
    ///   - object: the tower's own configuration.
    ///   - place: where it stands.
    ///   - embedded: elements of the embedding, where the whole model's configuration says it.
    init(_ object: JSONValue, _ form: TowerForm, at place: [String], embedded: Int?) throws {
        var c = try ConfigReader(object, at: place, names: ["rms_norm_eps": "layer_norm_eps"], defaults: form.defaults)
        var layers = try DecoderConfig(common: &c, readsTokens: !form.readsPictures)
        layers.norm.centres = true
        (layers.rotary, layers.learnsPositions, layers.hasFinalNorm) = (nil, !form.readsPictures, form.hasFinalNorm)
        (layers.attention.inputBias, layers.attention.outputBias) = (try !c.has("qkv_bias") || c.flag("qkv_bias"), true)
        (layers.feedForward.isGated, layers.feedForward.bias) = (false, true)
        try layers.finish(&c)
        self.layers = layers
        picture = form.readsPictures ? try PictureSizes(&c) : nil
        pooled = switch form.pooling {
        case .normOfFirst, .endOfText: layers.width
        case .layerOfFirst: try c.optionalSize("pooler_output_size") ?? layers.width
        case .layerOfLast: try c.optionalSize("projection_size") ?? layers.width
        case .probe: try !c.has("vision_use_head") || c.flag("vision_use_head") ? layers.width : nil
        }
        poolingActivation = c.has("pooler_act") ? try c.choice("pooler_act", activationNames) : .tanh
        end = try c.optionalSize("eos_token_id", in: 0...ConfigReader.largestSize) ?? 0
        let own = try c.optionalSize("projection_dim")
        self.embedded = embedded ?? own ?? layers.width
        try c.finish(irrelevant: irrelevantKeys.union(form.irrelevant), neutral: neutralKeys)
    }
}

/// Sizes of pictures, in pixels, and of the patches that they are cut into; what does not fill a patch is left out.
struct PictureSizes {
    typealias Area = (height: Int, width: Int)

    let channels: Int
    let whole: Area
    let patch: Area
    /// How many patches there are, at least one.
    let count: Int

    init(_ c: inout ConfigReader) throws {
        channels = try c.size("num_channels")
        whole = try Self.area("image_size", &c)
        patch = try Self.area("patch_size", &c)
        count = (whole.height / patch.height) * (whole.width / patch.width)
        guard (1...ConfigReader.largestSize).contains(count) else {
            throw Diagnostic(.invalid, "pictures of \(whole.height) × \(whole.width) have \(count) patches of \(patch.height) × \(patch.width), not 1 to \(ConfigReader.largestSize)", at: c.place)
        }
    }

    /// One size for both axes, or a list of the height and the width.
    private static func area(_ key: String, _ c: inout ConfigReader) throws -> Area {
        guard c.value(key)?.array != nil else {
            let size = try c.size(key)
            return (size, size)
        }
        let sizes = try c.optionalList(key, count: 2, "heights and widths") { $0.int.flatMap { (1...ConfigReader.largestSize).contains($0) ? $0 : nil } } ?? []
        return (sizes[0], sizes[1])
    }
}
