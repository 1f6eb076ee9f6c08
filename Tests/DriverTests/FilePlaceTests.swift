import Foundation
import GlmcCodegen
import GlmcFrontend
import GlmcRuntime
import GlmcTestSupport
import Testing

@testable import GlmcDriver

/// Where files are read from and written to, and what of them reaches a terminal.
@Suite final class FilePlaceTests {
    let folder: TemporaryFolder
    private let model: String, artifact: String

    init() throws {
        folder = try TemporaryFolder()
        (model, artifact) = (folder.file("net.glm"), folder.file("net.so"))
        try CompileTests.text.write(toFile: model, atomically: true, encoding: .utf8)
        mkfifo(folder.file("fifo"), 0o600)
        symlink("fifo", folder.file("link"))
    }

    private func compileArtifact() throws {
        #expect(try GlmcProgram.run(["compile", model, "-o", artifact, "--no-cache", "-march=scalar"]).end == .exited(0))
    }

    private func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        try Data(bytes).write(to: URL(fileURLWithPath: folder.file(name)))
        return folder.file(name)
    }

    private func expect(_ status: Int32, _ part: String, _ words: [String], in place: String? = nil) throws {
        let result = try GlmcProgram.run(words, in: place, seconds: 30)
        #expect(result.end == .exited(status) && result.errors.contains("error: ") && result.errors.contains(part), "\(words): \(result.end): \(result.errors.prefix(500))")
    }

    /// Reading what is no regular file would wait for ever, or do something.
    @Test func readsOnlyRegularFiles() throws {
        try compileArtifact()
        let fifo = folder.file("fifo"), odd = "is not a regular file"
        for place in [fifo, folder.file("link"), "/dev/zero", "/dev/null"] {
            try expect(1, odd, ["compile", place, "--dry-run"])
            try expect(1, odd, ["inspect", place])
            try expect(1, odd, ["run", artifact, "--inputs", place])
            try expect(1, odd, ["run", artifact, "--input", "x=\(place)"])
            try expect(1, odd, ["run", artifact, "--random", "1", "--expected", place])
            do {
                _ = try Artifact(path: place)
                Issue.record("opened \(place)")
            } catch { #expect(error.kind == .notAnArtifact && error.message.contains(odd)) }
        }
        // The parts of a model: weights outside of its file, a folder's files, a test case's.
        let tensor = Onnx.tensor("w", 1, [2, 3]).message(13, Proto().string(1, "location").string(2, "fifo")).int(14, 1)
        let outside = Onnx.model(Onnx.graph(nodes: [Onnx.node("Add", ["x", "w"], ["y"])], initializers: [tensor], inputs: [Onnx.value("x", 1, [2, 3])], outputs: [Onnx.value("y", 1, [2, 3])])).bytes
        try expect(1, odd, ["compile", write("outside.onnx", outside), "--dry-run"])
        let bert = folder.file("bert"), test = folder.file("case")
        for (name, other, bytes) in [("config.json", "model.safetensors", TinyBert.weights), ("model.safetensors", "config.json", Array(TinyBert.config.utf8))] {
            try? FileManager.default.removeItem(atPath: bert)
            try FileManager.default.createDirectory(atPath: bert, withIntermediateDirectories: true)
            mkfifo("\(bert)/\(name)", 0o600)
            _ = try write("bert/\(other)", bytes)
            try expect(1, odd, ["compile", bert, "--dry-run"])
        }
        try FileManager.default.createDirectory(atPath: test + "/test_data_set_0", withIntermediateDirectories: true)
        let relu = Onnx.model(Onnx.graph(nodes: [Onnx.node("Relu", ["x"], ["y"])], inputs: [Onnx.value("x", 1, [2, 3])], outputs: [Onnx.value("y", 1, [2, 3])])).bytes
        _ = try write("case/model.onnx", relu)
        mkfifo(test + "/test_data_set_0/input_0.pb", 0o600)
        try expect(1, odd, ["verify", test + "/model.onnx", "--against", test])
        #expect(try ChildProcess.run(["sh", "-c", "'\(GlmcProgram.path)' compile /dev/stdin --dry-run < '\(folder.file("case/model.onnx"))'"]).succeeded, "a file is one by any name")
    }

    /// Results replace files, and nothing else.
    @Test func writesOnlyFiles() throws {
        try compileArtifact()
        let fifo = folder.file("fifo")
        for words in [["compile", model, "--dry-run", "-o"], ["compile", model, "--report"], ["opt", model, "-o"], ["run", artifact, "--random", "1", "-o"]] {
            for target in [fifo, folder.file("link"), "/dev/null", folder.path] {
                try expect(1, target == folder.path ? "is a folder" : "is not a regular file", words + [target])
            }
            try expect(2, "empty", words + [""])
        }
        var status = stat()
        #expect(lstat(fifo, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO)
        try expect(1, "does not exist", ["compile", model, "-o", folder.file("none/")])
    }

    @Test(arguments: ["m", "-x.so", String(repeating: "n", count: 252) + ".so"]) func writesUnderAnyName(_ name: String) throws {
        let result = try GlmcProgram.run(["compile", model, "-o", name, "--no-cache", "-march=scalar"], in: folder.path)
        #expect(result.end == .exited(0) && FileManager.default.fileExists(atPath: folder.file(name)), "\(result.errors)")
        #expect(Set(try FileManager.default.contentsOfDirectory(atPath: folder.path)) == ["net.glm", "fifo", "link", name])
    }

    @Test func refusesNamesThatAreNotText() throws {
        let ran = try ChildProcess.run(["sh", "-c", "cd '\(folder.path)' && '\(GlmcProgram.path)' compile net.glm -o $(printf 'caf\\351.glm')"])
        #expect(ran.end == .exited(2) && ran.errors.contains("not UTF-8"))
        try expect(1, "too long", ["opt", model, "-o", folder.file(String(repeating: "n", count: 300))])
    }

    /// Results that could not be printed are an error, of the program and of the programs that it makes.
    @Test func noticesThatNothingArrives() throws {
        try compileArtifact()
        let program = folder.file("net"), npy = folder.file("x.npy")
        #expect(try GlmcProgram.run(["compile", model, "-o", program, "--no-cache", "-march=scalar"]).end == .exited(0))
        try Npy.write(#require(TensorBuffer([Float](repeating: 1, count: 6), shape: [2, 3]).numpy), to: npy)
        let glmc = "'\(GlmcProgram.path)' "
        for command in ["targets", "passes", "ops", "version", "help", "help run", "run --help", "doctor", "inspect net.glm", "inspect net.so", "opt net.glm", "explain net.glm", "run net.so --random 1",
                        "run net.so --random 1 --json", "bench net.so --duration 0 --warmup 0"].map({ glmc + $0 }) + ["./net", "./net x=x.npy"] {
            let result = try ChildProcess.run(["sh", "-c", "cd '\(folder.path)' && \(command) > /dev/full"])
            #expect(result.end == .exited(1) && result.errors.contains("cannot write to standard output"), "\(command): \(result.end)")
        }
        // A reader that has gone away has seen what it wanted.
        #expect(try ChildProcess.run(["bash", "-c", "set -o pipefail; \(glmc) ops | head -1"]).succeeded)
        let read = try ChildProcess.run([program, "x=\(folder.file("fifo"))"], limit: 20)
        #expect(read.end == .exited(1) && read.errors.contains("not a regular file"))
        for words in [["--threads", "-1"], ["--threads", "many"], ["--threads", "9999"], ["--bench", "nan"]] {
            let refused = try ChildProcess.run([program] + words, limit: 20)
            #expect(refused.end == .exited(2) && refused.errors.contains("takes a number"))
        }
    }

    private static let hostile = "x\u{1b}[2J\u{9b}1m\u{202e}\u{7f}\u{2028}\nerror: fake"

    /// Names are other people's text: none of it moves a cursor, reverses text or passes for a message.
    @Test func printsNoControlCharacters() throws {
        let name = Self.hostile, kinds = ["\u{1b}", "\u{9b}", "\u{202e}", "\u{7f}", "\u{2028}", "\nerror: fake", "\r"]
        let net = try write("net.onnx", Onnx.model(Onnx.graph(
            nodes: [Onnx.node("Relu", [name], [name + "a"]), Onnx.node("Neg", [name + "a"], [name + "y"])], inputs: [Onnx.value(name, 1, sizes: [name + "n", "3"])], outputs: [Onnx.value(name + "y", 1, sizes: ["", ""])])).bytes)
        let broken = try write("broken.onnx", Onnx.model(Onnx.graph(nodes: [Onnx.node("Add", [name, "missing"], ["y"])], inputs: [Onnx.value(name, 1, [2])], outputs: [Onnx.value(name + "y", 1, [2])])).bytes)
        let program = folder.file("program")
        for output in [artifact, program] { #expect(try GlmcProgram.run(["compile", net, "-o", output, "--no-cache", "-march=scalar", "-O0"]).end == .exited(0)) }
        func check(_ words: [String]) throws {
            let ran = try ChildProcess.run(words[0] == program ? words : [GlmcProgram.path] + words), all = ran.output + ran.errors
            #expect(!all.isEmpty && !kinds.contains { all.contains($0) }, "\(words): \(all)")
        }
        for words in [["inspect", net], ["inspect", net, "--json"], ["inspect", broken], ["opt", net], ["explain", net], ["explain", net, "--json"], ["compile", broken], ["inspect", artifact, "--kernels"],
                      ["inspect", artifact, "--json"], ["run", artifact], ["run", artifact, "--random", "1"], ["run", artifact, "--random", "1", "--json"], ["run", artifact, "--dim", name + "n=-1"], ["compile", name],
                      ["compile", name + ".onnx"], [name], ["compile", net, "--\(name)"], [program], [program, name], [program, "\(name)=\(model)"], [program, "\(name)=\(name)"]] { try check(words) }
        // What is printed for programs keeps its meaning.
        let printed = try GlmcProgram.run(["opt", net]).output
        #expect(try GlmcProgram.run(["opt", write("printed.glm", Array(printed.utf8))]).output == printed)
        let json = try JSONValue(parsing: GlmcProgram.run(["inspect", artifact, "--json"]).output)
        #expect(json["entries"]?.array?[0]["inputs"]?.array?[0]["name"]?.string == name)
    }

    /// The report of a crash is a new file: a link that waits under its name is not followed.
    @Test func crashReportsFollowNoLinks() throws {
        try compileArtifact()
        // A process keeps its number when it becomes another program; the library is opened after everything is prepared for a crash.
        let script = """
            cd '\(folder.path)'; echo precious > victim; ln -s victim glmc-crash-$$.txt
            (until grep -q net.so /proc/$$/maps; do sleep 0.05; done; kill -SEGV $$) &
            exec '\(GlmcProgram.path)' bench net.so --duration 60 --threads 1
            """
        let result = try ChildProcess.run(["sh", "-c", script], limit: 50)
        #expect(result.end == .exited(70) && result.errors.contains("glmc crashed"), "\(result.end) \(result.errors)")
        #expect(try String(contentsOfFile: folder.file("victim"), encoding: .utf8) == "precious\n")
    }

    /// Every key of config.json: what it may hold, and that anything else is refused with its name.
    @Test func checksEveryKeyOfAConfiguration() throws {
        let bert = folder.file("bert"), whole = TinyBert.config.trimmingCharacters(in: .whitespacesAndNewlines)
        try FileManager.default.createDirectory(atPath: bert, withIntermediateDirectories: true)
        _ = try write("bert/model.safetensors", TinyBert.weights)
        func run(_ key: String, _ value: String) throws -> GlmcProgram.Result {
            let pattern = "\"\(key)\":(\"[^\"]*\"|[^,}]*)"
            let changed = whole.range(of: pattern, options: .regularExpression).map { whole.replacingCharacters(in: $0, with: "\"\(key)\":\(value)") } ?? whole.dropLast() + ",\"\(key)\":\(value)}"
            try changed.write(toFile: bert + "/config.json", atomically: true, encoding: .utf8)
            return try GlmcProgram.run(["inspect", bert])
        }
        for (key, values) in [("layer_norm_eps", ["1", "0", "1e-5", "0.5", "null"]), ("hidden_act", ["\"relu\"", "null"]), ("is_decoder", ["false", "null"]), ("position_embedding_type", ["\"absolute\""])] {
            for value in values { #expect(try run(key, value).end == .exited(0), "\(key): \(value)") }
        }
        let odd = ["\"4\"", "[4]", "{}", "true"]
        for key in ["hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size", "vocab_size", "type_vocab_size", "max_position_embeddings", "layer_norm_eps", "hidden_act", "position_embedding_type", "is_decoder", "model_type"] {
            var values = odd + ["-1", "-0.5", "1e300", "-9223372036854775808", "99999999999999999999999"]
            if ["hidden_act", "position_embedding_type", "model_type"].contains(key) { values.removeFirst() }
            if key == "is_decoder" { values.removeLast(6) }
            if key.hasSuffix("_size") || key.hasPrefix("num_") || key.hasPrefix("max_") { values += ["0", "4.5", "null", "9223372036854775807"] }
            for value in values where !(key == "is_decoder" && value == "true" || key == "layer_norm_eps" && value.hasPrefix("9")) {
                let result = try run(key, value)
                #expect(result.end == .exited(1) && result.errors.contains("config.json: '\(key)': must be"), "\(key): \(value): \(result.end) \(result.errors)")
            }
        }
        for key in ["is_decoder", "add_cross_attention"] { #expect(try run(key, "true").end == .exited(4)) }
        #expect(try run("layer_norm_eps", "NaN").errors.contains("is not JSON"))
        #expect(try run("num_attention_heads", "3").errors.contains("do not divide"))
    }
}
