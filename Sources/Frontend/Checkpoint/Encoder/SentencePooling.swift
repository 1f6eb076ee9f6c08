import GlmcIR

/// How a folder of sentence-transformers makes one vector of a text's states: what `modules.json` lists behind the encoder (Reimers and Gurevych 2019).
struct SentencePooling: Hashable {
    /// In the order in which older files, which have a flag for each, put them side by side.
    enum Mode: String, CaseIterable {
        /// The first of those that count.
        case first = "cls"
        case maximum = "max"
        case mean
        /// The sum over the square root of the number.
        case meanSquareRoot = "mean_sqrt_len_tokens"

        /// What older files call it, a flag of its own.
        var flag: String { self == .meanSquareRoot ? "pooling_mode_mean_sqrt_len_tokens" : "pooling_mode_\(rawValue)_token\(self == .first ? "" : "s")" }
    }

    /// Side by side in the result.
    var modes: [Mode] = [.mean]
    /// Divides by the Euclidean length.
    var normalizes = false

    /// - Returns: nil where the folder lists no modules.
    /// - Throws: `Diagnostic` for modules and settings that are not understood.
    static func read(_ folder: String) throws -> SentencePooling? {
        guard Files.exists(folder + "/modules.json") else { return nil }
        let list = try JSONValue.read(folder + "/modules.json")
        guard let modules = list.array else { throw Diagnostic(.invalid, "is not a list", at: ["modules.json"]) }
        var pooling = SentencePooling(modes: [])
        for (i, module) in modules.enumerated() {
            let place = ["modules.json", "module \(i)"]
            guard let type = module["type"]?.string else { throw Diagnostic(.invalid, "has no type", at: place) }
            switch (i, type.split(separator: ".").last) {
            case (0, "Transformer"):
                break
            case (1, "Pooling"):
                guard let path = module["path"]?.string, let file = Files.inside(folder, path + "/config.json") else { throw Diagnostic(.invalid, "has no config.json inside the folder", at: place) }
                pooling.modes = try modes(try JSONValue.read(file), at: [path + "/config.json"])
            case (2..., "Normalize"):
                pooling.normalizes = true
            default:
                throw Diagnostic(.unsupported, "'\(type)' is not supported here", at: place, hint: "the encoder, Pooling and Normalize are, in this order; --task=\(EncoderTask.features.rawValue) compiles the encoder alone")
            }
        }
        return pooling.modes.isEmpty ? nil : pooling
    }

    private static func modes(_ object: JSONValue, at place: [String]) throws -> [Mode] {
        var c = try ConfigReader(object, at: place)
        var modes = try Mode.allCases.filter { try c.flag($0.flag) }
        if let named = object["pooling_mode"]?.array {
            modes = try named.map { name in
                guard let mode = name.string.flatMap(Mode.init) else { throw Diagnostic(.unsupported, "a way of pooling is not supported", at: place + ["'pooling_mode'"]) }
                return mode
            }
            _ = try c.optionalList("pooling_mode", "names") { $0.string }
        } else if c.has("pooling_mode") {
            modes = [try c.choice("pooling_mode", Dictionary(uniqueKeysWithValues: Mode.allCases.map { ($0.rawValue, $0) }))]
        } else if modes.isEmpty, Mode.allCases.contains(where: { c.has($0.flag) }) {
            modes = [.mean]
        }
        try c.finish(irrelevant: ["word_embedding_dimension", "embedding_dimension"], neutral: ["include_prompt": [true], "pooling_mode_weightedmean_tokens": [false], "pooling_mode_lasttoken": [false]])
        guard !modes.isEmpty else { throw Diagnostic(.invalid, "names no way of pooling", at: place) }
        return modes
    }

    /// - Parameters:
    ///   - x: states, f32 [batch, sequence, hidden].
    ///   - present: which of them count, bool [batch, sequence].
    /// - Returns: f32 [batch, modes · hidden].
    func pool(_ x: ValueID, _ present: ValueID, in g: inout ModelGraph) throws -> ValueID {
        g.provenance = ["sentence_embedding"]
        let counts = try g.unsqueeze(present, [2]), weights = try g.cast(counts, .f32)
        let parts = try modes.map { mode -> ValueID in
            switch mode {
            case .first:
                return try g.row(of: x, at: try g.emit(ArgReduce(.maximum, axis: 1), [try g.cast(present, .i64)]))
            case .maximum:
                return try g.reduce(.maximum, try g.select(counts, x, try g.scalar(-1e9, .f32)), [1], keep: false)
            case .mean, .meanSquareRoot:
                let sum = try g.reduce(.add, try g.mul(x, weights), [1], keep: false)
                let number = try g.binary(.maximum, try g.reduce(.add, weights, [1], keep: false), 1e-9)
                return try g.div(sum, mode == .mean ? number : try g.unary(.sqrt, number))
            }
        }
        let pooled = parts.count == 1 ? parts[0] : try g.concat(parts, axis: 1)
        return normalizes ? try g.unitVectors(pooled) : pooled
    }
}
