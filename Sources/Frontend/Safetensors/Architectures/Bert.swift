import GlmcIR

/// The BERT encoder (Devlin et al. 2018) with the weight names of Hugging Face's `BertModel`, alone or inside a task model
/// (prefix `bert.`).
///
/// Inputs, all i64 `[batch, sequence]`: `input_ids`, `token_type_ids`, `attention_mask`. Output: `last_hidden_state`
/// f32 `[batch, sequence, hidden]`. The pooler and task heads are left to the caller.
struct Bert: GraphBuilding {
    var rewriter = Rewriter(Function("bert"))
    var block: BlockID { rewriter.function.body }
    var provenance: [String] = []
    private let folder: SafetensorsFolder
    private let prefix: String
    private let hidden: Int
    private let heads: Int
    private let epsilon: Double
    private let activation: ActivationKind

    /// Names of activations in configurations.
    private static let activations: [String: ActivationKind] = [
        "gelu": .gelu, "gelu_new": .geluTanh, "gelu_pytorch_tanh": .geluTanh, "relu": .relu, "silu": .silu, "swish": .silu, "quick_gelu": .quickGelu,
    ]

    static func build(_ folder: SafetensorsFolder, _ options: ImportOptions) throws -> Function {
        var bert = try Bert(folder)
        try bert.build(options)
        return bert.rewriter.function
    }

    private init(_ folder: SafetensorsFolder) throws {
        self.folder = folder
        prefix = folder.tensors["bert.embeddings.word_embeddings.weight"] == nil ? "" : "bert."
        hidden = try folder.size("hidden_size")
        heads = try folder.size("num_attention_heads")
        guard hidden % heads == 0 else { throw Diagnostic(.invalid, "\(heads) heads do not divide a hidden size of \(hidden)", at: ["config.json"]) }
        epsilon = try folder.number("layer_norm_eps", default: 1e-12)
        let name = try folder.text("hidden_act", default: "gelu")
        guard let kind = Self.activations[name] else { throw Diagnostic.unsupported("the activation '\(name)' is not supported") }
        activation = kind
        let positions = try folder.text("position_embedding_type", default: "absolute")
        guard positions == "absolute" else { throw Diagnostic.unsupported("position embeddings of type '\(positions)' are not supported") }
        for key in ["is_decoder", "add_cross_attention"] {
            guard try !folder.flag(key, default: false) else { throw Diagnostic(.unsupported, "only encoders are supported", at: ["config.json", "'\(key)'"]) }
        }
    }

    private mutating func build(_ options: ImportOptions) throws {
        let layers = try folder.size("num_hidden_layers")
        guard layers <= 1000 else { throw Diagnostic(.invalid, "has \(layers) layers", at: ["config.json"]) }
        let inputs = try self.inputs(options)
        var x = try embeddings(inputs[0], inputs[1])
        // True where a key may be attended, for every head and query.
        let mask = try unsqueeze(try binary(.notEqual, inputs[2], 0), [1, 2])
        for layer in 0..<layers {
            let name = "encoder.layer.\(layer)."
            let attended = try attention(x, mask, name + "attention.")
            x = try norm(try add(try linear(attended, name + "attention.output.dense", hidden, hidden), x), name + "attention.output.LayerNorm")
            let width = try folder.size("intermediate_size")
            let inner = try emit(Activation(activation), [try linear(x, name + "intermediate.dense", hidden, width)])
            x = try norm(try add(try linear(inner, name + "output.dense", width, hidden), x), name + "output.LayerNorm")
        }
        rewriter.setName("last_hidden_state", of: x)
        rewriter.setResults([x])
        rewriter.setMetadata("producer", "safetensors")
    }

