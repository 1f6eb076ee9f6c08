import Foundation
import GlmcCodegen
import GlmcFrontend
import GlmcRuntime
import GlmcTestSupport
import Testing

@testable import GlmcDriver

/// What a user can hand to the program by mistake or malice: a message and the documented exit code, within bounded time and memory.
@Suite final class BadInputTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        try Data(bytes).write(to: URL(fileURLWithPath: folder.file(name)))
        return folder.file(name)
    }

    /// Runs the program and expects an exit code and a part of the message.
    private func expect(_ status: Int32, _ part: String, _ words: String...) throws {
        let result = try GlmcProgram.run(words)
        #expect(result.end == .exited(status) && result.errors.contains("error: ") && result.errors.contains(part), "\(words): \(result.end): \(result.errors.prefix(500))")
    }

    private static let x = Onnx.value("x", 1, [2, 3]), y = Onnx.value("y", 1, [2, 3])

    private static func model(_ nodes: [Proto], initializers: [Proto] = [], inputs: [Proto] = [x], outputs: [Proto] = [y]) -> [UInt8] {
        Onnx.model(Onnx.graph(nodes: nodes, initializers: initializers, inputs: inputs, outputs: outputs)).bytes
    }

    private static func filled(_ dims: [Int64]) -> [UInt8] {
        model([Onnx.node("ConstantOfShape", ["s"], ["y"])], initializers: [Onnx.tensor("s", 7, [Int64(dims.count)]).packed(7, dims)], inputs: [],
              outputs: [Onnx.value("y", 1, dims.map { max($0, 1) })])
    }

    private static func nested(_ depth: Int) -> [UInt8] {
        var graph = Onnx.graph(nodes: [])
        for _ in 0..<depth { graph = Onnx.graph(nodes: [Onnx.node("If", [], [], [Onnx.attribute("g", graph: graph)])]) }
        return Onnx.model(graph).bytes
    }

    private static func external(_ location: String, offset: String = "0", length: String = "24") -> [UInt8] {
        let entries = [("location", location), ("offset", offset), ("length", length)]
        let weights = entries.reduce(Onnx.tensor("w", 1, [2, 3])) { $0.message(13, Proto().string(1, $1.0).string(2, $1.1)) }.int(14, 1)
        return model([Onnx.node("Add", ["x", "w"], ["y"])], initializers: [weights])
    }

    @Test func refusesBadModels() throws {
        let relu = Onnx.node("Relu", ["x"], ["y"])
        try Data([UInt8](repeating: 1, count: 12)).write(to: URL(fileURLWithPath: folder.file("short.bin")))
        let cases: [(name: String, bytes: [UInt8], status: Int32, part: String)] = [
            ("empty", [], 1, "no graph"),
            ("text", Array("this is no model".utf8), 1, "text.onnx"),
            ("cycle", Self.model([Onnx.node("Add", ["x", "b"], ["a"]), Onnx.node("Relu", ["a"], ["b"]), Onnx.node("Relu", ["b"], ["y"])]), 1, "cycle"),
            ("initialiser", Self.model([Onnx.node("Add", ["x", "w"], ["y"])]), 1, "'w' is not defined"),
            ("types", Self.model([Onnx.node("Add", ["x", "n"], ["y"])], inputs: [Self.x, Onnx.value("n", 7, [2, 3])]), 1, "Add"),
            ("floats only", Self.model([Onnx.node("Sqrt", ["x"], ["y"])], inputs: [Onnx.value("x", 6, [2])], outputs: [Onnx.value("y", 6, [2])]), 1, "sqrt"),
            ("negative", Self.model([relu], inputs: [Onnx.value("x", 1, [-2, 3])]), 1, "-2"),
            ("overflow", Self.model([relu], inputs: [Onnx.value("x", 1, [1 << 40, 1 << 40])], outputs: [Onnx.value("y", 1, [1 << 40, 1 << 40])]), 1, "bytes"),
            ("huge input", Self.model([relu], inputs: [Onnx.value("x", 1, [1 << 40])], outputs: [Onnx.value("y", 1, [1 << 40])]), 1, "bytes"),
            ("huge result", Self.filled([1 << 20, 1 << 20]), 1, "bytes"),
            ("negative result", Self.filled([-4, 2]), 1, "extent"),
            ("negative weights", Self.model([Onnx.node("Add", ["x", "w"], ["y"])], initializers: [Onnx.floatTensor("w", [-1, 3], [1])]), 1, "negative"),
            ("short weights", Self.model([Onnx.node("Add", ["x", "w"], ["y"])], initializers: [Onnx.floatTensor("w", [2, 3], [1])]), 1, "needs 24"),
            ("deep", Self.nested(5000), 1, "nested more than"),
            ("escape", Self.external("../short.bin"), 1, "short.bin"),
            ("absolute", Self.external("/etc/passwd"), 1, "passwd"),
            ("short data", Self.external("short.bin"), 1, "short.bin"),
            ("far data", Self.external("short.bin", offset: "9223372036854775807"), 1, "short.bin"),
            ("no outputs", Self.model([relu], outputs: []), 1, "output"),
            ("parameters of a batch norm", Self.model([Onnx.node("BatchNormalization", ["x", "p", "p", "p", "p"], ["y"])], initializers: [Onnx.floatTensor("p", [1], [1])]), 1, "1 does not fit 3"),
            ("parameters of an instance norm", Self.model([Onnx.node("InstanceNormalization", ["x", "p", "p"], ["y"])], initializers: [Onnx.floatTensor("p", [1], [1])],
                                                          inputs: [Onnx.value("x", 1, [2, 3, 4])], outputs: [Onnx.value("y", 1, [2, 3, 4])]), 1, "1 does not fit 3"),
            ("three values", Self.model([Onnx.node("OneHot", ["i", "d", "v"], ["y"])], initializers: [Onnx.tensor("d", 7, [1]).packed(7, [3]), Onnx.floatTensor("v", [3], [0, 1, 2])],
                                        inputs: [Onnx.value("i", 7, [2])]), 1, "3 does not fit 2"),
            ("diagonal", Self.model([Onnx.node("Einsum", ["x"], ["y"], [Onnx.attribute("equation", string: "ii->i")])], outputs: [Onnx.value("y", 1, [2])]), 1, "2 does not fit 3"),
            ("unknown", Self.model([Onnx.node("Nonsense", ["x"], ["a"]), Onnx.node("Gibberish", ["a"], ["y"])]), 4, "Gibberish"),
        ]
        for item in cases { try expect(item.status, item.part, "compile", write("\(item.name).onnx", item.bytes), "-o", folder.file("out.so"), "--no-cache") }
        try expect(1, "no such file", "compile", folder.file("absent.onnx"))
        #expect(!FileManager.default.fileExists(atPath: folder.file("out.so")))
    }

    @Test func refusesBadText() throws {
        let deep = String(repeating: "(", count: 100_000)
        for (name, text) in [("empty", ""), ("noise", "func @f(%x: f32[2"), ("deep", "func @f(%x: f32[\(deep)"), ("wide", "func @f(%x: f32[99999999999999999999]) {\n  return %x\n}\n"),
                             ("unknown", "func @f(%x: f32[2]) {\n  %y = nonsense(%x) : f32[2]\n  return %y\n}\n"),
                             ("huge", "func @f(%x: f32[1099511627776, 1099511627776]) {\n  %y = unary.exp(%x)\n  return %y\n}\n"),
                             ("far", "func @f(%x: f32[2]) {\n  %y = slice(%x, starts: [9223372036854775807], sizes: [2], steps: [9223372036854775807])\n  return %y\n}\n")] {
            try expect(1, "\(name).glm", "compile", write("\(name).glm", Array(text.utf8)), "--dry-run")
        }
    }

    @Test func refusesLyingSafetensors() throws {
        let model = folder.file("bert")
        try FileManager.default.createDirectory(atPath: model, withIntermediateDirectories: true)
        func lie(_ status: Int32, _ part: String, config: String = TinyBert.config, header: String? = nil, length: UInt64? = nil, body: Int = 0) throws {
            try config.write(toFile: model + "/config.json", atomically: true, encoding: .utf8)
            try Data(header.map { TinyBert.file(header: $0, length: length, body: [UInt8](repeating: 0, count: body)) } ?? TinyBert.weights).write(to: URL(fileURLWithPath: model + "/model.safetensors"))
            try expect(status, part, "compile", model, "--dry-run")
        }
        try lie(1, "header length", header: "{}", length: 1 << 62)
        try lie(1, "JSON", header: "{")
        try lie(1, "JSON", header: String(repeating: "[", count: 100_000))
        try lie(1, "needs", header: #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}}"#, body: 8)
        try lie(1, "model.safetensors", header: #"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}"#, body: 8)
        try lie(1, "overlaps", header: #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#, body: 6)
        try lie(1, "config.json", config: "{")
        try lie(1, "heads", config: TinyBert.config.replacingOccurrences(of: "\"num_attention_heads\":2", with: "\"num_attention_heads\":3"))
        try lie(1, "vocab_size", config: TinyBert.config.replacingOccurrences(of: "\"vocab_size\":5", with: "\"vocab_size\":4611686018427387904"))
        let whole = try GlmcProgram.run(["compile", model, "--dry-run"])
        #expect(whole.end != .exited(0), "the last lie is still there")
        try TinyBert.config.write(toFile: model + "/config.json", atomically: true, encoding: .utf8)
        #expect(try GlmcProgram.run(["compile", model, "--dry-run"]).end == .exited(0))
    }

    /// Sizes that are free on their own but do not go together: bound by the importer, or checked because they may also be 1.
    @Test func refusesInputsThatDoNotFitTogether() throws {
        func sized(_ name: String, _ sizes: String...) -> Proto { Onnx.value(name, 1, sizes: sizes) }
        let nodes = [Onnx.node("MatMul", ["x", "w"], ["p"]), Onnx.node("Add", ["p", "b"], ["y"])]
        let model = try write("net.onnx", Self.model(nodes, inputs: [sized("x", "N", "K"), sized("w", "L", "M"), sized("b", "P")], outputs: [sized("y", "", "")]))
        let artifact = folder.file("net.so")
        #expect(try GlmcProgram.run(["compile", model, "-o", artifact, "--no-cache", "-march=scalar"]).end == .exited(0))
        func inputs(_ x: [Int], _ w: [Int], _ b: [Int]) throws -> [String] {
            try [("x", x), ("w", w), ("b", b)].flatMap { name, shape -> [String] in
                let file = folder.file("\(name).npy")
                try Npy.write(#require(TensorBuffer([Float](repeating: 1, count: shape.reduce(1, *)), shape: shape).numpy), to: file)
                return ["--input", "\(name)=\(file)"]
            }
        }
        for bias in [1, 4] { #expect(try GlmcProgram.run(["run", artifact] + inputs([2, 3], [3, 4], [bias])).end == .exited(0)) }
        let cases: [(rows: Int, bias: Int, part: String)] = [
            (5, 4, "input 'w', axis 0: 'K' is 5 here, but 3 in an earlier axis"),
            (3, 7, "M is 4, which does not go with max(M, P), 7"),
            (3, 2, "P is 2, which does not go with max(M, P), 4"),
        ]
        for (rows, bias, part) in cases {
            let result = try GlmcProgram.run(["run", artifact] + inputs([2, 3], [rows, 4], [bias]))
            #expect(result.end == .exited(1) && result.errors.contains(part), "\(result.end): \(result.errors)")
        }
    }

    @Test func refusesBadInputsOfARun() throws {
        let model = try write("net.glm", Array(CompileTests.text.utf8)), artifact = folder.file("net.so")
        #expect(try GlmcProgram.run(["compile", model, "-o", artifact, "--no-cache", "-march=scalar"]).end == .exited(0))
        func numpy(_ name: String, _ tensor: TensorBuffer) throws -> String {
            try Npy.write(#require(tensor.numpy), to: folder.file(name))
            return folder.file(name)
        }
        let good = try numpy("good.npy", TensorBuffer([Float](repeating: 1, count: 6), shape: [2, 3]))
        #expect(try GlmcProgram.run(["run", artifact, "--input", "x=\(good)"]).end == .exited(0))
        try expect(1, "missing input 'x'", "run", artifact)
        try expect(1, "no input 'z'", "run", artifact, "--input", "z=\(good)")
        try expect(1, "axis 1", "run", artifact, "--input", "x=\(numpy("wide.npy", TensorBuffer(zeros: .f32, shape: [2, 4])))")
        try expect(1, "1 dimensions", "run", artifact, "--input", "x=\(numpy("flat.npy", TensorBuffer(zeros: .f32, shape: [6])))")
        try expect(1, "takes f32", "run", artifact, "--input", "x=\(numpy("double.npy", TensorBuffer(zeros: .f64, shape: [2, 3])))")
        try expect(1, "absent.npy", "run", artifact, "--input", "x=\(folder.file("absent.npy"))")
        try expect(1, "net.glm", "run", artifact, "--inputs", model)
        try expect(1, "larger than this machine's memory", "run", artifact, "--random", "1", "--dim", "n=1099511627776")
        try expect(1, "16777217", "run", artifact, "--random", "1", "--dim", "n=16777217")
        try expect(1, "no free dimension 'm'", "run", artifact, "--random", "1", "--dim", "m=2")
        try expect(2, "--dim", "run", artifact, "--random", "1", "--dim", "n=-1")
        // The library itself: cut short, changed, or not one of ours.
        let bytes = try Array(Data(contentsOf: URL(fileURLWithPath: artifact)))
        for count in [70, 1000, bytes.count / 2, bytes.count - 1] { try expect(1, "damaged or incomplete", "run", write("cut.so", Array(bytes[..<count])), "--random", "1") }
        var changed = bytes
        changed[bytes.count / 2] ^= 0x10
        try expect(1, "damaged or incomplete", "run", write("changed.so", changed), "--random", "1")
        try expect(1, "damaged or incomplete", "inspect", folder.file("changed.so"))
        try expect(1, "damaged or incomplete", "bench", folder.file("changed.so"))
        let foreign = try #require(Toolchain.available.first).path
        #expect(try ChildProcess.run([foreign, "-shared", "-o", folder.file("foreign.so"), "-x", "c", "/dev/null"]).succeeded)
        try expect(1, "glmc_model_get", "run", folder.file("foreign.so"), "--random", "1")
        let program = folder.file("program")
        let made = try GlmcProgram.run(["compile", model, "-o", program, "--no-cache", "-march=scalar"])
        #expect(made.end == .exited(0) && made.errors.contains("+ what the free sizes need"), "\(made.errors)")
        try expect(1, "is a program, which runs by itself", "run", program, "--random", "1")
    }

    @Test func refusesFlagsThatMeanNothing() throws {
        let model = try write("fixed.onnx", Self.model([Onnx.node("Relu", ["x"], ["y"])]))
        try expect(1, "none of its sizes has a name", "compile", model, "--dry-run", "--dim", "n=4")
        try expect(2, "given twice for 'x'", "compile", model, "--dry-run", "--shape", "x:2x3", "--shape", "x:2x3")
        try expect(2, "'/dev/null' is none", "compile", model, "--dry-run", "--save-temps", "/dev/null")
        try expect(2, "-O0 to -O3", "compile", model, "--dry-run", "-O4")
        for flag in ["--context=5", "--kv=bf16", "--no-tokenizer"] { try expect(2, "means nothing for this model", "compile", model, "--dry-run", flag) }
        try Data("PK\u{5}\u{6}".utf8 + [UInt8](repeating: 0, count: 18)).write(to: URL(fileURLWithPath: folder.file("nothing.npz")))
        try expect(1, "holds none of the model's outputs (y)", "run", model, "--random", "1", "--expected", folder.file("nothing.npz"), "--no-cache")
    }

    /// Sizes that ops find have room for the most that they can find, whatever a file says.
    @Test(arguments: [
        ("n = data_dependent bound 3", "[n]", "n", "is bound by 3, and 4 may be found"), ("n = data_dependent bound 0", "[n]", "n", "is bound by 0"),
        ("d = input 0 axis 0", "[d]", "d", "needs a data-dependent dimension of its own"), ("n = data_dependent bound 4", "[2]", "2", "needs a data-dependent dimension of its own"),
        ("m = data_dependent bound 4", "[n]", "n", "data-dependent dimension"), ("d = input 1 axis 0", "[n]", "n", "which is no axis of that size"),
    ])
    func refusesSizesWithoutRoom(_ declared: String, _ count: String, _ size: String, _ message: String) throws {
        let text = """
            func @f(%z: f32[d, 2], %k: f32[4]) {
              dimension \(declared)
              %n = non_zero(%k, count: \(count)) : i64[1, \(size)]
              return %n
            }
            """
        try expect(1, message, "compile", write("found.glm", Array(text.utf8)), "--dry-run")
        let twice = """
            func @f(%k: f32[4]) {
              dimension n = data_dependent bound 4
              %a = non_zero(%k, count: [n]) : i64[1, n]
              %b, %p, %i, %c = unique(%k, axis: -1, count: [n]) : f32[n], i64[n], i64[4], i64[n]
              return %a
            }
            """
        try expect(1, "dimension of its own", "compile", write("twice.glm", Array(twice.utf8)), "--dry-run")
        let loop = """
            func @f(%x: f32[1]) {
              %n = constant(value: i64[](90000)) : i64[]
              %t = constant(value: bool[](true)) : bool[]
              %r, %s = loop(%n, %t, %x, iterations: 3) : f32[1], f32[3, 1] {
              ^(%i: i64[], %c: bool[], %v: f32[1]):
                %w = binary.add(%v, %v) : f32[1]
                yield %c, %w, %w
              }
              return %s
            }
            """
        try expect(1, "need not be as many as it runs", "compile", write("loop.glm", Array(loop.utf8)), "--dry-run")
    }

    /// A cache that its user named and that cannot be used is a reason to say so, and none to stop.
    @Test func saysWhenThereIsNoCache() throws {
        let model = try write("fixed.onnx", Self.model([Onnx.node("Relu", ["x"], ["y"])]))
        let result = try GlmcProgram.run(["compile", model, "--dry-run"], environment: ["GLMC_CACHE": "/dev/full"])
        #expect(result.status == 0 && result.errors.contains("the kernel cache is not used"), "\(result.errors)")
    }
}
