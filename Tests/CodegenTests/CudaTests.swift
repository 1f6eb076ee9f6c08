import Foundation
import GlmcCodegen
import GlmcIR
import Testing

/// The CUDA dialect of the same lowering: run on the CPU by compiling the source against the emulation in `glmc_cuda.h`, and
/// compiled by nvcc where it is installed (`GLMC_NVCC`, or on the PATH).
@Suite struct CudaTests {
    /// The driver below knows fixed sizes only.
    static let examples = ArtifactTests.cases.filter { $0.dimensions.isEmpty }

    @Test(arguments: examples) func emulationMatchesEvaluate(_ example: ArtifactTests.Case) throws {
        let function = try Parser.parseFunction(example.text)
        var random = RandomInputs()
        let inputs = try random.tensors(for: function)
        let expected = try Interpreter.run(function, inputs)
        for tuned in [true, false] {
            let folder = try Scratch()
            let emitted = try emit(function, tuned: tuned, to: folder)
            try folder.write("driver.cpp", driver(function, inputs, expected, name: ModelName(function.name), weightBytes: emitted))
            try run("/usr/bin/env", ["g++", "-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-DGLMC_EMULATE", "-I", folder.path,
                                     "-o", "\(folder.path)/driver", "\(folder.path)/driver.cpp"])
            for (i, input) in inputs.enumerated() { try Data(input.bytes).write(to: URL(fileURLWithPath: "\(folder.path)/in\(i)")) }
            try run("\(folder.path)/driver", [folder.path])
            for (i, reference) in expected.enumerated() {
                let data = try Data(contentsOf: URL(fileURLWithPath: "\(folder.path)/out\(i)"))
                let actual = Tensor(reference.element, reference.shape) { bytes in data.withUnsafeBytes { bytes.copyMemory(from: $0) } }
                #expect(relativeError(actual, reference) <= example.tolerance, "\(example.name), tuned \(tuned)")
            }
        }
    }

    @Test(.enabled(if: CudaTests.nvcc != nil, "no nvcc: make test installs one"), arguments: examples) func nvccCompilesWithoutWarning(_ example: ArtifactTests.Case) throws {
        let nvcc = try #require(CudaTests.nvcc)
        let folder = try Scratch()
        _ = try emit(try Parser.parseFunction(example.text), tuned: true, to: folder)
        let output = try run(nvcc, ["-std=c++17", "-arch=sm_90", "-Werror", "all-warnings", "-I", folder.path, "-c", "\(folder.path)/model.cu", "-o", "\(folder.path)/model.o"])
        #expect(!output.contains("warning"), "\(output)")
    }

    static let nvcc: String? = {
        let environment = ProcessInfo.processInfo.environment
        if let path = environment["GLMC_NVCC"], FileManager.default.isExecutableFile(atPath: path) { return path }
        return (environment["PATH"] ?? "").split(separator: ":").map { "\($0)/nvcc" }.first { FileManager.default.isExecutableFile(atPath: $0) }
    }()

    private func emit(_ function: Function, tuned: Bool, to folder: Scratch) throws -> Int {
        var options = CompileOptions(name: function.name)
        options.target = try #require(Target.named("sm_90"))
        options.families = tuned ? KernelFamily.all : []
        let source = try CudaText.emit(function, options: options)
        try folder.write("model.cu", source.text)
        for file in RuntimeSupport.cudaFiles { try folder.write(file.name, String(decoding: file.text, as: UTF8.self)) }
        try source.writeWeights("\(folder.path)/weights.bin")
        return source.weightBytes
    }

    /// A program that reads the inputs, runs the model, and writes the outputs.
    private func driver(_ function: Function, _ inputs: [Tensor], _ outputs: [Tensor], name: ModelName, weightBytes: Int) -> String {
        """
        #include "model.cu"
        #include <cstdio>
        #include <string>
        #include <vector>
        static std::vector<unsigned char> load(const std::string &path, size_t bytes, long start = 0)
        {
            std::vector<unsigned char> data(bytes);
            FILE *file = fopen(path.c_str(), "rb");
            if (!file || fseek(file, start, SEEK_SET) || fread(data.data(), 1, bytes, file) != bytes) { perror(path.c_str()); exit(2); }
            fclose(file);
            return data;
        }
        int main(int, char **argv)
        {
            const std::string folder = argv[1];
            const int64_t d[1] = {0};
            std::vector<std::vector<unsigned char>> in, out;
            for (size_t bytes : {\(inputs.map { "(size_t)\($0.byteCount)" }.joined(separator: ", "))}) in.push_back(load(folder + "/in" + std::to_string(in.size()), bytes));
            for (size_t bytes : {\(outputs.map { "(size_t)\($0.byteCount)" }.joined(separator: ", "))}) out.emplace_back(bytes);
            std::vector<void *> ins, outs;
            for (auto &x : in) ins.push_back(x.data());
            for (auto &x : out) outs.push_back(x.data());
            auto weights = load(folder + "/weights.bin", \(weightBytes), 128); // behind the header
            std::vector<unsigned char> workspace(\(name.cudaWorkspace)(d) + 64);
            if (int error = \(name.cudaRun)(ins.data(), outs.data(), workspace.data(), weights.data(), d, d, nullptr)) return error;
            for (size_t i = 0; i < out.size(); i++) {
                FILE *file = fopen((folder + "/out" + std::to_string(i)).c_str(), "wb");
                fwrite(out[i].data(), 1, out[i].size(), file);
                fclose(file);
            }
        }
        """
    }

    @discardableResult
    private func run(_ path: String, _ arguments: [String]) throws -> String {
        let process = Process(), pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        if process.terminationStatus != 0 { throw Diagnostic(.internal, "\(path) failed: \(text.prefix(3000))") }
        return text
    }
}

/// A folder that goes away with the value's last use.
final class Scratch: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("glmc-test-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    func write(_ name: String, _ text: String) throws { try text.write(toFile: "\(path)/\(name)", atomically: true, encoding: .utf8) }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
