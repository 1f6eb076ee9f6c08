import Foundation
import GlmcCodegen
import Testing

@testable import GlmcDriver

/// What is promised of every artifact, whatever the model.
@Suite final class ArtifactPromiseTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private static let network = """
        func @net(%x: f32[n, 4, 12, 12]) {
          dimension n = input 0 axis 0
          %w = constant(value: f32[24, 4, 3, 3] splat(0.25)) : f32[24, 4, 3, 3]
          %y = conv(%x, %w, strides: [1, 1], dilations: [1, 1]) : f32[n, 24, 10, 10]
          %a = unary.tanh(%y) : f32[n, 24, 10, 10]
          %z = reshape(%a, shape: [n, 2400]) : f32[n, 2400]
          %s = softmax(%z, axis: -1, log: false) : f32[n, 2400]
          return %s
        }

        """

    /// The folder, the number of jobs, the state of the cache and the place of temporary files leave no trace.
    @Test(arguments: ["so", "a", "o"]) func bytesDependOnlyOnModelAndFlags(_ ending: String) throws {
        var seen: [Data] = []
        for (name, flags) in [("here", ["-j1"]), ("elsewhere", ["-j2"]), ("third", ["-j2", "--no-cache"])] {
            let place = folder.file(name)
            try FileManager.default.createDirectory(atPath: place + "/tmp", withIntermediateDirectories: true)
            try Self.network.write(toFile: place + "/net.glm", atomically: true, encoding: .utf8)
            let result = try GlmcProgram.run(
                ["compile", name == "here" ? "net.glm" : place + "/net.glm", "-O3", "-o", place + "/net." + ending] + flags, in: name == "third" ? nil : place,
                environment: ["GLMC_CACHE": folder.file("cache"), "TMPDIR": place + "/tmp"])
            #expect(result.end == .exited(0), "\(result.errors)")
            seen.append(try Data(contentsOf: URL(fileURLWithPath: place + "/net." + ending)))
        }
        #expect(seen[0] == seen[1] && seen[0] == seen[2])
    }

    @Test func needsOnlyTheCLibrary() throws {
        let model = folder.file("net.glm"), artifact = folder.file("net.so")
        try Self.network.write(toFile: model, atomically: true, encoding: .utf8)
        #expect(try GlmcProgram.run(["compile", model, "-O3", "-o", artifact, "--no-cache"]).end == .exited(0))
        let listed = try ChildProcess.run(["ldd", artifact]).output.split(separator: "\n").compactMap { $0.split(whereSeparator: \.isWhitespace).first }
        let allowed = ["linux-vdso.", "libc.", "libm.", "libpthread.", "/lib"]
        #expect(!listed.isEmpty && listed.allSatisfy { name in allowed.contains { name.hasPrefix($0) } }, "\(listed)")
    }
}
