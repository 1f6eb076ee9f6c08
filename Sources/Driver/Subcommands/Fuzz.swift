import Foundation
import GlmcFrontend
import GlmcFuzz
import GlmcIR

extension Subcommand {
    static let fuzz = Subcommand(
        "fuzz", "[--count N] [--seed S] [--time S] [--int8] [--bf16] [--fp16] [-o FOLDER] [--json]",
        summary: "compile random graphs and compare them with the interpreter",
        details: """
            Legal graphs over all operators are compiled in turn for every level, for every target that this machine runs, with fixed and free
            sizes, and run on two threads. Results must be those of the interpreter, within what rounding explains. Whatever differs, traps,
            hangs or is refused is a finding: it is made small and written to FOLDER/SEED.glm, whose second line repeats it.
            --repeat FILE.glm runs such a file. With --int8, --bf16 or --fp16 graphs are compiled with these flags too.
            Exit code 3 when results differ, 70 when anything fails in another way.
            """,
        positionals: 0...0,
        flags: [
            Flag("count", .value("N"), "graphs to try (default 1000)"),
            Flag("seed", .value("S"), "the first graph's number; the others follow (default 1)"),
            Flag("time", .value("SECONDS"), "begin nothing after so many seconds"),
            Flag("output", .value("FOLDER"), short: "o", "where findings are written"),
            Flag("batch", .value("N"), "graphs that are compiled together (default 24)"),
            Flag("repeat", .value("FILE.glm"), "run one case instead"),
            Flag("dynamic", "only graphs with free sizes"),
            Flag("json", "print the findings as JSON"),
        ] + Compilation.flags.filter { ["O", "march", "cc", "jobs", "int8", "bf16", "fp16", "threads", "save-temps"].contains($0.name) }
    ) { arguments, console in
        if let file = arguments.string("repeat") {
            let faults = try FuzzRunner(try Compilation(arguments, console)).faults([try testCase(file, isDynamic: false)])
            for fault in faults { console.print(fault.message) }
            return faults.isEmpty ? .done : .differs
        }
        guard let program = Bundle.main.executablePath else { throw Diagnostic(.internal, "cannot find the path of glmc itself") }
        let folder = arguments.string("output")
        if let folder {
            do { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) } catch {
                throw Diagnostic(.invalid, "cannot make the folder: \(error.localizedDescription)", at: [folder])
            }
        }
        let narrow = Expectation.Precision.allCases.filter { $0 != .full && arguments.has($0.rawValue) }
        var settings = FuzzSetting.rotation([.full] + narrow, targets: arguments.string("march").map { [$0] } ?? FuzzSetting.targets)
        if let level = arguments.string("O").flatMap(Int.init) { settings = settings.filter { $0.level == level } }
        if arguments.has("dynamic") { settings = settings.filter(\.isDynamic) }
        var campaign = FuzzCampaign(
            program: program, settings: settings, seed: UInt64(try arguments.int("seed") ?? 1), count: try arguments.int("count", in: 1...100_000_000) ?? 1000)
        campaign.folder = folder
        campaign.limit = try arguments.double("time")
        campaign.batch = try arguments.int("batch", in: 1...200) ?? campaign.batch
        campaign.jobs = try arguments.int("jobs", in: 1...1024) ?? ProcessInfo.processInfo.activeProcessorCount
        let bar = ProgressBar(console), count = campaign.count, isJSON = arguments.has("json")
        let result = campaign.run { result, finding in
            bar.show("of \(count) graphs, \(result.findings.count) findings", share: Double(result.graphs) / Double(count))
            if let finding, !isJSON { console.print(describe(finding)) }
        }
        bar.finish()
        if isJSON {
            console.print(JSONValue.object([
                "graphs": .int(Int64(result.graphs)),
                "findings": .array(result.findings.map { finding in
                    .object([
                        "seeds": .array(finding.seeds.map { .int(Int64($0)) }), "flags": .array(finding.flags.map { .string($0) }), "message": .string(finding.message),
                        "differs": .bool(finding.isDifference), "file": finding.file.map { .string($0) } ?? .null,
                    ])
                }),
            ]).text(pretty: true))
        } else {
            console.print("\(result.graphs) graphs, \(result.findings.count) findings")
        }
        if result.findings.contains(where: { !$0.isDifference }) { return .internalError }
        return result.findings.isEmpty ? .done : .differs
    }

    private static func describe(_ finding: FuzzCampaign.Finding) -> String {
        let seeds = finding.seeds.count == 1 ? "seed \(finding.seeds[0])" : "seeds \(finding.seeds[0])–\(finding.seeds[finding.seeds.count - 1]) together"
        return "\(seeds) \(finding.flags.joined(separator: " ")): \(finding.message)" + (finding.file.map { "\n  \($0)" } ?? "")
    }
}
