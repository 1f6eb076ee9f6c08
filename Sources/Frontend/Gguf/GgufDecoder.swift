import GlmcIR

/// The decoder of a GGUF file: its family with the names that such files give to tensors, and its configuration as config.json would state it.
struct GgufDecoder {
    private let file: GgufFile
    private let architecture: GgufArchitecture
    private let family: DecoderFamily
    private var tensors: [String: SafetensorsTensor]
    private var blocks: [String: BlockTensor]

    /// - Throws: `Diagnostic` for an architecture that is not known.
    init(_ file: GgufFile) throws {
        self.file = file
        (tensors, blocks) = (file.tensors, file.blocks)
        let name = file.values["general.architecture"]?.string ?? ""
        guard let known = GgufArchitecture.all.first(where: { $0.name == name }) else {
            throw Diagnostic(.unsupported, "the architecture '\(name)' is not supported", at: ["general.architecture"], hint: "supported: \(GgufArchitecture.all.map(\.name).joined(separator: ", "))")
        }
        architecture = known
        let type = try GgufConfig(file).isMixture ? known.mixture ?? known.family : known.family
        guard let family = DecoderFamilies.all.first(where: { $0.types.contains(type) }) else { throw Diagnostic(.internal, "there is no family '\(type)'") }
        self.family = family
        try splitExperts()
        nameSharedExperts()
    }

    /// - Throws: `Diagnostic` where the file does not describe a model of its architecture.
    func model() throws -> DecoderModel {
        var checkpoint = Checkpoint(path: file.path, config: try config(), tensors: tensors, matrices: CheckpointMatrices(nil))
        (checkpoint.format, checkpoint.configPlace, checkpoint.blocks) = ("gguf", "the file's description", blocks)
        for name in ["rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"] { checkpoint.tensors[name] = nil }
        return try DecoderModel(checkpoint, try settledFamily())
    }

    private func has(_ name: String) -> Bool { tensors[name] != nil || blocks[name] != nil }

    /// Experts lie in one tensor per layer and part; the names of the parts put the expert's number before the part.
    private mutating func splitExperts() throws {
        let ending = "_exps.weight"
        for name in Array(tensors.keys) + blocks.keys where name.hasSuffix(ending) {
            let parts = name.dropLast(ending.count).split(separator: ".", omittingEmptySubsequences: false)
            let shape = tensors[name]?.shape ?? blocks[name]?.shape ?? []
            guard parts.count == 3, shape.count == 3, shape[0] <= 4096 else { throw Diagnostic(.invalid, "has shape \(shape), and experts have three axes, at most 4096 of them", at: ["tensor '\(name)'"]) }
            for i in 0..<shape[0] {
                let own = "\(parts[0]).\(parts[1]).experts.\(i).\(parts[2]).weight"
                if let tensor = tensors[name] {
                    let count = shape[1] * shape[2] * tensor.element.byteCount
                    tensors[own] = tensor.bytes.slice(offset: i * count, count: count).map { SafetensorsTensor(element: tensor.element, shape: Array(shape[1...]), bytes: $0) }
                } else {
                    blocks[own] = blocks[name]?.part(i)
                }
            }
            (tensors[name], blocks[name]) = (nil, nil)
        }
    }

