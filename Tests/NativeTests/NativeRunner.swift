import Foundation
import GlmcCodegen
import GlmcIR
import GlmcRuntime

/// Compiles a function with the host's C compiler and runs it.
struct NativeRunner {
    /// Whether the tuned kernels may be used, or only the generic lowering of every op.
    var tuned = true
    var threads = 2
    /// The C compiler's optimisation level: most tests care about meaning, not speed.
    var optimization = "-O1"
    var target = Target.native

    func run(_ function: Function, _ inputs: [Tensor]) throws -> [Tensor] {
        let path = NSTemporaryDirectory() + "/glmc-test-\(UUID().uuidString).so"
        defer { try? FileManager.default.removeItem(atPath: path) }
        var options = CompileOptions(name: "test")
        options.minParallelWork = 1
        options.optimization = optimization
        options.families = tuned ? KernelFamily.all : []
        options.jobs = 1
        options.target = target
        options.saveFolder = ProcessInfo.processInfo.environment["GLMC_TEST_SAVE"].map { "\($0)/\(function.name)" }
        try ArtifactCompiler.compile(function, to: path, options: options)
        let session = try Session(try Artifact(path: path), threads: threads)
        let names = session.artifact.entryPoints[0].inputs.map(\.name)
        var bound: [String: TensorBuffer] = [:]
        for (name, tensor) in zip(names, inputs) {
            bound[name] = try TensorBuffer(type: try scalarType(tensor.element), shape: tensor.shape, bytes: tensor.bytes)
        }
        let invocation = try session.bind(bound)
        try invocation.run()
        return try function.outputs.indices.map { i in
            let output = try invocation.output(i)
            return Tensor(function.tensorType(function.outputs[i]).element, output.shape) { bytes in
                output.withUnsafeBytes { bytes.copyMemory(from: $0) }
            }
        }
    }

    private func scalarType(_ element: ElementType) throws -> ScalarType {
        guard let type = ScalarType.allCases.first(where: { "\($0)" == element.rawValue }) else {
            throw Diagnostic(.internal, "\(element.rawValue) cannot be passed")
        }
        return type
    }
}
