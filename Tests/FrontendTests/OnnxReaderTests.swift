import Foundation
import GlmcIR
import GlmcTestSupport
import Testing

@testable import GlmcFrontend

private func read(_ bytes: [UInt8], folder: String? = nil) throws -> OnnxModel {
    try OnnxReader.model(ByteSpan(bytes), file: "test.onnx", folder: folder)
}

private func reason(_ bytes: [UInt8], folder: String? = nil) -> String {
    do {
        _ = try read(bytes, folder: folder)
        return "accepted"
    } catch let error as Diagnostic {
        return error.description
    } catch {
        return "unexpected \(error)"
    }
}

private func initializer(_ tensor: Proto) -> [UInt8] { Onnx.model(Onnx.graph(nodes: [], initializers: [tensor])).bytes }

@Suite struct OnnxReaderTests {
    @Test func readsEveryKindOfField() throws {
        let model = try read(Onnx.small)
        #expect(model.opsets == ["": 17])
        #expect(model.graph.nodes.map(\.op) == ["Conv", "If", "Reshape"])
        #expect(model.graph.nodes[0].inputs == ["x", "w", "b"])
        guard case .ints(let strides) = model.graph.nodes[0].attributes[0].value else { Issue.record("no ints"); return }
        #expect(strides == [1, 1])
        guard case .graph(let branch) = model.graph.nodes[1].attributes[0].value else { Issue.record("no graph"); return }
        #expect(branch.nodes[0].op == "Relu")
        #expect(model.graph.inputs[0].type == .tensor(.float, shape: [1, 1, 4, 4].map { .constant($0) }))
        guard case .bytes(let bias) = model.graph.initializers[1].data else { Issue.record("no bytes"); return }
        #expect(bias.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) } == [0.5, -0.5])
        guard case .bytes(let shape) = model.graph.initializers[2].data else { Issue.record("no bytes"); return }
        #expect(shape.withUnsafeBytes { Array($0.bindMemory(to: Int64.self)) } == [1, -1])
    }

    @Test func rawDataStaysInTheFile() throws {
        let file = ByteSpan(Onnx.small)
        let model = try OnnxReader.model(file, file: "test.onnx")
        guard case .bytes(let weights) = model.graph.initializers[0].data else { Issue.record("no bytes"); return }
        #expect(weights.owner === file.owner)
        #expect(weights.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 4, as: Float.self) } == 0.125)
    }

    /// Bytes that a file may not set: positions are the reader's own.
    @Test func positionsInTheFileAreIgnored() throws {
        let tensor = Onnx.floatTensor("w", [1], [7]).int(400_000_001, 0).int(400_000_002, 4)
        guard case .bytes(let data) = try read(initializer(tensor)).graph.initializers[0].data else { Issue.record("no bytes"); return }
        #expect(data.withUnsafeBytes { $0.loadUnaligned(as: Float.self) } == 7)
    }

    @Test func readsNarrowTypedData() throws {
        let cases: [(element: Int64, dims: [Int64], values: [Int64], bytes: [UInt8])] = [
            (3, [3], [-1, 2, 3], [0xff, 2, 3]), (10, [1], [0x3c00], [0, 0x3c]), (9, [2], [1, 0], [1, 0]),
            (22, [3], [0x21, 0x0f], [0x21, 0x0f]), (27, [2], [0x3f, 0x01], [0x7f, 0x00]),
        ]
        for (element, dims, values, bytes) in cases {
            let model = try read(initializer(Onnx.tensor("t", element, dims).packed(5, values)))
            guard case .bytes(let data) = model.graph.initializers[0].data else { Issue.record("no bytes"); return }
            #expect(data.array == bytes, "element type \(element)")
        }
    }

    @Test func refusesTensorsThatLie() {
        #expect(reason(initializer(Onnx.floatTensor("w", [3], [1, 2]))).contains("8 bytes where [3] of float needs 12"))
        #expect(reason(initializer(Onnx.floatTensor("w", [-1], [1]))).contains("negative dimension"))
        #expect(reason(initializer(Onnx.floatTensor("w", [1 << 40, 1 << 40], []))).contains("too large"))
        #expect(reason(initializer(Onnx.floatTensor("w", [0, 1 << 40, 1 << 40], []))).contains("too large"))
        #expect(reason(initializer(Onnx.tensor("w", 99, [1]))).contains("element type 99"))
        #expect(reason(initializer(Onnx.tensor("w", 8, [2]).string(6, "a"))).contains("1 strings"))
        #expect(reason(initializer(Onnx.tensor("w", 1, [1]).message(3, Proto().int(1, 0)))).contains("segments"))
    }

