import Foundation
import GlmcCodegen
import GlmcTestSupport
import Testing

/// Damaged folders of language models, and tokens and texts that are none, through the program itself: each ends with a documented exit code and a message.
/// `GLMC_DECODER_FOLDERS` says how many folders (200); tools/fuzz_files.py makes more, of more kinds.
@Suite final class MutatedDecoderTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private typealias Files = [(name: String, content: [UInt8])]

    /// The LLaMA of `DecoderTests` with its tokenizer, in one file of weights or in two with an index.
    private func healthy(sharded: Bool) throws -> Files {
        let place = folder.file("healthy-\(sharded)")
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        var weights = LanguageTests.weights
        try weights.write(to: place)
        let config = Array(try Data(contentsOf: URL(filePath: place + "/config.json")))
        let settings = #"{"bos_token": "<s>", "eos_token": {"content": "</s>"}, "chat_template": "\#(LanguageTests.template)"}"#
        var files: Files = [
            ("config.json", config), ("tokenizer.json", Array(LanguageTests.tokenizer.utf8)), ("tokenizer_config.json", Array(settings.utf8)),
            ("generation_config.json", Array(#"{"eos_token_id": [1, 2], "temperature": 0.7}"#.utf8)),
        ]
        let all = weights.tensors, middle = sharded ? all.count / 2 : 0
        var map: [String] = []
        for (name, part) in [("model-1.safetensors", all[..<middle]), (sharded ? "model-2.safetensors" : "model.safetensors", all[middle...])] where !part.isEmpty {
            weights.tensors = Array(part)
            try weights.write(to: place)
            files.append((name, Array(try Data(contentsOf: URL(filePath: place + "/model.safetensors")))))
            map += part.map { "\"\($0.name)\": \"\(name)\"" }
        }
        if sharded { files.append(("model.safetensors.index.json", Array("{\"metadata\": {}, \"weight_map\": {\(map.joined(separator: ", "))}}".utf8))) }
        return files
    }

    /// What may stand where a file is expected.
    private enum Place: CaseIterable { case nothing, empty, folder, loop, zeros, dangling, pipe, huge, tail }

    private static func put(_ place: Place, at path: String, _ content: [UInt8]) throws {
        let manager = FileManager.default
        switch place {
        case .nothing: break
        case .empty: manager.createFile(atPath: path, contents: nil)
        case .folder: try manager.createDirectory(atPath: path, withIntermediateDirectories: false)
        case .loop: try manager.createSymbolicLink(atPath: path, withDestinationPath: path)
        case .zeros: try manager.createSymbolicLink(atPath: path, withDestinationPath: "/dev/zero")
        case .dangling: try manager.createSymbolicLink(atPath: path, withDestinationPath: path + "-is-not-there")
        case .pipe: mkfifo(path, 0o600)
        case .huge, .tail:
            // Sparse: it takes no room.
            manager.createFile(atPath: path, contents: place == .tail ? Data(content) : nil)
            truncate(path, off_t(place == .tail ? content.count : 0) + 1 << 36)
        }
    }

    @Test func folders() throws {
        let count = ProcessInfo.processInfo.environment["GLMC_DECODER_FOLDERS"].flatMap { Int($0) } ?? 200
        let seeds = try [healthy(sharded: false), healthy(sharded: true)], place = folder.path
        let complaints = Complaints.collect(count, salt: 31) { number, generator in
            let files = seeds[number % 2], model = "\(place)/\(number)"
            try FileManager.default.createDirectory(atPath: model, withIntermediateDirectories: true)
            defer { if ProcessInfo.processInfo.environment["GLMC_TEST_SAVE"] == nil { try? FileManager.default.removeItem(atPath: model) } }
            let damaged = Int.random(in: 0..<files.count, using: &generator)
            for (index, file) in files.enumerated() {
                let path = "\(model)/\(file.name)"
                if index == damaged, Int.random(in: 0..<4, using: &generator) == 0 {
                    try Self.put(Place.allCases.randomElement(using: &generator) ?? .empty, at: path, file.content)
                } else {
                    try Data(index == damaged ? generator.mutate(file.content) : file.content).write(to: URL(filePath: path))
                }
            }
            let words = switch number % 16 {
            case 0: number % 64 == 0 ? ["generate", model, "--prompt=ab", "--max-new=2", "-march=scalar", "-O0", "--cflag=-O0", "--no-cache", "--threads=1"] : ["inspect", model]
            case 1...4: ["tokenize", model, "--text=abc"]
            default: ["compile", model, "--dry-run"]
            }
            return try GlmcProgram.complaint(words, allowed: [0, 1, 3, 4])
        }
        #expect(complaints.isEmpty, "\(complaints.joined(separator: "\n"))")
        for (number, files) in seeds.enumerated() {
            let whole = folder.file("whole\(number)")
            try FileManager.default.createDirectory(atPath: whole, withIntermediateDirectories: true)
            for file in files { try Data(file.content).write(to: URL(filePath: "\(whole)/\(file.name)")) }
            #expect(try GlmcProgram.complaint(["compile", whole, "--dry-run"], allowed: [0]) == nil)
        }
    }

    /// Tokens beyond the vocabulary, below zero or too many, texts that are no UTF-8 and settings out of range.
    @Test func prompts() throws {
        let model = folder.file("model"), artifact = folder.file("m.so"), place = folder.path
        try FileManager.default.createDirectory(atPath: model, withIntermediateDirectories: true)
        for file in try healthy(sharded: false) { try Data(file.content).write(to: URL(filePath: "\(model)/\(file.name)")) }
        #expect(try GlmcProgram.run(["compile", model, "-o", artifact, "-O0", "-march=scalar", "--context=24", "--cflag=-O0"]).end == .exited(0))
        let numbers = ["0", "1", "6", "7", "-1", "2147483648", "99999999999999999999", "", "x", "1e3"], texts = ["", "a", "é", "z", "</s>", String(repeating: "ab", count: 3000)]
        let complaints = Complaints.collect(160, salt: 77) { number, generator in
            let length = [0, 1, 2, 23, 24, 25, 4000].randomElement(using: &generator) ?? 0
            let tokens = (0..<length).map { _ in
                let isOdd = length <= 2 && Int.random(in: 0..<9, using: &generator) > 2
                return (isOdd ? numbers[...] : numbers[..<3]).randomElement(using: &generator) ?? "0"
            }.joined(separator: ",")
            let file = "\(place)/\(number).txt", raw = generator.mutate(Array((texts.randomElement(using: &generator) ?? "a").utf8) + [0x61])
            try Data(number % 3 == 0 ? Array(tokens.utf8) : raw).write(to: URL(filePath: file))
            defer { try? FileManager.default.removeItem(atPath: file) }
            var words = ["generate", artifact]
            switch number % 8 {
            case 0: words = ["tokenize", artifact, "--file=\(file)"]
            case 1: words = ["tokenize", artifact, "--decode=\(tokens)"]
            case 2: words = ["perplexity", artifact, number % 3 == 0 ? "--tokens=\(file)" : "--text=\(file)"]
            case 3, 4: words.append("--prompt=\(texts.randomElement(using: &generator) ?? "a")")
            default: words.append("--tokens=\(tokens)")
            }
            if words[0] == "generate" {
                for flag in ["max-new", "temperature", "top-k", "top-p", "min-p", "repeat-penalty", "seed"] where Int.random(in: 0..<7, using: &generator) == 0 {
                    words.append("--\(flag)=\(["1", "0", "-1", "0.5", "1e39", "nan", "x", "9223372036854775808"].randomElement(using: &generator) ?? "1")")
                }
            }
            return try GlmcProgram.complaint(words, allowed: [0, 1, 2])
        }
        #expect(complaints.isEmpty, "\(complaints.joined(separator: "\n"))")
        // Arguments are texts; through the shell they may be any bytes.
        let raw = try ChildProcess.run(["sh", "-c", "exec \"$0\" generate \"$1\" --prompt \"$(printf 'a\\377')\"", GlmcProgram.path, artifact], limit: 20)
        #expect(raw.end == .exited(2) && raw.errors.contains("error: argument 4 is not UTF-8"), "\(raw.end) \(raw.errors)")
    }
}
