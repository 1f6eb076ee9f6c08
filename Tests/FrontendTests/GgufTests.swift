import Foundation
import GlmcIR
import GlmcRuntime
import Testing

@testable import GlmcFrontend

/// A GGUF file, written by hand.
private struct GgufText {
    var bytes: [UInt8] = []

    mutating func number<T: FixedWidthInteger>(_ value: T) { withUnsafeBytes(of: value.littleEndian) { bytes += $0 } }

    mutating func text(_ value: String) {
        number(UInt64(value.utf8.count))
        bytes += value.utf8
    }

    private func type(_ value: JSONValue) -> UInt32 {
        switch value {
        case .bool: 7
        case .string: 8
        case .array: 9
        case .double: 6
        default: 4
        }
    }

    private mutating func plain(_ value: JSONValue) {
        switch value {
        case .bool(let flag): number(UInt8(flag ? 1 : 0))
        case .string(let text): self.text(text)
        case .double(let value): number(Float(value).bitPattern)
        case .int(let value): number(UInt32(value))
        case .array(let items):
            number(items.first.map { type($0) } ?? 4)
            number(UInt64(items.count))
            for item in items { plain(item) }
        default: break
        }
    }

    init(_ values: [(String, JSONValue)], _ tensors: [(name: String, type: UInt32, shape: [Int], bytes: [UInt8])], version: UInt32 = 3) {
        bytes = Array("GGUF".utf8)
        number(version)
        number(UInt64(tensors.count))
        number(UInt64(values.count))
        for (key, value) in values {
            text(key)
            number(type(value))
            plain(value)
        }
        var body: [UInt8] = []
        for tensor in tensors {
            text(tensor.name)
            number(UInt32(tensor.shape.count))
            for size in tensor.shape.reversed() { number(UInt64(size)) }
            number(tensor.type)
            number(UInt64(body.count))
            body += tensor.bytes + [UInt8](repeating: 0, count: (32 - tensor.bytes.count % 32) % 32)
        }
        bytes += [UInt8](repeating: 0, count: (32 - bytes.count % 32) % 32) + body
    }

    func file() throws -> GgufFile { try GgufFile(ByteSpan(bytes), file: "t.gguf") }
}

/// Blocks of ggml's types and what the package gguf reads from them; written by tools/make_gguf_blocks.py.
private struct BlockCase: CustomTestStringConvertible {
    var name: String
    var type: UInt32
    var shape: [Int]
    var blocks: [UInt8]
    var values: [Float]
    var testDescription: String { name }

    static let all: [BlockCase] = {
        let path = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "gguf/blocks.json").path
        return ((try? JSONValue.read(path))?.array ?? []).compactMap { entry in
            guard let name = entry["name"]?.string, let type = entry["type"]?.int, let rows = entry["rows"]?.int, let columns = entry["columns"]?.int,
                let blocks = entry["blocks"]?.string.flatMap({ Data(base64Encoded: $0) }), let values = entry["values"]?.string.flatMap({ Data(base64Encoded: $0) }) else { return nil }
            let floats = Array(values).withUnsafeBytes { bytes in
                (0..<values.count / 4).map { place -> Float in
                    let bits = bytes.loadUnaligned(fromByteOffset: place * 4, as: UInt32.self)
                    return Float(bitPattern: UInt32(littleEndian: bits))
                }
            }
            return BlockCase(name: name, type: UInt32(type), shape: [rows, columns], blocks: Array(blocks), values: floats)
        }
    }()

    func tensor() throws -> BlockTensor { try #require(try GgufText([], [("w", type, shape, blocks)]).file().blocks["w"]) }
}

