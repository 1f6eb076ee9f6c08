import Foundation
import GlmcIR

/// The JSON that an artifact carries about itself (see docs/artifact.md).
struct Manifest {
    let programs: [Program]
    /// A memory plan for each program.
    let plans: [MemoryPlan]
    let weights: Weights
    /// The file of weights that lie beside the artifact.
    let file: String?
    let options: CompileOptions
    private struct Document: Encodable {
        struct Source: Encodable { var file: String, sha256: String }
        struct Tensor: Encodable { var name: String, type: String, shape: [String], optional: Bool?, state: Bool?, squeezed: [Int]? }
        struct Kernel: Encodable { var name: String, nodes: [String], flops: Int?, bytes: Int? }
        struct Arena: Encodable { var bytes: Int, lower_bound: Int }
        struct Entry: Encodable { var name: String, inputs: [Tensor], outputs: [Tensor], dims: [String], kernels: [Kernel], arena: Arena }
        struct Blob: Encodable { var bytes: Int, file: String? }
        var name: String, glmc: String, flags: [String], target: String, cpu_features: [String]
        var source: Source?
        var entries: [Entry]
        var weights: Blob
    }

    private func entry(_ program: Program, _ plan: MemoryPlan) -> Document.Entry {
        let function = program.function
        func tensors(_ values: [ValueID], _ names: [String], isOptional: (ValueID) -> Bool = { _ in false }, isState: (Int) -> Bool, squeezed: [Int: [Int]] = [:]) -> [Document.Tensor] {
            zip(values, names).enumerated().map { i, pair in
                let type = function.tensorType(pair.0)
                return Document.Tensor(
                    name: pair.1, type: type.element.rawValue, shape: type.shape.map(\.description), optional: isOptional(pair.0) ? true : nil, state: isState(i) ? true : nil, squeezed: squeezed[i])
            }
        }
        return Document.Entry(
            name: function.name,
            inputs: tensors(function.inputs, function.inputNames, isOptional: { function.defaults[$0] != nil }, isState: { i in function.states.contains { $0.input == function.inputs[i] } }),
            outputs: tensors(function.outputs, function.outputNames, isState: { i in function.states.contains { $0.output == i } }, squeezed: function.squeezedAxes),
            dims: function.dimensions.map(\.name),
            kernels: program.launches.map { Document.Kernel(name: $0.family, nodes: $0.provenance, flops: $0.operations.constant, bytes: $0.bytes.constant) },
            arena: Document.Arena(bytes: plan.fixedBytes, lower_bound: plan.lowerBound))
    }

    var json: String {
        let document = Document(
            name: options.name, glmc: options.version, flags: options.flags, target: options.target.name, cpu_features: options.target.features,
            source: options.source.map { Document.Source(file: $0.file, sha256: $0.sha256) }, entries: zip(programs, plans).map(entry), weights: Document.Blob(bytes: weights.byteCount, file: file))
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(document)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }
}
