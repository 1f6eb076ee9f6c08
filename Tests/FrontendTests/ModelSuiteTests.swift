import Foundation
import GlmcIR
import Testing

@testable import GlmcFrontend

/// Real models through the importer and the verifier. `GLMC_MODELS` names the folder that holds the `.onnx` files; without it the
/// suite is skipped.
@Suite struct ModelSuiteTests {
    static let root = ProcessInfo.processInfo.environment["GLMC_MODELS"]

    static var files: [String] {
        guard let root, let names = try? FileManager.default.contentsOfDirectory(atPath: root) else { return [] }
        return names.filter { $0.hasSuffix(".onnx") }.sorted().map { root + "/" + $0 }
    }

    @Test(.enabled(if: root != nil), arguments: files) func imports(_ path: String) throws {
        let clock = ContinuousClock()
        var imported: ImportedModel?
        let time = try clock.measure { imported = try OnnxImporter.load(path) }
        let function = try #require(imported).function
        try Verifier.verify(function)
        print(path, time, function.allNodes.count, "nodes", function.dimensions.map(\.name), function.outputs.map { "\(function.type($0))" })
    }
}
