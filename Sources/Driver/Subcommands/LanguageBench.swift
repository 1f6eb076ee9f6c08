import Foundation
import GlmcFrontend
import GlmcIR
import GlmcRuntime

/// How fast a language model reads prompts and continues them.
struct LanguageBench {
    let model: LanguageModel
    /// Seconds for each point, with three runs at least.
    let duration: Double
    let generator: Generator
    private let threads: Int
    private var seed: UInt64 = 1

    /// New tokens of a run at some depth, where the context has room for them.
    private static let newTokens = 32

    static let flags: [Flag] = [
        Flag("prompt-tokens", .value("N,…"), "language models: lengths of prompts to measure (default 128,512)"),
        Flag("depth", .value("N,…"), "language models: how many tokens precede those whose generation is measured (default 64,512)"),
        Flag("batch", .value("N,…"), "language models: how many texts are continued at once, each behind the first of these depths"),
    ]

    init(_ model: LanguageModel, threads: Int, duration: Double) throws {
        (self.model, self.duration, self.threads) = (model, duration, threads)
        generator = try model.generator(threads: threads)
    }

    /// Milliseconds from a point in time to the first token behind a prompt of ten.
    mutating func firstToken(since start: Double) throws -> Double {
        _ = try run(prompt: min(10, model.context - 1), new: 1)
        return (now() - start) * 1e3
    }

    /// The sizes that a flag asks for, or of the usual ones those that the context holds, or the largest that it holds.
    static func sizes(_ flag: String, _ usual: [Int], _ arguments: Arguments, most: Int) throws -> [Int] {
        guard let sizes = try arguments.sizes(flag) else {
            let fitting = usual.filter { $0 <= most }
            return fitting.isEmpty && !usual.isEmpty && most > 0 ? [most] : fitting
        }
        if let size = sizes.first(where: { $0 > most }) {
            let (what, remedy) = flag == "batch" ? ("than the artifact continues at once", flag) : ("than the context has room for", "context")
            throw Diagnostic(.invalid, "--\(flag)=\(size) is more \(what) (\(most))", hint: "compile the model with a larger --\(remedy)")
        }
        return sizes
    }

    /// Tokens per second of prompts, by their length; the median of all runs.
    mutating func prefill(_ lengths: [Int]) throws -> [(Int, Double)] {
        try lengths.map { length in (length, try median { try $0.run(prompt: length, new: 1).promptTokensPerSecond }) }
    }

    /// New tokens per second, by how many tokens precede them; the median of all runs.
    mutating func decode(_ depths: [Int]) throws -> [(Int, Double)] {
        try depths.map { depth in (depth, try median { try $0.run(prompt: depth, new: min(Self.newTokens, $0.model.context - depth)).decodeTokensPerSecond }) }
    }

    /// New tokens per second of several texts together, by how many there are; the median of all runs.
    mutating func batch(_ counts: [Int], depth: Int) throws -> [(Int, Double)] {
        try counts.map { count in
            let generators = try model.generators(count, threads: threads), steps = min(Self.newTokens, model.context - depth - 1)
            return (count, try median { bench in
                for generator in generators { try generator.start(bench.randomTokens(depth), bench.sampling(steps + 1)) }
                // The first step reads the prompts.
                for generator in generators { _ = try generator.next() }
                let start = now()
                for _ in 0..<steps {
                    try Generator.advance(generators)
                    for generator in generators { _ = try generator.next() }
                }
                return Double(count * steps) / (now() - start)
            })
        }
    }

    /// A rate takes two new tokens.
    static func mostDepth(_ model: LanguageModel) -> Int { model.context - 2 }

    private mutating func median(_ measure: (inout LanguageBench) throws -> Double) rethrows -> Double {
        var rates: [Double] = []
        let end = now() + duration
        repeat { rates.append(try measure(&self)) } while rates.count < 3 || now() < end
        return rates.sorted()[rates.count / 2]
    }

    /// A prompt that no cache knows.
    private mutating func randomTokens(_ count: Int) -> [Int32] {
        (0..<count).map { _ in
            seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int32((seed >> 33) % UInt64(model.vocabulary))
        }
    }

    private func sampling(_ new: Int) -> Sampling {
        var how = Sampling()
        (how.mostTokens, how.ignoresStopTokens) = (new, true)
        return how
    }

    /// Reads a prompt, and continues it.
    private mutating func run(prompt length: Int, new: Int) throws -> Generator.Figures {
        try generator.start(randomTokens(length), sampling(new))
        while true {
            let piece = try generator.next()
            if piece.end != nil { return piece.figures }
        }
    }

    /// - Parameter weights: bytes of all weights, which a step is taken to read once.
    static func print(
        _ console: Console, isJSON: Bool, weights: Int, prefill: [(Int, Double)], decode: [(Int, Double)], batch: [(Int, Double)], load: Double,
        firstToken: Double
    ) {
        func number(_ value: Double) -> JSONValue { .double(value.rounded(toPlaces: 3)) }
        func table(_ rates: [(Int, Double)]) -> JSONValue { .object(rates.map { JSONValue.Member(key: String($0.0), value: number($0.1)) }) }
        let bandwidth = Double(weights) * (decode.first?.1 ?? 0) / 1e9
        if isJSON {
            var fields = [
                ("prefill_tokens_per_s", table(prefill)), ("decode_tokens_per_s", table(decode)), ("decode_gb_per_s", number(bandwidth)),
                ("load_ms", number(load * 1e3)), ("first_token_ms", number(firstToken)), ("peak_rss_mb", number(Double(peakMemory()) / 1e6)),
            ]
            if !batch.isEmpty { fields.append(("batch_tokens_per_s", table(batch))) }
            console.print(JSONValue.object(fields.map { JSONValue.Member(key: $0.0, value: $0.1) }).text())
        } else {
            func row(_ what: String, _ rate: (Int, Double)) -> [String] { ["\(what) \(rate.0)", "\(formatted("%.1f", rate.1)) tokens/s"] }
            console.print(columns(
                prefill.map { row("prompt of", $0) } + decode.map { row("new tokens behind", $0) } + batch.map { row("texts at once:", $0) } + [
                    ["bandwidth", "\(formatted("%.1f", bandwidth)) GB/s"], ["load", "\(formatted("%.1f", load * 1e3)) ms"],
                    ["start to first token", "\(formatted("%.0f", firstToken)) ms"], ["memory", "\(bytesText(peakMemory())) at most"],
                ]))
        }
    }
}

/// When this process began, on the clock of `now()`; the system counts it in hundredths of a second.
func processStart() -> Double {
    var passed = timespec()
    guard let line = try? String(contentsOfFile: "/proc/self/stat", encoding: .utf8), let name = line.lastIndex(of: ")"),
        case let fields = line[name...].split(separator: " "), fields.count > 20, let ticks = Double(fields[20]), clock_gettime(CLOCK_BOOTTIME, &passed) == 0
    else { return now() }
    let age = Double(passed.tv_sec) + Double(passed.tv_nsec) * 1e-9 - ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
    return now() - max(age, 0)
}
