import GlmcIR

/// One encoder of pictures or texts in a checkpoint: its description, and where its weights are.
struct Tower {
    let form: TowerForm
    let config: TowerConfig
    let root: (body: String, head: String)
    private var width: Int { config.layers.width }

    init(_ form: TowerForm, _ config: TowerConfig, _ checkpoint: Checkpoint) {
        (self.form, self.config) = (form, config)
        root = form.names.root(in: checkpoint)
    }

    /// What it takes: `pixel_values` f32 [batch, channels, height, width], or `input_ids` and `attention_mask`, i64 [batch, sequence].
    func inputs(batch: String) -> [ModelInput] {
        guard let picture = config.picture else { return ["input_ids", "attention_mask"].map { .tokens($0, batch: batch) } }
        return [ModelInput(name: "pixel_values", element: .f32, shape: [.free(batch), .fixed(picture.channels), .fixed(picture.whole.height), .fixed(picture.whole.width)])]
    }

    /// The inputs as states f32 [batch, n, width].
    func states(_ inputs: [ValueID], in g: inout ModelGraph) throws -> ValueID {
        switch form.input {
        case .pictures(let patches):
            return try Decoder.states(try tokens(inputs[0], patches, in: &g), config.layers, form.names, root: root, in: &g)
        case .texts(let isCausal):
            let present = try g.binary(.notEqual, inputs[1], 0)
            return try Decoder.states(inputs[0], config.layers, form.names, root: root, isCausal: isCausal, present: present, in: &g)
        }
    }

    /// Pictures f32 [batch, channels, height, width] as what the first layer takes, f32 [batch, n, width].
    private func tokens(_ pixels: ValueID, _ form: PatchForm, in g: inout ModelGraph) throws -> ValueID {
        guard let picture = config.picture else { throw Diagnostic(.internal, "a tower of pictures has no sizes of pictures") }
        let name = root.body + self.form.names.embedding, batch = g.shape(pixels)[0]
        func behindOnes(_ rank: Int, _ shape: [Int]) -> [Int] { Array(repeating: 1, count: rank - shape.count) + shape }
        let filter = try g.parameter(name + ".weight", [width, picture.channels, picture.patch.height, picture.patch.width])
        g.provenance = [name]
        let patches = try g.emit(Convolution(strides: [picture.patch.height, picture.patch.width], dilations: [1, 1]), [pixels, filter])
        var x = try g.transpose(try g.reshape(patches, [batch, Extent(width), Extent(picture.count)]), [0, 2, 1])
        if form.hasBias { x = try g.add(x, try g.parameter(name + ".bias", [width])) }
        var count = picture.count
        if let whole = form.whole {
            let token = try g.parameter(root.body + whole.name, behindOnes(whole.rank, [width]))
            x = try g.concat([try g.expand(token, [batch, 1, Extent(width)]), x], axis: 1)
            count += 1
        }
        x = try g.add(x, try g.parameter(root.body + form.positions.name, behindOnes(form.positions.rank, [count, width])))
        return try form.norm.map { try g.norm(x, root.body + $0, width, config.layers.norm) } ?? x
    }

    /// One state for all, f32 [batch, pooled].
    /// - Parameters:
    ///   - x: states f32 [batch, n, width].
    ///   - inputs: what they were made of.
    func pooled(_ x: ValueID, _ inputs: [ValueID], in g: inout ModelGraph) throws -> ValueID {
        guard let pooled = config.pooled else { throw Diagnostic(.invalid, "the model has no head that pools states", at: ["config.json", "'vision_use_head'"]) }
        switch form.pooling {
        case .normOfFirst(let norm):
            return try g.norm(try g.first(x), root.body + norm, width, config.layers.norm)
        case .layerOfFirst(let layer):
            return try g.activation(config.poolingActivation, try g.linear(try g.first(x), root.body + layer, width, pooled, bias: true))
        case .layerOfLast(let layer):
            let last = try g.squeeze(try g.slice(x, axis: 1, start: g.shape(x)[1] - 1, size: 1), [1])
            return try g.linear(last, root.body + layer, width, pooled, bias: true)
        case .endOfText(let mistaken):
            return try endOfText(x, inputs[0], mistaken: mistaken, in: &g)
        case .probe(let name):
            return try probed(x, root.body + name, in: &g)
        }
    }

    /// The state of the first token that ends a text; of the first of all where none does.
    private func endOfText(_ x: ValueID, _ tokens: ValueID, mistaken: Int, in g: inout ModelGraph) throws -> ValueID {
        g.provenance = [root.body + "end"]
        let ends = config.end == mistaken ? tokens : try g.cast(try g.binary(.equal, tokens, Double(config.end)), .i64)
        return try g.row(of: x, at: try g.emit(ArgReduce(.maximum, axis: 1), [ends]))
    }

    /// What a learned query attends to: y + mlp(norm(y)), where y is the attention's output (Zhai et al. 2022, multihead attention pooling).
    private func probed(_ x: ValueID, _ name: String, in g: inout ModelGraph) throws -> ValueID {
        let heads = config.layers.attention.heads, inner = config.layers.feedForward
        let weights = try g.parameter(name + ".attention.in_proj_weight", [3 * width, width]), biases = try g.parameter(name + ".attention.in_proj_bias", [3 * width])
        let probe = try g.parameter(name + ".probe", [1, 1, width])
        g.provenance = [name + ".attention"]
        // Rows of queries, keys and values in this order.
        var parts = try [probe, x, x].enumerated().map { part, x -> ValueID in
            let rows = try g.slice(weights, axis: 0, start: Extent(part * width), size: Extent(width))
            let bias = try g.slice(biases, axis: 0, start: Extent(part * width), size: Extent(width))
            return try g.splitHeads(try g.add(try g.matmul(x, try g.transpose(rows, [1, 0])), bias), heads)
        }
        parts[0] = try g.expand(parts[0], [g.shape(x)[0]] + g.shape(parts[0]).dropFirst())
        let attended = try g.mergeHeads(try g.emit(Attention(scale: 1 / Double(config.layers.attention.headWidth).squareRoot()), parts))
        let y = try g.linear(attended, name + ".attention.out_proj", width, width, bias: true)
        let normed = try g.norm(y, name + ".layernorm", width, config.layers.norm)
        let wide = try g.activation(inner.activation, try g.linear(normed, name + ".mlp.fc1", width, inner.width, bias: true))
        return try g.first(try g.add(y, try g.linear(wide, name + ".mlp.fc2", inner.width, width, bias: true)))
    }

    /// The embedding of a pooled state, f32 [batch, embedded].
    func embedding(_ pooled: ValueID, in g: inout ModelGraph) throws -> ValueID {
        guard let projection = form.projection, let width = config.pooled else { return pooled }
        return try g.linear(pooled, projection, width, config.embedded, bias: false)
    }
}
