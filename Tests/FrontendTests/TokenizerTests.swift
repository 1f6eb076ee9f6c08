import Foundation
import GlmcIR
import GlmcRuntime
import Testing

@testable import GlmcFrontend

/// Small tokenizers and what Hugging Face's tokenizers makes of strings; written by tools/make_tokenizer_cases.py.
private struct TokenizerCase {
    var name: String
    var tokenizer: JSONValue
    var rows: [JSONValue]
    var pairs: [JSONValue]

    static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "tokenizers")
    static let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).map { String($0.dropLast(5)) }.sorted()

    init(_ name: String) throws {
        let text = try Data(contentsOf: Self.folder.appending(path: name + ".json"))
        let root = try text.withUnsafeBytes { text throws(JSONError) in try JSONValue(parsing: text) }
        self.name = name
        tokenizer = try #require(root["tokenizer"])
        rows = try #require(root["rows"]?.array)
        pairs = try #require(root["pairs"]?.array)
    }

    func table() throws -> [UInt8] { try TokenizerTable.build(tokenizer, config: .null, file: name) }
}

extension JSONValue {
    fileprivate func tokens(_ key: String) -> [Int32] { self[key]?.array?.compactMap { $0.int.map { Int32($0) } } ?? [] }
    fileprivate func bytes(_ key: String) -> [UInt8] { Array((self[key]?.string ?? "missing").utf8) }
}

