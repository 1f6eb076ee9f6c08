import Foundation
import GlmcCodegen
import GlmcRuntime
import Testing

@testable import GlmcDriver

/// Several texts at once, and texts that outlive a generator: the model of `LanguageTests`, against the formulas.
@Suite(.serialized) final class BatchTests {
    private static let window = 5

    private static let shared: Result<TemporaryFolder, any Error> = Result {
        let folder = try TemporaryFolder()
        try FileManager.default.createDirectory(atPath: folder.file("llama"), withIntermediateDirectories: true)
        try LanguageTests.weights.write(to: folder.file("llama"))
        try FileManager.default.createDirectory(atPath: folder.file("mistral"), withIntermediateDirectories: true)
        try LanguageTests.weights.write(to: folder.file("mistral"), window: window)
        for level in ["-O0", "-O3"] {
            let done = try GlmcProgram.run(["compile", folder.file("mistral"), "-o", folder.file("ring\(level).so"), level, "--batch=2", "--context=400", "--cflag=-O1", "--no-cache"])
            try #require(done.status == 0, "\(done.errors)")
        }
        for (name, flags) in [("many", ["-O3", "--batch=3"]), ("plain", ["-O0", "--batch=3"]), ("single", ["-O0"])] {
            let words = ["compile", folder.file("llama"), "-o", folder.file(name + ".so"), "--context=\(LanguageTests.context)", "--cflag=-O1", "--cflag=-Werror", "--no-cache"] + flags
            let done = try GlmcProgram.run(words)
            try #require(done.status == 0, "\(done.errors)")
        }
        return folder
    }

    private let folder: TemporaryFolder
    init() throws { folder = try Self.shared.get() }

    private func model(_ name: String) throws -> LanguageModel { try LanguageModel(Artifact(path: folder.file(name + ".so"))) }

