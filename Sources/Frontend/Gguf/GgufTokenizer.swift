import GlmcIR

/// The tokenizer of a GGUF file, as a Hugging Face folder's files would state it.
struct GgufTokenizer {
    private let file: GgufFile
    private let tokens: [String]

    /// - Throws: `Diagnostic` where the file holds no tokens.
    init(_ file: GgufFile) throws {
        self.file = file
        tokens = try file.tokenizerList("tokens") { $0.string }
        guard !tokens.isEmpty else { throw Diagnostic(.invalid, "holds no tokenizer", at: [file.path]) }
    }

    /// As tokenizer_config.json.
    var config: JSONValue { file.specialTokens }

    /// As tokenizer.json.
    /// - Throws: `Diagnostic` for a tokenizer that is damaged, or of a kind that is not supported.
    func tokenizer() throws -> JSONValue {
        let own = "tokenizer.huggingface.json"
        if let text = file.values[own]?.string {
            do { return try JSONValue(parsing: text) } catch { throw Diagnostic(.invalid, "is not JSON: \(error.reason) at byte \(error.offset)", at: [file.path, own]) }
        }
        let model = file.tokenizerValue("model")?.string ?? "of no name"
        switch model {
        case "gpt2": return try byteLevel()
        case "llama": return try sentencePieces()
        default: throw Diagnostic(.unsupported, "the tokenizer '\(model)' is not supported", at: [file.path, GgufFile.tokenizerPrefix + "model"], hint: "supported: gpt2, llama")
        }
    }

    // MARK: Kinds

    /// BPE on bytes, of which the file names the way that texts are split.
    private func byteLevel() throws -> JSONValue {
        let name = file.tokenizerValue("pre")?.string ?? ""
        guard let pre = GgufPreTokenizer.all[name] else {
            throw Diagnostic(
                .unsupported, name.isEmpty ? "does not say how texts are split" : "the way '\(name)' of splitting texts is not supported", at: [file.path, GgufFile.tokenizerPrefix + "pre"],
                hint: "supported: \(GgufPreTokenizer.all.keys.sorted().joined(separator: ", "))")
        }
        let merges = try file.tokenizerList("merges") { $0.string }.map { JSONValue.string($0) }
        return assembled(
            normalizer: pre.composes ? ["type": "NFC"] : .null, pre: pre.steps.count == 1 ? pre.steps[0] : ["type": "Sequence", "pretokenizers": .array(pre.steps)],
            decoder: GgufPreTokenizer.bytes(splits: true), model: [.init(key: "ignore_merges", value: .bool(pre.takesWholeFirst)), .init(key: "merges", value: .array(merges))],
            addsBeginning: pre.addsBeginning)
    }

    /// SentencePiece's BPE: of all pairs of neighbours that make a token, the one of the highest score is merged first.
    private func sentencePieces() throws -> JSONValue {
        let scores = try file.tokenizerList("scores") { $0.double }, prefixed = file.tokenizerValue("add_space_prefix")?.bool ?? true
        func bad(_ kind: Diagnostic.Kind, _ reason: String, _ key: String) -> Diagnostic { Diagnostic(kind, reason, at: [file.path, GgufFile.tokenizerPrefix + key]) }
        guard scores.count == tokens.count else { throw bad(.invalid, "has \(scores.count) items for \(tokens.count) tokens", "scores") }
        // Every way to cut a token in two is looked up.
        if let long = tokens.first(where: { $0.utf8.count > 1024 }) { throw bad(.unsupported, "a token of \(long.utf8.count) bytes is not supported", "tokens") }
        func replacing(_ text: String, by other: String) -> JSONValue { ["type": "Replace", "pattern": ["String": .string(text)], "content": .string(other)] }
        let spaces = replacing(" ", by: "▁")
        var decoders: [JSONValue] = [replacing("▁", by: " "), ["type": "ByteFallback"], ["type": "Fuse"]]
        if prefixed { decoders.append(["type": "Strip", "content": " ", "start": 1, "stop": 0]) }
        var model: [JSONValue.Member] = [
            .init(key: "byte_fallback", value: true), .init(key: "fuse_unk", value: true), .init(key: "merges", value: .array(merges(scores))),
        ]
        if let unknown = file.token("unknown_token_id", of: tokens) { model.append(.init(key: "unk_token", value: .string(unknown))) }
        return assembled(
            normalizer: prefixed ? ["type": "Sequence", "normalizers": [["type": "Prepend", "prepend": "▁"], spaces]] : spaces, pre: .null,
            decoder: ["type": "Sequence", "decoders": .array(decoders)], model: model, addsBeginning: true)
    }

