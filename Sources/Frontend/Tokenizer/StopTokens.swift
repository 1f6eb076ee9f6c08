import GlmcIR

/// The tokens that end a model's texts.
public enum StopTokens {
    /// What `eos_token_id` of generation_config.json says, else that of config.json: a number, a list of them, or null for none. Of a GGUF file, what its tokenizer says.
    /// - Throws: a `Diagnostic` where it is something else.
    public static func read(from folder: String) throws -> [Int32] {
        if GgufFile.isOne(folder) { return try GgufFile(at: folder).stopTokens }
        for path in ["generation_config.json", "config.json"].map({ folder + "/" + $0 }) where Files.exists(path) {
            guard let entry = try JSONValue.read(path)["eos_token_id"], entry != .null else { continue }
            return try (entry.array ?? [entry]).map { item in
                guard let id = item.int, let token = Int32(exactly: id), token >= 0 else {
                    throw Diagnostic(file: path, place: "'eos_token_id'", reason: "must be a token's number, a list of them, or null")
                }
                return token
            }
        }
        return []
    }
}
