import Foundation
import GlmcIR
import Testing

@testable import GlmcFrontend

/// ChatGLM in `chatglm`, which tools/make_tiny_decoders.py made by renaming models of transformers that compute the same, with what transformers computes with them.
@Suite struct ChatGlmTests {
    static let root = Recorded.root("chatglm")

    private func score(_ folder: String) throws -> Function {
        let model = try CheckpointImporter.load(folder)
        try model.module.verify()
        return model.module.functions[0]
    }

    @Test(arguments: Recorded.names(in: root)) func scoresWhatTransformersDoes(_ name: String) throws {
        let golden = try Recorded.golden(Self.root + "/" + name), ids = try Recorded.input("ids", golden)
        let tokens = try Tensor(.i64, [1] + ids.shape, storage: ids.storage, byteOffset: ids.byteOffset)
        let results = try Interpreter.run(try score(Self.root + "/" + name), [tokens])
        #expect(Recorded.error(results[0].doubles, try Recorded.input("logits", golden).doubles) < 1e-5)
    }

    @Test func refusesWhatNoModelHas() throws {
        func refuse(_ old: String, _ new: String, _ part: String) throws {
            try withCopy(of: Self.root + "/chatglm") { copy in
                try edit(copy + "/config.json") { $0.replacingOccurrences(of: old, with: new) }
                let error = #expect(throws: (any Error).self) { try score(copy) }
                #expect(error.map { "\($0)" }?.contains(part) == true, "\(error.map { "\($0)" } ?? "")")
            }
        }
        for key in ["rmsnorm", "post_layer_norm"] { try refuse("\"\(key)\": true", "\"\(key)\": false", "'\(key)'") }
        for key in ["apply_residual_connection_post_layernorm", "add_bias_linear"] { try refuse("\"\(key)\": false", "\"\(key)\": true", "'\(key)'") }
        try refuse("\"multi_query_attention\": true", "\"multi_query_attention\": false", "multi_query_attention")
        try refuse("\"pre_seq_len\": null", "\"pre_seq_len\": 128", "pre_seq_len")
        try refuse("\"quantization_bit\": 0", "\"quantization_bit\": 4", "quantization_bit")
        try refuse("\"rope_ratio\": 5", "\"rope_ratio\": 0", "rope_ratio")
        try refuse("\"kv_channels\": 8", "\"kv_channels\": \"8\"", "kv_channels")
    }
}
