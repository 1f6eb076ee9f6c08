import Foundation
import GlmcCodegen
import GlmcFrontend
import GlmcRuntime
import Testing

@testable import GlmcDriver

/// The command line from a textual model to a running artifact, and every way in which that can fail. Each test has a folder of its own.
@Suite final class CompileTests {
    let folder: TemporaryFolder
    let model: String

    init() throws {
        folder = try TemporaryFolder()
        model = folder.file("net.glm")
        try Self.text.write(toFile: model, atomically: true, encoding: .utf8)
    }

    static let text = """
        func @net(%x: f32[n, 3]) {
          dimension n = input 0 axis 0
          %y = binary.add(%x, %x) : f32[n, 3]
          return %y
        }

        """

    func glmc(_ words: String...) -> Int32 { Glmc.run(words + (words[0] == "compile" ? ["--no-cache", "-march=scalar"] : [])) }

    /// Names in the folder, sorted.
    var files: [String] { ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).sorted() }

    @Test func compilesRunsAndDescribes() throws {
        let artifact = folder.file("net.so"), inputs = folder.file("in.npz"), outputs = folder.file("out.npz")
        #expect(glmc("compile", model, "-o", artifact) == 0)
        for path in [artifact, model] { #expect(glmc("inspect", path) == 0 && glmc("inspect", path, "--json") == 0) }
        let x = try #require(try TensorBuffer((0..<6).map { Float($0) }, shape: [2, 3]).numpy)
        try Npz.write([.init(name: "x", array: x)], to: inputs)
        #expect(glmc("run", artifact, "--inputs", inputs, "--output", outputs) == 0)
        let y = try TensorBuffer(#require(try Npz.read(outputs).first).array)
        #expect(try y.shape == [2, 3] && y.array(of: Float.self) == [0, 2, 4, 6, 8, 10])
        #expect(glmc("run", artifact, "--inputs", inputs, "--expected", outputs) == 0)
        #expect(glmc("run", artifact, "--random", "1", "--dim", "n=2", "--expected", outputs) == 3)
        #expect(glmc("bench", artifact, "--duration", "0.01", "--warmup", "0", "--json") == 0)
        #expect(glmc("run", model, "--random", "1", "-march=scalar") == 0)
        #expect(files == ["in.npz", "net.glm", "net.so", "out.npz"])
    }

    @Test func givesTheSameBytesTwice() throws {
        #expect(glmc("compile", model, "-o", folder.file("a.so")) == 0 && glmc("compile", model, "-o", folder.file("b.so")) == 0)
        #expect(FileManager.default.contentsEqual(atPath: folder.file("a.so"), andPath: folder.file("b.so")))
    }

    @Test func writesLibrariesWithHeaders() throws {
        #expect(glmc("compile", model, "-o", folder.file("net.a")) == 0)
        #expect(files == ["glmc.h", "net.a", "net.glm", "net.h"])
        let program = folder.file("main.c")
        try "#include \"net.h\"\nint main(void) { return (int)model_net()->entry_count; }\n".write(toFile: program, atomically: true, encoding: .utf8)
        let compiler = try #require(Toolchain.available.first).path, binary = folder.file("main")
        let built = try ChildProcess.run([compiler, "-Wall", "-Wextra", "-Werror", program, folder.file("net.a"), "-pthread", "-lm", "-o", binary])
        #expect(built.succeeded, "\(built.errors)")
        #expect(try ChildProcess.run([binary]).end == .exited(1))
    }

    @Test func writesOneCFile() throws {
        #expect(glmc("compile", model, "-o", folder.file("net.c"), "-march=avx2") == 0)
        #expect(files == ["glmc.h", "net.c", "net.glm", "net.h", "net.weights"])
        for compiler in Toolchain.available.prefix(2) {
            let built = try ChildProcess.run(["sh", "-c", "cd \(folder.path) && \(compiler.path) -std=gnu11 -O1 -Wall -Wextra -Werror -fopenmp-simd -fPIC -shared -mavx2 -mfma -mf16c net.c -o net.so -pthread -lm"])
            #expect(built.succeeded, "\(built.errors)")
            #expect(glmc("run", folder.file("net.so"), "--random", "1") == 0)
        }
    }

    @Test func writesACudaSource() throws {
        #expect(Glmc.run(["compile", model, "-o", folder.file("net.cu")]) == 0)
        #expect(files == ["net.cu", "net.glm", "net.weights"])
        let built = try ChildProcess.run(["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-DGLMC_EMULATE", "-x", "c++", "-fsyntax-only", folder.file("net.cu")])
        #expect(built.succeeded, "\(built.errors)")
        #expect(glmc("compile", model, "-o", folder.file("net.cu")) == 2, "the scalar target is no CUDA target")
        #expect(Glmc.run(["compile", model, "-march=sm_90", "-o", folder.file("net.so")]) == 2)
        #expect(Glmc.run(["compile", model, "-march=sm_90", "-o", folder.file("net")]) == 2)
        #expect(Glmc.run(["compile", model, "--target=cuda", "-o", folder.file("other.cu")]) == 0)
        #expect(Glmc.run(["compile", model, "--target=cuda", "-march=avx2", "-o", folder.file("other.cu")]) == 2)
    }

    @Test func writesAProgram() throws {
        let program = folder.file("net"), input = folder.file("x.npy")
        #expect(glmc("compile", model, "-o", program) == 0)
        try Npy.write(#require(try TensorBuffer([Float]([1, 2, 3]), shape: [1, 3]).numpy), to: input)
        let ran = try ChildProcess.run([program, "x=\(input)", "--bench", "0.01"])
        #expect(ran.succeeded && ran.output.hasPrefix("y (1, 3): 2 4 6\n"), "\(ran.output)\(ran.errors)")
        #expect(try ChildProcess.run([program, "x=\(input)", "--output", folder.path]).succeeded)
        let y = try TensorBuffer(Npy.read(folder.file("y.npy")))
        #expect(try y.shape == [1, 3] && y.array(of: Float.self) == [2, 4, 6])
        #expect(try ChildProcess.run([program, "--help"]).output.contains("input x: type f4, shape (n, 3)"))
        #expect(try ChildProcess.run([program, "x=\(model)"]).end == .exited(1))
        #expect(try ChildProcess.run([program, "--nonsense"]).end == .exited(2))
    }

    @Test func quantisesWithCalibration() throws {
        let network = folder.file("conv.glm"), samples = folder.file("samples.npz"), output = folder.file("conv.so")
        try """
            func @conv(%x: f32[1, 4, 8, 8]) {
              %w = constant(value: f32[8, 4, 3, 3] splat(0.25)) : f32[8, 4, 3, 3]
              %y = conv(%x, %w, strides: [1, 1], dilations: [1, 1]) : f32[1, 8, 6, 6]
              return %y
            }

            """.write(toFile: network, atomically: true, encoding: .utf8)
        let x = try #require(try TensorBuffer((0..<256).map { Float($0 % 16) / 16 }, shape: [1, 4, 8, 8]).numpy)
        try Npz.write([.init(name: "x", array: x)], to: samples)
        #expect(glmc("compile", network, "-o", output, "--int8", "--calib", samples) == 0)
        let expected = folder.file("expected.npz")
        #expect(glmc("run", network, "-march=scalar", "--inputs", samples, "--output", expected) == 0)
        #expect(glmc("run", output, "--inputs", samples, "--expected", expected, "--atol", "0.1", "--rtol", "0.02") == 0)
        #expect(glmc("compile", network, "-o", output, "--int8") == 0)
        #expect(glmc("compile", network, "-o", output, "--calib", samples) == 2)
        #expect(glmc("compile", network, "-o", output, "--int8", "--quant=static") == 2)
        #expect(glmc("compile", network, "-o", output, "--int8", "--calib", network) == 1)
    }

    /// What is wrong with the compiler or the flags for it is said in glmc's words.
    @Test func saysWhatTheCompilerCannotDo() throws {
        let output = folder.file("net.so")
        for flag in ["--cc=", "--cc=/nonexistent", "--cc=.", "--cc=true", "--cc=cat", "--cc=gcc -O2", "--cflag=", "--cflag=--nonsense", "--cflag=-fsyntax-only", "--cflag=-E", "--cflag=absent.c",
                     "--cflag=-Dconst=+", "--cflag=-labsent"] {
            let result = try GlmcProgram.run(["compile", model, "--no-cache", "-march=scalar", "-o", output, flag])
            #expect(result.status == 2, "\(flag): \(result.errors)")
            #expect(result.errors.hasPrefix("error: ") && !result.errors.contains("In file included") && result.errors.split(separator: "\n").count <= 2, "\(flag): \(result.errors)")
            #expect(!FileManager.default.fileExists(atPath: output))
        }
        #expect(glmc("compile", model, "-o", output, "--cflag=-DNOTHING", "--cflag=-g") == 0)
    }

    /// A compiler that crashes on a file is asked again for less; one that crashes always is named.
    @Test(arguments: [("-fno-tree-slp-vectorize", 0), ("-fno-openmp-simd", 0), ("-never", 70)] as [(String, Int32)])
    func asksACompilerThatCrashesForLess(_ flag: String, _ status: Int32) throws {
        let output = folder.file("net.so"), compiler = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "crashing-compiler").path
        let result = try GlmcProgram.run(["compile", model, "--no-cache", "-march=scalar", "-o", output, "--cc", compiler], environment: ["SAFE_FLAG": flag])
        #expect(result.status == status && FileManager.default.fileExists(atPath: output) == (status == 0), "\(result.errors)")
        #expect(status == 0 || result.errors.contains("Segmentation fault"))
    }

    /// A cache that others could write to is not used, and glmc says so once; without a place of the user's own there is none.
    @Test func usesOnlyACacheOfItsOwn() throws {
        let cache = folder.file("cache"), words = ["compile", model, "-march=scalar", "-o", folder.file("net.so")]
        func files() -> Int { (try? FileManager.default.subpathsOfDirectory(atPath: cache).filter { $0.hasSuffix(".o") }.count) ?? 0 }
        #expect(try GlmcProgram.run(words, environment: ["GLMC_CACHE": cache]).errors.contains("(0 of "))
        #expect(files() > 0)
        #expect(try !GlmcProgram.run(words, environment: ["GLMC_CACHE": cache]).errors.contains("(0 of "))
        #expect(chmod(cache, 0o777) == 0)
        let result = try GlmcProgram.run(words, environment: ["GLMC_CACHE": cache])
        #expect(result.status == 0 && result.errors.contains("(0 of ") && result.errors.components(separatedBy: "warning: ").count == 2, "\(result.errors)")
        // An empty variable counts as none.
        let homeless = try GlmcProgram.run(words, environment: ["GLMC_CACHE": "", "XDG_CACHE_HOME": "", "HOME": ""])
        #expect(homeless.status == 0 && homeless.errors.contains("(0 of ") && !homeless.errors.contains("warning: "), "\(homeless.errors)")
    }

    @Test func narrowsFloats() throws {
        let network = folder.file("mlp.glm"), samples = folder.file("x.npz"), expected = folder.file("y.npz"), output = folder.file("mlp.so")
        try """
            func @mlp(%x: f32[5, 64]) {
              %k = constant(value: f32[64, 40] splat(0.3))
              %m = matmul(%x, %k) loc("first")
              %g = activation(%m, kind: "gelu")
              %l = constant(value: f32[40, 7] splat(-0.07))
              %y = matmul(%g, %l) loc("second")
              return %y
            }

            """.write(toFile: network, atomically: true, encoding: .utf8)
        let x = try #require(try TensorBuffer((0..<320).map { Float($0 % 17) / 17 - 0.4 }, shape: [5, 64]).numpy)
        try Npz.write([.init(name: "x", array: x)], to: samples)
        #expect(glmc("run", network, "-march=scalar", "--inputs", samples, "--output", expected) == 0)
        for (flag, tolerance) in [("--bf16", "0.02"), ("--fp16", "0.001")] {
            for target in ["native", "scalar"] {
                #expect(glmc("compile", network, "-o", output, flag, "-march=\(target)") == 0)
                #expect(glmc("run", output, "--inputs", samples, "--expected", expected, "--atol", tolerance, "--rtol", tolerance) == 0, "\(flag) on \(target)")
                // The narrow weights show: exact fp32 would meet a tolerance of 1e-6.
                #expect(glmc("run", output, "--inputs", samples, "--expected", expected, "--atol", "1e-6", "--rtol", "1e-6") == 3)
            }
            #expect(glmc("compile", network, "-o", output, flag, "--keep", "*") == 0)
            #expect(glmc("run", output, "--inputs", samples, "--expected", expected, "--atol", "1e-5", "--rtol", "1e-5") == 0)
            #expect(glmc("compile", network, "-o", output, flag, "--int8") == 0)
        }
        #expect(glmc("compile", network, "-o", output, "--bf16", "--fp16") == 2)
        #expect(glmc("compile", network, "-o", output, "--keep", "first") == 2)
    }

    @Test func writesTextualIR() throws {
        #expect(glmc("compile", model, "-o", folder.file("out.glm")) == 0)
        #expect(try String(contentsOfFile: folder.file("out.glm"), encoding: .utf8).contains("func @net"))
        #expect(glmc("opt", folder.file("out.glm"), "--passes=dce", "-o", folder.file("again.glm")) == 0)
    }

    @Test func refusesWhatItCannotDo() throws {
        let bad = folder.file("bad.onnx"), output = folder.file("x.so")
        try "this is no model".write(toFile: bad, atomically: true, encoding: .utf8)
        #expect(glmc("compile", bad, "-o", output) == 1)
        #expect(glmc("compile", folder.file("absent.onnx"), "-o", output) == 1)
        #expect(glmc("compile", model, "-o", folder.file("none/x.so")) == 1)
        #expect(glmc("compile", model, "-o", folder.path) == 2 || glmc("compile", model, "-o", folder.path) == 1)
        #expect(glmc("compile", model, "-o", folder.file("x.zip")) == 2)
        #expect(glmc("compile", model, "-o", output, "--disable-pass=nothing") == 2)
        #expect(glmc("compile", model, "-o", output, "--cc", folder.file("no-compiler")) != 0)
        #expect(glmc("compile", model, "-o", output, "--cflag=--no-such-flag") != 0)
        #expect(glmc("run", model, "--input", "x=\(bad)") == 1)
        #expect(files == ["bad.onnx", "net.glm"])
    }

    /// What was there stays as it was when a compilation fails.
    @Test func keepsTheOldArtifact() throws {
        let output = folder.file("net.so")
        try "old".write(toFile: output, atomically: true, encoding: .utf8)
        #expect(glmc("compile", model, "-o", output, "--cflag=--no-such-flag") != 0)
        #expect(try String(contentsOfFile: output, encoding: .utf8) == "old" && files == ["net.glm", "net.so"])
    }
}
