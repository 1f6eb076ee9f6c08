import CGlmcABI
import GlmcIR

/// Compiles a Hugging Face tokenizer to the table that glmc_tokenizer.h works on.
public enum TokenizerTable {
    /// - Parameter path: a `tokenizer.json`, or a folder that holds one, or the `tokenizer.model` of glm-4; `tokenizer_config.json` beside it names the special tokens. Or a GGUF file.
    /// - Returns: the table, to be put at an address that is a multiple of 64.
    /// - Throws: `Diagnostic` where a file is bad, or holds what is not supported: by its place in the JSON and its name.
    public static func build(_ path: String) throws -> [UInt8] {
        if GgufFile.isOne(path) {
            let own = try GgufTokenizer(GgufFile(at: path))
            return try build(own.tokenizer(), config: own.config, file: path)
        }
        let isFolder = Files.isFolder(path)
        let folder = isFolder ? path : Files.folder(of: path)
        let file = isFolder ? path + "/tokenizer.json" : path
        let config = folder + "/tokenizer_config.json", model = folder + "/tokenizer.model"
        let settings = Files.exists(config) ? try JSONValue.read(config) : .null
        guard Files.exists(file) else {
            if isFolder, Files.exists(model), let root = try Files.map(model).withUnsafeBytes({ Tiktoken.looksLike($0) ? try Tiktoken.tokenizer($0, config: TokenizerNode(settings, path: "")) : nil }) {
                return try build(root, config: settings, file: model)
            }
            throw Diagnostic(
                file: path, reason: "holds no tokenizer.json",
                hint: "a SentencePiece tokenizer.model is not read; load it with transformers' AutoTokenizer and save it with save_pretrained")
        }
        return try build(JSONValue.read(file), config: settings, file: file)
    }

    /// Compiles what the files hold; `file` is for messages.
    static func build(_ tokenizer: JSONValue, config: JSONValue, file: String) throws(Diagnostic) -> [UInt8] {
        do { return try assemble(TokenizerNode(tokenizer, path: ""), TokenizerNode(config, path: "")) } catch { throw error.inside(file) }
    }

    private static func assemble(_ root: TokenizerNode, _ config: TokenizerNode) throws(Diagnostic) -> [UInt8] {
        guard case .object = root.value else { throw root.fails("is not a JSON object") }
        var builder = TableBuilder()
        var ids = try builder.model(root["model"])
        let normalizer = try builder.normalizer(root["normalizer"]), pretokenizer = try builder.pretokenizer(root["pre_tokenizer"]), decoder = try builder.decoder(root["decoder"])
        // Metaspace asks where in the user's text a piece begins: steps do not remember that of what they put in or took out and then cut off.
        let steps = normalizer + pretokenizer
        if let first = steps.lastIndex(where: { $0.kind == Int(GLMC_STEP_PREPEND) && $0.a == 1 }), let cut = steps[..<first].lastIndex(where: { $0.kind == Int(GLMC_STEP_SPLIT) }),
            steps[..<cut].contains(where: { $0.kind != Int(GLMC_STEP_SPLIT) }) {
            throw root["pre_tokenizer"].isUnsupported("a Metaspace with the scheme 'first' behind a step that splits a text that was changed")
        }
        builder.header.normalizer = builder.span(of: normalizer)
        builder.header.pretokenizer = builder.span(of: pretokenizer)
        builder.header.decoder = builder.span(of: decoder)
        try builder.addTokens(root["added_tokens"], &ids)
        try builder.templates(root["post_processor"], ids)
        builder.special(config, ids)
        let table = builder.write()
        guard table.count <= Int(UInt32.max) else { throw root.fails("makes a table of more than 4 GB") }
        let isGood = table.withUnsafeBytes { glmc_tokenizer_check($0.baseAddress, UInt64($0.count)) }
        guard isGood == 1 else { throw Diagnostic(.internal, "the tokenizer's table does not pass its own check") }
        return table
    }
}

extension TableBuilder {
    fileprivate mutating func addTokens(_ node: TokenizerNode, _ ids: inout TokenNumbers) throws(Diagnostic) {
        guard !node.isNull else { return }
        var next = max(tokens.count(where: { $0 != nil }), 0)
        var named = TokenNumbers()
        let bare = header.normalizer.count > 0 ? writeSteps() : []
        for item in try node.items() {
            let content = try item["content"].text(), isNormalized = try item["normalized"].flag(default: true)
            guard !content.isEmpty else { continue }
            let id = ids[content] ?? next
            if id == next, ids[content] == nil { next += 1 }
            let written = try item["id"].id()
            guard written == id else { throw item["id"].fails("is \(written) where the vocabulary makes it \(id)") }
            ids[content] = id
            while kinds.count <= id {
                kinds.append(0)
                tokens.append(nil)
                if !scores.isEmpty { scores.append(0) }
            }
            kinds[id] |= UInt8(GLMC_TOKEN_ADDED)
            let bytes = Array(content.utf8)
            if try item["special"].flag(default: false) {
                for same in [id] + repeated where same == id || tokens[same] == bytes { kinds[same] |= UInt8(GLMC_TOKEN_SPECIAL) }
            }
            var flags: UInt32 = 0
            for (key, flag) in [("single_word", GLMC_ADDED_SINGLE_WORD), ("lstrip", GLMC_ADDED_LSTRIP), ("rstrip", GLMC_ADDED_RSTRIP)] where try item[key].flag(default: false) { flags |= UInt32(flag) }
            let token = AddedToken(id: id, content: bytes, decoded: isNormalized && !bare.isEmpty ? Self.normalized(bytes, by: bare) : bytes, flags: flags, isNormalized: isNormalized)
            if let place = named[content] { added[place] = token } else {
                named[content] = added.count
                added.append(token)
            }
        }
    }

