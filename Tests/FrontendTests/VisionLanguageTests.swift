import Foundation
import GlmcIR
import Testing

@testable import GlmcFrontend

/// Vision-language models in `vision-language`, which tools/make_tiny_vision_language.py made with what transformers computes with them.
@Suite struct VisionLanguageTests {
    static let root = Recorded.root("vision-language")
    static let names = Recorded.names(in: root)
    private static let token = 35

    private func load(_ folder: String, _ change: (inout ImportOptions) -> Void = { _ in }) throws -> ImportedModel {
        var options = ImportOptions()
        options.context = 32
        change(&options)
        let model = try CheckpointImporter.load(folder, options: options)
        try model.module.verify()
        return model
    }

    private func entries(_ folder: String) throws -> [String: Function] {
        Dictionary(uniqueKeysWithValues: try load(folder).module.functions.map { ($0.name, $0) })
    }

    /// The results of an entry point, by name.
    private func run(_ function: Function?, _ inputs: [String: Tensor]) throws -> [String: Tensor] {
        let function = try #require(function)
        let results = try Interpreter.run(function, try function.inputs.map { try Recorded.input(function[$0].name, inputs) })
        return Dictionary(zip(function.outputNames, results)) { first, _ in first }
    }

    private func embeddings(_ golden: [String: Tensor], _ encode: Function?) throws -> Tensor {
        let pictures = golden.keys.filter { $0.hasPrefix("pixel_values.") }.sorted()
        let rows = try pictures.map { try Recorded.input("image_embeds", run(encode, ["pixel_values": try Recorded.input($0, golden)])) }
        return Tensor(rows.flatMap { $0.doubles.map { Float($0) } }, shape: [rows.reduce(0) { $0 + $1.shape[0] }, try #require(rows.first).shape[1]])
    }

    /// Part of the last axis of i64 tensors.
    private func columns(_ tensor: Tensor?, _ range: Range<Int>) throws -> Tensor {
        let tensor = try #require(tensor), count = try #require(tensor.shape.last), values = tensor.doubles.map { Int($0) }
        let parts = stride(from: 0, to: values.count, by: count).flatMap { values[$0 + range.lowerBound..<$0 + range.upperBound] }
        return Tensor(parts, shape: tensor.shape.dropLast() + [range.count])
    }

    @Test func everyFamilyIsThere() {
        #expect(Set(Self.names.map { $0.split(separator: "-").first.map(String.init) ?? "" }) == ["glm4v", "glm46v", "glm4v_moe", "glm_ocr"])
    }

    @Test(arguments: names) func encodesPictures(_ name: String) throws {
        let golden = try Recorded.golden(Self.root + "/" + name), encode = try entries(Self.root + "/" + name)["encode_images"]
        for (key, wanted) in golden where key.hasPrefix("image_embeds.") {
            let pixels = try Recorded.input(key.replacingOccurrences(of: "image_embeds", with: "pixel_values"), golden)
            let found = try Recorded.input("image_embeds", run(encode, ["pixel_values": pixels]))
            #expect(found.shape == wanted.shape)
            #expect(Recorded.error(found.doubles, wanted.doubles) < 1e-5, "\(key)")
        }
    }

    @Test(arguments: names) func scoresPicturesAndText(_ name: String) throws {
        let golden = try Recorded.golden(Self.root + "/" + name), entries = try entries(Self.root + "/" + name)
        var inputs = golden
        inputs["image_embeds"] = try embeddings(golden, entries["encode_images"])
        for (entry, result) in [("score", "text_logits"), ("score_images", "logits")] {
            let found = try Recorded.input("logits", run(entries[entry], inputs)), wanted = try Recorded.input(result, golden)
            #expect(Recorded.error(found.doubles, wanted.doubles) < 1e-5, "\(entry)")
        }
    }

    /// Pictures and text come in chunks of 4, the text behind them token by token.
    @Test(arguments: names) func continuesPicturesAndText(_ name: String) throws {
        let golden = try Recorded.golden(Self.root + "/" + name), entries = try entries(Self.root + "/" + name)
        let embeds = try embeddings(golden, entries["encode_images"]), width = embeds.shape[1]
        let tokens = try Recorded.input("tokens", golden).doubles.map { Int($0) }, logits = try Recorded.input("logits", golden), vocabulary = logits.shape[2]
        var buffers: [String: Tensor] = [:], past = 0, seen = 0
        let decode = try #require(entries["decode_images"])
        for state in decode.states {
            let shape = try #require(decode.tensorType(state.input).shape.constants)
            buffers[decode[state.input].name] = Tensor([Float](repeating: .nan, count: shape.reduce(1, *)), shape: shape)
        }
        let last = try #require(tokens.lastIndex(of: Self.token)) + 1
        while past < tokens.count {
            let range = past..<(past < last ? min(past + 4, last) : past + 1), count = tokens[range].count { $0 == Self.token }
            buffers["tokens"] = try columns(golden["tokens"], range)
            buffers["positions"] = try columns(golden["positions"], range)
            buffers["past"] = Tensor.scalar(Double(past), .i64)
            buffers["image_embeds"] = Tensor(embeds.doubles[seen * width..<(seen + count) * width].map { Float($0) }, shape: [count, width])
            let results = try run(past < last ? entries["prefill_images"] : decode, buffers)
            buffers.merge(results.filter { $0.key != "logits" }) { $1 }
            (past, seen) = (range.upperBound, seen + count)
            let wanted = Array(logits.doubles[(past - 1) * vocabulary..<past * vocabulary])
            #expect(Recorded.error(try Recorded.input("logits", results).doubles, wanted) < 1e-5, "\(range)")
        }
    }

    /// With more tokens of pictures than embeddings, an index is out of range.
    @Test func missesEmbeddings() throws {
        var inputs = try Recorded.golden(Self.root + "/glm4v")
        let score = try entries(Self.root + "/glm4v")["score_images"]
        inputs["image_embeds"] = Tensor([Float](repeating: 0, count: 5 * 24), shape: [5, 24])
        #expect(throws: (any Error).self) { try run(score, inputs) }
    }

    @Test func fixesSizes() throws {
        let functions = try load(Self.root + "/glm4v") { $0.dimensions = ["images": 1, "rows": 2, "columns": 3, "batch": 1, "image_tokens": 6] }.module.functions
        func shapes(_ name: String) -> [String: [Int]?] {
            functions.first { $0.name == name }.map { function in Dictionary(uniqueKeysWithValues: function.inputs.map { (function[$0].name, function.tensorType($0).shape.constants) }) } ?? [:]
        }
        #expect(shapes("encode_images") == ["pixel_values": [1, 2, 3, 4, 54]])
        #expect(shapes("score_images")["image_embeds"] == [6, 24])
        #expect(throws: Diagnostic.self) { try load(Self.root + "/glm4v") { $0.dimensions = ["height": 1] } }
    }

    /// Of a configuration or a file without pictures, the text is left; of a file that has them, with a warning.
    @Test func takesTextAlone() throws {
        try withCopy(of: Self.root + "/glm4v") { copy in
            try edit(copy + "/config.json") { $0.replacingOccurrences(of: "\"vision_config\": {", with: "\"unused\": null, \"vision_config\": null, \"label2id\": {") }
            let model = try load(copy)
            #expect(model.module.functions.map(\.name) == ["score", "prefill", "decode", "verify"])
            #expect(model.warnings.map { "\($0)" }.joined().contains("the vision tower is left out"))
        }
    }

    @Test func refusesWhatItDoesNotUnderstand() throws {
        func refuse(_ name: String, _ old: String, _ new: String, _ part: String) throws {
            try withCopy(of: Self.root + "/" + name) { copy in
                try edit(copy + "/config.json") { $0.replacingOccurrences(of: old, with: new) }
                let error = #expect(throws: (any Error).self) { try load(copy) }
                #expect(error.map { "\($0)" }?.contains(part) == true, "\(error.map { "\($0)" } ?? "")")
            }
        }
        try refuse("glm4v", "\"image_size\": 12", "\"image_size\": 2", "have 0 rows of patches")
        try refuse("glm4v", "\"image_size\": 12", "\"image_size\": 15", "embeddings.position_embedding.weight")
        try refuse("glm4v", "\"num_heads\": 2", "\"num_heads\": 8", "a head of 2 elements is not rotated in pairs on two axes")
        try refuse("glm4v", "\"num_heads\": 2", "\"num_heads\": 3", "heads do not divide")
        try refuse("glm4v", "\"out_hidden_size\": 24", "\"out_hidden_size\": 32", "embeddings of pictures have 32 elements")
        try refuse("glm4v", "\"rope_type\": \"axial\"", "\"rope_type\": \"spiral\"", "'spiral' is not supported")
        try refuse("glm4v", "\"spatial_merge_size\": 2", "\"spatial_merge_size\": 0", "spatial_merge_size")
        try refuse("glm4v", "\"patch_size\": 3", "\"patch_size\": [3, 3]", "patch_size")
        try refuse("glm4v", "\"patch_size\": 3", "\"patch_size\": 3, \"window_size\": 4", "window_size")
        try refuse("glm4v", "\"image_token_id\": 35", "\"image_token_id\": 40", "image_token_id")
        try refuse("glm4v", "\"partial_rotary_factor\": 0.5", "\"partial_rotary_factor\": 1.0", "'mrope_section' divides 3 pairs, and heads have 6")
        try refuse("glm4v-flat", "\"mrope_section\": [", "\"mrope_section\": [-1,", "mrope_section")
    }
}
