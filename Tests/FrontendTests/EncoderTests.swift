import Foundation
import GlmcIR
import Testing

@testable import GlmcFrontend

/// Encoders of every family and task in `encoders`, which tools/make_tiny_encoders.py made with what transformers computes with them.
@Suite struct EncoderTests {
    static let root = Recorded.root("encoders")
    static let names = Recorded.names(in: root)

    @Test func everyFamilyIsThere() {
        let families = Set(Self.names.map { $0.split(separator: "-").first.map(String.init) ?? "" })
        #expect(families == ["bert", "roberta", "xlm", "mpnet", "electra", "distilbert"])
    }

    /// The task that the files say: 1e-5 (relative L2) is what sums in another order differ by.
    @Test(arguments: names) func computesWhatTransformersDoes(_ name: String) throws {
        let (results, golden) = try Recorded.run(Self.root + "/" + name)
        #expect(!results.isEmpty)
        for (name, values) in results { #expect(Recorded.error(values, try #require(golden[name])) < 1e-5, "\(name)") }
    }

    /// Files that were made from TensorFlow's, such as bert-base-uncased.
    @Test func readsNormsByOldNames() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "glmc-encoder-\(UUID().uuidString)").path
        try FileManager.default.copyItem(atPath: Self.root + "/bert-texts", toPath: folder)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let file = folder + "/model.safetensors"
        // Of the same length, so that the header keeps its own.
        var bytes = try #require(FileManager.default.contents(atPath: file))
        for (modern, old) in [("LayerNorm.weight\":{", "LayerNorm.gamma\": {"), ("LayerNorm.bias\":{", "LayerNorm.beta\":{")] {
            var found = 0
            while let range = bytes.firstRange(of: Data(modern.utf8)) {
                bytes.replaceSubrange(range, with: Data(old.utf8))
                found += 1
            }
            #expect(found == 5)
        }
        try bytes.write(to: URL(filePath: file))
        let (results, golden) = try Recorded.run(folder)
        #expect(Recorded.error(try #require(results["logits"]), try #require(golden["logits"])) < 1e-5)
    }

    @Test func poolsFirstTokens() throws {
        let (results, golden) = try Recorded.run(Self.root + "/bert", .pooler)
        #expect(Recorded.error(try #require(results["pooler_output"]), try #require(golden["pooler_output"])) < 1e-5)
    }

    @Test func refusesWhatItDoesNotUnderstand() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "glmc-encoder-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        func refuse(_ file: String, _ change: (String) -> String, _ part: String, task: EncoderTask? = nil) throws {
            let copy = folder.path + "/model"
            try? FileManager.default.removeItem(atPath: copy)
            try FileManager.default.copyItem(atPath: Self.root + "/bert-sentences-several", toPath: copy)
            let text = try String(contentsOfFile: copy + "/" + file, encoding: .utf8), changed = change(text)
            #expect(text != changed)
            try changed.write(toFile: copy + "/" + file, atomically: true, encoding: .utf8)
            var options = ImportOptions()
            options.task = task
            let error = #expect(throws: (any Error).self) { try CheckpointImporter.load(copy, options: options) }
            #expect(error.map { "\($0)" }?.contains(part) == true, "\(error.map { "\($0)" } ?? "")")
        }
        try refuse("modules.json", { $0.replacingOccurrences(of: "Normalize", with: "Dense") }, "Dense' is not supported")
        try refuse("modules.json", { $0.replacingOccurrences(of: "1_Pooling", with: "../elsewhere") }, "inside the folder")
        try refuse("modules.json", { _ in "{}" }, "is not a list")
        try refuse("1_Pooling/config.json", { _ in "{\"word_embedding_dimension\": 8}" }, "names no way of pooling")
        try refuse("1_Pooling/config.json", { _ in "{\"pooling_mode\": [\"cls\", \"lasttoken\"]}" }, "pooling_mode")
        try refuse("1_Pooling/config.json", { $0.replacingOccurrences(of: "weightedmean_tokens\": false", with: "weightedmean_tokens\": true") }, "pooling_mode_weightedmean_tokens")
        try refuse("config.json", { $0.replacingOccurrences(of: "\"gelu\"", with: "\"gelu_9\"") }, "gelu_9")
        try refuse("config.json", { $0.replacingOccurrences(of: "\"vocab_size\"", with: "\"vocabulary\"") }, "vocab_size")
        try refuse("config.json", { $0.replacingOccurrences(of: "\"vocab_size\"", with: "\"scale_scores\": 3, \"vocab_size\"") }, "scale_scores")
        // The head of another task is not in the file: everything that is missing is listed.
        try refuse("config.json", { $0 + " " }, "classifier.weight", task: .texts)
    }

    /// Flags in whatever order, as older files have them, and lists, whose order counts.
    @Test func readsWaysOfPooling() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "glmc-encoder-\(UUID().uuidString)").path
        try FileManager.default.copyItem(atPath: Self.root + "/bert-sentences-several", toPath: folder)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        func modes(_ config: String) throws -> [SentencePooling.Mode]? {
            try config.write(toFile: folder + "/1_Pooling/config.json", atomically: true, encoding: .utf8)
            return try SentencePooling.read(folder)?.modes
        }
        #expect(try modes(#"{"pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": true, "pooling_mode_cls_token": false}"#) == [.maximum, .mean])
        #expect(try modes(#"{"pooling_mode": ["mean", "max", "cls"]}"#) == [.mean, .maximum, .first])
        #expect(try modes(#"{"pooling_mode": "cls"}"#) == [.first])
        #expect(try modes(#"{"pooling_mode_cls_token": false, "pooling_mode_mean_tokens": false}"#) == [.mean])
    }

    /// The state of the first token that counts, where texts are padded on the left.
    @Test func takesTheFirstTokenThatCounts() throws {
        try withCopy(of: Self.root + "/bert-sentences-several") { folder in
            try #"{"pooling_mode": "cls"}"#.write(toFile: folder + "/1_Pooling/config.json", atomically: true, encoding: .utf8)
            try edit(folder + "/modules.json") { $0.replacingOccurrences(of: ", {\"idx\": 2, \"name\": \"2\", \"path\": \"2_Normalize\", \"type\": \"sentence_transformers.models.Normalize\"}", with: "") }
            var options = ImportOptions()
            let pooled = try CheckpointImporter.load(folder, options: options).function
            options.task = .features
            let states = try CheckpointImporter.load(folder, options: options).function, mask = Tensor([0, 0, 1, 1, 1, 1, 1, 0], shape: [2, 4])
            func run(_ function: Function) throws -> [Double] {
                let tokens = Tensor([0, 0, 3, 4, 5, 6, 7, 0], shape: [2, 4]), kinds = Tensor([Int](repeating: 0, count: 8), shape: [2, 4])
                let inputs = ["input_ids": tokens, "token_type_ids": kinds, "attention_mask": mask]
                return try Interpreter.run(function, try function.inputs.map { try Recorded.input(function[$0].name, inputs) })[0].doubles
            }
            let rows = try run(states), found = try run(pooled), width = rows.count / 8
            #expect(found == Array(rows[2 * width..<3 * width] + rows[4 * width..<5 * width]))
        }
    }

    /// Older folders of sentence-transformers hold the encoder in a folder of its own.
    @Test func findsTheEncoderInItsFolder() throws {
        try withCopy(of: Self.root + "/bert-sentences-several") { folder in
            let inner = folder + "/0_Transformer"
            try FileManager.default.createDirectory(atPath: inner, withIntermediateDirectories: true)
            for file in ["config.json", "model.safetensors"] { try FileManager.default.moveItem(atPath: folder + "/" + file, toPath: inner + "/" + file) }
            try edit(folder + "/modules.json") { $0.replacingOccurrences(of: "\"path\": \"\"", with: "\"path\": \"0_Transformer\"") }
            let (results, golden) = try Recorded.run(folder)
            #expect(Recorded.error(try #require(results["sentence_embedding"]), try #require(golden["sentence_embedding"])) < 1e-5)
        }
    }

    /// What a message advises: the encoder alone of a folder whose modules are not understood.
    @Test func anotherTaskNeedsNoModules() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "glmc-encoder-\(UUID().uuidString)").path
        try FileManager.default.copyItem(atPath: Self.root + "/bert-sentences-several", toPath: folder)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try "[{\"type\": \"sentence_transformers.models.Unknown\"}]".write(toFile: folder + "/modules.json", atomically: true, encoding: .utf8)
        #expect(throws: Diagnostic.self) { try CheckpointImporter.load(folder) }
        #expect(try Recorded.run(folder, .features).results.keys.sorted() == ["last_hidden_state"])
    }

    @Test func namesTasksByClasses() throws {
        for (name, task) in [("BertModel", EncoderTask.features), ("RobertaForSequenceClassification", .texts), ("MPNetForMaskedLM", .words), ("XLMRobertaForTokenClassification", .tokens)] {
            #expect(try EncoderTask.of(name, among: EncoderTask.ofTexts) == task)
        }
        #expect(throws: Diagnostic.self) { try EncoderTask.of("BertForMultipleChoice", among: EncoderTask.ofTexts) }
    }
}
