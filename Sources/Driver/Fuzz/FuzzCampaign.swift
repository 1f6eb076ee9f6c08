import Foundation
import GlmcCodegen
import GlmcFrontend
import GlmcFuzz
import GlmcIR

/// Runs random graphs in child processes, many to an artifact, finds the graphs at fault, and makes them small.
struct FuzzCampaign: Sendable {
    /// The path of glmc.
    var program: String
    var settings: [FuzzSetting]
    /// The seed of the first graph; the others follow.
    var seed: UInt64
    var count: Int
    /// Graphs that are compiled together.
    var batch = 24
    /// Where findings go; nil: nowhere, they are only told.
    var folder: String?
    /// Seconds after which nothing more is begun.
    var limit: Double?
    var jobs = 1

    struct Finding: Sendable {
        var seeds: [UInt64]
        var flags: [String]
        var message: String
        /// Whether results differ; else compiling or running failed.
        var isDifference: Bool
        /// The reduced case.
        var file: String?
    }

    struct Result: Sendable {
        var graphs = 0
        var findings: [Finding] = []
    }

    /// How a child ended: well, with faults of single graphs, or badly.
    private enum Outcome {
        case faults([(position: Int, message: String)])
        case failure(String)
    }

    /// Seconds that a batch may take, and a single graph.
    private static let batchLimit = 240.0, caseLimit = 90.0

    func run(_ report: @escaping @Sendable (Result, Finding?) -> Void) -> Result {
        let start = now(), state = State(), queue = OperationQueue()
        queue.maxConcurrentOperationCount = jobs
        for (number, first) in stride(from: 0, to: count, by: batch).enumerated() {
            queue.addOperation {
                if let limit, now() - start > limit { return }
                let seeds = (first..<min(first + batch, count)).map { seed &+ UInt64($0) }
                let setting = settings[number % settings.count]
                let findings = self.findings(seeds, setting)
                state.update { $0.graphs += seeds.count }
                for finding in findings {
                    let whole = reduced(finding)
                    report(state.update { $0.findings.append(whole) }, whole)
                }
                report(state.value, nil)
            }
        }
        queue.waitUntilAllOperationsAreFinished()
        return state.value
    }

    /// The findings among some graphs: a batch that fails as a whole is halved until single graphs fail.
    private func findings(_ seeds: [UInt64], _ setting: FuzzSetting) -> [Finding] {
        switch outcome(seeds.map { "\($0)" } + setting.flags, limit: seeds.count > 1 ? Self.batchLimit : Self.caseLimit) {
        case .faults(let faults):
            return faults.map { Finding(seeds: [seeds[$0.position]], flags: setting.flags, message: $0.message, isDifference: true) }
        case .failure(let message):
            guard seeds.count > 1 else { return [Finding(seeds: seeds, flags: setting.flags, message: message, isDifference: false)] }
            let halves = [seeds[..<(seeds.count / 2)], seeds[(seeds.count / 2)...]].flatMap { findings(Array($0), setting) }
            return halves.isEmpty ? [Finding(seeds: seeds, flags: setting.flags, message: message, isDifference: false)] : halves
        }
    }

    private func outcome(_ words: [String], limit: Double) -> Outcome {
        do {
            let child = try ChildProcess.run([program, "fuzz-case", "-j1", "--threads=2"] + words, limit: limit)
            switch child.end {
            case .timedOut: return .failure("takes longer than \(brief(limit)) s")
            case .crashed(let signal): return .failure("crashes: \(String(cString: strsignal(signal))) \(child.errors.prefix(600))")
            case .exited:
                let line = child.output.split(separator: "\n").last.map(String.init) ?? ""
                guard let json = try? JSONValue(parsing: line) else { return .failure(String("ends without a result: \(child.errors)".prefix(1500))) }
                if let failure = json["failure"]?.string { return .failure(failure) }
                return .faults((json["faults"]?.array ?? []).compactMap { fault in
                    guard let position = fault["position"]?.int, let message = fault["message"]?.string else { return nil }
                    return (Int(position), message)
                })
            }
        } catch {
            return .failure("\(error)")
        }
    }

    /// Writes the smallest case that shows a finding of one graph.
    private func reduced(_ finding: Finding) -> Finding {
        guard let folder, finding.seeds.count == 1, let seed = finding.seeds.first else { return finding }
        var finding = finding
        let file = "\(folder)/\(seed).glm", flags = finding.flags.filter { $0 != "--dynamic" }
        // The generator may be what fails: it runs in a child, too.
        guard (try? ChildProcess.run([program, "fuzz-case", "\(seed)", "--write=\(file)"] + finding.flags, limit: Self.caseLimit))?.succeeded == true,
              let text = try? String(contentsOfFile: file, encoding: .utf8), let start = try? FuzzCase(text: text, file: file) else { return finding }
        let trial = "\(folder)/\(seed).trial.glm", (isDifference, message) = (finding.isDifference, finding.message)
        defer { try? FileManager.default.removeItem(atPath: trial) }
        let remarks = ["test: run", "glmc fuzz --repeat \(seed).glm \(flags.joined(separator: " "))", "seed \(seed), \(finding.flags.joined(separator: " "))", message]
        // The smallest so far is there whenever the campaign is ended.
        func keep(_ test: FuzzCase) { try? test.text(remarks: remarks).write(toFile: file, atomically: true, encoding: .utf8) }
        keep(start)
        keep(Reducer.reduce(start, budget: 120) { candidate in
            guard (try? candidate.text(remarks: []).write(toFile: trial, atomically: true, encoding: .utf8)) != nil else { return false }
            let fails = switch outcome([trial] + flags, limit: Self.caseLimit) {
            case .faults(let faults): isDifference && !faults.isEmpty
            case .failure(let other): !isDifference && Self.kind(other) == Self.kind(message)
            }
            if fails { keep(candidate) }
            return fails
        })
        finding.file = file
        return finding
    }

    /// What failures have in common that are one fault: the first words, without numbers.
    private static func kind(_ message: String) -> String {
        String(message.prefix(60).filter { !$0.isNumber }).split(separator: " ").prefix(4).joined(separator: " ")
    }

    private final class State: @unchecked Sendable {
        private let lock = NSLock()
        private var result = Result()
        var value: Result { lock.withLock { result } }
        @discardableResult
        func update(_ change: (inout Result) -> Void) -> Result { lock.withLock { change(&result); return result } }
    }
}
