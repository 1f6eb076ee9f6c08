import GlmcIR

/// A family of encoder-decoders: what its configuration and its tensors are called.
struct EncoderDecoderFamily: Sendable {
    /// `model_type` in the configuration.
    var types: [String]
    /// Both names follow the decoder's root.
    var encoder: DecoderNames
    var decoder: DecoderNames
    /// What the family calls keys, by their usual names.
    var keys: [String: String]
    /// What holds where a key is absent.
    var defaults: [String: JSONValue]
    /// Keys without influence on results, beside `irrelevantKeys`.
    var irrelevant: Set<String>
    /// Values at which keys have no influence, beside `neutralKeys`.
    var neutral: [String: [JSONValue]] = [:]
    /// Reads what the family has beyond `DecoderConfig(common:)`, whose keys describe the decoder.
    var read: @Sendable (inout EncoderDecoderConfig, inout ConfigReader) throws -> Void

    /// All of a configuration, of which every key is accounted for.
    func config(_ object: JSONValue) throws -> EncoderDecoderConfig {
        var c = try ConfigReader(object, names: keys, defaults: defaults)
        var decoder = try DecoderConfig(common: &c)
        decoder.rotary = nil
        var config = EncoderDecoderConfig(source: .tokens, encoder: decoder, decoder: decoder)
        try read(&config, &c)
        try config.encoder.finish(&c)
        try config.decoder.finish(&c)
        // Encoders alone say that they have no decoder.
        try c.finish(irrelevant: irrelevantKeys.union(irrelevant).union(["is_encoder_decoder"]), neutral: neutralKeys.merging(neutral) { $1 })
        return config
    }
}

/// What an encoder-decoder computes. Both halves have one width.
struct EncoderDecoderConfig {
    enum Source {
        /// `input_ids`, with the decoder's embedding.
        case tokens
        /// `input_features`.
        case spectrum(SpectrumForm)
    }

    var source: Source
    var encoder: DecoderConfig
    var decoder: DecoderConfig
}

/// How spectra become what the first layer takes (Radford et al. 2022): two convolutions over time, the second with stride 2, each with a GELU behind it, and
/// learned positions.
struct SpectrumForm {
    /// Channels of a spectrum.
    var channels: Int
    /// Positions behind the second convolution, half as many as there are spectra.
    var positions: Int
    var convolutions: [String]
    var table: String

    /// f32 [batch, channels, 2·positions] as f32 [batch, positions, width].
    /// - Parameter body: where the tensors are.
    func embedded(_ spectra: ValueID, width: Int, body: String, in g: inout ModelGraph) throws -> ValueID {
        var x = spectra
        for (i, name) in convolutions.map({ body + $0 }).enumerated() {
            let filter = try g.parameter(name + ".weight", [width, i == 0 ? channels : width, 3])
            let bias = try g.unsqueeze(try g.parameter(name + ".bias", [width]), [1])
            g.provenance = [name]
            let padded = try g.pad(x, before: [0, 0, 1], after: [0, 0, 1])
            x = try g.activation(.gelu, try g.add(try g.emit(Convolution(strides: [i + 1], dilations: [1]), [padded, filter]), bias))
        }
        return try g.add(try g.transpose(x, [0, 2, 1]), try g.parameter(body + table + ".weight", [positions, width]))
    }
}
