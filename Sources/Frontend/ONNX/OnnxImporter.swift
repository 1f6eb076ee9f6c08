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
            let importer = try imported(model, options)
            var function = importer.rewriter.function
            if !options.states.isEmpty {
                guard let capacity = options.context else {
                    throw Diagnostic(.usage, "states need a size", hint: "--context N says how many rows they have room for")
                }
                function = try CacheStates.added(to: function, options.states, capacity: capacity)
            }
            let warnings = importer.warnings + (options.freezesInitializers ? [] : importer.frozenDefaults)
            return ImportedModel(Module(function), consumedInputs: importer.consumed.sorted(), consumedSizes: importer.sizes.builtIn.sorted(), warnings: warnings)
        } catch let error as Diagnostics {
            throw Diagnostics(error.all.map { $0.inside(file) })
        } catch let error as Diagnostic {
            throw Diagnostics([error.inside(file)])
        }
    }

    /// The finished import of `model`. Where operators need to know at compile time what inputs hold, as few of these as possible become dimensions.
    private static func imported(_ model: OnnxModel, _ options: ImportOptions) throws -> GraphImporter {
        let budget = ImportBudget(model)
        do {
            return try settled(model, options, sizeInputs: [], budget)
        } catch {
            var names = Set(GraphImporter.possibleSizeInputs(model, options))
            guard !names.isEmpty, var importer = try? settled(model, options, sizeInputs: names, budget) else { throw error }
            for name in names.sorted() where names.count > 1 {
                guard let other = try? settled(model, options, sizeInputs: names.subtracting([name]), budget) else { continue }
                names.remove(name)
                importer = other
            }
            return importer
        }
    }

    /// An import of `model`. Where operators need sizes to be equal that the file leaves free, the import starts again with
    /// one of them bound to the other: what was built before could mention either. It also starts again with defaults of inputs as constants
    /// where operators need them, and without results whose rank depends on a size where operators need to know it. Every start binds a size, learns of one, freezes a default or fixes
    /// the ranks, so they end, and the budget is one for all of them.
    private static func settled(_ model: OnnxModel, _ options: ImportOptions, sizeInputs: Set<String>, _ budget: ImportBudget) throws -> GraphImporter {
        var sizes = SizeBindings(), keepsRanks = true, defaults = Defaults(model, options)
        while true {
            var importer = GraphImporter(model, options: options, sizes: sizes, defaults: defaults, keepsRanks: keepsRanks, sizeInputs: sizeInputs, budget: budget)
            var failure: (any Error)?
            do { try importer.importModel() } catch { failure = error }
            if failure != nil, importer.hasSqueezed {
                if let improved = importer.improvedSizes(failed: false) { sizes = improved } else { keepsRanks = false }
                continue
            }
            if defaults.freeze(importer.consumed, failed: failure != nil) { continue }
            if let improved = importer.improvedSizes(failed: failure != nil) {
                sizes = improved
                continue
            }
            if let failure { throw failure }
            return importer
        }
    }
}