    /// `text` as a table's normalizer leaves it.
    private static func normalized(_ text: [UInt8], by table: [UInt8]) -> [UInt8] {
        table.withUnsafeBytes { table in
            var view = glmc_tokenizer_open(table.baseAddress)
            return withUnsafePointer(to: &view) { view in
                var work = glmc_text_work()
                work.view = view
                defer { glmc_work_release(&work) }
                text.withUnsafeBufferPointer { glmc_load(&work.now, $0.baseAddress, UInt64($0.count), 1) }
                glmc_run_steps(&work, view.pointee.header.pointee.normalizer)
                return Array(UnsafeBufferPointer(start: work.now.text.data, count: Int(work.now.text.count)))
            }
        }
    }

    fileprivate mutating func templates(_ node: TokenizerNode, _ ids: TokenNumbers) throws(Diagnostic) {
        let found = try frames(node)
        let first = glmc_template(kind: 0, id: 0, type: 0), second = glmc_template(kind: 1, id: 0, type: 0)
        let (single, pair) = found ?? ([first], [first, second])
        for part in single + pair where part.kind == 2 && Int(part.id) >= kinds.count { throw node.fails("names the token \(part.id), and the vocabulary ends at \(kinds.count - 1)") }
        header.single = span(of: single)
        header.pair = span(of: pair)
    }

    /// What a post-processor puts around one text and around two; nil where it changes no tokens.
    private func frames(_ node: TokenizerNode) throws(Diagnostic) -> (single: [glmc_template], pair: [glmc_template])? {
        if node.isNull { return nil }
        func token(_ node: TokenizerNode, _ type: UInt32) throws(Diagnostic) -> glmc_template {
            guard let pair = node.value.array, pair.count == 2 else { throw node.fails("must be a token and its number") }
            return glmc_template(kind: 2, id: UInt32(try TokenizerNode(pair[1], path: node.path).id()), type: type)
        }
        func text(_ which: UInt32, _ type: UInt32) -> glmc_template { glmc_template(kind: which, id: 0, type: type) }
        switch node.type {
        case "ByteLevel": return nil
        case "BertProcessing":
            let single = [try token(node["cls"], 0), text(0, 0), try token(node["sep"], 0)]
            return (single, single + [text(1, 1), try token(node["sep"], 1)])
        case "RobertaProcessing":
            let start = try token(node["cls"], 0), end = try token(node["sep"], 0)
            return ([start, text(0, 0), end], [start, text(0, 0), end, end, text(1, 0), end])
        case "TemplateProcessing": return (try frame(node["single"], node["special_tokens"]), try frame(node["pair"], node["special_tokens"]))
        case "Sequence":
            var result: (single: [glmc_template], pair: [glmc_template])?
            for item in try node["processors"].items() {
                guard let next = try frames(item) else { continue }
                guard result == nil else { throw item.isUnsupported("a second processor that adds tokens") }
                result = next
            }
            return result
        default: throw node.isUnsupported("the post-processor '\(node.type)'")
        }
    }

    private func frame(_ node: TokenizerNode, _ tokens: TokenizerNode) throws(Diagnostic) -> [glmc_template] {
        var parts: [glmc_template] = []
        for item in try node.items() {
            let sequence = item["Sequence"], special = item["SpecialToken"]
            let type = try (sequence.isNull ? special : sequence)["type_id"].count(default: 0)
            if !sequence.isNull {
                parts.append(glmc_template(kind: try sequence["id"].text() == "A" ? 0 : 1, id: 0, type: type))
            } else if !special.isNull {
                for id in try tokens[try special["id"].text()]["ids"].items() { parts.append(glmc_template(kind: 2, id: UInt32(try id.id()), type: type)) }
            } else {
                throw item.isUnsupported("a piece that is neither Sequence nor SpecialToken")
            }
        }
        return parts
    }

    /// The tokens that tokenizer_config.json calls beginning, end, padding and unknown; one that is not in the vocabulary is none.
    fileprivate mutating func special(_ config: TokenizerNode, _ ids: TokenNumbers) {
        func id(_ key: String) -> Int32 { (config[key].value.string ?? config[key]["content"].value.string).flatMap { ids[$0] }.map { Int32($0) } ?? -1 }
        header.special = (id("bos_token"), id("eos_token"), id("pad_token"), id("unk_token"))
    }
}
