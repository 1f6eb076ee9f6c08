import Foundation
import GlmcCodegen
import Testing

/// A few random ONNX graphs against ONNX Runtime, as `make fuzz` runs them by the thousand (docs/testing.md). Needs the Python named by
/// `GLMC_PYTHON`; without it the suite is skipped.
@Suite struct RandomOnnxTests {
    private static let python = ProcessInfo.processInfo.environment["GLMC_PYTHON"]

    @Test(.enabled(if: python != nil)) func agreeWithOnnxRuntime() throws {
        let own = try TemporaryFolder()
        defer { withExtendedLifetime(own) {} }
        let tool = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../tools/fuzz.py").standardized.path
        let words = [Self.python ?? "python3", tool, GlmcProgram.path, "--count=60", "--seed=1", "--jobs=2", "--flags=--cflag=-O0", "-o", own.file("findings")]
        let result = try ChildProcess.run(words)
        #expect(result.succeeded, "\(result.output)\(result.errors)")
        // A fuzzer that makes nothing finds nothing.
        #expect(result.output.contains("60 graphs"), "\(result.output)")
    }
}
