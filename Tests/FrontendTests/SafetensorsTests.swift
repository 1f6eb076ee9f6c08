import Foundation
import GlmcIR
import GlmcTestSupport
import Testing

@testable import GlmcFrontend

private func file(_ header: String, _ body: [UInt8], length: UInt64? = nil) -> [UInt8] {
    let length = length ?? UInt64(header.utf8.count)
    return (0..<8).map { UInt8(length >> (8 * $0) & 0xff) } + Array(header.utf8) + body
}

private func reason(_ bytes: [UInt8]) -> String {
    do {
        _ = try SafetensorsFile(ByteSpan(bytes), file: "t.safetensors")
        return "accepted"
    } catch {
        return "\(error)"
    }
}

private let good = #"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[2,1],"data_offsets":[4,6]}}  "#

@Suite struct SafetensorsTests {
    @Test func readsTensors() throws {
        let read = try SafetensorsFile(ByteSpan(file(good, [0, 0, 0x80, 0x3f, 7, 8])), file: "t.safetensors")
        #expect(read.metadata == ["format": "pt"])
        #expect(read.tensors["b"]?.shape == [2, 1])
        #expect(read.tensors["b"]?.bytes.array == [7, 8])
        #expect(read.tensors["a"]?.element == .f32)
    }

    @Test(arguments: [
        (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}}"#, 8, "needs 4"),
        (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 4, "truncated"),
        (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}"#, 6, "overlaps"),
        (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, 8, "hole"),
        (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 8, "belong to nothing"),
        (#"{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}"#, 4, "F99"),
        (#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, 4, "list of sizes"),
        (#"{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}"#, 4, "list of sizes"),
        (#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}}"#, 4, "too large"),
        (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, 4, "not a range"),
        (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}"#, 4, "not a range"),
        (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 4, "twice"),
        (#"{"a":3}"#, 0, "no dtype"),
        (#"[1]"#, 0, "not a JSON object"),
        (#"{"a""#, 0, "not JSON"),
    ])
    func refusesHeadersThatLie(_ header: String, _ bytes: Int, _ expected: String) {
        #expect(reason(file(header, [UInt8](repeating: 0, count: bytes))).contains(expected))
    }

    @Test func refusesHeaderLengthsThatLie() {
        #expect(reason([1, 2, 3]).contains("shorter"))
        for length in [UInt64.max, 1 << 63, 1 << 40, 1000, 100_000_001] {
            #expect(reason(file("{}", [], length: length)).contains("header length"))
        }
        #expect(reason(file(String(repeating: "[", count: 100_000), [])).contains("too deep"))
    }

    @Test func mutatedFilesNeverTrap() {
        var generator = TestGenerator(state: 2)
        for _ in 0..<2000 { _ = reason(generator.mutate(file(good, [0, 0, 0x80, 0x3f, 7, 8]))) }
    }

    @Test func readsShards() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "glmc-shards-\(ProcessInfo.processInfo.processIdentifier)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        func write(_ name: String, _ bytes: [UInt8]) throws { try Data(bytes).write(to: URL(filePath: folder + "/" + name)) }
        try write("config.json", Array(#"{"model_type": "bert", "hidden_size": 384}"#.utf8))
        try write("one.safetensors", file(#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, [1]))
        try write("two.safetensors", file(#"{"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, [2]))
        let index = folder + "/model.safetensors.index.json"
        try write("model.safetensors.index.json", Array(#"{"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}"#.utf8))
        let read = try SafetensorsFolder(at: folder)
        #expect(read.tensors["b"]?.bytes.array == [2])
        #expect(read.config["hidden_size"]?.int == 384)
        for lie in [#"{"weight_map": {"a": "two.safetensors"}}"#, #"{"weight_map": {"a": "../one.safetensors"}}"#, #"{"weight_map": {"a": 1}}"#, "{}"] {
            try Data(lie.utf8).write(to: URL(filePath: index))
            #expect(throws: Diagnostic.self) { try SafetensorsFolder(at: folder) }
        }
    }
}
