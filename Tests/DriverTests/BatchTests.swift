import Foundation
import GlmcCodegen
import GlmcRuntime
import Testing

@testable import GlmcDriver

/// Several texts at once, and texts that outlive a generator: the model of `LanguageTests`, against the formulas.
@Suite(.serialized) final class BatchTests {
    private static let shared: Result<TemporaryFolder, any Error> = Result {
        let folder = try TemporaryFolder()
        try FileManager.default.createDirectory(atPath: folder.file("llama"), withIntermediateDirectories: true)
        try LanguageTests.weights.write(to: folder.file("llama"))
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
    }
}
