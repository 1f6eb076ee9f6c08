import GlmcIR

/// The text form of tiktoken's vocabularies, which glm-4-9b-chat ships as `tokenizer.model`: a line per token, its bytes in base 64 and its rank.
enum Tiktoken {
    /// Whether `bytes` begin like such a file; a SentencePiece model, which has the same name, does not.
    static func looksLike(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let line = bytes.prefix(4096).split(separator: UInt8(ascii: "\n")).first else { return false }
        return parse(line) != nil
    }

    /// The file's tokenizer as tokenizer.json would state it. The pattern and what stands before a text are those of glm-4 (its tokenization_chatglm.py), which
    /// tokenizer_config.json must name; the special tokens are its `added_tokens_decoder`.
    static func tokenizer(_ bytes: UnsafeRawBufferPointer, config: TokenizerNode) throws(Diagnostic) -> JSONValue {
        let kind = config["tokenizer_class"].value.string ?? ""
        guard kind == "ChatGLM4Tokenizer" else { throw config["tokenizer_class"].isUnsupported("the tiktoken vocabulary of '\(kind)', whose pattern stands in no file,") }
        var ranks: [[UInt8]: Int] = [:]
        for (index, line) in bytes.split(separator: UInt8(ascii: "\n")).enumerated() {
            guard let (token, rank) = parse(line) else { throw Diagnostic(.invalid, "is not a token in base 64 and its rank", at: ["line \(index + 1)"]) }
            guard ranks.updateValue(rank, forKey: token) == nil else { throw Diagnostic(.invalid, "names a token a second time", at: ["line \(index + 1)"]) }
        }
        let ordered = ranks.sorted { $0.value < $1.value }
        var merges: [JSONValue] = []
        for (token, _) in ordered where token.count > 1 {
            let cuts = (1..<token.count).compactMap { cut -> (Int, Int, Int)? in
                guard let left = ranks[Array(token[..<cut])], let right = ranks[Array(token[cut...])] else { return nil }
                return (left, right, cut)
            }
            for cut in cuts.sorted(by: { ($0.0, $0.1) < ($1.0, $1.1) }) { merges.append(.array([.string(letters(token[..<cut.2])), .string(letters(token[cut.2...]))])) }
        }
        let split = #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
        let byteLevel = object(["type": .string("ByteLevel"), "add_prefix_space": .bool(false), "use_regex": .bool(false)])
        var added: [JSONValue] = []
        var numbers: [String: JSONValue] = [:]
        if case .object(let members) = config["added_tokens_decoder"].value {
            for member in members {
                guard let id = Int64(member.key), case .object(let fields) = member.value, let content = member.value["content"]?.string else { throw config["added_tokens_decoder"][member.key].fails("must be a token") }
                added.append(.object([.init(key: "id", value: .int(id))] + fields.filter { $0.key != "id" }))
                numbers[content] = .int(id)
            }
        }
        added.sort { ($0["id"]?.int ?? 0) < ($1["id"]?.int ?? 0) }
        func special(_ name: String) throws(Diagnostic) -> JSONValue {
            guard let id = numbers[name] else { throw config["added_tokens_decoder"].fails("has no token \(name), with which a text begins") }
            return object([name: object(["ids": .array([id])])])
        }
        let names = ["[gMASK]", "<sop>"]
        var tokens: [JSONValue.Member] = []
        for name in names { if case .object(let members) = try special(name) { tokens += members } }
        let opening = names.map { object(["SpecialToken": object(["id": .string($0)])]) }
        func text(_ id: String) -> JSONValue { object(["Sequence": object(["id": .string(id)])]) }
        return object([
            "model": object([
                "type": .string("BPE"), "ignore_merges": .bool(true), "rank_by_token": .bool(true), "merges": .array(merges),
                "vocab": .object(ordered.map { .init(key: letters($0.key[...]), value: .int(Int64($0.value))) }),
            ]),
            "added_tokens": .array(added),
            "pre_tokenizer": object(["type": .string("Sequence"), "pretokenizers": .array([
                object(["type": .string("Split"), "pattern": object(["Regex": .string(split)]), "behavior": .string("Isolated")]), byteLevel,
            ])]),
            "decoder": byteLevel,
            "post_processor": object(["type": .string("TemplateProcessing"), "special_tokens": .object(tokens), "single": .array(opening + [text("A")]), "pair": .array(opening + [text("A"), text("B")])]),
        ])
    }

    private static func object(_ members: KeyValuePairs<String, JSONValue>) -> JSONValue { .object(members.map { .init(key: $0.key, value: $0.value) }) }

    private static func parse(_ line: some Collection<UInt8>) -> (token: [UInt8], rank: Int)? {
        let parts = line.split(whereSeparator: { $0 == 0x20 || $0 == 0x0d })
        guard parts.count == 2, let rank = Int(String(decoding: parts[1], as: UTF8.self)), (0..<TokenizerNode.largestID).contains(rank), let token = decoded(parts[0]), !token.isEmpty else { return nil }
        return (token, rank)
    }

    /// Base 64 (RFC 4648) with its padding; nil where it is none.
    static func decoded(_ text: some Collection<UInt8>) -> [UInt8]? {
        var bytes: [UInt8] = []
        var value: UInt32 = 0, bits = 0
        for letter in text where letter != UInt8(ascii: "=") {
            let digit: UInt8
            switch letter {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): digit = letter - UInt8(ascii: "A")
            case UInt8(ascii: "a")...UInt8(ascii: "z"): digit = letter - UInt8(ascii: "a") + 26
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = letter - UInt8(ascii: "0") + 52
            case UInt8(ascii: "+"): digit = 62
            case UInt8(ascii: "/"): digit = 63
            default: return nil
            }
            value = value << 6 | UInt32(digit)
            bits += 6
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: value >> UInt32(bits)))
            }
        }
        return text.count % 4 == 0 ? bytes : nil
    }

    /// Bytes as ByteLevel writes them: printable Latin-1 as itself, the rest from U+0100 in order.
    private static let alphabet: [String] = {
        var next: UInt32 = 0x100
        return (0..<256).map { (byte: UInt32) in
            if (0x21...0x7e).contains(byte) || (0xa1...0xac).contains(byte) || byte >= 0xae { return String(Character(Unicode.Scalar(byte) ?? " ")) }
            defer { next += 1 }
            return String(Character(Unicode.Scalar(next) ?? " "))
        }
    }()
    private static func letters(_ bytes: ArraySlice<UInt8>) -> String { bytes.map { alphabet[Int($0)] }.joined() }
}
