import Foundation
import GlmcCodegen
import GlmcFrontend
import GlmcIR
import GlmcRuntime

extension Subcommand {
    static let bench = Subcommand(
        "bench", "ART|MODEL [--threads N] [--duration S] [--warmup S] [--inputs FILE.npz] [--json]",
        summary: "measure a model's latency and throughput",
        details: """
            Inputs that no file gives are random. Times are of single runs, one after the other. Of a language model, how many tokens
            a second it reads and writes; --entry measures an entry point like any other model.
            """,
        positionals: 1...1,
        flags: [
            Flag("duration", .value("S"), "seconds to measure (default 2)"),
            Flag("warmup", .value("S"), "seconds to run before (default 0.2)"),
            Flag("entry", .value("NAME"), "entry point to run (default: the first)"),
            Flag("json", "print JSON"),
        ] + LanguageBench.flags + Inputs.flags + Compilation.flags.filter { $0.name != "batch" }
    ) { arguments, console in
        let threads = try arguments.threads()
        let duration = try arguments.double("duration") ?? 2, warmup = try arguments.double("warmup") ?? 0.2
        let compilation = try Compilation(arguments, console), path = arguments.positionals[0]
        let artifact: Artifact, start: Double
        var begin = processStart()
        if try ModelFile.kind(path) == .artifact {
            // Reading the whole file to check it is no part of loading: that depends on the disk, not on the artifact.
            let before = now()
            _ = try Artifact(path: path)
            start = now()
            begin += start - before
            artifact = try Artifact(path: path, checksBytes: false)
        } else {
            artifact = try compilation.artifact(path)
            start = now()
            begin = start
        }
        if let model = try? LanguageModel(artifact), !arguments.has("entry") {
            let prompts = try LanguageBench.sizes("prompt-tokens", [128, 512], arguments, most: model.context - 1)
            let depths = try LanguageBench.sizes("depth", [64, 512], arguments, most: LanguageBench.mostDepth(model))
            let counts = try LanguageBench.sizes("batch", [], arguments, most: model.sequences)
            var bench = try LanguageBench(model, threads: threads, duration: duration)
            let load = now() - start, firstToken = try bench.firstToken(since: begin)
            let prefill = try bench.prefill(prompts), decode = try bench.decode(depths)
            let batch = try bench.batch(counts, depth: depths.first ?? 1)
            LanguageBench.print(
                console, isJSON: arguments.has("json"), weights: artifact.weightsByteCount, prefill: prefill, decode: decode, batch: batch, load: load, firstToken: firstToken)
            return .done
        }
        if let flag = LanguageBench.flags.first(where: { arguments.has($0.name) }) { throw arguments.misuse("\(flag.spelling) means nothing for this model: it is no language model") }
        let session = try Session(artifact, threads: threads)
        let load = now() - start
        let entry = try artifact.entryPoint(named: arguments.string("entry"))
        let invocation = try session.bind(Inputs.gather(arguments, for: entry, defaultSeed: 0), entryPoint: entry.name)

        let warm = now() + warmup
        repeat { try invocation.run() } while now() < warm
        var times: [Double] = []
        let end = now() + duration
        repeat {
            let before = now()
            try invocation.run()
            times.append(now() - before)
        } while now() < end
        let report = BenchReport(
            model: artifact.name, threads: threads == 0 ? ProcessInfo.processInfo.activeProcessorCount : threads, seconds: times, load: load, peakMemory: peakMemory())
        console.print(arguments.has("json") ? report.json.text() : report.text)
        return .done
    }
}

/// Latency statistics of a series of runs.
struct BenchReport {
    let model: String
    let threads: Int
    let sorted: [Double]
    /// Seconds.
    private let mean: Double
    /// Standard deviation over mean.
    private let variation: Double
    let load: Double
    let peakMemory: Int

    /// - Parameter seconds: of each run, in any order; at least one.
    init(model: String, threads: Int, seconds: [Double], load: Double, peakMemory: Int) {
        self.model = model
        self.threads = threads
        sorted = seconds.sorted()
        let mean = seconds.reduce(0, +) / Double(seconds.count)
        self.mean = mean
        variation = (seconds.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(seconds.count)).squareRoot() / mean
        self.load = load
        self.peakMemory = peakMemory
    }

    /// The smallest time that is not exceeded by the given share of the runs, in ms.
    func percentile(_ share: Double) -> Double {
        let rank = Int((share * Double(sorted.count)).rounded(.up)) - 1
        return sorted[min(max(rank, 0), sorted.count - 1)] * 1e3
    }

    var json: JSONValue {
        func number(_ value: Double) -> JSONValue { .double(value.rounded(toPlaces: 6)) }
        return .object([
            "model": .string(model), "threads": .int(Int64(threads)), "runs": .int(Int64(sorted.count)), "min_ms": number(percentile(0)), "p50_ms": number(percentile(0.5)),
            "p90_ms": number(percentile(0.9)), "p95_ms": number(percentile(0.95)), "p99_ms": number(percentile(0.99)), "max_ms": number(percentile(1)),
            "throughput_per_s": number(1 / mean), "cv": number(variation), "load_ms": number(load * 1e3), "peak_rss_mb": number(Double(peakMemory) / 1e6),
        ])
    }

    var text: String {
        func ms(_ value: Double) -> String { formatted("%.3f ms", value) }
        return columns([
            ["model", model], ["threads", "\(threads)"], ["runs", "\(sorted.count)"],
            ["latency", "min \(ms(percentile(0)))  p50 \(ms(percentile(0.5)))  p90 \(ms(percentile(0.9)))  p95 \(ms(percentile(0.95)))  p99 \(ms(percentile(0.99)))  max \(ms(percentile(1)))"],
            ["throughput", formatted("%.1f per second", 1 / mean)], ["variation", formatted("%.1f %%", variation * 100)],
            ["load", ms(load * 1e3)], ["peak memory", bytesText(peakMemory)],
        ])
    }
}
