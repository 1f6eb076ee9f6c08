import Foundation
import GlmcIR

/// The JSON that an artifact carries about itself (see docs/artifact.md).
struct Manifest {
    let program: Program
    let plan: MemoryPlan
    let weights: Weights
    let options: CompileOptions
    private struct Document: Encodable {
        struct Source: Encodable { var file: String, sha256: String }
        struct Tensor: Encodable { var name: String, type: String, shape: [String], optional: Bool? }
        struct Kernel: Encodable { var name: String, nodes: [String], flops: Int?, bytes: Int? }
        struct Arena: Encodable { var bytes: Int, lower_bound: Int }
        struct Entry: Encodable { var name: String, inputs: [Tensor], outputs: [Tensor], dims: [String], kernels: [Kernel], arena: Arena }
        struct Blob: Encodable { var bytes: Int }
        var name: String, glmc: String, flags: [String], target: String, cpu_features: [String]
        var source: Source?
        var entries: [Entry]
        var weights: Blob
    }

    var json: String {
        let function = program.function
        func tensors(_ values: [ValueID], _ names: [String], isOptional: (ValueID) -> Bool = { _ in false }) -> [Document.Tensor] {
            zip(values, names).map { value, name in
                let type = function.tensorType(value)
                return Document.Tensor(name: name, type: type.element.rawValue, shape: type.shape.map(\.description), optional: isOptional(value) ? true : nil)
            }
        }
        let entry = Document.Entry(
            name: "main", inputs: tensors(function.inputs, function.inputNames) { function.defaults[$0] != nil }, outputs: tensors(function.outputs, function.outputNames), dims: function.dimensions.map(\.name),
            kernels: program.launches.map { Document.Kernel(name: $0.family, nodes: $0.provenance, flops: $0.operations.constant, bytes: $0.bytes.constant) },
            arena: Document.Arena(bytes: plan.fixedBytes, lower_bound: plan.lowerBound))
        let document = Document(
            name: options.name, glmc: options.version, flags: options.flags, target: program.target.name, cpu_features: program.target.features,
            source: options.source.map { Document.Source(file: $0.file, sha256: $0.sha256) }, entries: [entry], weights: Document.Blob(bytes: weights.byteCount))
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(document)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }
}