@Suite struct TokenizerTests {
    @Test func hasCases() { #expect(TokenizerCase.names.count >= 19) }

    @Test(arguments: TokenizerCase.names) func agreesWithHuggingFace(name: String) throws {
        let this = try TokenizerCase(name)
        let tokenizer = try Tokenizer(table: this.table())
        for row in this.rows {
            let text = try #require(row["text"]?.string), framed = row.tokens("framed")
            #expect(try tokenizer.encode(text) == framed, "\(text.debugDescription)")
            #expect(try tokenizer.encode(text, addsSpecial: false) == row.tokens("plain"), "\(text.debugDescription)")
            #expect(try tokenizer.encode(text, addsSpecial: false, readsSpecial: false) == row.tokens("literal"), "\(text.debugDescription)")
            #expect(try Array(tokenizer.decode(framed, skipsSpecial: false).utf8) == row.bytes("decoded"), "\(text.debugDescription)")
            #expect(try Array(tokenizer.decode(framed).utf8) == row.bytes("skipped"), "\(text.debugDescription)")
            var stream = tokenizer.stream(), streamed = ""
            for token in framed { streamed += try stream.push(token) }
            streamed += try stream.flush()
            #expect(Array(streamed.utf8) == row.bytes("skipped"), "\(text.debugDescription)")
        }
        for pair in this.pairs {
            let (tokens, types) = try tokenizer.encode(#require(pair["first"]?.string), #require(pair["second"]?.string))
            #expect(tokens == pair.tokens("ids"))
            #expect(types == pair.tokens("types"))
        }
    }

    @Test func holdsBackIncompleteCharacters() throws {
        let tokenizer = try Tokenizer(table: TokenizerCase("gpt4o").table())
        let tokens = try tokenizer.encode("😀", addsSpecial: false)
        try #require(tokens.count > 1)
        var stream = tokenizer.stream()
        for token in tokens.dropLast() { #expect(try stream.push(token) == "") }
        #expect(try stream.push(#require(tokens.last)) == "😀")
        #expect(try stream.push(tokens[0]) == "")
        #expect(try stream.flush() == "\u{fffd}")
    }

    private func tokenizer(_ text: String) throws -> Tokenizer { try Tokenizer(table: TokenizerTable.build(JSONValue(parsing: text), config: .null, file: "t.json")) }

    /// What tokenizers 0.23.3 made of these numbers and texts.
    @Test func readsScoresAsHuggingFace() throws {
        let scores = [(-15.774467468261719, -15.77446746826172), (-1.8771917819976807, -1.8771917819976809), (-18.728811264038086, -18.72881126403809), (-3, -3), (-1e-7, -1e-7), (1.5e22, 1.5e22)]
        for (written, read) in scores { #expect(written.asSerdeReadsIt == read) }
        // Two ways of equal sums: the last bits of their scores, as written, differ.
        let tied = try tokenizer(#"""
            {"model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", 0.0], ["b", -5.0], ["ab", -1.2447198642684283], ["ba", -1.2447198642684285]]}}
            """#)
        #expect(try tied.encode("aba") == [1, 4] && tied.encode("abab") == [3, 3])
        // Of two tokens with one text the last is found; both have it.
        let twice = try tokenizer(#"""
            {"model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", -1.0], ["b", -1.0], ["a", -2.0]]},
             "added_tokens": [{"id": 4, "content": "c"}, {"id": 3, "content": "a", "special": true}]}
            """#)
        #expect(try twice.encode("abc") == [3, 2, 4] && twice.decode([1, 2, 3, 0], skipsSpecial: false) == "a b a <unk>" && twice.decode([1, 2, 3, 0]) == "b <unk>")
    }

    @Test func sharesSpaceBetweenAddedTokens() throws {
        let greedy = try tokenizer(#"""
            {"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []},
             "added_tokens": [{"id": 2, "content": " ", "lstrip": true, "rstrip": true, "normalized": false}, {"id": 3, "content": "!", "rstrip": true, "normalized": false}]}
            """#)
        for (text, tokens) in [("a  b", [0, 2, 1]), ("a   b  ", [0, 2, 1, 2]), ("! a", [3, 0]), ("!  b", [3, 1]), (" ", [2]), ("a!  ", [0, 3])] as [(String, [Int32])] {
            #expect(try greedy.encode(text) == tokens, "\(text.debugDescription)")
        }
    }

    @Test func decodesBytesOneByOne() throws {
        let bytes = try tokenizer(#"""
            {"model": {"type": "BPE", "vocab": {"a": 0, "<0xFF>": 1, "<0xC3>": 2, "<0xA9>": 3}, "merges": []},
             "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "WordPiece", "prefix": "##", "cleanup": false}]}}
            """#)
        for (tokens, text) in [([1, 2, 0], "\u{fffd} \u{fffd} a"), ([0, 2, 3, 0], "a é a"), ([2, 3, 1], "\u{fffd} \u{fffd} \u{fffd}"), ([0, 1], "a \u{fffd}")] as [([Int32], String)] {
            #expect(try bytes.decode(tokens) == text)
        }
    }

    @Test func namesTokens() throws {
        let tokenizer = try Tokenizer(table: TokenizerCase("gpt2").table())
        let mask = try #require(tokenizer.token(named: "<mask>"))
        #expect(tokenizer.name(of: mask) == "<mask>")
        #expect(!tokenizer.isSpecial(mask))
        #expect(try tokenizer.isSpecial(#require(tokenizer.token(named: "<s>"))))
        #expect(tokenizer.token(named: "no such token") == nil)
        #expect(tokenizer.name(of: Int32(tokenizer.count)) == nil)
        #expect(tokenizer.name(of: -1) == nil)
    }

    @Test func refusesBadText() throws {
        let tokenizer = try Tokenizer(table: TokenizerCase("qwen").table())
        for (bytes, place) in [([0x61, 0xff], 1), ([0xe4, 0xbd], 0), ([0x61, 0x62, 0xed, 0xa0, 0x80], 2), ([0xc0, 0x80], 0)] as [([UInt8], Int)] {
            #expect(throws: RuntimeError(.badData, "the text is not UTF-8 at byte \(place)")) { try bytes.withUnsafeBytes { text throws(RuntimeError) in try tokenizer.encode(utf8: text) } }
        }
        #expect(throws: RuntimeError.self) { try tokenizer.decode([Int32(tokenizer.count)]) }
        #expect(throws: RuntimeError.self) { try tokenizer.decode([-1]) }
    }

    /// One letter a hundred thousand times, and runs that patterns give back: time grows with the length, not with its square.
    @Test(arguments: ["llama3", "llama2", "bert", "t5", "odd_pattern"]) func longRunsTakeNoTime(name: String) throws {
        let tokenizer = try Tokenizer(table: TokenizerCase(name).table())
        for text in [String(repeating: "a", count: 100_000), String(repeating: " ", count: 100_000) + "x", String(repeating: "1", count: 100_000), String(repeating: "\n ", count: 50_000)] {
            let start = ContinuousClock.now
            _ = try tokenizer.encode(text)
            #expect(ContinuousClock.now - start < .seconds(5))
        }
    }

    // MARK: Damage

    @Test func refusesDamagedTables() throws {
        let table = try TokenizerCase("llama2").table()
        #expect(throws: RuntimeError.self) { try Tokenizer(table: []) }
        #expect(throws: RuntimeError.self) { try Tokenizer(table: Array(table.dropLast())) }
        #expect(throws: RuntimeError.self) { try Tokenizer(table: table + [0]) }
        for place in stride(from: 0, to: table.count, by: max(1, table.count / 200)) {
            var damaged = table
            damaged[place] ^= 1 << (place % 8)
            #expect(throws: RuntimeError.self) { try Tokenizer(table: damaged) }
        }
    }

    @Test(arguments: [
        (#"{}"#, "'model': the model 'of no type' is not supported"),
        (#"[]"#, "is not a JSON object"),
        (#"{"model":{"type":"BPE","vocab":{"a":0},"merges":["a b"]}}"#, "'model.merges[0]': names a token that is not in the vocabulary"),
        (#"{"model":{"type":"BPE","vocab":{"a":0},"merges":[["a"]]}}"#, "'model.merges[0]': must be two tokens"),
        (#"{"model":{"type":"BPE","vocab":{"a":-1},"merges":[]}}"#, "'model.vocab.a': must be a token's number"),
        (#"{"model":{"type":"BPE","vocab":{"a":0,"b":0},"merges":[]}}"#, "'model.vocab.b': has the number 0 of another token"),
        (#"{"model":{"type":"BPE","vocab":{"a":9000000},"merges":[]}}"#, "has numbers up to 9000000 for only 1 tokens"),
        (#"{"model":{"type":"BPE","vocab":{"a":0},"merges":[],"dropout":0.1}}"#, "'model.dropout': dropout"),
        (#"{"model":{"type":"BPE","vocab":{"a":0},"merges":[],"unk_token":"?"}}"#, "'model.unk_token': is not in the vocabulary"),
        (#"{"model":{"type":"WordPiece","vocab":{"a":0}}}"#, "'model.unk_token': must be a string"),
        (#"{"model":{"type":"Unigram","vocab":[["a",0]]}}"#, "'model.unk_id': a vocabulary without a token for what is unknown is not supported"),
        (#"{"model":{"type":"Unigram","unk_id":0,"vocab":[["a"]]}}"#, "'model.vocab[0]': must be a token and its score"),
        (#"{"model":{"type":"BPE","vocab":{"a":0},"merges":[]},"normalizer":{"type":"Rot13"}}"#, "'normalizer': the normalizer 'Rot13' is not supported"),
        (#"{"model":{"type":"BPE","vocab":{"a":0},"merges":[]},"pre_tokenizer":{"type":"Split","pattern":{"Regex":"a(?<n>b)"},"behavior":"Isolated"}}"#, "'pre_tokenizer.pattern': the pattern is not understood at character 3: a group of this kind"),
        (#"{"model":{"type":"BPE","vocab":{"a":0},"merges":[]},"pre_tokenizer":{"type":"Split","pattern":{"Regex":"a*"},"behavior":"Isolated"}}"#, "'pre_tokenizer': the pattern matches the empty text"),
        (#"{"model":{"type":"BPE","vocab":{"a":0},"merges":[]},"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"UnicodeScripts"}]}}"#, "'pre_tokenizer.pretokenizers[0]': the pre-tokenizer 'UnicodeScripts' is not supported"),
        (#"{"model":{"type":"BPE","vocab":{"a":0},"merges":[]},"normalizer":{"type":"Prepend","prepend":" "},"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"WhitespaceSplit"},{"type":"Metaspace","replacement":"_","prepend_scheme":"first"}]}}"#,
         "'pre_tokenizer': a Metaspace with the scheme 'first' behind a step that splits a text"),
        (#"{"model":{"type":"BPE","vocab":{"a":0},"merges":[]},"decoder":{"type":"CTC"}}"#, "'decoder': the decoder 'CTC' is not supported"),
        (#"{"model":{"type":"BPE","vocab":{"a":0},"merges":[]},"post_processor":{"type":"BertProcessing","cls":["a",7],"sep":["a",0]}}"#, "'post_processor': names the token 7, and the vocabulary ends at 0"),
        (#"{"model":{"type":"BPE","vocab":{"a":0},"merges":[]},"added_tokens":[{"id":5,"content":"b"}]}"#, "'added_tokens[0].id': is 5 where the vocabulary makes it 1"),
    ]) func namesWhatIsWrong(text: String, message: String) throws {
        let root = try JSONValue(parsing: text)
        do {
            _ = try TokenizerTable.build(root, config: .null, file: "t.json")
            Issue.record("accepted")
        } catch {
            #expect("\(error)".hasPrefix("t.json: ") && "\(error)".contains(message), "\(error)")
        }
    }

    /// Values anywhere in a tokenizer replaced by others: a table or a diagnostic, never a trap.
    @Test(arguments: ["llama3", "llama2", "bert", "t5"]) func survivesMutation(name: String) throws {
        let this = try TokenizerCase(name)
        var random = SystemRandomNumberGenerator()
        for _ in 0..<60 {
            var budget = Int.random(in: 1...400, using: &random)
            let mutated = Self.mutate(this.tokenizer, &budget, &random)
            do {
                let tokenizer = try Tokenizer(table: TokenizerTable.build(mutated, config: .null, file: "t.json"))
                _ = try tokenizer.decode(tokenizer.encode("The <s> dog's 123 é\n\n你"))
            } catch is Diagnostic {} catch is RuntimeError {}
        }
    }

    /// `value` with its member number `budget`, counted depth first, replaced.
    private static func mutate(_ value: JSONValue, _ budget: inout Int, _ random: inout SystemRandomNumberGenerator) -> JSONValue {
        budget -= 1
        if budget == 0 {
            let others: [JSONValue] = [.null, .bool(true), .int(-1), .int(1 << 40), .int(3), .double(1e300), .string(""), .string("é\u{0}"), .array([]), .object([]), .array([.null, .int(1)])]
            return others.randomElement(using: &random) ?? .null
        }
        guard budget > 0 else { return value }
        switch value {
        case .array(let items): return .array(items.map { mutate($0, &budget, &random) })
        case .object(let members): return .object(members.reversed().map { .init(key: $0.key, value: mutate($0.value, &budget, &random)) })
        default: return value
        }
    }
}