    private mutating func inputs(_ options: ImportOptions) throws -> [ValueID] {
        let names = ["input_ids", "token_type_ids", "attention_mask"]
        for name in options.shapes.keys.sorted() where !names.contains(name) {
            throw Diagnostic(.invalid, "the model has no input '\(name)'", hint: "its inputs: \(names.joined(separator: ", "))")
        }
        var sizes = options.dimensions
        for name in sizes.keys.sorted() where name != "batch" && name != "sequence" {
            throw Diagnostic(.invalid, "the model has no dimension '\(name)'", hint: "its dimensions: batch, sequence")
        }
        for (name, shape) in options.shapes {
            guard shape.count == 2 else { throw Diagnostic(.invalid, "input '\(name)' has rank 2, not \(shape.count)") }
            for (dimension, size) in zip(["batch", "sequence"], shape) {
                if let other = sizes.updateValue(size, forKey: dimension), other != size {
                    throw Diagnostic(.invalid, "the dimension '\(dimension)' is given two sizes, \(other) and \(size)")
                }
            }
        }
        let longest = try folder.size("max_position_embeddings")
        if let sequence = sizes["sequence"], sequence > longest { throw Diagnostic(.invalid, "a sequence of \(sequence) exceeds the model's \(longest) positions") }
        let shape = ["batch", "sequence"].enumerated().map { axis, name -> Extent in
            if let size = sizes[name] { return Extent(size) }
            rewriter.addDimension(name, DimensionInfo(.input(0, axis: axis)))
            return .dimension(name)
        }
        try Verifier.checkType(.tensor(TensorType(.i64, shape)))
        return names.map { rewriter.addArgument(.tensor(TensorType(.i64, shape)), name: $0) }
    }

    private mutating func embeddings(_ ids: ValueID, _ types: ValueID) throws -> ValueID {
        let words = try weight("embeddings.word_embeddings.weight", [try folder.size("vocab_size"), hidden])
        let kinds = try weight("embeddings.token_type_embeddings.weight", [try folder.size("type_vocab_size"), hidden])
        let places = try weight("embeddings.position_embeddings.weight", [try folder.size("max_position_embeddings"), hidden])
        let sequence = shape(ids)[1]
        let sum = try add(try gather(words, ids, axis: 0), try gather(kinds, types, axis: 0))
        return try norm(try add(sum, try slice(places, axis: 0, start: 0, size: sequence)), "embeddings.LayerNorm")
    }

    /// [batch, sequence, hidden] to the heads' outputs side by side.
    private mutating func attention(_ x: ValueID, _ mask: ValueID, _ name: String) throws -> ValueID {
        let own = shape(x), width = hidden / heads
        func head(_ part: String, _ b: inout Bert) throws -> ValueID {
            let y = try b.linear(x, name + "self." + part, b.hidden, b.hidden)
            return try b.transpose(try b.reshape(y, [own[0], own[1], Extent(b.heads), Extent(width)]), [0, 2, 1, 3])
        }
        let (q, k, v) = (try head("query", &self), try head("key", &self), try head("value", &self))
        provenance = [name + "self"]
        let y = try emit(Attention(scale: 1 / Double(width).squareRoot()), [q, k, v, mask])
        return try reshape(try transpose(y, [0, 2, 1, 3]), own)
    }

    /// x·wᵀ + b.
    private mutating func linear(_ x: ValueID, _ name: String, _ from: Int, _ to: Int) throws -> ValueID {
        let w = try weight(name + ".weight", [to, from])
        return try add(try matmul(x, try transpose(w, [1, 0])), try weight(name + ".bias", [to]))
    }

    private mutating func norm(_ x: ValueID, _ name: String) throws -> ValueID {
        let scale = try weight(name + ".weight", [hidden]), bias = try weight(name + ".bias", [hidden])
        return try emit(LayerNorm(axis: -1, epsilon: epsilon), [x, scale, bias])
    }

    /// A weight in f32, in which the model computes; nodes that follow name it as their source.
    private mutating func weight(_ name: String, _ shape: [Int]) throws -> ValueID {
        provenance = [name.split(separator: ".").dropLast().joined(separator: ".")]
        let tensor = try folder.weight(prefix + name, shape)
        guard tensor.element.isFloat else { throw Diagnostic(.invalid, "the tensor '\(name)' is \(tensor.element.rawValue), not a float") }
        let value = try constant(tensor)
        rewriter.setName(prefix + name, of: value)
        return try cast(value, .f32)
    }
}
