import GlmcIR

/// Builds models from a folder of safetensors: the graph comes from an architecture that `config.json` names.
public enum SafetensorsImporter {
    /// The architectures by `model_type`.
    static let architectures: [String: @Sendable (SafetensorsFolder, ImportOptions) throws -> Function] = [
        "bert": { try Bert.build($0, $1) },
    ]

    /// Names that `config.json` may give as `model_type`.
    public static var modelTypes: [String] { architectures.keys.sorted() }

    /// Reads the folder at `path` and builds its model.
    /// - Throws: `Diagnostic` where the folder is bad or its architecture is not supported.
    public static func load(_ path: String, options: ImportOptions = ImportOptions()) throws -> ImportedModel {
        let folder = try SafetensorsFolder(at: path)
        let type = folder.config["model_type"]?.string ?? ""
        guard let build = architectures[type] else {
            throw Diagnostic(.unsupported, "the model type '\(type)' is not supported", at: [path], hint: "supported: \(modelTypes.joined(separator: ", "))")
        }
        do {
            return ImportedModel(function: try build(folder, options), consumedInputs: [], warnings: [])
        } catch let error as Diagnostic {
            throw error.inside(path)
        }
    }
}

extension SafetensorsElement {
    /// The IR's element type; the two agree on what the bytes mean.
    var irType: ElementType {
        switch self {
        case .bool: .bool
        case .u8: .u8
        case .i8: .i8
        case .u16: .u16
        case .i16: .i16
        case .u32: .u32
        case .i32: .i32
        case .u64: .u64
        case .i64: .i64
        case .f16: .f16
        case .bf16: .bf16
        case .f32: .f32
        case .f64: .f64
        case .c64: .c64
        case .f8e4m3: .f8e4m3fn
        case .f8e5m2: .f8e5m2
        case .f8e8m0: .f8e8m0
        }
    }
}

extension SafetensorsFolder {
    /// A weight that must have the given shape, as a reference to the mapped file.
    func weight(_ name: String, _ shape: [Int]) throws -> Tensor {
        guard let tensor = tensors[name] else { throw Diagnostic(.invalid, "the tensor '\(name)' is missing") }
        guard tensor.shape == shape else {
            throw Diagnostic(.invalid, "the tensor '\(name)' has shape \(tensor.shape), and config.json asks for \(shape)")
        }
        return try Tensor(tensor.element.irType, shape, storage: tensor.bytes.owner, byteOffset: tensor.bytes.offset)
    }

    /// A positive integer of the configuration.
    func size(_ key: String) throws -> Int {
        guard let value = config[key]?.int, value > 0, value < 1 << 32 else { throw Diagnostic(.invalid, "has no positive '\(key)'", at: ["config.json"]) }
        return value
    }
}
