import Foundation
import GlmcCodegen
import Testing

@testable import GlmcDriver

/// A compilation that cannot finish: what was at OUT stays, and nothing half-written remains.
@Suite(.serialized) final class InterruptionTests {
    let folder: TemporaryFolder
    let model: String
    let output: String
    /// Where the program keeps its temporary files in these tests.
    let temporary: String

    init() throws {
        folder = try TemporaryFolder()
        (model, output, temporary) = (folder.file("net.glm"), folder.file("net.so"), folder.file("tmp"))
        try FileManager.default.createDirectory(atPath: temporary, withIntermediateDirectories: true)
        // Convolutions of different shapes, so that there is something to compile.
        let layers = (1...6).map { i in
            "  %w\(i) = constant(value: f32[\(8 * i), \(i == 1 ? 4 : 8 * i - 8), 3, 3] splat(0.25))\n  %y\(i) = conv(%\(i == 1 ? "x" : "y\(i - 1)"), %w\(i), strides: [1, 1], dilations: [1, 1])\n"
        }
        try "func @net(%x: f32[1, 4, 20, 20]) {\n\(layers.joined())  return %y6\n}\n".write(toFile: model, atomically: true, encoding: .utf8)
    }

    private var words: [String] { ["compile", model, "-o", output, "--no-cache", "-j1", "--cflag=-O1"] }
    private var leftovers: [String] { (try? FileManager.default.contentsOfDirectory(atPath: temporary)) ?? [] }
    private var files: Set<String> { Set((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []) }

    /// Starts a compilation, sends `signal` after `delay` seconds, and waits for its end.
    private func interrupt(_ number: Int32, after delay: Double) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: GlmcProgram.path)
        process.arguments = words
        process.environment = ProcessInfo.processInfo.environment.merging(["TMPDIR": temporary]) { $1 }
        (process.standardOutput, process.standardError) = (FileHandle.nullDevice, FileHandle.nullDevice)
        try process.run()
        usleep(UInt32(delay * 1e6))
        kill(process.processIdentifier, number)
        process.waitUntilExit()
        return process
    }

    @Test func leavesOldOrNewWhenKilled() throws {
        let start = now()
        #expect(try GlmcProgram.run(words, environment: ["TMPDIR": temporary]).end == .exited(0))
        let duration = now() - start
        #expect(leftovers.isEmpty && files == ["net.glm", "net.so", "tmp"])
        let new = try Data(contentsOf: URL(fileURLWithPath: output)), old = Data("old".utf8)
        for number in [SIGKILL, SIGINT, SIGTERM] {
            for step in 0..<8 {
                try old.write(to: URL(fileURLWithPath: output))
                let process = try interrupt(number, after: duration * 1.1 * Double(step) / 7)
                let content = try Data(contentsOf: URL(fileURLWithPath: output))
                #expect(content == old || content == new, "signal \(number), step \(step): \(content.count) bytes")
                if number == SIGKILL {
                    // Only temporary files may be left, and compilers that still run.
                    #expect(files.isSubset(of: ["net.glm", "net.so", "tmp", ".glmc-\(process.processIdentifier).tmp"]))
                    try? FileManager.default.removeItem(atPath: URL(fileURLWithPath: output).deletingLastPathComponent().path + "/.glmc-\(process.processIdentifier).tmp")
                } else {
                    let isSignal = process.terminationReason == .uncaughtSignal && process.terminationStatus == number
                    #expect(isSignal || process.terminationStatus == 0, "signal \(number), step \(step): \(process.terminationReason.rawValue) \(process.terminationStatus)")
                    #expect(files == ["net.glm", "net.so", "tmp"], "signal \(number), step \(step)")
                    #expect(leftovers.isEmpty || process.terminationStatus == 0, "signal \(number), step \(step): \(leftovers)")
                }
            }
            for name in leftovers { try? FileManager.default.removeItem(atPath: "\(temporary)/\(name)") }
        }
    }

    /// A limit on the size of files stands for a full disk: it strikes the weights, the compiler, the linker or the copy.
    @Test func saysWhenThereIsNoRoom() throws {
        try Data("old".utf8).write(to: URL(fileURLWithPath: output))
        var refusals = 0
        for blocks in [1, 8, 64, 128, 256, 1 << 20] {
            let result = try GlmcProgram.run(words, fileBlocks: blocks, environment: ["TMPDIR": temporary])
            #expect(result.end == .exited(0) || (result.end == .exited(1) && result.errors.contains("error: ")), "\(blocks) blocks: \(result.end): \(result.errors.prefix(600))")
            if result.end == .exited(0) { continue }
            refusals += 1
            #expect(try Data(contentsOf: URL(fileURLWithPath: output)) == Data("old".utf8), "\(blocks) blocks")
            #expect(files == ["net.glm", "net.so", "tmp"] && leftovers.isEmpty, "\(blocks) blocks: \(files) \(leftovers)")
        }
        #expect((2...5).contains(refusals))
        let arrays = folder.file("out.npz")
        let result = try GlmcProgram.run(["run", output, "--random", "1", "--output", arrays], fileBlocks: 1)
        #expect(result.end == .exited(1) && result.errors.contains("out.npz") && !FileManager.default.fileExists(atPath: arrays), "\(result.errors)")
    }

    @Test func refusesPlacesThatCannotBeWritten() throws {
        for place in ["/proc/net.so", "\(model)/net.so", folder.file("none/net.so"), folder.file("tmp")] {
            let result = try GlmcProgram.run(["compile", model, "-o", place, "--emit=so", "--no-cache", "--cflag=-O0"])
            #expect(result.end == .exited(1) && result.errors.contains(place), "\(place): \(result.end): \(result.errors.prefix(300))")
        }
        let result = try GlmcProgram.run(words, environment: ["TMPDIR": folder.file("none")])
        #expect(result.end == .exited(1) && result.errors.contains("TMPDIR"), "\(result.errors)")
    }
}
