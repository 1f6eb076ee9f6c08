import Foundation
import GlmcCodegen
import GlmcRuntime
import Testing

@testable import GlmcDriver

/// Weights in the artifact and in a file beside it.
@Suite final class WeightsPlaceTests {
    let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        try Self.network.write(toFile: folder.file("net.glm"), atomically: true, encoding: .utf8)
    }

    /// y = x + 1, …, 64.
    private static let network = """
        func @net(%x: f32[64]) {
          %w = constant(value: f32[64](\((1...64).map { "\($0).0" }.joined(separator: ", "))))
          %y = binary.add(%x, %w)
          return %y
        }

        """
    private static let expected = (1...64).map(Float.init)

    private func compile(_ output: String, _ place: String) throws {
        let done = try GlmcProgram.run(["compile", folder.file("net.glm"), "-o", folder.file(output), "--weights=\(place)", "--no-cache"])
        try #require(done.status == 0, "\(done.errors)")
    }

    private func result(_ path: String) throws -> [Float] {
        let session = try Session(try Artifact(path: path), threads: 1)
        let x = try [Float](repeating: 0, count: 64).withUnsafeBytes { try TensorBuffer(type: .f32, shape: [64], bytes: $0) }
        return try #require(try session.run(["x": x]).values.first).withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    }

    /// A file that took another's place is loaded, and not the one that the loader remembers.
    @Test func libraryThatReplacedAnotherIsItself() throws {
        let path = folder.file("twice.so")
        try compile("twice.so", "embed")
        let first = try Artifact(path: path)
        try Self.network.replacingOccurrences(of: "(1.0, ", with: "(5.0, ").write(toFile: folder.file("net.glm"), atomically: true, encoding: .utf8)
        try compile("twice.so", "embed")
        #expect(try result(path) == [5] + Self.expected.dropFirst())
        #expect(first.entryPoints.count == 1)
    }

    /// The constants of textual IR lie in a file that no artifact's weights replace, and that the text knows.
    @Test func textualIRKnowsItsConstants() throws {
        let count = 600, values = (1...count).map { "\($0).0" }.joined(separator: ", ")
        let text = "func @net(%x: f32[\(count)]) {\n  %w = constant(value: f32[\(count)](\(values)))\n  %y = binary.add(%x, %w)\n  return %y\n}\n"
        try text.write(toFile: folder.file("net.glm"), atomically: true, encoding: .utf8)
        func compile(_ model: String, _ words: String...) throws -> GlmcProgram.Result { try GlmcProgram.run(["compile", folder.file(model), "--no-cache"] + words) }
        #expect(try compile("net.glm", "-o", folder.file("a.glm")).status == 0)
        #expect(try compile("net.glm", "-o", folder.file("a.so"), "--weights=external").status == 0)
        let constants = URL(filePath: folder.file("a.glm.weights")), whole = try Data(contentsOf: constants)
        #expect(try compile("a.glm", "-o", folder.file("b.so")).status == 0)
        func sum(_ artifact: String) throws -> Float {
            let x = try [Float](repeating: 0, count: count).withUnsafeBytes { try TensorBuffer(type: .f32, shape: [count], bytes: $0) }
            return try #require(try Session(Artifact(path: folder.file(artifact)), threads: 1).run(["x": x]).values.first).withUnsafeBytes { $0.bindMemory(to: Float.self).reduce(0, +) }
        }
        #expect(try sum("a.so") == Float(count * (count + 1) / 2) && sum("b.so") == sum("a.so"))
        var damaged = whole
        damaged[1001] ^= 4
        for bytes in [damaged, whole + [0], whole.dropLast(), try Data(contentsOf: URL(filePath: folder.file("a.weights")))] {
            try bytes.write(to: constants)
            let done = try compile("a.glm", "-o", folder.file("c.so"))
            #expect(done.status == 1 && done.errors.contains("a.glm.weights"), "\(done.errors)")
        }
    }

    @Test func embeddedWeightsNeedNoFile() throws {
        try compile("in.so", "embed")
        #expect(!FileManager.default.fileExists(atPath: folder.file("in.weights")))
        #expect(try result(folder.file("in.so")) == Self.expected)
    }

    @Test func externalWeightsAreMappedAndChecked() throws {
        try compile("out.so", "external")
        #expect(try result(folder.file("out.so")) == Self.expected)
        let weights = URL(filePath: folder.file("out.weights")), whole = try Data(contentsOf: weights)
        #expect(whole.count == 128 + 256 + 24 && whole.starts(with: Data("GLMCWTS1".utf8)))
        for (what, damaged) in [
            ("short", whole.dropLast()), ("no file of weights", Data(repeating: 0, count: whole.count)), ("a bit", { var d = whole; d[200] ^= 1; return d }()),
        ] {
            try damaged.write(to: weights)
            #expect(throws: RuntimeError.self, "\(what)") { _ = try self.result(self.folder.file("out.so")) }
        }
        try FileManager.default.removeItem(at: weights)
        #expect(throws: RuntimeError.self) { _ = try self.result(self.folder.file("out.so")) }

        // Those of another model are as long, and have a right checksum.
        try Self.network.replacingOccurrences(of: "(1.0, ", with: "(5.0, ").write(toFile: folder.file("net.glm"), atomically: true, encoding: .utf8)
        try compile("other.so", "external")
        try FileManager.default.copyItem(atPath: folder.file("other.weights"), toPath: folder.file("out.weights"))
        #expect(throws: RuntimeError.self) { _ = try self.result(self.folder.file("out.so")) }
    }

    @Test func programsFindTheirWeightsFromAnywhere() throws {
        try compile("program", "external")
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (64,), }"
        let text = Data(header.utf8) + Data(repeating: 0x20, count: 117 - header.utf8.count) + Data([0x0a])
        let zeros = Data([0x93]) + Data("NUMPY".utf8) + Data([1, 0, 118, 0]) + text + Data(repeating: 0, count: 256)
        try zeros.write(to: URL(filePath: folder.file("x.npy")))
        let done = try ChildProcess.run([folder.file("program"), "x=" + folder.file("x.npy"), "--output", folder.path])
        #expect(done.end == .exited(0), "\(done.errors)")
    }

    /// A C file of external weights compiles without them.
    @Test func sourcesMayLeaveTheirWeightsOut() throws {
        try compile("source.c", "external")
        let done = try ChildProcess.run(["cc", "-std=gnu11", "-fopenmp-simd", "-mavx2", "-mfma", "-mf16c", "-c", folder.file("source.c"), "-o", "/dev/null"])
        #expect(done.end == .exited(0), "\(done.errors)")
        let text = try String(contentsOfFile: folder.file("source.c"), encoding: .utf8)
        #expect(!text.contains(".incbin") && text.contains("source.weights"))
    }
}
