import Foundation
import GlmcIR
import Testing

@testable import GlmcFrontend

/// Encoders of pictures, and of pictures and texts, in `pictures`, which tools/make_tiny_pictures.py made with what transformers computes with them.
@Suite struct PictureTests {
    static let root = Recorded.root("pictures")
    static let names = Recorded.names(in: root)

    @Test func everyFamilyIsThere() {
        #expect(Set(Self.names.map { $0.split(separator: "-").first.map(String.init) ?? "" }) == ["vit", "clip", "siglip"])
    }

    /// The task that the files say.
    @Test(arguments: names) func computesWhatTransformersDoes(_ name: String) throws {
        let (results, golden) = try Recorded.run(Self.root + "/" + name)
        #expect(!results.isEmpty)
        for (name, values) in results { #expect(Recorded.error(values, try #require(golden[name])) < 1e-5, "\(name)") }
    }

    @Test(arguments: ["vit", "clip-pictures", "clip-texts", "siglip-pictures", "siglip-texts"]) func pools(_ name: String) throws {
        let (results, golden) = try Recorded.run(Self.root + "/" + name, .pooler)
        #expect(Recorded.error(try #require(results["pooler_output"]), try #require(golden["pooler_output"])) < 1e-5)
    }

    /// Embeddings are as long as the towers make them where they stand alone.
    @Test(arguments: ["clip", "siglip"]) func takesOneTowerOfTwo(_ name: String) throws {
        for (task, result) in [(EncoderTask.textEmbeds, "text_embeds"), (.imageEmbeds, "image_embeds")] {
            let (results, golden) = try Recorded.run(Self.root + "/" + name, task)
            #expect(Recorded.error(try #require(results[result]), try #require(golden[task.rawValue])) < 1e-5)
        }
    }

    @Test func refusesWhatItDoesNotUnderstand() throws {
        func refuse(_ name: String, _ old: String, _ new: String, _ part: String, task: EncoderTask? = nil) throws {
            try withCopy(of: Self.root + "/" + name) { copy in
                try edit(copy + "/config.json") { $0.replacingOccurrences(of: old, with: new) }
                let error = #expect(throws: (any Error).self) { try Recorded.run(copy, task) }
                #expect(error.map { "\($0)" }?.contains(part) == true, "\(error.map { "\($0)" } ?? "")")
            }
        }
        try refuse("vit", "\"image_size\": 10", "\"image_size\": 3", "have 0 patches")
        try refuse("vit", "\"image_size\": 10", "\"image_size\": [10, 0]", "heights and widths")
        try refuse("vit", "\"image_size\": 10", "\"image_size\": 16777216", "patches of 4 × 4, not 1 to")
        try refuse("vit", "\"image_size\": 10", "\"image_size\": 14", "embeddings.position_embeddings")
        try refuse("vit", "\"qkv_bias\"", "\"register_tokens\": 4, \"qkv_bias\"", "register_tokens")
        try refuse("vit", "", "", "the model is not for the task 'image-embeds'", task: .imageEmbeds)
        try refuse("clip", "", "", "the model is not for the task 'feature-extraction'", task: .features)
        try refuse("clip", "\"projection_dim\": 6", "\"projection_dim\": 7", "text_projection.weight")
        try refuse("clip-texts", "", "", "text_projection.weight", task: .textEmbeds)
        try refuse("siglip-pictures", "\"vision_use_head\": true", "\"vision_use_head\": false", "no head that pools", task: .pooler)
    }
}
