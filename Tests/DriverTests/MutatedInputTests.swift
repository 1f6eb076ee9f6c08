import Foundation
import GlmcCodegen
import GlmcFrontend
import GlmcRuntime
import GlmcTestSupport
import Testing

@testable import GlmcDriver

/// More than two thousand damaged files of every kind through the program itself: each ends with a documented exit code and a message.
@Suite final class MutatedInputTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// Makes `count` files with `make`, runs the program on each as `words` says, and lists what went wrong.
    private func check(_ count: Int, _ ending: String, make: @escaping @Sendable (inout TestGenerator) -> [UInt8], words: @escaping @Sendable (Int, String) -> [String]) -> [String] {
        let folder = folder.path
        return Complaints.collect(count, salt: 1) { number, generator in
            let file = "\(folder)/\(number)\(ending)"
            try Data(make(&generator)).write(to: URL(fileURLWithPath: file))
            defer { try? FileManager.default.removeItem(atPath: file) }
            guard let complaint = try GlmcProgram.complaint(words(number, file), allowed: [0, 1, 3, 4]) else { return nil }
            // For a look at it by hand.
            if let kept = ProcessInfo.processInfo.environment["GLMC_TEST_SAVE"] { try? FileManager.default.copyItem(atPath: file, toPath: "\(kept)/\(number)\(ending)") }
            return complaint
        }
    }

    /// Small models with something of many operators.
    private static let models: [[UInt8]] = {
        func ints(_ name: String, _ values: [Int64]) -> Proto { Onnx.tensor(name, 7, [Int64(values.count)]).packed(7, values) }
        func model(_ op: String, _ inputs: [(String, [Int64])], _ weights: [Proto] = [], _ extra: [String] = [], _ attributes: [Proto] = [], outputs: [String] = ["y"], type: Int64 = 1) -> [UInt8] {
            Onnx.model(Onnx.graph(
                nodes: [Onnx.node(op, inputs.map(\.0) + extra, outputs, attributes)], initializers: weights,
                inputs: inputs.map { Onnx.value($0.0, 1, $0.1) }, outputs: outputs.map { Onnx.value($0, type, [1]) }), opset: 23).bytes
        }
        func int(_ name: String, _ value: Int64) -> Proto { Proto().string(1, name).int(3, value).int(20, 2) }
        return [
            Onnx.small,
            model("Gemm", [("x", [2, 3]), ("w", [4, 3])], [], [], [int("transB", 1)]),
            model("Slice", [("x", [4, 5])], [ints("a", [1]), ints("b", [4]), ints("c", [1]), ints("d", [2])], ["a", "b", "c", "d"]),
            model("Concat", [("x", [2, 3]), ("w", [2, 3])], [], [], [int("axis", 1)]),
            model("MaxPool", [("x", [1, 2, 6, 6])], [], [], [Onnx.attribute("kernel_shape", ints: [2, 2]), Onnx.attribute("strides", ints: [2, 2]), Onnx.attribute("pads", ints: [0, 0, 1, 1])]),
            model("ConvTranspose", [("x", [1, 2, 4, 4]), ("w", [2, 3, 2, 2])], [], [], [Onnx.attribute("strides", ints: [2, 2])]),
            model("LSTM", [("x", [3, 1, 4]), ("w", [1, 8, 4]), ("r", [1, 8, 2])], [], [], [int("hidden_size", 2)], outputs: ["y", "h"]),
            model("TopK", [("x", [3, 6])], [ints("k", [2])], ["k"], [int("axis", 1)]),
            model("Pad", [("x", [2, 3])], [ints("p", [0, 1, 1, 0])], ["p"]),
            model("Tile", [("x", [2, 3])], [ints("p", [2, 1])], ["p"]),
            model("Resize", [("x", [1, 1, 4, 4])], [Onnx.floatTensor("s", [4], [1, 1, 2, 2])], ["", "s"]),
            model("Attention", [("q", [1, 3, 8]), ("k", [1, 5, 8]), ("v", [1, 5, 8])], [], [], [int("q_num_heads", 2), int("kv_num_heads", 2)]),
            model("Split", [("x", [6, 2])], [ints("s", [2, 4])], ["s"], outputs: ["y", "z"]),
            model("DFT", [("x", [1, 8, 1])], [], [], [int("onesided", 1)]),
            model("ReduceMean", [("x", [2, 3, 4])], [ints("s", [1])], ["s"]),
            model("GatherND", [("x", [3, 4])], [Onnx.tensor("i", 7, [2, 1]).packed(7, [0, 2])], ["i"]),
            model("Einsum", [("x", [2, 3]), ("w", [3, 4])], [], [], [Proto().string(1, "equation").string(4, "ij,jk->ik").int(20, 3)]),
            model("GroupNormalization", [("x", [1, 4, 3]), ("s", [4]), ("b", [4])], [], [], [int("num_groups", 2)]),
            model("QuantizeLinear", [("x", [2, 3])], [Onnx.floatTensor("s", [], [0.5]), Onnx.tensor("z", 2, []).packed(5, [3])], ["s", "z"], type: 2),
            model("Col2Im", [("x", [1, 4, 4])], [ints("i", [3, 3]), ints("k", [2, 2])], ["i", "k"]),
        ]
    }()

    @Test func onnx() throws {
        let models = Self.models, mutations = models.compactMap { WireMutation($0) }
        #expect(mutations.count == models.count)
        let complaints = check(900, ".onnx", make: { generator in
            let choice = Int.random(in: 0..<models.count, using: &generator)
            return Bool.random(using: &generator) ? generator.mutate(models[choice]) : mutations[choice].mutated(&generator)
        }, words: { number, file in
            switch number % 30 {
            case 0: ["run", file, "--random", "1", "--no-cache", "-march=scalar", "-O0", "--cflag=-O0", "--threads=2"]
            case 1...6: ["inspect", file]
            default: ["compile", file, "--dry-run"]
            }
        })
        #expect(complaints.isEmpty, "\(complaints.joined(separator: "\n"))")
        // A fuzzer that only makes rubbish tests little: the originals are models that compile.
        for (number, bytes) in models.enumerated() {
            try Data(bytes).write(to: URL(fileURLWithPath: folder.file("whole\(number).onnx")))
            #expect(try GlmcProgram.complaint(["compile", folder.file("whole\(number).onnx"), "--dry-run"], allowed: [0]) == nil)
        }
    }

    @Test func textualIR() throws {
        let texts = ["conv", "net"].map { Array($0 == "net" ? Data(CompileTests.text.utf8) : Data(Self.network.utf8)) }
        let complaints = check(300, ".glm", make: { generator in generator.mutate(texts[Int.random(in: 0..<texts.count, using: &generator)]) }, words: { ["compile", $1, "--dry-run", $0 % 2 == 0 ? "-O0" : "-O3"] })
        #expect(complaints.isEmpty, "\(complaints.joined(separator: "\n"))")
    }

    private static let network = """
        func @conv(%x: f32[n, 4, 8, 8]) {
          dimension n = input 0 axis 0
          %w = constant(value: f32[8, 4, 3, 3] splat(0.25)) : f32[8, 4, 3, 3]
          %y = conv(%x, %w, strides: [1, 1], dilations: [1, 1]) : f32[n, 8, 6, 6]
          %z = reshape(%y, shape: [n, 288]) : f32[n, 288]
          %s = softmax(%z, axis: -1, log: false) : f32[n, 288]
          return %s
        }

        """

    @Test func safetensors() {
        let folder = folder.path
        for part in ["config.json", "model.safetensors"] {
            let whole = part == "config.json" ? Array(TinyBert.config.utf8) : TinyBert.weights, other = part == "config.json" ? TinyBert.weights : Array(TinyBert.config.utf8)
            let complaints = check(150, "-\(part)", make: { $0.mutate(whole) }, words: { number, file in
                let model = "\(folder)/\(part)-\(number % 2)"
                try? FileManager.default.createDirectory(atPath: model, withIntermediateDirectories: true)
                try? FileManager.default.removeItem(atPath: "\(model)/\(part)")
                try? FileManager.default.moveItem(atPath: file, toPath: "\(model)/\(part)")
                try? Data(other).write(to: URL(fileURLWithPath: model + (part == "config.json" ? "/model.safetensors" : "/config.json")))
                return ["compile", model, "--dry-run"]
            })
            #expect(complaints.isEmpty, "\(complaints.joined(separator: "\n"))")
        }
    }

    @Test func artifactsAndTheirInputs() throws {
        let model = folder.file("net.glm"), artifact = folder.file("net.so"), npz = folder.file("in.npz"), npy = folder.file("in.npy")
        try CompileTests.text.write(toFile: model, atomically: true, encoding: .utf8)
        #expect(try GlmcProgram.run(["compile", model, "-o", artifact, "--no-cache", "-march=scalar"]).end == .exited(0))
        let array = try #require(TensorBuffer([Float](repeating: 1, count: 6), shape: [2, 3]).numpy)
        try Npz.write([.init(name: "x", array: array)], to: npz, compressed: true)
        try Npy.write(array, to: npy)
        let (library, archive, single) = try (Array(Data(contentsOf: URL(fileURLWithPath: artifact))), Array(Data(contentsOf: URL(fileURLWithPath: npz))), Array(Data(contentsOf: URL(fileURLWithPath: npy))))
        var complaints = check(250, ".so", make: { $0.mutate(library) }, words: { $0 % 3 == 0 ? ["inspect", $1] : ["run", $1, "--random", "1"] })
        complaints += check(250, ".npz", make: { $0.mutate(archive) }, words: { ["run", artifact, "--inputs", $1] })
        complaints += check(150, ".npy", make: { $0.mutate(single) }, words: { ["run", artifact, "--input", "x=\($1)"] })
        complaints += check(100, "-expected.npz", make: { $0.mutate(archive) }, words: { ["run", artifact, "--random", "1", "--expected", $1] })
        #expect(complaints.isEmpty, "\(complaints.joined(separator: "\n"))")
    }
}
