import Foundation
import GlmcCodegen
import GlmcIR
import GlmcRuntime

/// Compiles functions for a target and runs them natively.
struct NativeRun {
    let artifact: Artifact
    let report: CompileReport
    private let folder: URL

    init(_ function: Function, target: Target, tuned: Bool = true, compiler: String? = nil) throws {
        try self.init(Module(function), name: function.name, target: target, tuned: tuned, compiler: compiler)
    }

    init(_ module: Module, name: String, target: Target, tuned: Bool = true, compiler: String? = nil) throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("glmc-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        var options = CompileOptions(name: name)
        options.minParallelWork = 1
        options.target = target
        options.compiler = compiler
        options.optimization = "-O1"
        options.families = tuned ? KernelFamily.all : []
        options.extraFlags = ["-Werror"]
        options.saveFolder = ProcessInfo.processInfo.environment["GLMC_TEST_SAVE"].map { "\($0)/\(name)-\(target.name)" }
        let path = folder.appendingPathComponent("model.so").path
        report = try ArtifactCompiler.compile(module, to: path, options: options)
        artifact = try Artifact(path: path)
    }

    func callAsFunction(_ inputs: [Tensor], threads: Int) throws -> [Tensor] {
        defer { try? FileManager.default.removeItem(at: folder) }
        let session = try Session(artifact, threads: threads)
        let entry = artifact.entryPoints[0]
        var bound: [String: TensorBuffer] = [:]
        for (info, tensor) in zip(entry.inputs, inputs) {
            bound[info.name] = try TensorBuffer(type: info.type, shape: tensor.shape, bytes: tensor.bytes)
        }
        let results = try session.run(bound)
        return try entry.outputs.map { info in
            guard let buffer = results[info.name], let element = ElementType.allCases.first(where: { "\($0)" == "\(info.type)" }) else {
                throw Diagnostic(.internal, "output \(info.name) is missing")
            }
            return Tensor(element, buffer.shape) { bytes in buffer.withUnsafeBytes { bytes.copyMemory(from: $0) } }
        }
    }

    /// Every target whose code this machine runs.
    static var targets: [Target] {
        let names = ["scalar", "avx2", "avx512", "avx512vnni", "avx512bf16"]
        let native = Target.native
        guard native.family == .x86 else { return [.scalar, native] }
        return names.prefix((names.firstIndex(of: native.name) ?? 0) + 1).compactMap { Target.named($0) }
    }
}

/// Random inputs for a function's static inputs, repeatable.
struct RandomInputs {
    private var generator = SplitMix(state: 42)

    mutating func tensors(for function: Function, dimensions: [String: Int] = [:]) throws -> [Tensor] {
        try function.inputs.map { input in
            let type = function.tensorType(input)
            guard let shape = type.shape.map({ Extent($0.evaluate(dimensions) ?? -1) }).constants else { throw Diagnostic(.internal, "unbound dimension") }
            if type.element.isFloat { return Tensor(type.element, shape, values: { _ in generator.unit() * 4 - 2 }) }
            let range = type.element == .bool ? 0...1 : type.element.isUnsignedInteger ? 0...7 : -4...4
            return Tensor(type.element, shape, integers: { _ in range.lowerBound + Int(generator.next() % UInt64(range.count)) })
        }
    }
}

/// The splitmix64 generator (Steele, Lea and Flood 2014).
struct SplitMix {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }
    mutating func unit() -> Double { Double(next() >> 11) / Double(1 << 53) }
}