    /// Parts of the expert that every token goes through are named like those of the others.
    private mutating func nameSharedExperts() {
        let ending = "_shexp.weight"
        for name in Array(tensors.keys) + blocks.keys where name.hasSuffix(ending) {
            let parts = name.dropLast(ending.count).split(separator: ".", omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            let own = "\(parts[0]).\(parts[1]).shared.\(parts[2]).weight"
            (tensors[own], blocks[own]) = (tensors.removeValue(forKey: name), blocks.removeValue(forKey: name))
        }
    }

    // MARK: Names

    private func settledFamily() throws -> DecoderFamily {
        var family = family
        family.names = names
        // The configuration is written with the usual names of keys.
        family.keys = [:]
        let biases = (input: has("blk.0.attn_q.bias") || has("blk.0.attn_qkv.bias"), output: has("blk.0.attn_output.bias"), inner: has("blk.0.ffn_up.bias"))
        let normalizesHeads = has("blk.0.attn_q_norm.weight")
        let neighbours = architecture.rotatesNeighbours, divisors = try floats("rope_freqs.weight")
        family.settle = { d in
            (d.attention.inputBias, d.attention.outputBias, d.feedForward.bias) = biases
            d.attention.normalizesHeads = normalizesHeads
            // Norms hold what is multiplied with.
            d.norm.offset = 0
            for layer in d.layers.indices {
                guard var rope = d.layers[layer].rope else { continue }
                rope.isInterleaved = neighbours
                if let divisors, divisors.count == rope.frequencies.count { rope.frequencies = zip(rope.frequencies, divisors).map { $0 / $1 } }
                d.layers[layer].rope = rope
            }
        }
        return family
    }

    private var names: DecoderNames {
        var names = DecoderNames()
        names.roots = [("", "output")]
        (names.embedding, names.positions, names.layers, names.finalNorm) = ("token_embd", "position_embd", "blk", "output_norm")
        (names.inputNorm, names.attention, names.attentionOutput) = ("attn_norm", "", "attn_output")
        names.projections = has("blk.0.attn_qkv.weight") ? ["attn_qkv"] : ["attn_q", "attn_k", "attn_v"]
        (names.queryNorm, names.keyNorm) = ("attn_q_norm", "attn_k_norm")
        (names.feedForwardNorm, names.feedForward, names.outer) = ("ffn_norm", "", "ffn_down")
        names.inner = has("blk.0.ffn_up.weight") && !has("blk.0.ffn_gate.weight") ? ["ffn_up"] : ["ffn_gate", "ffn_up"]
        if has("blk.0.post_attention_norm.weight") {
            // Where there is no other, it is the norm in front of the feed-forward.
            if has("blk.0.ffn_norm.weight") { names.attentionPostNorm = "post_attention_norm" } else { names.feedForwardNorm = "post_attention_norm" }
        }
        if has("blk.0.post_ffw_norm.weight") { names.feedForwardPostNorm = "post_ffw_norm" }
        (names.mixture, names.router, names.experts) = ("", "ffn_gate_inp", "experts")
        (names.expertInner, names.expertOuter, names.sharedExpert, names.correction) = (["ffn_gate", "ffn_up"], "ffn_down", "shared", "exp_probs_b.bias")
        return names
    }

    // MARK: Configuration

    /// Keys that say nothing about results, or what tensors say too.
    private static let irrelevant: Set<String> = ["vocab_size", "rope.scaling.finetuned"]
    /// Keys that say with a 0 that there is nothing of the kind.
    private static let counts: Set<String> = ["expert_count", "expert_used_count", "expert_shared_count", "expert_group_count", "expert_group_used_count", "expert_feed_forward_length"]

    private func config() throws -> JSONValue {
        var c = try GgufConfig(file)
        for (own, usual) in [
            ("block_count", "num_hidden_layers"), ("embedding_length", "hidden_size"), ("attention.head_count", "num_attention_heads"), ("attention.head_count_kv", "num_key_value_heads"),
            ("feed_forward_length", "intermediate_size"), ("context_length", "max_position_embeddings"), ("attention.layer_norm_epsilon", "rms_norm_eps"),
            ("attention.layer_norm_rms_epsilon", "rms_norm_eps"), ("rope.freq_base", "rope_theta"),
        ] { try c.take(own, as: usual) }
        if let further = try c.value("nextn_predict_layers")?.int, further > 0, let all = c.members["num_hidden_layers"]?.int, further < all {
            // The last layers predict further tokens.
            c.set("num_hidden_layers", .int(Int64(all - further)))
            c.set("num_nextn_predict_layers", .int(Int64(further)))
        }
        guard let rows = (tensors["token_embd.weight"]?.shape ?? blocks["token_embd.weight"]?.shape)?.first else { throw Diagnostic(.invalid, "is missing", at: ["tensor 'token_embd.weight'"]) }
        c.set("vocab_size", .int(Int64(rows)))
        c.set("tie_word_embeddings", .bool(!has("output.weight")))
        let head = try c.size("attention.key_length") ?? c.demandedSize("embedding_length") / c.demandedSize("attention.head_count")
        guard try c.size("attention.value_length") ?? head == head else { throw Diagnostic(.unsupported, "values of another width than keys are not supported", at: ["\(architecture.name).attention.value_length"]) }
        c.set("head_dim", .int(Int64(head)))
        if let turned = try c.size("rope.dimension_count"), turned != head { c.set("partial_rotary_factor", .double(Double(turned) / Double(head))) }
        if let window = try c.value("attention.sliding_window") { c.set("sliding_window", window == 0 ? .null : window) }
        try c.demand("attention.causal", is: true)
        try readScaling(&c)
        try architecture.read(&c)
        try c.finish(irrelevant: Self.irrelevant, counts: Self.counts)
        return JSONValue(c.members)
    }

    /// How rotary frequencies are changed for long contexts. A factor without a type is linear.
    private func readScaling(_ c: inout GgufConfig) throws {
        let type = try c.value("rope.scaling.type")?.string ?? "linear", factor = try c.value("rope.scaling.factor") ?? c.value("rope.scale_linear")
        let original = try c.value("rope.scaling.original_context_length")
        var members: [String: JSONValue] = original.map { ["original_max_position_embeddings": $0] } ?? [:]
        if let short = try floats("rope_factors_short.weight"), let long = try floats("rope_factors_long.weight") {
            members["rope_type"] = "longrope"
            (members["short_factor"], members["long_factor"]) = (.array(short.map { .double($0) }), .array(long.map { .double($0) }))
            if let attention = try c.value("rope.scaling.attn_factor") { members["attention_factor"] = attention }
            return c.set("rope_scaling", JSONValue(members))
        }
        try c.demand("rope.scaling.attn_factor", is: 1.0)
        guard type != "none", let factor else { return }
        switch type {
        case "linear": members = ["rope_type": "linear", "factor": factor]
        case "yarn":
            (members["rope_type"], members["factor"]) = ("yarn", factor)
            for (own, usual) in [("yarn_beta_fast", "beta_fast"), ("yarn_beta_slow", "beta_slow")] {
                if let value = try c.value("rope.scaling." + own) { members[usual] = value }
            }
        default: throw Diagnostic(.unsupported, "rotary positions scaled by '\(type)' are not supported", at: ["\(architecture.name).rope.scaling.type"])
        }
        c.set("rope_scaling", JSONValue(members))
    }

    /// The elements of a tensor of f32; nil where there is none.
    private func floats(_ name: String) throws -> [Double]? {
        guard let tensor = tensors[name] else { return nil }
        guard tensor.element == .f32, tensor.shape.count == 1, tensor.shape[0] <= 1 << 16 else { throw Diagnostic(.invalid, "is no list of F32", at: ["tensor '\(name)'"]) }
        let values = try Tensor(.f32, tensor.shape, storage: tensor.bytes.owner, byteOffset: tensor.bytes.offset).reader
        let list = (0..<tensor.shape[0]).map { values.load(at: $0) }
        guard list.allSatisfy({ $0.isFinite && $0 > 0 }) else { throw Diagnostic(.invalid, "holds a factor that is not above 0", at: ["tensor '\(name)'"]) }
        return list
    }
}

extension JSONValue {
    /// An object, its keys in order.
    fileprivate init(_ members: [String: JSONValue]) { self = .object(members.sorted { $0.key < $1.key }.map { Member(key: $0.key, value: $0.value) }) }
}
