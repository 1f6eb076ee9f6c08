import GlmcIR
import Testing

@testable import GlmcCodegen

/// Where the areas of the workspace lie.
@Suite struct MemoryPlanTests {
    /// A program of one launch with the given areas.
    private func program(_ areas: [(byteCount: Extent, perThread: Bool)]) -> Program {
        var program = Program(function: Function("f"), target: .scalar)
        program.storages = areas.map { Storage(owner: .scratch(perThread: $0.perThread), byteCount: $0.byteCount) }
        program.steps = [.launch(Launch(
            kernel: 0, arguments: areas.indices.map { Argument(storage: StorageID(index: $0)) }, origins: [], reads: [], writes: [], isSingle: false, provenance: [], family: "f", operations: 0, bytes: 0))]
        return program
    }

    @Test func privateAreasOfFreeSizeFollowOneAnother() {
        let n = Extent.dimension("n")
        let plan = MemoryPlan(program([
            (n, true), (n * 64, true), (100, true),
        ]))
        let offsets = (0..<3).map { i -> Int? in if case .thread(let offset) = plan[StorageID(index: i)] { offset.evaluate(["n": 65]) } else { nil } }
        #expect(offsets == [0, 128, 128 + 65 * 64])
        #expect(plan.perThreadBytes.evaluate(["n": 65]) == 128 + 65 * 64 + 128)
    }

    @Test func areasHaveRedZonesBehindThem() throws {
        let n = Extent.dimension("n")
        let plan = MemoryPlan(program([
            (64, false), (n, false), (n, true),
        ]), hasRedZones: true)
        #expect(plan.redZones.count == 3)
        for redZone in plan.redZones {
            let (from, to) = (try #require(redZone.from.evaluate(["n": 63])), try #require(redZone.to.evaluate(["n": 63])))
            #expect(from == (redZone.start == .fixed(0) ? 64 : 63) && to - from >= 64 && to % 64 == 0)
        }
        #expect(MemoryPlan(program([(64, false)])).redZones.isEmpty)
    }
}
