import CGlmcABI
import Foundation
import GlmcRuntime
import Testing

/// GlmcRuntime on the mock model of `Mock/mock_model.c`.
@Suite final class RuntimeTests {
    let scratch: Scratch
    let artifact: Artifact

    init() throws {
        scratch = try Scratch()
        artifact = try Artifact(path: try buildMock(scratch))
    }

    deinit { scratch.remove() }

    @Test func describes() throws {
        #expect(artifact.name == "mock" && artifact.manifest == #"{"name":"mock"}"# && artifact.weightsByteCount == 64)
        let entry = try artifact.entryPoint(named: nil)
        #expect(entry.name == "main" && entry.inputs.map(\.name) == ["x"] && entry.outputs.map(\.name) == ["y", "total", "positive"])
        #expect(entry.inputs[0].shape == [nil, 8] && entry.inputs[0].dimensions == ["n", "8"] && entry.inputs[0].type == .f32)
        #expect(entry.outputs[1].shape == [] && entry.outputs[2].isDataDependent)
        #expect(entry.dimensions.map(\.name) == ["n", "count"] && entry.dimensions[0].maximum == 100000)
        #expect(throws: RuntimeError.self) { try artifact.entryPoint(named: "decode") }
        try artifact.checkProcessor()
    }

    @Test(arguments: [1, 2, 3]) func runs(threads: Int) throws {
        let session = try Session(artifact, threads: threads)
        for n in [1, 40, 7] {
            let outputs = try session.run(["x": try TensorBuffer([Float](repeating: 1, count: n * 8), shape: [n, 8])])
            let y = try #require(outputs["y"]), total = try #require(outputs["total"]), positive = try #require(outputs["positive"])
            #expect(y.shape == [n, 8])
            #expect(try Array(y.array(of: Float.self).prefix(8)) == [1.5, 0, 3.5, 0, 5.5, 0, 7.5, 0])
            #expect(try total.array(of: Float.self) == [Float(18 * n)])
            #expect(positive.shape == [4 * n, 2])
            #expect(try Array(positive.array(of: Int64.self).prefix(4)) == [0, 0, 0, 2])
        }
    }

    @Test func refusesWhatDoesNotFit() throws {
        let session = try Session(artifact, threads: 1)
        func message(_ inputs: [String: TensorBuffer], _ entryPoint: String? = nil) -> String {
            do {
                _ = try session.run(inputs, entryPoint: entryPoint)
                return "ran"
            } catch { return error.message }
        }
        let zeros = try TensorBuffer(zeros: .f32, shape: [1, 8])
        #expect(message([:]).contains("'x' is missing"))
        #expect(message(["x": zeros, "z": zeros]).contains("no input 'z'"))
        #expect(message(["x": try TensorBuffer(zeros: .f64, shape: [1, 8])]).contains("holds f64, the model takes f32"))
        #expect(message(["x": try TensorBuffer(zeros: .f32, shape: [8])]).contains("1 dimensions, the model takes 2"))
        #expect(message(["x": try TensorBuffer(zeros: .f32, shape: [0, 8])]).contains("'n' is 0"))
        #expect(message(["x": try TensorBuffer(zeros: .f32, shape: [1, 9])]).contains("axis 1"))
        #expect(message(["x": try TensorBuffer(zeros: .f32, shape: [1, 1, 1, 1, 1, 1, 1, 1, 8])]).contains("at most 8"))
        #expect(message(["cache": try TensorBuffer(zeros: .f32, shape: [4]), "index": try TensorBuffer([Int64(9)], shape: [])], "step").contains("outside"))
        #expect(message(["x": zeros]) == "ran")
        #expect(throws: RuntimeError.self) { try Session(artifact, threads: -1) }
        #expect(throws: RuntimeError.self) { try TensorBuffer(zeros: .f32, shape: [-1]) }
        #expect(throws: RuntimeError.self) { try TensorBuffer(zeros: .f32, shape: [1 << 40, 1 << 40]) }
        #expect(throws: RuntimeError.self) { try TensorBuffer([Float(1)], shape: [2]) }
    }

    @Test func stateStaysWithTheInvocation() throws {
        let session = try Session(artifact, threads: 1), cache = try TensorBuffer(zeros: .f32, shape: [4])
        let step = try session.bind(["cache": cache, "index": try TensorBuffer([Int64(2)], shape: [])], entryPoint: "step")
        for _ in 0..<3 { try step.run() }
        #expect(try step.output(0).array(of: Float.self) == [0, 0, 3, 0])
        #expect(try cache.array(of: Float.self) == [0, 0, 0, 0])
    }

