import GlmcIR
import Testing

@testable import GlmcCodegen

/// Where the areas of the workspace lie.
@Suite struct MemoryPlanTests {
    /// A program of one launch with the given areas.
    private func program(_ scratch: [ScratchArea]) -> Program {
        var program = Program(function: Function("f"), target: .scalar)
        program.scratch = scratch
        program.steps = [.launch(Launch(
            kernel: 0, arguments: scratch.indices.map { .scratch($0) }, origins: [], reads: [], writes: [], isSingle: false, provenance: [], family: "f", operations: 0, bytes: 0))]
        return program
    }

    @Test func privateAreasOfFreeSizeFollowOneAnother() {
        let n = Extent.dimension("n")
        let plan = MemoryPlan(program([
            ScratchArea(byteCount: n, perThread: true), ScratchArea(byteCount: n * 64, perThread: true), ScratchArea(byteCount: 100, perThread: true),
        ]))
        let offsets = plan.scratch.map { address -> Int? in if case .thread(let offset) = address { offset.evaluate(["n": 65]) } else { nil } }
        #expect(offsets == [0, 128, 128 + 65 * 64])
        #expect(plan.perThreadBytes.evaluate(["n": 65]) == 128 + 65 * 64 + 128)
    }

    @Test func areasHaveRedZonesBehindThem() throws {
        let n = Extent.dimension("n")
        let plan = MemoryPlan(program([
            ScratchArea(byteCount: 64, perThread: false), ScratchArea(byteCount: n, perThread: false), ScratchArea(byteCount: n, perThread: true),
        ]), hasRedZones: true)
        #expect(plan.redZones.count == 3)
        for redZone in plan.redZones {
            let (from, to) = (try #require(redZone.from.evaluate(["n": 63])), try #require(redZone.to.evaluate(["n": 63])))
            #expect(from == (redZone.start == .fixed(0) ? 64 : 63) && to - from >= 64 && to % 64 == 0)
        }
        #expect(MemoryPlan(program([ScratchArea(byteCount: 64, perThread: false)])).redZones.isEmpty)
    }
}
