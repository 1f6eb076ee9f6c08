import GlmcIR

/// The configuration and the weights of a model, whatever files they come from.
struct Checkpoint: Sendable {
    /// As the user named it.
    var path: String
    /// What kind of files it is, for the compiled model's description.
    var format = "safetensors"
    /// As config.json of a Hugging Face folder states it.
    var config: JSONValue
    /// Where messages say that the configuration stands.
    var configPlace = "config.json"
    var tensors: [String: SafetensorsTensor]
    /// Matrices whose elements lie in blocks.
    var blocks: [String: BlockTensor] = [:]
    let matrices: CheckpointMatrices

    func has(_ tensor: String) -> Bool { tensors[tensor] != nil || blocks[tensor] != nil }

    /// Of every tensor.
    var names: [String] { Array(tensors.keys) + blocks.keys }

    func shape(_ tensor: String) -> [Int]? { tensors[tensor]?.shape ?? blocks[tensor]?.shape }

    /// Whether two tensors are there and hold the same.
    func areEqual(_ a: String, _ b: String) -> Bool {
        guard let x = tensors[a], let y = tensors[b], x.element == y.element, x.shape == y.shape else { return false }
        return x.bytes.withUnsafeBytes { p in y.bytes.withUnsafeBytes { q in p.elementsEqual(q) } }
    }

    /// The same with weights and biases of norms that the file calls gamma and beta, as models from TensorFlow do.
    var withNormsRenamed: Checkpoint {
        var renamed = self
        for (old, new) in [(".gamma", ".weight"), (".beta", ".bias")] {
            for (name, tensor) in tensors where name.hasSuffix("LayerNorm" + old) {
                let modern = String(name.dropLast(old.count)) + new
                guard tensors[modern] == nil else { continue }
                renamed.tensors[name] = nil
                renamed.tensors[modern] = tensor
            }
        }
        return renamed
    }
}
