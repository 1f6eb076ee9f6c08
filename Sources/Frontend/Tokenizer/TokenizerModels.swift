import CGlmcABI
import GlmcIR

/// Tokens' numbers by their text, compared byte by byte: to `String`, two spellings of an accent would be one token.
struct TokenNumbers {
    private var numbers: [[UInt8]: Int] = [:]

    subscript(text: [UInt8]) -> Int? {
        get { numbers[text] }
        set { numbers[text] = newValue }
    }
    subscript(text: String) -> Int? {
        get { numbers[Array(text.utf8)] }
        set { numbers[Array(text.utf8)] = newValue }
    }

    mutating func reserveCapacity(_ count: Int) { numbers.reserveCapacity(count) }
}

/// The model of tokenizer.json: its vocabulary, merges and scores.
extension TableBuilder {
    /// - Returns: the ids by text, for what else names tokens.
    mutating func model(_ node: TokenizerNode) throws(Diagnostic) -> TokenNumbers {
        let type = node["type"].isNull ? (node["merges"].isNull ? "of no type" : "BPE") : node.type
        switch type {
        case "BPE": return try bpe(node)
        case "WordPiece", "WordLevel":
            let ids = try vocabulary(node["vocab"])
            header.model = UInt32(type == "WordPiece" ? GLMC_MODEL_WORDPIECE : GLMC_MODEL_WORDS)
            header.unknown = try unknown(node["unk_token"], ids)
            guard type == "WordPiece" else { return ids }
            header.prefix = place(Array(node["continuing_subword_prefix"].isNull ? "##".utf8 : try node["continuing_subword_prefix"].text().utf8))
            header.longest_word = try node["max_input_chars_per_word"].count(default: 100)
            return ids
        case "Unigram": return try unigram(node)
        default: throw node.isUnsupported("the model '\(type)'")
        }
    }

    private func unknown(_ node: TokenizerNode, _ ids: TokenNumbers) throws(Diagnostic) -> Int32 {
        guard let id = ids[try node.text()] else { throw node.fails("is not in the vocabulary") }
        return Int32(id)
    }

    private mutating func vocabulary(_ node: TokenizerNode) throws(Diagnostic) -> TokenNumbers {
        guard case .object(let members) = node.value else { throw node.fails("must be an object of tokens and their numbers") }
        var ids = TokenNumbers()
        ids.reserveCapacity(members.count)
        var largest = -1
        for member in members {
            guard let id = member.value.int, (0..<TokenizerNode.largestID).contains(id) else { throw node[member.key].fails("must be a token's number, from 0 to \(TokenizerNode.largestID - 1)") }
            ids[member.key] = id
            largest = max(largest, id)
        }
        guard largest < 8 * members.count + 1024 else { throw node.fails("has numbers up to \(largest) for only \(members.count) tokens") }
        tokens = [[UInt8]?](repeating: nil, count: largest + 1)
        kinds = [UInt8](repeating: 0, count: largest + 1)
        for member in members {
            guard let id = member.value.int else { continue }
            guard tokens[id] == nil else { throw node[member.key].fails("has the number \(id) of another token") }
            tokens[id] = Array(member.key.utf8)
        }
        return ids
    }

    private mutating func noteFallback(_ ids: TokenNumbers) {
        let digits = Array("0123456789ABCDEF")
        withUnsafeMutableBytes(of: &header.fallback) { bytes in
            let table = bytes.bindMemory(to: Int32.self)
            for byte in 0..<256 { table[byte] = ids["<0x\(digits[byte >> 4])\(digits[byte & 15])>"].map { Int32($0) } ?? -1 }
        }
    }

    private mutating func bpe(_ node: TokenizerNode) throws(Diagnostic) -> TokenNumbers {
        let ids = try vocabulary(node["vocab"])
        header.model = UInt32(GLMC_MODEL_BPE)
        if !node["dropout"].isNull, node["dropout"].value.double != 0 { throw node["dropout"].isUnsupported("dropout, which makes tokens random,") }
        if !node["unk_token"].isNull { header.unknown = try unknown(node["unk_token"], ids) }
        let prefix = node["continuing_subword_prefix"].isNull ? "" : try node["continuing_subword_prefix"].text()
        header.prefix = place(Array(prefix.utf8))
        header.suffix = place(Array(node["end_of_word_suffix"].isNull ? "".utf8 : try node["end_of_word_suffix"].text().utf8))
        for (key, flag) in [("byte_fallback", GLMC_BYTE_FALLBACK), ("fuse_unk", GLMC_FUSE_UNKNOWN), ("ignore_merges", GLMC_WHOLE_FIRST), ("rank_by_token", GLMC_RANK_BY_TOKEN)] where try node[key].flag(default: false) {
            header.flags |= UInt32(flag)
        }
        noteFallback(ids)
        guard let list = node["merges"].value.array else { throw node["merges"].fails("must be a list") }
        merges.reserveCapacity(list.count)
        for (index, merge) in list.enumerated() {
            func wrong(_ reason: String) -> Diagnostic { TokenizerNode(merge, path: node["merges"].path + "[\(index)]").fails(reason) }
            let left: [UInt8], right: [UInt8]
            switch merge {
            case .string(let text):
                let parts = text.utf8.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
                if index == 0, text.hasPrefix("#version") { continue }
                guard parts.count == 2 else { throw wrong("must be two tokens with a space between") }
                (left, right) = (Array(parts[0]), Array(parts[1]))
            case .array(let parts):
                guard parts.count == 2, let first = parts[0].string, let second = parts[1].string else { throw wrong("must be two tokens") }
                (left, right) = (Array(first.utf8), Array(second.utf8))
            default: throw wrong("must be two tokens")
            }
            guard right.count >= prefix.utf8.count else { throw wrong("has a second token without the prefix '\(prefix)'") }
            guard let a = ids[left], let b = ids[right], let c = ids[left + right.dropFirst(prefix.utf8.count)] else { throw wrong("names a token that is not in the vocabulary") }
            merges.append(glmc_merge(left: UInt32(a), right: UInt32(b), result: UInt32(c)))
        }
        return ids
    }

    private mutating func unigram(_ node: TokenizerNode) throws(Diagnostic) -> TokenNumbers {
        header.model = UInt32(GLMC_MODEL_UNIGRAM)
        var ids = TokenNumbers()
        var lowest = Double.infinity
        for item in try node["vocab"].items() {
            guard let pair = item.value.array, pair.count == 2, let token = pair[0].string, let score = pair[1].double else { throw item.fails("must be a token and its score") }
            if let earlier = ids[token] { repeated.append(earlier) }
            ids[token] = tokens.count
            tokens.append(Array(token.utf8))
            scores.append(score.asSerdeReadsIt)
            lowest = min(lowest, score.asSerdeReadsIt)
        }
        guard tokens.count <= TokenizerNode.largestID else { throw node["vocab"].fails("has too many tokens") }
        kinds = [UInt8](repeating: 0, count: tokens.count)
        let unknown = node["unk_id"].isNull ? -1 : try node["unk_id"].id()
        guard (0..<tokens.count).contains(unknown) else { throw node["unk_id"].isUnsupported("a vocabulary without a token for what is unknown") }
        header.unknown = Int32(unknown)
        header.unknown_score = lowest - 10
        if try node["byte_fallback"].flag(default: false) { header.flags |= UInt32(GLMC_BYTE_FALLBACK) }
        noteFallback(ids)
        return ids
    }
}
