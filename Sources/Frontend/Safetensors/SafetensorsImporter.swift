import GlmcIR

/// Builds models from a folder of safetensors: the graph comes from an architecture that `config.json` names.
public enum SafetensorsImporter {
    typealias Build = @Sendable (SafetensorsFolder, ImportOptions) throws -> ImportedModel

    /// What builds a model, by `model_type`.
    static let architectures: [String: Build] = {
        var builds: [String: Build] = ["bert": { ImportedModel(Module(try Bert.build($0, $1))) }]
        for family in DecoderFamilies.all {
            for type in family.types { builds[type] = { try DecoderModel($0, family).module($1) } }
        }
        return builds
    }()

    /// Names that `config.json` may give as `model_type`.
    public static var modelTypes: [String] { architectures.keys.sorted() }

    /// Reads the folder at `path` and builds its model.
    /// - Throws: `Diagnostic` where the folder is bad or its architecture is not supported.
    public static func load(_ path: String, options: ImportOptions = ImportOptions()) throws -> ImportedModel {
        let folder = try SafetensorsFolder(at: path)
        let type = try within(path) { try folder.text("model_type", default: "") }
        guard let build = architectures[type] else {
            throw Diagnostic(.unsupported, "the model type '\(type)' is not supported", at: [path], hint: "supported: \(modelTypes.joined(separator: ", "))")
        }
        return try within(path) { try build(folder, options) }
    }

    /// Errors of `body` name the folder.
    private static func within<Result>(_ path: String, _ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let error as Diagnostic {
            throw error.inside(path)
        } catch let error as Diagnostics {
            throw Diagnostics(error.all.map { $0.inside(path) })
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
        let value = config[key]
        guard let size = value?.int, size > 0, size < 1 << 32 else { throw bad(key, "a whole number from 1", value) }
        return size
    }

    /// A finite number of the configuration that is not negative; integers will do.
    func number(_ key: String, default standard: Double) throws -> Double {
        guard let value = config[key], value != .null else { return standard }
        guard let number = value.double, number >= 0, number <= Double(Float.greatestFiniteMagnitude) else { throw bad(key, "a number from 0", value) }
        return number
    }

    func text(_ key: String, default standard: String) throws -> String {
        guard let value = config[key], value != .null else { return standard }
        guard let text = value.string else { throw bad(key, "a string", value) }
        return text
    }

    func flag(_ key: String, default standard: Bool) throws -> Bool {
        guard let value = config[key], value != .null else { return standard }
        guard let flag = value.bool else { throw bad(key, "true or false", value) }
        return flag
    }

    private func bad(_ key: String, _ wanted: String, _ value: JSONValue?) -> Diagnostic {
        Diagnostic(.invalid, "must be \(wanted)" + (value.map { ", not \($0.kind)" } ?? ", and is missing"), at: ["config.json", "'\(key)'"])
    }
}
