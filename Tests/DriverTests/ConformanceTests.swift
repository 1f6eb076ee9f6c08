import Foundation
import GlmcCodegen
import GlmcPasses
import Testing

@testable import GlmcDriver

/// A sample of the ONNX test cases through emitted code, as `glmc conformance` runs them; the whole suite takes minutes
/// (`make conformance`, docs/conformance.md). The cases are made by `tools/node_tests.py` with the Python named by `GLMC_PYTHON`,
/// or lie in the folder named by `GLMC_NODE_TESTS`; without either the suite is skipped.
@Suite struct ConformanceTests {
    /// Every so many cases, in the order of their names.
    static let stride = 36
    /// How many of the sample pass, of 53; fewer is a regression, and more is to be noted here.
    static let passing = 51

    private static let variables = ProcessInfo.processInfo.environment
    static let canRun = variables["GLMC_NODE_TESTS"] != nil || variables["GLMC_PYTHON"] != nil

    @Test(.enabled(if: canRun)) func sampleAgreesWithEmittedCode() async throws {
        let own = try TemporaryFolder()
        defer { withExtendedLifetime(own) {} }
        let root = try Self.variables["GLMC_NODE_TESTS"] ?? Self.generate(own.file("cases"))
        let names = try FileManager.default.contentsOfDirectory(atPath: root).filter { TestCase.isOne("\(root)/\($0)") }.sorted()
        let sample = Swift.stride(from: 0, to: names.count, by: Self.stride).map { names[$0] }
        let arguments = try Arguments([root, "-j1", "--no-cache"], for: .conformanceCase)
        let runner = CaseRunner(compilation: try Compilation(arguments, Console(arguments, .standard)))
        let results = await withTaskGroup(of: (String, CaseResult).self) { group in
            for name in sample { group.addTask { (name, runner.run("\(root)/\(name)")) } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        let others = results.filter { $0.1.status != .passed }.map { "\($0.1.status) \($0.0): \($0.1.reason)" }.sorted()
        #expect(results.count - others.count == Self.passing, "not passed:\n\(others.joined(separator: "\n"))")
        // Nothing may go wrong unnoticed: what does not pass is refused with a reason, or one of the differences that are explained.
        #expect(results.allSatisfy { $0.1.status != .failed }, "\(others)")
    }

    /// With all sizes free, these follow from each other: nothing is built in.
    @Test(.enabled(if: canRun), arguments: [
        "layer_normalization_3d_axis1_epsilon", "rms_normalization_4d_axis2", "maxunpool_export_without_output_shape", "nonmaxsuppression_two_classes",
        "gridsample_bilinear", "scan9_sum", "dequantizelinear", "quantizelinear_axis", "lstm_with_peepholes", "attention_3d_gqa_scaled",
    ])
    func freeSizesAreBound(_ name: String) throws {
        guard let root = Self.variables["GLMC_NODE_TESTS"] else { return }
        let arguments = try Arguments([root, "-j1", "--no-cache"], for: .conformanceCase)
        let result = CaseRunner(compilation: try Compilation(arguments, Console(arguments, .standard)), isDynamic: true).run("\(root)/test_\(name)")
        #expect(result.status == .passed && result.boundInputs.isEmpty, "\(result.reason) \(result.boundInputs)")
    }

    /// Writes all test cases to `folder` and returns it.
    private static func generate(_ folder: String) throws -> String {
        let tool = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../tools/node_tests.py").standardized.path
        let result = try ChildProcess.run([variables["GLMC_PYTHON"] ?? "python3", tool, folder])
        try #require(result.succeeded, "tools/node_tests.py: \(result.errors)")
        return folder
    }
}