    @Test func opensOnlyArtifacts() throws {
        let text = scratch.file("text.so"), other = scratch.file("other.so")
        try "not a library".write(toFile: text, atomically: true, encoding: .utf8)
        #expect(try shell([compilers[0], "-shared", "-o", other, "-x", "c", "/dev/null"]).status == 0)
        for (path, part) in [(text, "cannot be loaded"), (other, "glmc_model_get"), (scratch.path, "is not a regular file"), (scratch.file("absent.so"), "there is no file")] {
            do {
                _ = try Artifact(path: path)
                Issue.record("opened \(path)")
            } catch { #expect(error.kind == .notAnArtifact && error.message.contains(part)) }
        }
    }

    /// The check value is zlib's, of which others have published values.
    @Test func marksWithTheCommonChecksum() {
        for (text, value) in [("", 0), ("123456789", 0xcbf4_3926), ("The quick brown fox jumps over the lazy dog", 0x414f_a339)] as [(String, UInt32)] {
            #expect(glmc_crc(Array(text.utf8), UInt64(text.utf8.count)) == value)
        }
    }

    private func trailed(_ content: [UInt8]) -> [UInt8] {
        var checksum = [UInt8](repeating: 0, count: Int(GLMC_TRAILER_BYTES))
        glmc_trailer_make(content, UInt64(content.count), &checksum)
        return content + checksum
    }

    /// Every flipped bit, of content and checksum, every cut and everything behind it is found.
    @Test func everyFlippedBitBreaksTheChecksum() throws {
        let library = trailed(try Array(Data(contentsOf: URL(fileURLWithPath: scratch.file("mock.so"))).prefix(1500)))
        #expect(glmc_library_is_whole(library, UInt64(library.count)) == 1)
        var unnoticed = 0, changed = library
        for bit in 0..<8 * library.count {
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            unnoticed += Int(glmc_library_is_whole(changed, UInt64(changed.count)) + glmc_trailer_holds(changed, UInt64(changed.count)))
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
        }
        for count in 0..<library.count { unnoticed += Int(glmc_trailer_holds(library, UInt64(count))) }
        unnoticed += Int(glmc_library_is_whole(library + [0], UInt64(library.count + 1)))
        #expect(unnoticed == 0)
    }

    /// Damaged libraries are refused before anything of them runs, by this library and by the Python module alike; a complete one of another tool is not.
    @Test func refusesDamage() throws {
        let whole = try Array(Data(contentsOf: URL(fileURLWithPath: scratch.file("mock.so")))), library = trailed(whole), end = library.count
        var cases: [(name: String, bytes: [UInt8], isSound: Bool)] = [("whole", library, true), ("without", whole, true), ("more", library + [0], false), ("behind", whole + [0], false), ("empty", [], false)]
        for count in [10, 64, 1000, whole.count - 1, end - 1, end - 8, end - 23] { cases.append(("cut\(count)", Array(library[..<count]), false)) }
        for position in [0, 5, 40, 58, 2000, whole.count / 2, whole.count - 1, end - 24, end - 16, end - 9, end - 1] {
            var changed = library
            changed[position] ^= 4
            cases.append(("flip\(position)", changed, false))
        }
        for item in cases { try Data(item.bytes).write(to: URL(fileURLWithPath: scratch.file("\(item.name).so"))) }
        for item in cases {
            do {
                _ = try Artifact(path: scratch.file("\(item.name).so"))
                #expect(item.isSound, "\(item.name) was loaded")
            } catch { #expect(!item.isSound && error.kind == .notAnArtifact && error.message.contains("damaged or incomplete"), "\(item.name): \(error.message)") }
        }
        guard let python else { return }
        let script = """
            import sys; sys.path.insert(0, '\(root)/python'); import glmc
            for name in sys.argv[1:]:
                try: glmc.load(name); print('loaded')
                except glmc.GlmcError as error: print('damaged' if 'damaged or incomplete' in str(error) else error)
            """
        let ran = try shell([python, "-c", script] + cases.map { scratch.file("\($0.name).so") })
        #expect(ran.output.split(separator: "\n").map(String.init) == cases.map { $0.isSound ? "loaded" : "damaged" }, "\(ran.output)")
    }

    @Test func namesMissingProcessorFeatures() throws {
        let future = try Artifact(path: try buildMock(scratch, name: "future.so", flags: ["-DMOCK_FEATURES=\"sse4.2 avx2048 warp\""]))
        do {
            _ = try Session(future)
            Issue.record("opened a session")
        } catch { #expect(error.kind == .unsupportedProcessor && error.message.contains("avx2048, warp") && !error.message.contains("sse4.2")) }
    }
}
