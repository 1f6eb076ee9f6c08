import Foundation
import Testing

/// Every number of the ONNX node tests replaced by extremes, one at a time: attributes, and the elements of small tensors. What the numbers
/// make of the model is compiled up to C or refused, within bounds of time; arithmetic on them never traps, which would end the tests.
///
/// `GLMC_NODE_TESTS` names the folder of the cases. A small part of the numbers is tried, and all with `GLMC_NUMBER_SWEEP=FROM`, which starts at
/// number FROM and keeps the one at work in `GLMC_NUMBER_SWEEP_AT`.
@Suite struct NumberSweepTests {
    static let root = ProcessInfo.processInfo.environment["GLMC_NODE_TESTS"]
    static let from = ProcessInfo.processInfo.environment["GLMC_NUMBER_SWEEP"].flatMap(Int.init)

    @Test(.enabled(if: root != nil)) func extremesAreRefusedOrCompiled() throws {
        let root = try #require(Self.root)
        let complaints = try NumberSweep(root: root, from: Self.from).run()
        #expect(complaints.isEmpty, "\(complaints.prefix(20).joined(separator: "\n"))")
    }
}