    @Test func refusesDeepNesting() {
        var graph = Onnx.graph(nodes: [])
        for _ in 0..<10_000 { graph = Onnx.graph(nodes: [Onnx.node("If", [], [], [Onnx.attribute("g", graph: graph)])]) }
        #expect(reason(Onnx.model(graph).bytes).contains("nested more than 100 levels"))
        var type = Proto().message(1, Proto().int(1, 1))
        for _ in 0..<10_000 { type = Proto().message(4, Proto().message(1, type)) }
        let input = Proto().string(1, "x").message(2, type)
        #expect(reason(Onnx.model(Onnx.graph(nodes: [], inputs: [input])).bytes).contains("nested more than 100 levels"))
    }

    @Test func refusesWhatIsNoModel() {
        #expect(reason([]).contains("no graph"))
        #expect(reason(Array("not an onnx file at all".utf8)).hasPrefix("test.onnx: "))
        for length in 1..<Onnx.small.count {
            #expect(!reason(Array(Onnx.small[..<length])).contains("unexpected"))
        }
    }

    @Test func externalDataStaysInItsFolder() throws {
        let root = FileManager.default.temporaryDirectory.appending(path: "glmc-external-\(ProcessInfo.processInfo.processIdentifier)").path
        let folder = root + "/model"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: root) }
        try Data([0, 0, 0, 0, 0, 0, 0x80, 0x3f]).write(to: URL(filePath: folder + "/weights.bin"))
        try Data([1, 2, 3, 4]).write(to: URL(filePath: root + "/secret.bin"))
        try FileManager.default.createSymbolicLink(atPath: folder + "/link.bin", withDestinationPath: root + "/secret.bin")

        func external(_ entries: [(String, String)]) -> [UInt8] {
            initializer(entries.reduce(Onnx.tensor("w", 1, [1])) { $0.message(13, Proto().string(1, $1.0).string(2, $1.1)) }.int(14, 1))
        }
        let model = try read(external([("location", "weights.bin"), ("offset", "4"), ("length", "4")]), folder: folder)
        guard case .bytes(let data) = model.graph.initializers[0].data else { Issue.record("no bytes"); return }
        #expect(data.withUnsafeBytes { $0.loadUnaligned(as: Float.self) } == 1)
        #expect(reason(external([("location", "weights.bin")]), folder: folder) == "accepted")
        for escape in ["../secret.bin", "/etc/passwd", "link.bin", "missing.bin", "", ".", "weights.bin/../../secret.bin"] {
            #expect(reason(external([("location", escape)]), folder: folder) != "accepted", "location '\(escape)'")
        }
        for (offset, length) in [("6", "4"), ("0", "8"), ("-4", "4"), ("9223372036854775807", "4"), ("x", "4")] {
            let lie = external([("location", "weights.bin"), ("offset", offset), ("length", length)])
            #expect(reason(lie, folder: folder) != "accepted", "offset \(offset), length \(length)")
        }
        #expect(reason(external([("location", "weights.bin")])).contains("no folder"))
    }

    @Test func readsValuesOfTestCases() throws {
        let tensor = Onnx.floatTensor("", [2], [1, 2])
        guard case .tensor(let plain) = try OnnxReader.value(ByteSpan(tensor.bytes), file: "t.pb") else { Issue.record("no tensor"); return }
        #expect(plain.dims == [2])
        let sequence = Proto().int(2, 1).message(3, tensor).message(3, tensor)
        let type = OnnxType.sequence(.tensor(.float, shape: nil))
        guard case .sequence(let items) = try OnnxReader.value(ByteSpan(sequence.bytes), file: "t.pb", type: type) else { Issue.record("no sequence"); return }
        #expect(items.count == 2)
        let optional = Proto().int(2, 1).message(3, tensor)
        guard case .optional(.some) = try OnnxReader.value(ByteSpan(optional.bytes), file: "t.pb", type: .optional(.unknown)) else { Issue.record("no optional"); return }
    }

    @Test func mutatedFilesNeverTrap() {
        var generator = TestGenerator(state: 1)
        var accepted = 0
        for _ in 0..<3000 {
            let result = reason(generator.mutate(Onnx.small))
            #expect(!result.hasPrefix("unexpected"), "\(result)")
            if result == "accepted" { accepted += 1 }
        }
        // Some mutations hit names or values and leave a file that reads; a fuzzer that only makes rubbish tests little.
        #expect(accepted > 100 && accepted < 2900)
    }
}
