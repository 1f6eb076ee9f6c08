import Foundation
import GlmcFuzz
import Testing

@testable import GlmcDriver

/// Random graphs through the compiler, as `glmc fuzz` runs them, under every setting. `GLMC_FUZZ_SEED` gives other graphs, `GLMC_FUZZ_COUNT` more.
@Suite struct FuzzTests {
    private static func variable(_ name: String, _ standard: Int) -> Int { ProcessInfo.processInfo.environment[name].flatMap { Int($0) } ?? standard }

    @Test func randomGraphsAgreeWithTheInterpreter() throws {
        let targets = FuzzSetting.targets, settings = FuzzSetting.rotation(Expectation.Precision.allCases, targets: [targets[0], "scalar"])
        var campaign = FuzzCampaign(
            program: GlmcProgram.path, settings: settings, seed: UInt64(Self.variable("GLMC_FUZZ_SEED", 1)), count: Self.variable("GLMC_FUZZ_COUNT", 320))
        // As many batches as there are settings.
        campaign.batch = max(1, (campaign.count + settings.count - 1) / settings.count)
        campaign.jobs = 2
        let result = campaign.run { _, _ in }
        #expect(result.graphs == campaign.count)
        for finding in result.findings { Issue.record("glmc fuzz --seed \(finding.seeds[0]) --count \(finding.seeds.count) \(finding.flags.joined(separator: " ")): \(finding.message)") }
    }

    @Test func settingsCoverEveryCombination() {
        let settings = FuzzSetting.rotation([.full, .int8], targets: ["avx2", "scalar"])
        #expect(settings.count == Set(settings).count && settings.count == 2 * 2 * 2 * 4)
    }

    /// A case from a file, whose results are right, and words that make no sense.
    @Test func oneCaseIsRepeated() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "glmc-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appending(path: "case.glm").path
        try RandomGraph.make(seed: 3).text(remarks: ["test: run"]).write(toFile: file, atomically: true, encoding: .utf8)
        #expect(try GlmcProgram.run(["fuzz", "--repeat", file, "-O0"]).status == 0)
        #expect(try GlmcProgram.run(["fuzz", "--repeat", folder.path + "/none.glm"]).status == 1)
        #expect(try GlmcProgram.run(["fuzz", "--count", "none"]).status == 2)
    }
}
