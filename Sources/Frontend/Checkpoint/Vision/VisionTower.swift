import GlmcIR

/// The encoder of pictures of a language model in a checkpoint: its description, and where its weights are.
struct VisionTower {
    let family: VisionFamily
    let config: VisionConfig
    /// What precedes the names of its tensors.
    let root: String
    /// The token of the text that embeddings take the place of.
    let token: Int

    /// nil where the checkpoint or its configuration has no such part.
    /// - Parameter decoder: what continues the text.
    init?(_ family: VisionFamily, _ checkpoint: Checkpoint, decoder: DecoderConfig) throws {
        var c = try ConfigReader(checkpoint.config, at: [checkpoint.configPlace], defaults: family.defaults)
        guard let root = family.root(in: checkpoint), let object = try c.optionalObject("vision_config") else { return nil }
        (self.family, self.root) = (family, root)
        config = try VisionConfig(object.whole, family, at: object.place, width: decoder.width)
        token = try c.size("image_token_id", in: 0...decoder.vocabulary - 1)
    }

    /// `pixel_values` f32 [images, rows, columns, merge², channels · times · height · width]: pictures of one size, as the model's processor makes them, cut into squares of
    /// patches that one embedding stands for, row by row, and those into patches.
    var inputs: [ModelInput] {
        let sizes: [ModelInput.Size] = [.free("images"), .free("rows"), .free("columns"), .fixed(config.merge * config.merge), .fixed(config.patch.reduce(1, *))]
        return [ModelInput(name: "pixel_values", element: .f32, shape: sizes)]
    }

    /// Pictures as embeddings, f32 [images · rows · columns, width].
    func embeddings(_ pixels: ValueID, in g: inout ModelGraph) throws -> ValueID {
        let names = family.names, width = config.layers.width, shape = g.shape(pixels), merge = config.merge
        let rows = shape[1], columns = shape[2], square = merge * merge
        var x = try g.linear(pixels, root + names.embedding, window: config.patch, width, bias: true)
        x = try g.reshape(x, [shape[0], rows * columns * Extent(square), Extent(width)])
        if let norm = family.patchNorm { x = try g.norm(x, root + norm, width, config.layers.norm) }
        let places = try places(rows, columns, in: &g)
        if let table = family.positions { x = try g.add(x, try learnedPositions(root + table, places, rows * Extent(merge), columns * Extent(merge), in: &g)) }
        x = try Decoder.states(x, config.layers, names, root: (root, ""), rotary: places, in: &g)
        // Squares of states in the order of a convolution's weights: channels, rows, columns.
        x = try g.transpose(try g.reshape(x, [shape[0] * rows * columns, Extent(square), Extent(width)]), [0, 2, 1])
        x = try g.reshape(x, [shape[0] * rows * columns, Extent(width * square)])
        return try merged(try g.linear(x, root + family.downsample, window: [width, merge, merge], config.width, bias: true), in: &g)
    }

    /// Row and column of every patch in the order of `pixel_values`, i64 [2, 1, n].
    private func places(_ rows: Extent, _ columns: Extent, in g: inout ModelGraph) throws -> ValueID {
        g.provenance = [root + "positions"]
        let merge = Extent(config.merge), count = rows * columns * merge * merge
        return try g.concat(try [rows, columns].enumerated().map { axis, size in
            let squares = try g.mul(try g.iota(size, axis: axis, rank: 4), Double(config.merge))
            let place = try g.add(squares, try g.iota(merge, axis: axis + 2, rank: 4))
            return try g.reshape(try g.expand(place, [rows, columns, merge, merge]), [1, 1, count])
        }, axis: 0)
    }

    /// The table of positions, stretched over pictures of other sizes by cubic interpolation, at every patch, f32 [1, n, width].
    /// - Parameters:
    ///   - name: of the table [side², width of layers].
    ///   - places: i64 [2, 1, n].
    ///   - height: of pictures, in patches, as is `width`.
    private func learnedPositions(_ name: String, _ places: ValueID, _ height: Extent, _ width: Extent, in g: inout ModelGraph) throws -> ValueID {
        let own = config.layers.width, side = Extent(config.side), count = g.shape(places)[2]
        let table = try g.parameter(name + ".weight", [config.side * config.side, own])
        g.provenance = [name]
        // From −1 at one edge of the picture to 1 at the other, columns before rows.
        let coordinates = try [(1, width), (0, height)].map { axis, size in
            let middle = try g.add(try g.cast(try g.slice(places, axis: 0, start: Extent(axis), size: 1), .f32), 0.5)
            return try g.reshape(try g.sub(try g.mul(try g.div(middle, try g.size(size, .f32)), 2), 1), [1, count, 1, 1])
        }
        let square = try g.transpose(try g.reshape(table, [1, side, side, Extent(own)]), [0, 3, 1, 2])
        let sampled = try g.emit(GridSample(mode: .cubic, padding: .border), [square, try g.concat(coordinates, axis: 3)])
        return try g.transpose(try g.squeeze(sampled, [3]), [0, 2, 1])
    }

    /// down(act(gate(y)) · up(y)) of y = gelu(norm(proj(x))).
    private func merged(_ x: ValueID, in g: inout ModelGraph) throws -> ValueID {
        let (width, inner, names, merger) = (config.width, config.inner, family.names, family.merger)
        let projected = try g.linear(x, root + merger.projection, width, width, bias: false)
        // PyTorch's layer normalisation, as it is where nothing else is said.
        let y = try g.activation(.gelu, try g.norm(projected, root + merger.norm, width, NormForm(centres: true, epsilon: 1e-5)))
        let wide = try names.inner.map { try g.linear(y, root + merger.feedForward + "." + $0, width, inner, bias: false) }
        return try g.linear(try g.mul(try g.activation(config.layers.feedForward.activation, wide[0]), wide[1]), root + merger.feedForward + "." + names.outer, inner, width, bias: false)
    }
}
