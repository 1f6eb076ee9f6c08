import GlmcIR

/// The sizes of an encoder of pictures and the form of its layers.
struct VisionConfig {
    var layers: DecoderConfig
    /// Sizes of a patch, and a patch as a row of numbers: channels, times, height, width.
    let patch: [Int]
    /// Rows and columns of the table of positions.
    let side: Int
    /// A square of merge · merge states becomes one.
    let merge: Int
    /// Inner width of the feed-forward behind that; unless the family says otherwise, that of layers.
    var inner: Int
    /// Elements of an embedding.
    let width: Int

    /// - Parameters:
    ///   - object: `vision_config`.
    ///   - place: where it stands.
    ///   - width: of the decoder's hidden states, which an embedding has to have.
    init(_ object: JSONValue, _ family: VisionFamily, at place: [String], width: Int) throws {
        var c = try ConfigReader(object, at: place, names: family.keys, defaults: family.defaults)
        var layers = try DecoderConfig(common: &c, readsTokens: false)
        inner = layers.feedForward.width
        layers.rotary = nil
        try layers.readAttentionBias(&c)
        try layers.finish(&c)
        self.width = try c.size("out_hidden_size")
        guard self.width == width else {
            throw Diagnostic(.invalid, "embeddings of pictures have \(self.width) elements, and tokens have \(width)", at: place + ["'out_hidden_size'"])
        }
        let rope = try Self.rope(&c, head: layers.attention.headWidth)
        for layer in layers.layers.indices { layers.layers[layer].rope = rope }
        self.layers = layers
        merge = try c.size("spatial_merge_size", in: 1...64)
        let size = try c.size("patch_size", in: 1...1 << 12)
        patch = [try c.size("in_channels", in: 1...1 << 12), try c.size("temporal_patch_size", in: 1...64), size, size]
        guard patch.reduce(1, saturatingProduct) <= ConfigReader.largestSize else { throw Diagnostic(.invalid, "a patch of \(patch) numbers is too large", at: place) }
        let whole = try c.size("image_size", in: 1...1 << 24)
        side = whole / size
        guard (1...1 << 12).contains(side) else {
            throw Diagnostic(.invalid, "pictures of \(whole) have \(side) rows of patches of \(size), not 1 to \(1 << 12)", at: place)
        }
        try c.finish(irrelevant: irrelevantKeys, neutral: neutralKeys)
        family.settle(&self)
    }

    /// Half of the pairs turn by the row of a patch, the others, as fast, by its column.
    private static func rope(_ c: inout ConfigReader, head: Int) throws -> Rope {
        guard head % 4 == 0 else { throw Diagnostic(.invalid, "a head of \(head) elements is not rotated in pairs on two axes", at: c.place) }
        var theta = try c.positive("rope_theta")
        if var parameters = try c.optionalObject("rope_parameters") {
            theta = try parameters.optionalPositive("rope_theta") ?? theta
            if parameters.has("rope_type") { _ = try parameters.choice("rope_type", ["axial": true]) }
            try parameters.finish()
        }
        let frequencies = RopeConfig.frequencies(theta, head / 2)
        return Rope(isInterleaved: false, frequencies: frequencies + frequencies, axes: [0, 1].flatMap { Array(repeating: $0, count: head / 4) })
    }
}
