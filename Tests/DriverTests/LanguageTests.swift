import Foundation
import GlmcCodegen
import GlmcFrontend
import GlmcRuntime
import Testing

@testable import GlmcDriver

/// The LLaMA of `DecoderTests` with a tokenizer of seven tokens, compiled once: what continues texts, against the formulas.
@Suite(.serialized) final class LanguageTests {
    /// How the vocabulary writes its tokens (byte-level: two of them are halves of é), their bytes, and the tokens that end a text.
    static let names = ["<s>", "</s>", "a", "b", "c", "Ã", "©"]
    static let bytes: [[UInt8]] = [[], [], [0x61], [0x62], [0x63], [0xc3], [0xa9]]
    static let tokenizer = """
        {"model": {"type": "BPE", "vocab": {\(names.enumerated().map { "\"\($1)\": \($0)" }.joined(separator: ", "))}, "merges": []},
         "added_tokens": [{"id": 0, "content": "<s>", "special": true}, {"id": 1, "content": "</s>", "special": true}],
         "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}, "decoder": {"type": "ByteLevel"},
         "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
          "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
          "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}}}
        """
    static let template = "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}"
        + "{% for m in messages %}{{ 'a' if m.role == 'user' else 'b' }}{{ m.content }}c{% endfor %}{% if add_generation_prompt %}b{% endif %}"
    static let context = 24
    static let weights = DecoderTests.Weights()

