import Foundation
import GlmcFrontend
import GlmcIR
import GlmcRuntime

/// An ONNX test case: a folder with `model.onnx` and `test_data_set_*/{input,output}_*.pb`.
struct TestCase {
    let folder: String
    var model: OnnxModel
    /// Absolute and relative tolerance, from `tolerance.txt` (`rtol atol`), else those of the ONNX test runner.
    let atol: Double
    let rtol: Double

    /// One set of inputs with the outputs that they must give, by name.
    struct DataSet {
        let name: String
        let inputs: [String: OnnxTensor]
        let outputs: [(name: String, tensor: OnnxTensor)]
    }

    /// Whether `folder` looks like a test case.
    static func isOne(_ folder: String) -> Bool { Files.exists(folder + "/model.onnx") }

    init(_ folder: String) throws {
        self.folder = folder
        model = try OnnxReader.model(at: folder + "/model.onnx")
        var tolerances: [Double] = []
        if let text = try? String(contentsOfFile: folder + "/tolerance.txt", encoding: .utf8) {
            tolerances = text.split(whereSeparator: \.isWhitespace).compactMap { Double($0) }
        }
        (rtol, atol) = tolerances.count == 2 ? (tolerances[0], tolerances[1]) : (1e-3, 1e-7)
    }

    /// The inputs that a caller passes: those without an initialiser.
    var inputs: [OnnxValueInfo] {
        let constants = Set(model.graph.initializers.map(\.name) + model.graph.sparseInitializers.map(\.values.name))
        return model.graph.inputs.filter { !constants.contains($0.name) }
    }

    func dataSets() throws -> [DataSet] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        let inputs = inputs, outputs = model.graph.outputs
        return try names.filter { $0.hasPrefix("test_data_set_") }.sorted { $0.count == $1.count ? $0 < $1 : $0.count < $1.count }.map { name in
            let path = folder + "/" + name
            // Inputs that have an initialiser may be given too; they are matched by their own names, which the files hold.
            let given = try values("\(path)/input_", inputs, all: model.graph.inputs), expected = try values("\(path)/output_", outputs, all: outputs)
            return DataSet(name: name, inputs: Dictionary(given.map { ($0.name, $0.tensor) }) { $1 }, outputs: expected)
        }
    }

    private func values(_ prefix: String, _ infos: [OnnxValueInfo], all: [OnnxValueInfo]) throws -> [(name: String, tensor: OnnxTensor)] {
        var result: [(name: String, tensor: OnnxTensor)] = []
        var index = 0
        while Files.exists("\(prefix)\(index).pb") {
            let path = "\(prefix)\(index).pb"
            let info = index < infos.count ? infos[index] : nil
            switch try OnnxReader.value(at: path, type: info?.type) {
            case .tensor(let tensor):
                let name = all.contains { $0.name == tensor.name } ? tensor.name : info?.name ?? tensor.name
                result.append((name, tensor))
            case .sequence: throw Diagnostic.unsupported("a sequence cannot be passed to an artifact")
            case .optional: throw Diagnostic.unsupported("an optional cannot be passed to an artifact")
            case .sparseTensor: throw Diagnostic.unsupported("a sparse tensor cannot be passed to an artifact")
            }
            index += 1
        }
        return result
    }

    /// Forgets the sizes of all inputs, so that the model is compiled for any.
    mutating func freeDimensions() {
        for index in model.graph.inputs.indices {
            guard case .tensor(let element, let shape?)? = model.graph.inputs[index].type else { continue }
            model.graph.inputs[index].type = .tensor(element, shape: shape.map { _ in .unknown })
        }
        // What the file says about other values was said of the old sizes.
        model.graph.valueInfos = []
        for index in model.graph.outputs.indices {
            guard case .tensor(let element, _)? = model.graph.outputs[index].type else { continue }
            model.graph.outputs[index].type = .tensor(element, shape: nil)
        }
    }
}

/// How a test case ended.
struct CaseResult {
    enum Status: String { case passed, failed, skipped }

    var status: Status
    /// Why it did not pass.
    var reason = ""
    /// Largest absolute error over all outputs.
    var largestError = 0.0
    /// Inputs whose values an operator needs at compile time, and which were therefore built in.
    var boundInputs: [String] = []

    var json: JSONValue {
        .object([
            "status": .string(status.rawValue), "reason": .string(reason), "largest_error": .double(largestError), "bound_inputs": .array(boundInputs.map { .string($0) }),
        ])
    }

    init(_ status: Status, _ reason: String = "") {
        self.status = status
        self.reason = reason
    }

    init?(json: JSONValue) {
        guard let status = json["status"]?.string.flatMap(Status.init(rawValue:)) else { return nil }
        self.init(status, json["reason"]?.string ?? "")
        largestError = json["largest_error"]?.double ?? .infinity
        boundInputs = json["bound_inputs"]?.array?.compactMap(\.string) ?? []
    }
}
