import GlmcIR

/// What an encoder made, as the keys and values that the layers of a decoder attend to.
struct EncodedSource {
    /// [batch, heads, n, d] of every layer.
    var layers: [(key: ValueID, value: ValueID)]
    /// Which of them count, bool [batch, 1, 1, n]; nil: all.
    var present: ValueID?

    init(_ layers: [(key: ValueID, value: ValueID)], present: ValueID? = nil) { (self.layers, self.present) = (layers, present) }

    /// - Parameters:
    ///   - states: of the encoder, f32 [batch, n, width].
    ///   - present: which of them count, bool [batch, n]; nil: all.
    ///   - config: of the decoder, as are `names` and `body`, the place of its tensors.
    init(_ states: ValueID, present: ValueID?, _ config: DecoderConfig, _ names: DecoderNames, body: String, in g: inout ModelGraph) throws {
        let form = config.attention
        layers = try config.layers.indices.map { layer in
            let name = "\(body)\(names.layers).\(layer).\(names.crossAttention)."
            let heads = try (1...2).map { part in
                try g.splitHeads(try g.linear(states, name + names.projections[part], config.width, form.heads * form.headWidth, bias: form.biases[part]), form.heads)
            }
            return (heads[0], heads[1])
        }
        self.present = try present.map { try g.unsqueeze($0, [1, 2]) }
    }
}