    private static let shared: Result<TemporaryFolder, any Error> = Result {
        let folder = try TemporaryFolder()
        func write(_ name: String, _ text: String) throws { try Data(text.utf8).write(to: URL(filePath: folder.file(name))) }
        for name in ["llama", "bare"] {
            try FileManager.default.createDirectory(atPath: folder.file(name), withIntermediateDirectories: true)
            try weights.write(to: folder.file(name))
        }
        try write("llama/tokenizer.json", tokenizer)
        try write("llama/tokenizer_config.json", #"{"bos_token": "<s>", "eos_token": "</s>", "chat_template": "\#(template)"}"#)
        try write("llama/generation_config.json", #"{"eos_token_id": [1]}"#)
        for (model, output) in [("llama", "m.so"), ("llama", "program"), ("bare", "bare.so")] {
            let words = ["compile", folder.file(model), "-o", folder.file(output), "-O0", "--context=\(context)", "--cflag=-O1", "--cflag=-Werror", "--no-cache"]
            let done = try GlmcProgram.run(words)
            try #require(done.status == 0, "\(done.errors)")
            #expect(done.errors.contains("no tokenizer.json") == (model == "bare"))
        }
        return folder
    }

    let folder: TemporaryFolder
    init() throws { folder = try Self.shared.get() }

    /// The most probable tokens, one after the other, up to the one that ends a text.
    static func greedy(after prompt: [Int], most: Int = .max, stops: Set<Int> = [1]) -> [Int] {
        var tokens = prompt
        while tokens.count < context, tokens.count - prompt.count < most {
            let logits = DecoderTests.logits(weights, tokens)[tokens.count - 1]
            tokens.append(logits.indices.max { logits[$0] < logits[$1] } ?? 0)
            if stops.contains(tokens[tokens.count - 1]) { break }
        }
        return Array(tokens[prompt.count...])
    }

    static func text(_ tokens: [Int]) -> String { String(decoding: tokens.flatMap { bytes[$0] }, as: UTF8.self) }

    /// The JSON that `glmc generate` prints.
    private func generate(_ words: [String], artifact: String = "m.so") throws -> (tokens: [Int], text: String, end: String) {
        let done = try GlmcProgram.run(["generate", folder.file(artifact), "--json"] + words)
        try #require(done.status == 0, "\(done.errors)")
        let json = try #require(try JSONSerialization.jsonObject(with: Data(done.output.utf8)) as? [String: Any])
        return (try #require(json["tokens"] as? [Int]), try #require(json["text"] as? String), try #require(json["end"] as? String))
    }

    @Test func continuesAsTheFormulasDo() throws {
        for prompt in [[3], [0, 2, 3, 4], [5, 6, 2, 2, 4, 3, 0, 2, 4]] {
            let list = prompt.map(String.init).joined(separator: ",")
            for artifact in ["m.so", "bare.so"] {
                let expected = Self.greedy(after: prompt, stops: artifact == "m.so" ? [1] : [])
                let found = try generate(["--tokens", list], artifact: artifact)
                #expect(found.tokens == expected)
                #expect(found.end == (expected.last == 1 && artifact == "m.so" ? "token" : "context"))
                if artifact == "m.so" { #expect(found.text == Self.text(expected)) } else { #expect(found.text.isEmpty) }
            }
            let printed = try ChildProcess.run([folder.file("program"), "--tokens", list, "--max-new", "5"], limit: 20)
            #expect(printed.output == Self.text(Self.greedy(after: prompt, most: 5)) + "\n", "\(printed.errors)")
        }
        // The program's JSON is that of `glmc generate`.
        let answer = try ChildProcess.run([folder.file("program"), "--tokens", "0,2,3,4", "--max-new", "5", "--json"], limit: 20).output
        let printed = try #require(try JSONSerialization.jsonObject(with: Data(answer.utf8)) as? [String: Any])
        let expected = try #require(try JSONSerialization.jsonObject(with: Data(GlmcProgram.run(["generate", folder.file("m.so"), "--tokens", "0,2,3,4", "--max-new", "5", "--json"]).output.utf8)) as? [String: Any])
        #expect(Set(printed.keys) == Set(expected.keys))
        for key in ["prompt_tokens", "tokens", "text", "end"] { #expect("\(printed[key] ?? "")" == "\(expected[key] ?? "?")") }
        // The beginning of a text is a token, which the tokenizer adds.
        #expect(try generate(["--prompt", "abcé"]).tokens == Self.greedy(after: [0, 2, 3, 4, 5, 6]))
        #expect(try ChildProcess.run([folder.file("program"), "tokenize", "--text=abcé"], limit: 20).output == "0,2,3,4,5,6\n")
        let json = try JSONSerialization.jsonObject(with: Data(GlmcProgram.run(["tokenize", folder.file("llama"), "--text", "ab</s>c", "--json"]).output.utf8))
        let fields = try #require(json as? [String: Any])
        #expect(fields["tokens"] as? [Int] == [0, 2, 3, 1, 4] && fields["names"] as? [String] == ["<s>", "a", "b", "</s>", "c"])
        #expect(try GlmcProgram.run(["tokenize", folder.file("m.so"), "--decode", "2, 5, 6,1"]).output == "aé</s>\n")
    }

    @Test func answersTurns() throws {
        func prompt(_ contents: [[Int]]) -> [Int] { contents.enumerated().flatMap { [$0 % 2 == 0 ? 2 : 3] + $1 + [4] } + [3] }
        let first = Self.greedy(after: prompt([[3]]), most: 3)
        #expect(try generate(["--chat", "--prompt", "b", "--max-new=3"]).tokens == first)
        // What the first answer says goes into the second prompt as text.
        let said = first.filter { $0 > 1 }
        let text = Self.text(first), second = Self.greedy(after: prompt([[3], said, [2, 2]]), most: 3)
        let words = [folder.file("program"), "--chat", "--max-new", "3"]
        let done = try ChildProcess.run(["sh", "-c", "printf 'b\\n\\naa\\n' | \"$@\"", "sh"] + words, limit: 20)
        if String(validating: said.flatMap { Self.bytes[$0] }, as: UTF8.self) != nil {
            #expect(done.output == text + "\n" + Self.text(second) + "\n", "\(done.errors)")
        }
    }

    /// Texts that end an answer are not shown, nor is what they may begin with before it is clear.
    @Test func stopsAtTexts() throws {
        let prompt = [3, 2, 4], tokens = Self.greedy(after: prompt, stops: [])
        let model = try LanguageModel(Artifact(path: folder.file("m.so")))
        let generator = try model.generator(threads: 1), whole = Self.text(tokens)
        var how = Sampling()
        how.ignoresStopTokens = true
        for (start, end) in [(2, 4), (5, 6), (8, 11)] {
            let characters = Array(whole)
            guard characters.count > end else { continue }
            let stop = String(characters[start..<end])
            how.stops = ["zz", stop]
            try generator.start(prompt.map { Int32($0) }, how)
            var text = "", piece: Generator.Piece
            repeat {
                piece = try generator.next()
                text += piece.text
            } while piece.end == nil
            let expected = whole.range(of: stop).map { String(whole[..<$0.lowerBound]) }
            #expect(text == expected && piece.end == .text, "stop \(stop.debugDescription) in \(whole.debugDescription)")
        }
    }

    /// Guesses change the number of steps, not the tokens, whoever makes them and however wrong they are.
    @Test func guessesChangeNothingButTheSteps() throws {
        let model = try LanguageModel(Artifact(path: folder.file("bare.so"))), plain = try model.generator(threads: 1), guessing = try model.generator(threads: 1)
        func tokens(_ generator: Generator, _ prompt: [Int32], _ how: Sampling) throws -> (tokens: [Int32], steps: Int) {
            try generator.start(prompt, how)
            var tokens: [Int32] = []
            while true {
                let piece = try generator.next()
                tokens += piece.token.map { [$0] } ?? []
                if piece.end != nil { return (tokens, piece.figures.steps) }
            }
        }
        let wrong: (UnsafeBufferPointer<Int32>, Int) -> [Int32] = { text, most in (0..<most + 2).map { Int32(($0 * 5 + text.count) % 9) - 1 } }
        var saved = 0
        for (number, prompt) in [[3], [2, 3, 2, 3, 2], [0, 2, 3, 4, 5, 6, 2, 3, 4]].enumerated() {
            var how = Sampling()
            (how.temperature, how.seed) = (number == 2 ? 0.7 : 0, 5)
            for most in [1, 3, 17, nil] {
                (how.mostTokens, how.draftTokens) = (most, 0)
                let expected = try tokens(plain, prompt.map { Int32($0) }, how)
                for (draftTokens, draft) in [(1, nil), (7, nil), (63, nil), (5, wrong)] {
                    how.draftTokens = draftTokens
                    guessing.draft = draft
                    let found = try tokens(guessing, prompt.map { Int32($0) }, how)
                    #expect(found.tokens == expected.tokens && found.steps <= expected.steps, "\(prompt), \(draftTokens) guesses")
                    saved += expected.steps - found.steps
                }
                how.draftTokens = 4
                try guessing.draft(with: model, threads: 1)
                // A model that guesses for itself is right but for a temperature.
                let found = try tokens(guessing, prompt.map { Int32($0) }, how)
                #expect(found.tokens == expected.tokens && (number == 2 || expected.steps < 4 || found.steps < expected.steps))
            }
        }
        #expect(saved > 0)
        let words = ["--tokens", "2,3,2,3,2", "--max-new=12"]
        #expect(try generate(words + ["--lookup"]).tokens == generate(words).tokens && generate(words + ["--draft", folder.file("bare.so")]).tokens == generate(words).tokens)
        #expect(try ChildProcess.run([folder.file("program")] + words + ["--lookup=3"], limit: 20).output == ChildProcess.run([folder.file("program")] + words, limit: 20).output)
    }

    /// The cache is kept: what a prompt has in common with the text before is not computed again, and the tokens are the same.
    @Test func keepsWhatItKnows() throws {
        let generator = try LanguageModel(Artifact(path: folder.file("bare.so"))).generator(threads: 2)
        func run(_ prompt: [Int], most: Int) throws -> (tokens: [Int], kept: Int) {
            var how = Sampling()
            how.mostTokens = most
            try generator.start(prompt.map { Int32($0) }, how)
            var tokens: [Int] = []
            while true {
                let piece = try generator.next()
                tokens += piece.token.map { [Int($0)] } ?? []
                if piece.end != nil { return (tokens, piece.figures.keptTokens) }
            }
        }
        let prompt = [0, 2, 3, 4, 6], answer = Self.greedy(after: prompt, most: 4, stops: [])
        #expect(try run(prompt, most: 4) == (answer, 0))
        #expect(try run(prompt, most: 4) == (answer, 4))
        let longer = prompt + answer + [2, 5]
        #expect(try run(longer, most: 3) == (Self.greedy(after: longer, most: 3, stops: []), prompt.count + answer.count - 1))
        let other = [0, 2, 4]
        #expect(try run(other, most: 3) == (Self.greedy(after: other, most: 3, stops: []), 2))
    }

    @Test func sampledTextDependsOnTheSeedAlone() throws {
        let words = ["--tokens", "0,2,3", "--temperature", "2", "--top-p", "0.95", "--repeat-penalty", "1.1"]
        let texts = try (0..<4).map { try generate(words + ["--seed", String($0)]).tokens }
        #expect(Set(texts).count > 1)
        for threads in ["1", "2", "3"] { #expect(try generate(words + ["--seed", "2", "--threads", threads]).tokens == texts[2]) }
    }

    @Test func writesScores() throws {
        let file = folder.file("scores.npy"), prompt = [0, 2, 3]
        let tokens = try generate(["--tokens", "0,2,3", "--max-new=4", "--logits", file]).tokens
        let scores = try Npy.read(file)
        #expect(scores.shape == [tokens.count + 1, 7])
        let expected = DecoderTests.logits(Self.weights, prompt + tokens).suffix(tokens.count + 1).flatMap { $0 }
        let found = scores.bytes.withUnsafeBytes { $0.bindMemory(to: Float.self).map(Double.init) }
        #expect(zip(found, expected).allSatisfy { abs($0 - $1) <= 1e-4 * max(1, abs($1)) })
    }

    @Test func measuresPerplexity() throws {
        let tokens = [0, 2, 3, 4, 5, 6, 1, 2, 2, 3, 4, 0, 6], file = folder.file("tokens.txt")
        try Data(tokens.map(String.init).joined(separator: " ").utf8).write(to: URL(filePath: file))
        let done = try GlmcProgram.run(["perplexity", folder.file("m.so"), "--tokens", file, "--window=5", "--json"])
        let json = try #require(try JSONSerialization.jsonObject(with: Data(done.output.utf8)) as? [String: Any], "\(done.errors)")
        var loss = 0.0
        for part in [tokens[0..<5], tokens[5..<10], tokens[10..<13]].map(Array.init) {
            for (row, next) in zip(DecoderTests.logits(Self.weights, part), part.dropFirst()) { loss += log(row.reduce(0) { $0 + exp($1) }) - row[next] }
        }
        #expect(json["tokens"] as? Int == 10)
        #expect(abs((json["nll"] as? Double ?? 0) - loss) < 1e-4 && abs((json["perplexity"] as? Double ?? 0) - exp(loss / 10)) < 1e-4)
    }

    @Test func streamsToSwift() async throws {
        let model = try LanguageModel(Artifact(path: folder.file("m.so")))
        #expect(model.vocabulary == 7 && model.context == Self.context && model.stopTokens == [1] && model.hasChat)
        var text = ""
        for try await piece in try model.text(after: "abc", threads: 1) { text += piece }
        #expect(text == Self.text(Self.greedy(after: [0, 2, 3, 4])))
        #expect(try model.tokens(ofChat: ["a", "b", "c"]) == [2, 2, 4, 3, 3, 4, 2, 4, 4, 3])
        #expect(throws: RuntimeError.self) { try model.tokens(ofChat: ["a"], system: "b") }
        #expect(throws: RuntimeError.self) { try model.tokens(ofChat: ["a", "b"]) }
    }

    @Test func measuresItsSpeed() throws {
        let done = try GlmcProgram.run(["bench", folder.file("m.so"), "--duration", "0.01", "--prompt-tokens", "4,9", "--depth=2", "--json"])
        let json = try #require(try JSONSerialization.jsonObject(with: Data(done.output.utf8)) as? [String: Any], "\(done.errors)")
        #expect(Set(json.keys) == ["prefill_tokens_per_s", "decode_tokens_per_s", "decode_gb_per_s", "load_ms", "first_token_ms", "peak_rss_mb"])
        #expect((json["prefill_tokens_per_s"] as? [String: Double])?.keys.sorted() == ["4", "9"])
        // Of a context that holds none of the usual sizes, the largest that it holds.
        let usual = try GlmcProgram.run(["bench", folder.file("m.so"), "--duration", "0.01", "--json"]).output
        let table = try #require(try JSONSerialization.jsonObject(with: Data(usual.utf8)) as? [String: Any])
        #expect((table["prefill_tokens_per_s"] as? [String: Double])?.keys.sorted() == ["23"] && (table["decode_tokens_per_s"] as? [String: Double])?.keys.sorted() == ["22"])
        #expect(try GlmcProgram.run(["bench", folder.file("m.so"), "--depth", "24"]).status == 1)
        #expect(try GlmcProgram.run(["bench", folder.file("m.so"), "--depth", "x"]).status == 2)
    }

    @Test func examplesTalk() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
        let words = ["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-I\(root)/Sources/CGlmcABI/include", "\(root)/Examples/c/generate.c", "-ldl", "-o", folder.file("example")]
        #expect(try ChildProcess.run(words, limit: 60).succeeded)
        let ran = try ChildProcess.run([folder.file("example"), folder.file("m.so"), "abc"], limit: 20)
        #expect(ran.succeeded && ran.output.hasSuffix("\n"), "\(ran.errors)")

        let own = "\(root)/.venv/bin/python"
        let python = ProcessInfo.processInfo.environment["GLMC_PYTHON"] ?? (FileManager.default.isExecutableFile(atPath: own) ? own : "python3")
        guard try ChildProcess.run([python, "-c", "import numpy"]).succeeded else { return }
        let script = """
            import sys; sys.path.insert(0, sys.argv[1]); import glmc
            model, bare = glmc.load(sys.argv[2]), glmc.load(sys.argv[3])
            print(model.encode("abé"), model.encode("a</s>", framed=False), model.decode([0, 2, 5, 6]), model.decode([0, 2], special=True), model.stop_tokens, sep="|")
            print(model.chat(["a", "b", "c"]), "".join(model.generate("abc")), sep="|")
            print(*bare.generate([0, 2, 3, 4]), sep=",")
            generator = bare.generator(1)
            old, new = generator.generate([2, 3], max_new=3), generator.generate([2, 3, 4], max_new=2)
            print(len(list(new)), generator.figures["end"], generator.logits().shape)
            import threading
            said = [None] * 8
            def say(number): said[number] = ",".join(map(str, bare.generator(1).generate([number % 7, 3 * number % 7, 2])))
            speakers = [threading.Thread(target=say, args=[number]) for number in range(8)]
            for speaker in speakers: speaker.start()
            for speaker in speakers: speaker.join()
            print(*said, sep=";")
            for wrong in (lambda: next(old), lambda: bare.encode("a"), lambda: bare.generate([7]), lambda: bare.generate([]), lambda: model.generate("a", top_p=2),
                          lambda: model.generate("a", stop=""), lambda: model.chat(["a", "b"]), lambda: model.chat(["a"], system="b"), lambda: model.decode([-1])):
                try: wrong(); print("not refused")
                except glmc.GlmcError: pass
            """
        let told = try ChildProcess.run([python, "-c", script, "\(root)/python", folder.file("m.so"), folder.file("bare.so")], limit: 60)
        let tokens = Self.greedy(after: [0, 2, 3, 4], stops: []).map(String.init).joined(separator: ",")
        // Eight generators at once on one artifact.
        let together = (0..<8).map { Self.greedy(after: [$0 % 7, 3 * $0 % 7, 2], stops: []).map(String.init).joined(separator: ",") }.joined(separator: ";")
        #expect(told.output == """
            [0, 2, 3, 5, 6]|[2, 1]|aé|<s>a|[1]
            [2, 2, 4, 3, 3, 4, 2, 4, 4, 3]|\(Self.text(Self.greedy(after: [0, 2, 3, 4])))
            \(tokens)
            2 count (7,)
            \(together)

            """, "\(told.errors)")
    }

    @Test func refusesWhatItCannotDo() throws {
        let long = (0..<Self.context).map { _ in "2" }.joined(separator: ",")
        let refusals: [([String], Int32, String)] = [
            (["--tokens", "2,7"], 1, "token number 1 of the prompt is 7"), (["--tokens", long], 1, "\(Self.context) tokens"), (["--tokens", ""], 1, "empty"),
            (["--tokens", "x"], 2, "1,2,3"), (["--tokens", "-1"], 2, "1,2,3"), (["--tokens", "99999999999"], 2, "1,2,3"), ([], 2, "--prompt"),
            (["--prompt", "a", "--tokens", "2"], 2, "--prompt"), (["--prompt", "a", "--top-p", "2"], 2, "at most 1"), (["--prompt", "a", "--max-new", "0"], 2, "1"),
            (["--prompt", "a", "--top-p", "0"], 2, "above 0"), (["--prompt", "a", "--repeat-penalty=0"], 2, "above 0"), (["--prompt", "a", "--system", "b"], 2, "--chat"),
            (["--tokens", "1,,2"], 2, "1,2,3"), (["--tokens", "1,"], 2, "1,2,3"), (["--prompt", "a", "--temperature=1e300"], 2, "--temperature"),
            (["--prompt", "a", "--seed=18446744073709551616"], 2, "--seed"),
            (["--prompt", "a", "--lookup=0"], 2, "--lookup"), (["--prompt", "a", "--stop", ""], 2, "empty"), (["--chat", "--prompt", "a", "--system", "b"], 1, "no system message"),
        ]
        for (words, status, message) in refusals {
            let done = try GlmcProgram.run(["generate", folder.file("m.so")] + words)
            #expect(done.status == status && done.errors.contains("error: ") && done.errors.contains(message), "\(words): \(done.end) \(done.errors)")
            let program = try ChildProcess.run([folder.file("program")] + words, limit: 20)
            #expect(program.end == .exited(status) && program.errors.contains("error: "), "\(words): \(program.end) \(program.errors)")
        }
        for (words, message) in [(["--prompt", "a"], "without a tokenizer"), (["--chat", "--prompt", "a"], "tokenizer")] {
            let done = try GlmcProgram.run(["generate", folder.file("bare.so")] + words)
            #expect(done.status == 1 && done.errors.contains(message), "\(done.errors)")
        }
        let bad = folder.file("bad.txt")
        try Data([0x61, 0xff]).write(to: URL(filePath: bad))
        for words in [["tokenize", folder.file("m.so"), "--file", bad], ["perplexity", folder.file("m.so"), "--text", bad]] {
            let done = try GlmcProgram.run(words)
            #expect(done.status == 1 && done.errors.contains("not UTF-8 at byte 1"), "\(done.errors)")
        }
        #expect(try ChildProcess.run([folder.file("program"), "tokenize", "--file", bad], limit: 20).errors.contains("not UTF-8 at byte 1"))
    }

    /// What nobody reads is not computed, and flags that change nothing are named.
    @Test func endsWhereNobodyReads() throws {
        let done = try ChildProcess.run(["sh", "-c", "\"$0\" generate \"$1\" --tokens 0,2,3 > /dev/full", GlmcProgram.path, folder.file("bare.so")], limit: 20)
        #expect(done.end == .exited(1) && done.errors.contains("standard output"), "\(done.end) \(done.errors)")
        let ignored = try GlmcProgram.run(["generate", folder.file("bare.so"), "--tokens=0,2", "--max-new=1", "--context=5", "-O3"])
        #expect(ignored.status == 0 && ignored.errors.contains("--context") && ignored.errors.contains("compiled already"), "\(ignored.errors)")
    }

    @Test func refusesBadFolders() throws {
        let damages: [(String, String, Int32)] = [
            ("tokenizer.json", "{", 1), ("tokenizer.json", #"{"model": {"type": "Magic"}}"#, 4), ("generation_config.json", #"{"eos_token_id": "x"}"#, 1),
            ("generation_config.json", #"{"eos_token_id": [1, -1]}"#, 1), ("tokenizer_config.json", "[", 1),
        ]
        for (name, text, status) in damages {
            let copy = folder.file("copy")
            try? FileManager.default.removeItem(atPath: copy)
            try FileManager.default.copyItem(atPath: folder.file("llama"), toPath: copy)
            try Data(text.utf8).write(to: URL(filePath: copy + "/" + name))
            let done = try GlmcProgram.run(["compile", copy, "-o", folder.file("copy.so"), "--no-cache"])
            #expect(done.status == status && done.errors.contains(name), "\(name): \(done.end) \(done.errors)")
        }
    }
}