    /// More texts than sequences, of different lengths: one begins as soon as another ends.
    @Test(arguments: ["many", "plain"]) func textsAreThoseOfOneAtATime(name: String) throws {
        let model = try model(name)
        #expect(model.sequences == 3)
        let prompts = [[3], [0, 2, 3, 4], [5, 6, 2, 2, 4, 3, 0, 2, 4], [1, 2], [4, 4, 4, 4, 4, 4], [2], [6, 5, 4, 3, 2, 1, 0]]
        var generators = try model.generators(3, threads: 2), waiting = Array(prompts.enumerated()), texts = prompts.map { _ in [Int]() }, owners: [Int: Int] = [:]
        var how = Sampling()
        how.ignoresStopTokens = true
        while true {
            for slot in 0..<3 where owners[slot] == nil && !waiting.isEmpty {
                let (number, prompt) = waiting.removeFirst()
                how.mostTokens = 3 + 2 * number
                try generators[slot].start(prompt.map { Int32($0) }, how)
                owners[slot] = number
            }
            if owners.isEmpty { break }
            // The order says nothing.
            try Generator.advance(generators.reversed())
            for (slot, number) in owners {
                let piece = try generators[slot].next()
                texts[number].append(Int(try #require(piece.token)))
                if piece.end != nil { owners[slot] = nil }
            }
        }
        for (number, prompt) in prompts.enumerated() {
            #expect(texts[number] == LanguageTests.greedy(after: prompt, most: 3 + 2 * number, stops: []), "\(prompt)")
        }
        generators.removeAll()
    }

    /// A text goes on alone, with guesses, while others take their steps together.
    @Test func stepsTogetherAndAloneMix() throws {
        let generators = try model("many").generators(3, threads: 1), prompts: [[Int]] = [[2, 3, 2, 3, 2], [4, 2], [3, 3, 3]]
        var how = Sampling()
        (how.ignoresStopTokens, how.draftTokens) = (true, 5)
        for (generator, prompt) in zip(generators, prompts) { try generator.start(prompt.map { Int32($0) }, how) }
        var texts = prompts.map { _ in [Int]() }
        for step in 0..<12 {
            if step % 3 == 0 { try Generator.advance(generators) } else if step % 3 == 1 { try Generator.advance([generators[0], generators[2]]) }
            for (i, generator) in generators.enumerated() { texts[i].append(Int(try #require(try generator.next().token))) }
        }
        for (i, prompt) in prompts.enumerated() { #expect(texts[i] == LanguageTests.greedy(after: prompt, most: 12, stops: [])) }
    }

    /// What another text of the same cache begins with is copied, not computed.
    @Test func beginningsAreShared() throws {
        let generators = try model("many").generators(2, threads: 1)
        var how = Sampling()
        (how.ignoresStopTokens, how.mostTokens) = (true, 4)
        func text(_ generator: Generator, _ prompt: [Int]) throws -> (tokens: [Int], kept: Int) {
            try generator.start(prompt.map { Int32($0) }, how)
            var tokens: [Int] = []
            while true {
                let piece = try generator.next()
                tokens.append(Int(try #require(piece.token)))
                if piece.end != nil { return (tokens, piece.figures.keptTokens) }
            }
        }
        let common = [5, 6, 2, 2, 4, 3]
        #expect(try text(generators[0], common + [0]).kept == 0)
        let second = try text(generators[1], common + [1, 2])
        // A generator that is gone has no text.
        withExtendedLifetime(generators) {}
        #expect(second.kept == common.count && second.tokens == LanguageTests.greedy(after: common + [1, 2], most: 4, stops: []))
    }

    @Test(arguments: ["single", "many"]) func savedTextsGoOn(name: String) throws {
        let model = try model(name), prompt: [Int32] = [5, 6, 2, 2, 4, 3], file = folder.file("\(name).text")
        var how = Sampling()
        (how.ignoresStopTokens, how.mostTokens) = (true, 3)
        let first = try model.generator(threads: 1)
        try first.start(prompt, how)
        var text = prompt
        while true {
            let piece = try first.next()
            text.append(try #require(piece.token))
            if piece.end != nil { break }
        }
        let scores = try first.logits()
        try first.save(to: file)
        let second = try model.generators(model.sequences, threads: 1)[model.sequences - 1]
        try second.restore(from: file)
        #expect(try second.logits() == scores)
        try second.restore(from: file)
        try second.start(text + [2], how)
        let piece = try second.next()
        #expect(piece.figures.keptTokens == text.count)
        #expect(Int(try #require(piece.token)) == LanguageTests.greedy(after: text.map { Int($0) } + [2], most: 1, stops: [])[0])

        // Damage, and files of other artifacts, change nothing.
        let bytes = try Data(contentsOf: URL(filePath: file)), damaged = folder.file("damaged")
        for position in stride(from: 0, to: bytes.count, by: 7) {
            var copy = bytes
            copy[position] ^= 1 << (position % 8)
            try copy.write(to: URL(filePath: damaged))
            #expect(throws: RuntimeError.self) { try second.restore(from: damaged) }
        }
        for count in [0, 7, 40, bytes.count - 1] {
            try bytes.prefix(count).write(to: URL(filePath: damaged))
            #expect(throws: RuntimeError.self) { try second.restore(from: damaged) }
        }
        #expect(throws: RuntimeError.self) { try second.restore(from: folder.file("nothing")) }
        #expect(throws: RuntimeError.self) { try second.restore(from: "/dev/zero") }
        #expect(throws: RuntimeError.self) { try second.save(to: folder.file("none/x")) }
        let other = try self.model(name == "single" ? "many" : "single").generator(threads: 1)
        let error = #expect(throws: RuntimeError.self) { try other.restore(from: file) }
        #expect("\(error.map { "\($0)" } ?? "")".contains("another artifact"))
    }

    @Test func refusesWhatItCannotDo() throws {
        let many = try model("many"), single = try model("single")
        #expect(throws: RuntimeError.self) { try many.generators(4) }
        #expect(throws: RuntimeError.self) { try many.generators(0) }
        #expect(throws: RuntimeError.self) { try single.generators(2) }
        let generators = try many.generators(2, threads: 1), other = try many.generator(threads: 1)
        #expect(throws: RuntimeError.self) { try Generator.advance([generators[0], other]) }
        #expect(throws: RuntimeError.self) { try Generator.advance([generators[0], generators[0]]) }
        for (words, status, message) in [
            (["bench", folder.file("many.so"), "--batch=4"], Int32(1), "--batch"), (["bench", folder.file("many.so"), "--batch=1,x"], 2, "commas"),
            (["compile", folder.file("llama"), "--batch=0", "-o", folder.file("x.so")], 2, "from 1"), (["compile", folder.file("llama"), "--batch=2000", "-o", folder.file("x.so")], 2, "1024"),
        ] {
            let done = try GlmcProgram.run(words)
            #expect(done.status == status && done.errors.contains(message), "\(words): \(done.errors)")
        }
        let bench = try GlmcProgram.run(["bench", folder.file("many.so"), "--batch=1,3", "--depth=4", "--prompt-tokens=4", "--duration=0.05", "--json"])
        let json = try #require(try JSONSerialization.jsonObject(with: Data(bench.output.utf8)) as? [String: Any], "\(bench.errors)")
        #expect((json["batch_tokens_per_s"] as? [String: Double])?.keys.sorted() == ["1", "3"])
    }

    @Test func pythonKeepsSequencesBusy() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
        let own = "\(root)/.venv/bin/python"
        let python = ProcessInfo.processInfo.environment["GLMC_PYTHON"] ?? (FileManager.default.isExecutableFile(atPath: own) ? own : "python3")
        guard try ChildProcess.run([python, "-c", "import numpy"]).succeeded else { return }
        let script = """
            import sys; sys.path.insert(0, sys.argv[1]); import glmc
            model, prompts = glmc.load(sys.argv[2]), [[3], [0, 2, 3, 4], [5, 6], [1, 2], [4, 4, 4]]
            texts = [[] for _ in prompts]
            for number, token in model.generate_all(prompts, max_new=4, ignore_stop_tokens=True): texts[number].append(token)
            print(model.sequences, texts)
            generator, other = model.generators(2)
            list(generator.generate([5, 6, 2, 2], max_new=3, ignore_stop_tokens=True))
            scores = generator.logits()
            generator.save(sys.argv[3])
            other.restore(sys.argv[3])
            print((other.logits() == scores).all())
            for wrong in (lambda: model.generators(4), lambda: model.generators(0), lambda: other.restore(sys.argv[2]), lambda: list(model.generate_all([[9]]))):
                try: wrong(); print("not refused")
                except glmc.GlmcError: pass
            """
        let told = try ChildProcess.run([python, "-c", script, "\(root)/python", folder.file("many.so"), folder.file("python.text")], limit: 60)
        let texts = [[3], [0, 2, 3, 4], [5, 6], [1, 2], [4, 4, 4]].map { LanguageTests.greedy(after: $0, most: 4, stops: []) }
        #expect(told.output == "3 \(texts)\nTrue\n", "\(told.errors)")
    }

    /// A place that the data give must lie in the cache.
    @Test(arguments: ["many", "plain"]) func placesAreChecked(name: String) throws {
        let artifact = try Artifact(path: folder.file(name + ".so")), session = try Session(artifact, threads: 1)
        let entry = try artifact.entryPoint(named: "decode_batch")
        for (past, isGood) in [([0, 5], true), ([LanguageTests.context - 1, 0], true), ([LanguageTests.context, 0], false), ([0, -1], false)] {
            var inputs: [String: TensorBuffer] = [:]
            for info in entry.inputs where info.state != nil { inputs[info.name] = try TensorBuffer(zeros: info.type, shape: info.shape.map { $0 ?? 0 }) }
            inputs["tokens"] = try TensorBuffer([Int64(2), 3], shape: [2, 1])
            inputs["past"] = try TensorBuffer(past.map { Int64($0) }, shape: [2])
            if isGood { _ = try session.run(inputs, entryPoint: "decode_batch") } else {
                let error = #expect(throws: RuntimeError.self) { try session.run(inputs, entryPoint: "decode_batch") }
                #expect(error?.kind == .badData)
            }
        }
        // So must a token in the vocabulary: none counts from its end.
        var inputs: [String: TensorBuffer] = [:]
        for info in entry.inputs where info.state != nil { inputs[info.name] = try TensorBuffer(zeros: info.type, shape: info.shape.map { $0 ?? 0 }) }
        inputs["tokens"] = try TensorBuffer([Int64(2), -1], shape: [2, 1])
        inputs["past"] = try TensorBuffer([Int64(0), 0], shape: [2])
        let error = #expect(throws: RuntimeError.self) { try session.run(inputs, entryPoint: "decode_batch") }
        #expect(error?.kind == .badData)
    }

    /// States of fewer rows than a text has tokens, in pieces of all sizes, with tokens that are taken back, and for two texts at once.
    @Test(arguments: ["-O0", "-O3"]) func ringsHoldTheirWindow(level: String) throws {
        let artifact = try Artifact(path: folder.file("ring\(level).so")), session = try Session(artifact, threads: 2)
        let tokens = (0..<380).map { ($0 * $0 / 3 + $0) % DecoderTests.vocabulary }, expected = DecoderTests.logits(LanguageTests.weights, tokens, window: Self.window)
        let infos = artifact.entryPoints[1].inputs.filter { $0.state != nil }
        #expect(infos.allSatisfy { $0.shape[2] == Self.window + 256 })
        func rubbish() throws -> [String: TensorBuffer] {
            var states: [String: TensorBuffer] = [:]
            for info in infos {
                let shape = info.shape.compactMap { $0 }
                states[info.name] = try [UInt8](repeating: 0xff, count: shape.reduce(4, *)).withUnsafeBytes { try TensorBuffer(type: info.type, shape: shape, bytes: $0) }
            }
            return states
        }
        func run(_ entry: String, _ text: [Int], past: Int, slot: Int, _ states: inout [String: TensorBuffer]) throws -> [Double] {
            var inputs = states
            inputs["tokens"] = try DecoderTests.buffer(text)
            inputs["past"] = try TensorBuffer([Int64(past)], shape: [])
            inputs["slot"] = try TensorBuffer([Int64(slot)], shape: [])
            var outputs = try session.run(inputs, entryPoint: entry)
            let logits = try DecoderTests.floats(outputs.removeValue(forKey: "logits"))
            states = outputs
            return logits
        }
        for piece in [380, 97, 261] {
            var states = try rubbish(), past = 0
            while past < 340 {
                let end = min(past + piece, tokens.count), found = try run("prefill", Array(tokens[past..<end]), past: past, slot: 1, &states)
                past = end
                DecoderTests.expectClose(found, expected[past - 1], "behind \(past) tokens in pieces of \(piece)")
            }
        }
        // A ring has room for every token; the context has not.
        var states = try rubbish()
        for (count, past) in [(2, 399), (380, 21), (1, 400)] {
            let error = #expect(throws: RuntimeError.self) { try run(count == 1 ? "decode" : "prefill", Array(tokens[..<count]), past: past, slot: 0, &states) }
            #expect(error?.kind == .badShape && "\(error.map { "\($0)" } ?? "")".contains("room for 400 tokens"), "\(error.map { "\($0)" } ?? "")")
        }
        states = try rubbish()
        _ = try run("prefill", Array(tokens[..<270]), past: 0, slot: 0, &states)
        _ = try run("verify", [Int](repeating: 6, count: 63), past: 270, slot: 0, &states)
        for past in 270..<300 { DecoderTests.expectClose(try run("decode", [tokens[past]], past: past, slot: 0, &states), expected[past], "behind \(past) tokens") }
        _ = try run("prefill", Array(tokens[..<100]), past: 0, slot: 1, &states)
        for step in 0..<40 {
            var inputs = states
            inputs["tokens"] = try TensorBuffer([Int64(tokens[300 + step]), Int64(tokens[100 + step])], shape: [2, 1])
            inputs["past"] = try TensorBuffer([Int64(300 + step), Int64(100 + step)], shape: [2])
            var outputs = try session.run(inputs, entryPoint: "decode_batch")
            DecoderTests.expectClose(try DecoderTests.floats(outputs.removeValue(forKey: "logits")), expected[300 + step] + expected[100 + step], "step \(step) of two texts")
            states = outputs
        }
    }

    /// A text that goes further back than its rings do is computed again.
    @Test func textsGoBack() throws {
        let model = try LanguageModel(Artifact(path: folder.file("ring-O3.so"))), generator = try model.generator(threads: 1)
        let tokens = (0..<380).map { Int32(($0 * $0 / 3 + $0) % DecoderTests.vocabulary) }
        var how = Sampling()
        (how.ignoresStopTokens, how.mostTokens) = (true, 1)
        for (count, kept) in [(380, 0), (200, 199), (130, 129), (100, 0), (380, 100)] {
            try generator.start(Array(tokens[..<count]), how)
            let piece = try generator.next(), expected = DecoderTests.logits(LanguageTests.weights, tokens[..<count].map { Int($0) }, window: Self.window)[count - 1]
            #expect(piece.figures.keptTokens == kept)
            #expect(piece.token == expected.indices.max { expected[$0] < expected[$1] }.map { Int32($0) })
        }
    }
}
