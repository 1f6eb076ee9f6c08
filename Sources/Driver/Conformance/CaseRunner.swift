import Foundation
import GlmcCodegen
import GlmcFrontend
import GlmcIR
import GlmcRuntime

/// Compiles a test case and runs it natively on each of its data sets.
struct CaseRunner {
    var compilation: Compilation
    /// Leave the sizes of inputs free.
    var isDynamic = false

    /// One compiled form of the model, and the values that are built into it.
    private struct Compiled {
        let artifact: Artifact
        let consumed: [String]
    }

    /// Unsupported models are skipped, anything else that goes wrong is a failure; nothing is thrown.
    func run(_ folder: String) -> CaseResult {
        do {
            return try compare(folder)
        } catch {
            let all = (error as? Diagnostics)?.all ?? (error as? Diagnostic).map { [$0] } ?? [Diagnostic(.internal, "\(error)")]
            let reason = all.map { diagnostic in
                ((diagnostic.location.filter { !$0.hasPrefix(folder) }) + [diagnostic.message]).joined(separator: ": ")
            }.joined(separator: "; ")
            return CaseResult(all.allSatisfy { $0.kind == .unsupported } ? .skipped : .failed, reason)
        }
    }

    /// - Throws: when the model cannot be compiled or run.
    func compare(_ folder: String, report: (String) -> Void = { _ in }) throws -> CaseResult {
        var test = try TestCase(folder)
        if isDynamic { test.freeDimensions() }
        let sets = try test.dataSets()
        guard !sets.isEmpty else { throw Diagnostic(.invalid, "has no test_data_set_* folder", at: [folder]) }
        var result = CaseResult(.passed), compiled: Compiled?
        for set in sets {
            // Values and lengths that were built in hold for one data set only.
            let current = try compiled.flatMap { $0.consumed.isEmpty && set.lengths.isEmpty ? $0 : nil } ?? compile(test, set)
            compiled = current
            result.boundInputs = current.consumed
            let entry = try current.artifact.entryPoint(named: nil)
            var inputs: [String: TensorBuffer] = [:]
            for info in entry.inputs {
                guard let tensor = set.inputs[info.name] else {
                    if info.isOptional { continue }
                    throw Diagnostic(.invalid, "\(set.name) has no value for input '\(info.name)'")
                }
                inputs[info.name] = try TensorBuffer(tensor)
            }
            guard entry.outputs.count == set.outputs.count else {
                throw Diagnostic(.invalid, "the artifact has \(entry.outputs.count) outputs, not \(set.outputs.count)")
            }
            let outputs = try Session(current.artifact, threads: compilation.threads ?? 2).run(inputs)
            for (name, expected) in set.outputs {
                guard let output = outputs[name] else { throw Diagnostic(.invalid, "the artifact has no output '\(name)'") }
                let comparison = Comparison(output, expected: try TensorBuffer(expected), atol: test.atol, rtol: test.rtol)
                report("\(set.name.printableOnOneLine) \(name.printableOnOneLine): \(comparison.matches ? "matches" : "differs"), \(comparison.summary)")
                result.largestError = max(result.largestError, comparison.largestError)
                if !comparison.matches, result.status == .passed {
                    result.status = .failed
                    result.reason = "\(set.name), output '\(name)': \(comparison.summary)"
                }
            }
        }
        return result
    }

    private func compile(_ test: TestCase, _ set: TestCase.DataSet) throws -> Compiled {
        var options = compilation.imports
        options.lengths = set.lengths
        for (name, tensor) in set.inputs {
            if let constant = try? Tensor(TensorBuffer(tensor)) { options.boundInputs[name] = constant }
        }
        let imported = try OnnxImporter.importModel(test.model, file: test.folder + "/model.onnx", options: options)
        var function = imported.function
        _ = try compilation.optimise(&function)
        return Compiled(artifact: try compilation.temporaryArtifact(function, name: "model"), consumed: imported.consumedInputs + imported.consumedSizes.map { "sizes of \($0)" })
    }
}

extension Tensor {
    /// The same tensor in the compiler's own terms.
    init(_ buffer: TensorBuffer) throws {
        guard let element = buffer.type.elementType else { throw Diagnostic.unsupported("tensors of \(buffer.type) have no form in the IR") }
        self.init(element, buffer.shape) { target in buffer.withUnsafeBytes { target.copyMemory(from: $0) } }
    }
}
