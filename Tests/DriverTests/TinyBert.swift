/// A BERT folder of a few hundred bytes: one layer, two heads of two.
enum TinyBert {
    static let config = #"""
        {"architectures":["BertModel"],"model_type":"bert","hidden_size":4,"num_attention_heads":2,"num_hidden_layers":1,"intermediate_size":3,"vocab_size":5,"type_vocab_size":2,"max_position_embeddings":6,"hidden_act":"gelu","layer_norm_eps":1e-12}
        """#

    /// The safetensors file that fits `config`.
    static let weights: [UInt8] = {
        let layer = "encoder.layer.0."
        var tensors: [(String, [Int])] = [
            ("embeddings.word_embeddings.weight", [5, 4]), ("embeddings.token_type_embeddings.weight", [2, 4]), ("embeddings.position_embeddings.weight", [6, 4]),
        ]
        for name in ["query", "key", "value"] { tensors += [(layer + "attention.self.\(name).weight", [4, 4]), (layer + "attention.self.\(name).bias", [4])] }
        for (name, from, to) in [("attention.output.dense", 4, 4), ("intermediate.dense", 4, 3), ("output.dense", 3, 4)] {
            tensors += [("\(layer)\(name).weight", [to, from]), ("\(layer)\(name).bias", [to])]
        }
        for name in ["embeddings.", layer + "attention.output.", layer + "output."] { tensors += [("\(name)LayerNorm.weight", [4]), ("\(name)LayerNorm.bias", [4])] }
        var end = 0, entries: [String] = []
        for (name, shape) in tensors {
            let bytes = shape.reduce(4, *)
            entries.append("\"\(name)\":{\"dtype\":\"F32\",\"shape\":[\(shape.map(String.init).joined(separator: ","))],\"data_offsets\":[\(end),\(end + bytes)]}")
            end += bytes
        }
        return file(header: "{\(entries.joined(separator: ","))}", body: (0..<end).map { UInt8($0 % 4 == 3 ? 0x3d : $0 % 251) })
    }()

    /// - Parameter length: what the file says about its header; nil: the truth.
    static func file(header: String, length: UInt64? = nil, body: [UInt8]) -> [UInt8] {
        let length = length ?? UInt64(header.utf8.count)
        return (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * UInt64($0))) } + Array(header.utf8) + body
    }
}
