import GlmcIR

/// Turns an ONNX model into IR.
public enum OnnxImporter {
    /// The operator set versions that the rules are written for.
    public static let opsets = 7...28

    /// The operators that have a rule, as `domain.op`, the default domain empty.
    public static var operators: [String] { OnnxRules.standard.keys.sorted() }

    /// Reads and imports the file at `path`.
    public static func load(_ path: String, options: ImportOptions = ImportOptions()) throws -> ImportedModel {
        try importModel(try OnnxReader.model(at: path), file: path, options: options)
    }

    /// Imports `model`; `file` names it in errors.
    /// - Throws: `Diagnostics` listing everything that stands in the way, or a `Diagnostic` where the model as a whole is bad.
    public static func importModel(_ model: OnnxModel, file: String, options: ImportOptions = ImportOptions()) throws -> ImportedModel {
        do {
            var importer = GraphImporter(model, options: options)
            try importer.importModel()
            let function = importer.rewriter.function
            return ImportedModel(function: function, consumedInputs: importer.consumed.sorted(), warnings: importer.warnings)
        } catch let error as Diagnostics {
            throw Diagnostics(error.all.map { $0.inside(file) })
        } catch let error as Diagnostic {
            throw Diagnostics([error.inside(file)])
        }
    }
}