    /// Every way to make a token of two, by the token's score and then by the parts' numbers.
    private func merges(_ scores: [Double]) -> [JSONValue] {
        var numbers = TokenNumbers()
        numbers.reserveCapacity(tokens.count)
        for (id, token) in tokens.enumerated() { numbers[token] = id }
        var found: [(score: Double, left: Int, right: Int)] = []
        for (id, token) in tokens.enumerated() {
            let bytes = Array(token.utf8)
            for cut in bytes.indices.dropFirst() where bytes[cut] & 0xc0 != 0x80 {
                guard let left = numbers[Array(bytes[..<cut])], let right = numbers[Array(bytes[cut...])] else { continue }
                found.append((scores[id], left, right))
            }
        }
        found.sort { ($1.score, $0.left, $0.right) < ($0.score, $1.left, $1.right) }
        return found.map { .array([.string(tokens[$0.left]), .string(tokens[$0.right])]) }
    }

    /// What both kinds have in common.
    private func assembled(normalizer: JSONValue, pre: JSONValue, decoder: JSONValue, model: [JSONValue.Member], addsBeginning: Bool) -> JSONValue {
        let vocabulary = JSONValue.object(tokens.enumerated().map { .init(key: $1, value: .int(Int64($0))) })
        return [
            "added_tokens": .array(added), "normalizer": normalizer, "pre_tokenizer": pre, "decoder": decoder, "post_processor": frame(addsBeginning: addsBeginning),
            "model": .object(model + [.init(key: "type", value: "BPE"), .init(key: "vocab", value: vocabulary)]),
        ]
    }

    /// Control tokens, and those that users defined: ggml's types of tokens 3 and 4.
    private var added: [JSONValue] {
        (file.tokenizerValue("token_type")?.array ?? []).enumerated().compactMap { id, type in
            guard let type = type.int, type == 3 || type == 4, tokens.indices.contains(id) else { return nil }
            return ["id": .int(Int64(id)), "content": .string(tokens[id]), "special": .bool(type == 3), "normalized": false]
        }
    }

    /// What stands around a text.
    private func frame(addsBeginning: Bool) -> JSONValue {
        let ends = [("add_bos_token", addsBeginning, "bos_token_id"), ("add_eos_token", false, "eos_token_id")].map { flag, usual, id in
            file.tokenizerValue(flag)?.bool ?? usual ? file.token(id, of: tokens) : nil
        }
        guard ends.contains(where: { $0 != nil }) else { return .null }
        func parts(_ sequence: String, _ type: Int64) -> [JSONValue] {
            func special(_ token: String?) -> [JSONValue] { token.map { [["SpecialToken": ["id": .string($0), "type_id": .int(type)]]] } ?? [] }
            return special(ends[0]) + [["Sequence": ["id": .string(sequence), "type_id": .int(type)]]] + special(ends[1])
        }
        let ids = ["bos_token_id", "eos_token_id"].compactMap { file.tokenNumber($0) }.filter { tokens.indices.contains($0) }
        let table = JSONValue.object(ids.map { .init(key: tokens[$0], value: ["ids": [.int(Int64($0))]]) })
        return ["type": "TemplateProcessing", "single": .array(parts("A", 0)), "pair": .array(parts("A", 0) + parts("B", 1)), "special_tokens": table]
    }
}

extension GgufFile {
    fileprivate static let tokenizerPrefix = "tokenizer.ggml."

    fileprivate func tokenizerValue(_ key: String) -> JSONValue? { values[Self.tokenizerPrefix + key] }

    /// A list of items of one kind; empty where there is none.
    fileprivate func tokenizerList<Item>(_ key: String, _ item: (JSONValue) -> Item?) throws -> [Item] {
        try (tokenizerValue(key)?.array ?? []).map { entry in
            guard let read = item(entry) else { throw Diagnostic(.invalid, "holds \(entry.kind) in a list of another kind", at: [path, Self.tokenizerPrefix + key]) }
            return read
        }
    }

    fileprivate func tokenNumber(_ key: String) -> Int? { tokenizerValue(key)?.int }

    fileprivate func token(_ key: String, of tokens: [String]) -> String? { tokenNumber(key).flatMap { tokens.indices.contains($0) ? tokens[$0] : nil } }

    /// Special tokens, as tokenizer_config.json names them.
    var specialTokens: JSONValue {
        let list = tokenizerValue("tokens")?.array ?? []
        let keys = [("bos_token", "bos_token_id"), ("eos_token", "eos_token_id"), ("pad_token", "padding_token_id"), ("unk_token", "unknown_token_id")]
        return .object(keys.compactMap { key, id in
            guard let number = tokenNumber(id), list.indices.contains(number), let text = list[number].string else { return nil }
            return .init(key: key, value: .string(text))
        })
    }

    /// Tokens that end a text.
    var stopTokens: [Int32] { ["eos_token_id", "eot_token_id", "eom_token_id"].compactMap { tokenNumber($0).flatMap { Int32(exactly: $0) } }.filter { $0 >= 0 } }
}