@Suite struct GgufTests {
    @Test func hasCases() { #expect(BlockCase.all.count == BlockFormat.all.count) }

    @Test(arguments: BlockCase.all) fileprivate func blocks(_ this: BlockCase) throws {
        let floats = try this.tensor().floats()
        #expect(floats.shape == this.shape && zip(floats.doubles, this.values).allSatisfy { Float($0) == $1 })
    }

    /// Products with the rows of the identity, and look-ups, give the same numbers.
    @Test(arguments: BlockCase.all, [false, true]) fileprivate func matrices(_ this: BlockCase, isLookedUp: Bool) throws {
        struct Graph: GraphBuilding {
            var rewriter = Rewriter(Function("f"))
            var block: BlockID { rewriter.function.body }
            var provenance: [String] = []
        }
        let tensor = try this.tensor(), (rows, columns) = (this.shape[0], this.shape[1]), weights = try tensor.matrix(isLookedUp: isLookedUp)
        guard case .blocks(let codes, let scales, let minimums, let size, _) = weights else { Issue.record("is in no blocks"); return }
        #expect(codes.element == (tensor.format.bits < 8 && !isLookedUp ? .u8 : .i8))
        var graph = Graph()
        let x = graph.rewriter.addArgument(.tensor(TensorType(.f32, [Extent(columns), Extent(columns)])), name: "x")
        let indices = graph.rewriter.addArgument(.tensor(TensorType(.i64, [Extent(rows)])), name: "i")
        var results = [try graph.product(x, CheckpointMatrix(weights: weights, tensors: []))]
        if isLookedUp { results.append(try graph.rows(codes, scales, minimums, size: size, at: indices)) }
        graph.rewriter.setResults(results)
        let identity = Tensor(.f32, [columns, columns], values: { $0 % (columns + 1) == 0 ? 1 : 0 })
        let values = try Interpreter.run(graph.rewriter.function, [identity, Tensor(Array((0..<rows).reversed()))])
        let largest = this.values.map { abs($0) }.max() ?? 0
        for (i, value) in values[0].doubles.enumerated() { #expect(abs(value - Double(this.values[i % rows * columns + i / rows])) <= 1e-6 * Double(largest)) }
        if isLookedUp {
            for (i, value) in values[1].doubles.enumerated() { #expect(abs(value - Double(this.values[(rows - 1 - i / columns) * columns + i % columns])) <= 1e-6 * Double(largest)) }
        }
    }

    // MARK: Files

    private static let values: [(String, JSONValue)] = [
        ("general.architecture", "llama"), ("llama.block_count", 1), ("llama.embedding_length", 32), ("llama.feed_forward_length", 32), ("llama.attention.head_count", 2),
        ("llama.attention.layer_norm_rms_epsilon", 1e-5), ("llama.context_length", 64), ("tokenizer.ggml.model", "gpt2"), ("tokenizer.ggml.pre", "gpt-2"),
        ("tokenizer.ggml.tokens", ["a", "b", "ab", "Ġ", "<s>"]), ("tokenizer.ggml.token_type", [1, 1, 1, 1, 3]), ("tokenizer.ggml.merges", ["a b"]),
        ("tokenizer.ggml.bos_token_id", 4), ("tokenizer.ggml.add_bos_token", true), ("tokenizer.ggml.eos_token_id", 4),
    ]

    private static let tensors: [(name: String, type: UInt32, shape: [Int], bytes: [UInt8])] = {
        func norm(_ name: String) -> (name: String, type: UInt32, shape: [Int], bytes: [UInt8]) { (name, 0, [32], (0..<32).flatMap { _ in [0, 0, 0x80, 0x3f] as [UInt8] }) }
        func matrix(_ name: String, _ rows: Int = 32) -> (name: String, type: UInt32, shape: [Int], bytes: [UInt8]) {
            // Q8_0: a scale of 2⁻⁷ and 32 codes.
            ("\(name).weight", 8, [rows, 32], (0..<rows).flatMap { row in [0, 0x20] + (0..<32).map { UInt8(truncatingIfNeeded: row * 7 + $0 * 5) } })
        }
        return [matrix("token_embd", 5), norm("output_norm.weight"), norm("blk.0.attn_norm.weight"), norm("blk.0.ffn_norm.weight")]
            + ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"].map { matrix("blk.0.\($0)") }
    }()

    private func module(_ text: GgufText) throws -> Module { try GgufDecoder(text.file()).model().module(ImportOptions()).module }

    private func message(_ body: () throws -> Void) -> String {
        do {
            try body()
            return ""
        } catch { return "\(error)" }
    }

    @Test func decoders() throws {
        #expect(try module(GgufText(Self.values, Self.tensors)).functions.map(\.name) == ["score", "prefill", "decode", "verify"])
    }

    @Test func whatDoesNotFit() {
        func message(_ values: [(String, JSONValue)] = [], without: String = "", adding: [(name: String, type: UInt32, shape: [Int], bytes: [UInt8])] = []) -> String {
            let own = Self.values.filter { value in !values.contains { $0.0 == value.0 } } + values
            return self.message { _ = try module(GgufText(own, Self.tensors.filter { $0.name != without } + adding)) }
        }
        #expect(message([("general.architecture", "mamba")]).contains("'mamba' is not supported"))
        #expect(message([("llama.attention.clamp_kqv", 3)]).contains("llama.attention.clamp_kqv"))
        #expect(message(without: "blk.0.ffn_up.weight").contains("blk.0.ffn_up.weight"))
        #expect(message(adding: [("blk.0.extra.weight", 0, [1], [0, 0, 0, 0])]).contains("blk.0.extra.weight"))
        #expect(message([("llama.embedding_length", 64)]).contains("token_embd.weight"))
        #expect(message([("llama.feed_forward_length", [32, 64])]).contains("layers with different values"))
        #expect(message([("llama.rope.scaling.type", "linear"), ("llama.rope.scaling.factor", 0.0)]).contains("factor"))
        // A factor without a type is linear, and is not left out.
        #expect(message([("llama.rope.scaling.factor", 0.0)]).contains("factor"))
        #expect(message([("llama.rope.scaling.type", "dynamic"), ("llama.rope.scaling.factor", 2.0)]).contains("'dynamic'"))
        #expect(message([("llama.rope.scaling.attn_factor", 0.5)]).contains("attn_factor"))
        #expect(message([("llama.attention.causal", false)]).contains("attention.causal"))
        #expect(message([("general.architecture", "qwen2")] + Self.values.filter { $0.0.hasPrefix("llama.") }.map { ("qwen2" + $0.0.dropFirst(5), $0.1) } + [("qwen2.expert_count", 4)]).contains("qwen2.expert_count"))
        #expect(message([("llama.expert_count", 0), ("llama.expert_used_count", 0), ("llama.rope.scaling.type", "none"), ("llama.rope.scaling.factor", 2.0)]).isEmpty)
        #expect(message(adding: [("x", 99, [32], [])]).contains("type 99"))
        #expect(message(adding: [("x", 2, [33], [])]).contains("no whole blocks"))
        #expect(message(adding: [("x", 0, [1 << 20, 1 << 20], [])]).contains("does not lie in the file"))
    }

    /// A file that ends anywhere, and one with any byte of its head changed, end in a message.
    @Test func damage() {
        let whole = GgufText(Self.values, Self.tensors).bytes, head = whole.count - 8 * 1024
        for count in stride(from: 0, to: whole.count, by: 7) { #expect(!message { _ = try GgufFile(ByteSpan(Array(whole[..<count])), file: "t.gguf") }.isEmpty) }
        for place in 0..<head {
            for bit in [0, 3, 7] {
                var bytes = whole
                bytes[place] ^= 1 << bit
                _ = message {
                    let file = try GgufFile(ByteSpan(bytes), file: "t.gguf")
                    _ = try? GgufTokenizer(file).tokenizer()
                    _ = try GgufDecoder(file).model()
                }
            }
        }
    }

    // MARK: Tokenizers

    @Test func tokenizer() throws {
        let own = try GgufTokenizer(GgufText(Self.values, []).file())
        let tokenizer = try Tokenizer(table: TokenizerTable.build(own.tokenizer(), config: own.config, file: "t.gguf"))
        #expect(try tokenizer.encode("ab ba", addsSpecial: true) == [4, 2, 3, 1, 0] && tokenizer.end == 4)
        #expect(try GgufText(Self.values, []).file().stopTokens == [4])
    }

    /// Of two ways to merge, SentencePiece takes the token of the higher score.
    @Test func sentencePieces() throws {
        let values: [(String, JSONValue)] = [
            ("tokenizer.ggml.model", "llama"), ("tokenizer.ggml.tokens", ["<unk>", "<s>", "a", "b", "c", "▁", "ab", "bc", "<0x21>"]),
            ("tokenizer.ggml.scores", [0.0, 0.0, -5.0, -5.0, -5.0, -5.0, -2.0, -1.0, 0.0]), ("tokenizer.ggml.token_type", [2, 3, 1, 1, 1, 1, 1, 1, 6]),
            ("tokenizer.ggml.bos_token_id", 1), ("tokenizer.ggml.unknown_token_id", 0),
        ]
        let own = try GgufTokenizer(GgufText(values, []).file())
        let tokenizer = try Tokenizer(table: TokenizerTable.build(own.tokenizer(), config: own.config, file: "t.gguf"))
        #expect(try tokenizer.encode("abc!", addsSpecial: true) == [1, 5, 2, 7, 8])
        #expect(try tokenizer.decode([5, 2, 7, 8], skipsSpecial: true) == "abc!")
    }
}
