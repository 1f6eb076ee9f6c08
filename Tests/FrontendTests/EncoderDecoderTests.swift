import Foundation
import GlmcIR
import Testing

@testable import GlmcFrontend

/// Encoder-decoders in `encoder-decoders`, which tools/make_tiny_encoder_decoders.py made with what transformers computes with them.
@Suite struct EncoderDecoderTests {
    static let root = Recorded.root("encoder-decoders")
    static let names = Recorded.names(in: root)

    private func module(_ folder: String, context: Int = 12) throws -> Module {
        var options = ImportOptions()
        options.context = context
        let module = try CheckpointImporter.load(folder, options: options).module
        try module.verify()
        return module
    }

    @Test func everyFamilyIsThere() {
        #expect(Set(Self.names.map { $0.split(separator: "-").first.map(String.init) ?? "" }) == ["t5", "whisper"])
    }

    @Test(arguments: names) func scoresWhatTransformersDoes(_ name: String) throws {
        let golden = try Recorded.golden(Self.root + "/" + name), score = try module(Self.root + "/" + name).functions[0]
        let results = try Interpreter.run(score, try score.inputs.map { try Recorded.input(score[$0].name, golden) })
        #expect(Recorded.error(results[0].doubles, try #require(golden["logits"]).doubles) < 1e-5)
    }

    /// One sequence: its source is encoded once, its tokens come in a chunk of 5 and then one by one.
    @Test(arguments: names) func continuesWhatTheEncoderRead(_ name: String) throws {
        let golden = try Recorded.golden(Self.root + "/" + name), module = try module(Self.root + "/" + name)
        #expect(module.functions.map(\.name) == ["score", "encode", "prefill", "decode"])
        let functions = Dictionary(uniqueKeysWithValues: module.functions.map { ($0.name, $0) })
        var buffers: [String: Tensor] = [:]
        func run(_ entry: String) throws -> Tensor {
            let function = try #require(functions[entry])
            let inputs = try function.inputs.map { id -> Tensor in
                if let known = buffers[function[id].name] { return known }
                // What a state holds before it is written does not matter.
                let shape = try #require(function.tensorType(id).shape.constants)
                return Tensor([Float](repeating: .nan, count: shape.reduce(1, *)), shape: shape)
            }
            let results = try Interpreter.run(function, inputs)
            for state in function.states { buffers[function[state.input].name] = results[state.output] }
            return results[0]
        }
        func first(_ tensor: Tensor) throws -> Tensor { try Tensor(tensor.element, [1] + tensor.shape.dropFirst(), storage: tensor.storage, byteOffset: tensor.byteOffset) }

        for name in ["input_ids", "input_features"] { buffers[name] = try golden[name].map(first) }
        let encoded = try run("encode"), wanted = try #require(golden["last_hidden_state"])
        #expect(Recorded.error(encoded.doubles, Array(wanted.doubles.prefix(encoded.doubles.count))) < 1e-5)
        buffers["source"] = Tensor.scalar(Double(encoded.shape[1]), .i64)

        let tokens = try #require(golden["tokens"]), logits = try #require(golden["logits"]), vocabulary = logits.shape[2]
        for (past, count) in [(0, 5)] + (5..<tokens.shape[1]).map({ ($0, 1) }) {
            buffers["tokens"] = Tensor(tokens.doubles[past..<past + count].map { Int($0) }, shape: [1, count])
            buffers["past"] = Tensor.scalar(Double(past), .i64)
            let last = (past + count - 1) * vocabulary
            #expect(Recorded.error(try run(count == 1 ? "decode" : "prefill").doubles, Array(logits.doubles[last..<last + vocabulary])) < 1e-5)
        }
    }

    @Test(arguments: ["t5", "whisper"]) func takesTheEncoderAlone(_ name: String) throws {
        let (results, golden) = try Recorded.run(Self.root + "/" + name, .features)
        #expect(results.keys.sorted() == ["last_hidden_state"])
        #expect(Recorded.error(try #require(results["last_hidden_state"]), try #require(golden["last_hidden_state"])) < 1e-5)
        #expect(throws: Diagnostic.self) { try Recorded.run(Self.root + "/" + name, .texts) }
    }

    /// What files of the class `T5EncoderModel` say.
    @Test func knowsEncodersByTheirClass() throws {
        try withCopy(of: Self.root + "/t5") { copy in
            try edit(copy + "/config.json") {
                $0.replacingOccurrences(of: "T5ForConditionalGeneration", with: "T5EncoderModel").replacingOccurrences(of: "\"is_encoder_decoder\": true", with: "\"is_encoder_decoder\": false")
            }
            #expect(try Recorded.run(copy).results.keys.sorted() == ["last_hidden_state"])
        }
    }

    @Test func bucketsAreThoseOfBothDirections() {
        let both = RelativePositions(buckets: 32, furthest: 128, isBidirectional: true), one = RelativePositions(buckets: 32, furthest: 128, isBidirectional: false)
        #expect([-1000, -128, -8, -7, 0, 7, 8, 127, 1000].map(both.bucket) == [15, 15, 8, 7, 0, 23, 24, 31, 31])
        #expect([-1000, -128, -16, -15, -1, 0, 1].map(one.bucket) == [31, 31, 16, 15, 1, 0, 0])
        #expect(!RelativePositions(buckets: 3, furthest: 128, isBidirectional: true).isValid)
        #expect(!RelativePositions(buckets: 32, furthest: 8, isBidirectional: true).isValid)
    }

    @Test func refusesWhatItDoesNotUnderstand() throws {
        func refuse(_ name: String, _ old: String, _ new: String, _ part: String, context: Int = 12) throws {
            try withCopy(of: Self.root + "/" + name) { copy in
                try edit(copy + "/config.json") { $0.replacingOccurrences(of: old, with: new) }
                let error = #expect(throws: (any Error).self) { try module(copy, context: context) }
                #expect(error.map { "\($0)" }?.contains(part) == true, "\(error.map { "\($0)" } ?? "")")
            }
        }
        try refuse("t5", "\"feed_forward_proj\": \"relu\"", "\"feed_forward_proj\": \"gated-sinc\"", "'gated-sinc' is not supported")
        try refuse("t5", "\"feed_forward_proj\": \"relu\"", "\"feed_forward_proj\": \"gated-relu\"", "DenseReluDense.wi_0.weight")
        try refuse("t5", "\"relative_attention_max_distance\": 16", "\"relative_attention_max_distance\": 2", "do not divide distances")
        try refuse("t5", "\"d_kv\": 3", "\"d_kv\": 4", "EncDecAttention.q.weight")
        try refuse("t5", "\"d_kv\": 3", "\"sparse_step\": 2, \"d_kv\": 3", "sparse_step")
        try refuse("whisper", "\"encoder_attention_heads\": 4", "\"encoder_attention_heads\": 3", "heads do not divide")
        try refuse("whisper", "\"scale_embedding\": false", "\"scale_embedding\": true", "scale_embedding")
        try refuse("whisper", "", "", "exceeds the model's 12 positions", context: 13)
    }
}
