import GlmcIR

/// Builds models from checkpoints, which hold weights without a graph: a folder of safetensors, whose `config.json` names the architecture, or a GGUF file.
public enum CheckpointImporter {
    typealias Build = @Sendable (Checkpoint, ImportOptions) throws -> ImportedModel

    /// What builds a model, by `model_type`.
    static let architectures: [String: Build] = {
        var builds: [String: Build] = [:]
        for family in EncoderFamilies.all {
            for type in family.types { builds[type] = { ImportedModel(Module(try Encoder.build($0, family, $1))) } }
        }
        for family in TowerFamilies.all {
            for type in family.types { builds[type] = { ImportedModel(Module(try TowerModel($0, family, type).function($1))) } }
        }
        for family in EncoderDecoderFamilies.all {
            for type in family.types { builds[type] = { try EncoderDecoderModel($0, family).module($1) } }
        }
        for family in DecoderFamilies.all {
            for type in family.types { builds[type] = { try DecoderModel($0, family).module($1) } }
        }
        return builds
    }()

    /// Names that `config.json` may give as `model_type`.
    public static var modelTypes: [String] { architectures.keys.sorted() }

    /// Reads what is at `path` and builds its model.
    /// - Throws: `Diagnostic` where the files are bad or their architecture is not supported.
    public static func load(_ path: String, options: ImportOptions = ImportOptions()) throws -> ImportedModel {
        if GgufFile.isOne(path) {
            let file = try GgufFile(at: path)
            return try within(path) { try GgufDecoder(file).model().module(options) }
        }
        let checkpoint = try SafetensorsFolder(at: path).checkpoint
        let type = try within(path) {
            var config = try ConfigReader(checkpoint.config)
            return try config.optionalText("model_type") ?? ""
        }
        guard let build = architectures[type] else {
            throw Diagnostic(.unsupported, "the model type '\(type)' is not supported", at: [path], hint: "supported: \(modelTypes.joined(separator: ", "))")
        }
        return try within(path) { try build(checkpoint, options) }
    }

    /// Errors of `body` name the folder or file.
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
