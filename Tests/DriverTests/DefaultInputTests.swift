import Foundation
import GlmcCodegen
import GlmcFrontend
import GlmcRuntime
import Testing

@testable import GlmcDriver

/// Inputs with a default, from the model to every way of running the artifact: fed and left out. y = x + w, where w is (10, 20, 30) unless it is fed.
@Suite final class DefaultInputTests {
    /// Of the repository that these tests were built from.
    private let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
    let folder: TemporaryFolder
    let model: String

    init() throws {
        folder = try TemporaryFolder()
        model = folder.file("net.glm")
        let text = """
            func @net(%w: f32[3] = f32[3](10.0, 20.0, 30.0), %x: f32[n, 3]) {
              dimension n = input 1 axis 0
              %y = binary.add(%x, %w) : f32[n, 3]
              return %y
            }

            """
        try text.write(toFile: model, atomically: true, encoding: .utf8)
    }

    private func compile(to name: String, _ flags: String...) throws -> String {
        #expect(Glmc.run(["compile", model, "-o", folder.file(name), "--no-cache", "-march=scalar"] + flags) == 0)
        return folder.file(name)
    }

    @Test func sessionsTakeOrLeaveThem() throws {
        let artifact = try Artifact(path: try compile(to: "net.so")), session = try Session(artifact, threads: 2)
        #expect(try artifact.entryPoint(named: nil).inputs.map(\.isOptional) == [true, false])
        let x = try TensorBuffer([Float]([1, 2, 3]), shape: [1, 3]), w = try TensorBuffer([Float]([4, 5, 6]), shape: [3])
        func y(_ inputs: [String: TensorBuffer]) throws -> [Float] { try #require(try session.run(inputs)["y"]).array(of: Float.self) }
        #expect(try y(["x": x]) == [11, 22, 33])
        #expect(try y(["x": x, "w": w]) == [5, 7, 9])
        #expect(try y(["x": x]) == [11, 22, 33])
        #expect(throws: RuntimeError.self) { try y(["w": w]) }
        #expect(throws: RuntimeError.self) { try y(["x": x, "w": try TensorBuffer([Float]([1]), shape: [1])]) }
    }

    /// The long way too, under the sanitizers; an output may not lie in the default.
    @Test func callersInCTakeOrLeaveThem() throws {
        let library = try compile(to: "net.a"), program = folder.file("main.c"), binary = folder.file("main")
        try """
            #include <stdio.h>
            #include <string.h>
            #include "net.h"
            int main(void) {
                const glmc_model *model = model_net();
                const glmc_entry *entry = model->entries[0];
                float x[] = {1, 2, 3}, w[] = {4, 5, 6}, y[3];
                char error[200] = "";
                _Alignas(64) static unsigned char workspace[4096];
                glmc_tensor in[2] = {{.data = 0}, {.data = x, .bytes = sizeof x, .dtype = GLMC_F32, .rank = 2, .shape = {1, 3}}}, out = {.data = y, .bytes = sizeof y};
                glmc_call call = {.size = sizeof call, .input_count = 2, .output_count = 1, .inputs = in, .outputs = &out, .error = error, .error_bytes = sizeof error};
                uint64_t need = 0;
                glmc_tensor shape = {0};
                call.outputs = &shape;
                int status = entry->output_shapes(entry, &call);
                printf("%d %d %lld %lld, ", status, shape.rank, (long long)shape.shape[0], (long long)shape.shape[1]);
                call.outputs = &out;
                status = entry->workspace_size(entry, &call, &need);
                printf("%d %d\\n", status, need <= sizeof workspace);
                call.workspace = workspace;
                call.workspace_bytes = sizeof workspace;
                for (int round = 0; round < 3; round++) {
                    memset(&in[0], 0, sizeof in[0]);
                    if (round == 1) in[0] = (glmc_tensor){.data = w, .bytes = sizeof w, .dtype = GLMC_F32, .rank = 1, .shape = {3}};
                    status = entry->run(entry, &call);
                    printf("%d %g %g %g\\n", status, y[0], y[1], y[2]);
                }
                printf("%u %u\\n", entry->inputs[0].flags, entry->inputs[1].flags);
                in[1].data = 0;
                status = entry->run(entry, &call);
                printf("%d %s\\n", status, error);
                in[1].data = x;
                in[0] = (glmc_tensor){.data = w, .bytes = 4, .dtype = GLMC_F32, .rank = 1, .shape = {3}};
                status = entry->run(entry, &call);
                printf("%d %s\\n", status, error);
                memset(&in[0], 0, sizeof in[0]);
                out.data = (void *)(uintptr_t)model->weights;
                status = entry->run(entry, &call);
                printf("%d %s\\n", status, error);
                call.input_count = 1;
                status = entry->run(entry, &call);
                printf("%d %s\\n", status, error);
                return 0;
            }

            """.write(toFile: program, atomically: true, encoding: .utf8)
        let compiler = try #require(Toolchain.available.first).path
        let built = try ChildProcess.run([compiler, "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined", program, library, "-pthread", "-lm", "-o", binary])
        #expect(built.succeeded, "\(built.errors)")
        let ran = try ChildProcess.run([binary])
        #expect(ran.succeeded && ran.output == """
            0 2 1 3, 0 1
            0 11 22 33
            0 5 7 9
            0 11 22 33
            2 0
            1 input 'x' has no data
            4 input 'w' holds 4 bytes, its shape needs 12
            1 output 'y' shares memory with w
            1 main takes 2 inputs, 1 were given

            """, "\(ran.output)\(ran.errors)")
    }

    @Test func pythonTakesOrLeavesThem() throws {
        let own = "\(root)/.venv/bin/python"
        let python = ProcessInfo.processInfo.environment["GLMC_PYTHON"] ?? (FileManager.default.isExecutableFile(atPath: own) ? own : "python3")
        guard try ChildProcess.run([python, "-c", "import numpy"]).succeeded else { return }
        let script = """
            import sys; sys.path.insert(0, sys.argv[1]); import glmc, numpy as np
            model, f = glmc.load(sys.argv[2]), lambda *a: np.array(a, np.float32)
            x, w = f(1, 2, 3)[None], f(4, 5, 6)
            print([i.optional for i in model.inputs], *(y[0].tolist() for y, in (model(x=x), model(x=x, w=w), model(w, x), model(None, x), model.session().run([w, x]))))
            for wrong in (lambda: model(w=w), lambda: model(w), lambda: model.session().run([w])):
                try: wrong()
                except glmc.GlmcError as error: print(error)
            """
        let ran = try ChildProcess.run([python, "-c", script, "\(root)/python", try compile(to: "net.so")])
        #expect(ran.output == """
            [True, False] [11.0, 22.0, 33.0] [5.0, 7.0, 9.0] [5.0, 7.0, 9.0] [11.0, 22.0, 33.0] [5.0, 7.0, 9.0]
            input 'x' is missing; the model takes ['w', 'x']
            input 'x' is missing; the model takes ['w', 'x']
            the model takes 2 inputs, 1 were given

            """, "\(ran.output)\(ran.errors)")
    }

    private func write(_ name: String, _ arrays: [(name: String, values: [Float], shape: [Int])]) throws -> String {
        try Npz.write(try arrays.map { Npz.Entry(name: $0.name, array: try #require(try TensorBuffer($0.values, shape: $0.shape).numpy)) }, to: folder.file(name))
        return folder.file(name)
    }

    @Test func theCommandLineTakesOrLeavesThem() throws {
        let artifact = try compile(to: "net.so"), program = try compile(to: "net"), frozen = try compile(to: "frozen.so", "--freeze-initializers")
        let x = try write("x.npz", [("x", [1, 2, 3], [1, 3])]), both = try write("both.npz", [("x", [1, 2, 3], [1, 3]), ("w", [4, 5, 6], [3])])
        let without = try write("y0.npz", [("y", [11, 22, 33], [1, 3])]), with = try write("y1.npz", [("y", [5, 7, 9], [1, 3])])
        let verified = try write("both_y.npz", [("x", [1, 2, 3], [1, 3]), ("w", [4, 5, 6], [3]), ("y", [5, 7, 9], [1, 3])])
        #expect(Glmc.run(["run", artifact, "--inputs", x, "--expected", without]) == 0 && Glmc.run(["run", artifact, "--inputs", both, "--expected", with]) == 0)
        #expect(Glmc.run(["run", frozen, "--inputs", x, "--expected", without]) == 0 && Glmc.run(["run", frozen, "--inputs", both]) == 1)
        #expect(Glmc.run(["verify", model, "--against", verified, "-march=scalar"]) == 0)
        #expect(Glmc.run(["bench", artifact, "--duration", "0.01", "--warmup", "0"]) == 0 && Glmc.run(["run", artifact]) == 1)
        #expect(try GlmcProgram.run(["inspect", artifact]).output.contains("optional") && !GlmcProgram.run(["inspect", frozen]).output.contains("optional"))
        #expect(try GlmcProgram.run(["inspect", artifact, "--json"]).output.contains("\"optional\": true"))
        #expect(try GlmcProgram.run(["compile", model, "--dry-run"]).errors.contains("--freeze-initializers"))
        try Npy.write(#require(try TensorBuffer([Float]([1, 2, 3]), shape: [1, 3]).numpy), to: folder.file("x.npy"))
        try Npy.write(#require(try TensorBuffer([Float]([4, 5, 6]), shape: [3]).numpy), to: folder.file("w.npy"))
        #expect(try ChildProcess.run([program, "x=\(folder.file("x.npy"))"]).output == "y (1, 3): 11 22 33\n")
        #expect(try ChildProcess.run([program, "x=\(folder.file("x.npy"))", "w=\(folder.file("w.npy"))"]).output == "y (1, 3): 5 7 9\n")
        #expect(try ChildProcess.run([program, "--help"]).output.contains("input w: type f4, shape (3), optional\n"))
        #expect(try ChildProcess.run([program, "w=\(folder.file("w.npy"))"]).end == .exited(1))
    }

    @Test func sourcesForADeviceReadTheDefaultForNull() throws {
        let source = folder.file("net.cu")
        #expect(Glmc.run(["compile", model, "-o", source]) == 0)
        #expect(try String(contentsOfFile: source, encoding: .utf8).contains("in[0] ? (const void *)in[0] : (const void *)(c + "))
        let built = try ChildProcess.run(["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-DGLMC_EMULATE", "-x", "c++", "-fsyntax-only", source])
        #expect(built.succeeded, "\(built.errors)")
    }

    /// Calibration data may hold them or not.
    @Test func calibrationTakesOrLeavesThem() throws {
        let network = folder.file("conv.glm"), weights = (0..<32).map { _ in "0.25" }.joined(separator: ", ")
        try """
            func @conv(%x: f32[1, 4, 8, 8], %b: f32[1, 4, 8, 8] = f32[1, 4, 8, 8] splat(0.5)) {
              %w = constant(value: f32[8, 4, 1, 1](\(weights))) : f32[8, 4, 1, 1]
              %a = binary.add(%x, %b) : f32[1, 4, 8, 8]
              %y = conv(%a, %w, strides: [1, 1], dilations: [1, 1]) : f32[1, 8, 8, 8]
              return %y
            }

            """.write(toFile: network, atomically: true, encoding: .utf8)
        let ones = [Float](repeating: 1, count: 256), shape = [1, 4, 8, 8]
        let expected = try write("y.npz", [("y", [Float](repeating: 1.5, count: 512), [1, 8, 8, 8])])
        for samples in [try write("x.npz", [("x", ones, shape)]), try write("xb.npz", [("x", ones, shape), ("b", ones, shape)])] {
            #expect(Glmc.run(["compile", network, "-o", folder.file("conv.so"), "--int8", "--calib", samples, "--no-cache"]) == 0)
            #expect(Glmc.run(["run", folder.file("conv.so"), "--inputs", folder.file("x.npz"), "--expected", expected, "--rtol", "0.02"]) == 0)
        }
    }
}
