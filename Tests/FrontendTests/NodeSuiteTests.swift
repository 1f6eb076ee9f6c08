import Foundation
import GlmcIR
import Testing

@testable import GlmcFrontend

/// The ONNX backend test cases through the importer and the reference interpreter. `GLMC_NODE_TESTS` names the folder that holds
/// them (one folder per case); without it the suite is skipped. `GLMC_NODE_REPORT` names a file for one line per case.
@Suite struct NodeSuiteTests {
    static let root = ProcessInfo.processInfo.environment["GLMC_NODE_TESTS"]
    /// Cases that pass with this version; fewer is a regression.
    static let expected = 1790

    enum Outcome {
        case passed
        /// The operator, or something that it needs, is not supported.
        case unsupported(String)
        case failed(String)
    }

    @Test(.enabled(if: root != nil)) func casesAgreeWithTheInterpreter() throws {
        let root = try #require(Self.root)
        let filter = ProcessInfo.processInfo.environment["GLMC_NODE_FILTER"] ?? ""
        var lines: [String] = []
        var passed = 0
        for name in try FileManager.default.contentsOfDirectory(atPath: root).sorted() where filter.isEmpty || name.contains(filter) {
            switch Self.run(root + "/" + name) {
            case .passed:
                passed += 1
                lines.append("passed \(name)")
            case .unsupported(let reason): lines.append("unsupported \(name): \(reason)")
            case .failed(let reason): lines.append("failed \(name): \(reason)")
            }
        }
        let report = lines.joined(separator: "\n") + "\n\(passed) passed of \(lines.count)\n"
        if let path = ProcessInfo.processInfo.environment["GLMC_NODE_REPORT"] {
            try report.write(toFile: path, atomically: true, encoding: .utf8)
        }
        if filter.isEmpty { #expect(passed >= Self.expected) }
    }

    static func run(_ folder: String) -> Outcome {
        do {
            let model = try OnnxReader.model(at: folder + "/model.onnx")
            let names = model.graph.inputs
            var options = ImportOptions()
            var inputs: [String: Tensor] = [:]
            for (i, info) in names.enumerated() {
                guard case .tensor(let tensor) = try OnnxReader.value(at: folder + "/test_data_set_0/input_\(i).pb", type: info.type) else {
                    return .unsupported("input is no tensor")
                }
                inputs[info.name] = try tensor.irTensor()
            }
            options.boundInputs = inputs
            let imported = try OnnxImporter.importModel(model, file: folder, options: options)
            try Verifier.verify(imported.function)
            let arguments = imported.function.inputs.compactMap { inputs[imported.function[$0].name] }
            let outputs = try Interpreter.run(imported.function, arguments)
            let tolerance = try String(contentsOfFile: folder + "/tolerance.txt", encoding: .utf8).split(separator: " ").compactMap { Double($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
            for (i, output) in outputs.enumerated() {
                guard case .tensor(let raw) = try OnnxReader.value(at: folder + "/test_data_set_0/output_\(i).pb", type: model.graph.outputs[i].type) else {
                    return .unsupported("output is no tensor")
                }
                if let difference = Self.difference(output, try raw.irTensor(), tolerance[0], tolerance[1]) { return .failed("output \(i): \(difference)") }
            }
            return .passed
        } catch let error as Diagnostics {
            let text = error.all.map { ($0.location.dropFirst() + [$0.message]).joined(separator: ": ") }.joined(separator: "; ")
            return error.all.allSatisfy { $0.kind == .unsupported } ? .unsupported(text) : .failed(text)
        } catch let error as Diagnostic {
            return error.kind == .unsupported ? .unsupported(error.message) : .failed(error.description)
        } catch {
            return .failed("\(error)")
        }
    }

    static func difference(_ actual: Tensor, _ wanted: Tensor, _ relative: Double, _ absolute: Double) -> String? {
        guard actual.element == wanted.element, actual.shape == wanted.shape else { return "\(actual.type) instead of \(wanted.type)" }
        for (i, (a, b)) in zip(actual.doubles, wanted.doubles).enumerated() {
            if a == b || (a.isNaN && b.isNaN) { continue }
            if !(abs(a - b) <= absolute + relative * abs(b)) { return "element \(i) is \(a) instead of \(b)" }
        }
        return nil
    }
}
