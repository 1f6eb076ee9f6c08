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

    /// One set of inputs with the outputs that they must give, by name. The tensors of a sequence are named `NAME[0]`, `NAME[1]`, …
    struct DataSet {
        let name: String
        let inputs: [String: OnnxTensor]
        /// How many tensors the inputs hold that are sequences or optionals.
        let lengths: [String: Int]
        let outputs: [(name: String, tensor: OnnxTensor)]
    }

    /// Whether `folder` looks like a test case.
    static func isOne(_ folder: String) -> Bool { Files.exists(folder + "/model.onnx") }

    init(_ folder: String) throws {
        self.folder = folder
        model = try OnnxReader.model(at: folder + "/model.onnx")
        var tolerances: [Double] = []
        if Files.exists(folder + "/tolerance.txt") {
            let text = String(decoding: try Files.map(folder + "/tolerance.txt").array, as: UTF8.self)
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
            return DataSet(
                name: name, inputs: Dictionary(try given.flatMap { try Self.tensors($0.name, $0.value) }) { $1 },
                lengths: Dictionary(given.compactMap { name, value in Self.length(value).map { (name, $0) } }) { $1 },
                outputs: try expected.flatMap { try Self.tensors($0.name, $0.value) }.map { (name: $0, tensor: $1) })
        }
    }

    private func values(_ prefix: String, _ infos: [OnnxValueInfo], all: [OnnxValueInfo]) throws -> [(name: String, value: OnnxValue)] {
        var result: [(name: String, value: OnnxValue)] = []
        while Files.exists("\(prefix)\(result.count).pb") {
            let path = "\(prefix)\(result.count).pb"
            let info = result.count < infos.count ? infos[result.count] : nil
            let value = try OnnxReader.value(at: path, type: info?.type)
            if case .tensor(let tensor) = value {
                result.append((all.contains { $0.name == tensor.name } ? tensor.name : info?.name ?? tensor.name, value))
            } else {
                result.append((info?.name ?? "", value))
            }
        }
        return result
    }

    /// The tensors that a value is made of, under the names that they have at the interface of an artifact.
    private static func tensors(_ name: String, _ value: OnnxValue) throws -> [(String, OnnxTensor)] {
        switch value {
        case .tensor(let tensor): [(name, tensor)]
        case .sequence(let items): try items.enumerated().flatMap { try tensors("\(name)[\($0)]", $1) }
        case .optional(let inner): try inner.map { try tensors(name, $0) } ?? []
        case .sparseTensor: throw Diagnostic.unsupported("a sparse tensor cannot be passed to an artifact")
        }
    }

    /// How many tensors a sequence or optional holds; nil for a tensor, and for an optional that holds nothing.
    private static func length(_ value: OnnxValue) -> Int? {
        switch value {
        case .sequence(let items): items.count
        case .optional(let inner): inner.map { length($0) ?? 1 }
        case .tensor, .sparseTensor: nil
        }
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
    /// Inputs whose values an operator needs at compile time, and which were therefore built in; `sizes of NAME` where it needs free sizes.
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
