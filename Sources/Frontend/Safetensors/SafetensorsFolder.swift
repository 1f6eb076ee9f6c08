import GlmcIR

/// A folder, or one inside it (`files(of:)`), with a `config.json` and weights: one `model.safetensors`, or shards that `model.safetensors.index.json` lists.
public struct SafetensorsFolder: Sendable {
    /// As the user named it.
    public var path: String
    public var config: JSONValue
    public var tensors: [String: SafetensorsTensor]
    /// nil where the checkpoint is not quantised.
    let quantization: CheckpointQuantization?

    /// Reads and checks everything in the folder. Shards must lie in the folder, hold what the index says, and no tensor twice.
    public init(at path: String) throws {
        self.path = path
        guard Files.isFolder(path) else { throw Diagnostic(file: path, reason: "is not a folder") }
        let path = Self.files(of: path)
        config = try JSONValue.read(path + "/config.json")
        guard case .object = config else { throw Diagnostic(file: path + "/config.json", reason: "is not a JSON object") }
        do {
            quantization = try CheckpointQuantization(config)
        } catch let error as Diagnostic {
            throw error.inside(path)
        }
        let single = path + "/model.safetensors"
        let index = path + "/model.safetensors.index.json"
        if Files.exists(single) {
            tensors = try SafetensorsFile(at: single).tensors
        } else if Files.exists(index) {
            tensors = try Self.sharded(path, index)
        } else {
            throw Diagnostic(
                file: path, reason: "holds neither model.safetensors nor model.safetensors.index.json",
                hint: "save the weights as safetensors")
        }
    }

    /// Where the files of the model at `path` lie: in a folder of its own where an older folder of sentence-transformers names one for its first module.
    public static func files(of path: String) -> String {
        guard !Files.exists(path + "/config.json"), Files.exists(path + "/modules.json"), let modules = try? JSONValue.read(path + "/modules.json"),
              let name = modules.array?.first?["path"]?.string, Files.inside(path, name + "/config.json") != nil else { return path }
        return path + "/" + name
    }

    var checkpoint: Checkpoint { Checkpoint(path: path, config: config, tensors: tensors, matrices: CheckpointMatrices(quantization)) }

    private static func sharded(_ path: String, _ index: String) throws -> [String: SafetensorsTensor] {
        guard case .object(let map)? = try JSONValue.read(index)["weight_map"] else {
            throw Diagnostic(file: index, reason: "has no weight_map")
        }
        var shards: [String: SafetensorsFile] = [:]
        var tensors: [String: SafetensorsTensor] = [:]
        for entry in map {
            guard let name = entry.value.string, !name.contains("/"), let target = Files.inside(path, name) else {
                throw Diagnostic(
                    file: index, place: "tensor '\(entry.key)'", reason: "its shard does not exist inside the folder",
                    hint: "put every shard beside the index")
            }
            if shards[name] == nil { shards[name] = try SafetensorsFile(Files.map(target), file: target) }
            guard let tensor = shards[name]?.tensors[entry.key] else {
                throw Diagnostic(file: index, place: "tensor '\(entry.key)'", reason: "is not in its shard '\(name)'")
            }
            tensors[entry.key] = tensor
        }
        return tensors
    }
}
