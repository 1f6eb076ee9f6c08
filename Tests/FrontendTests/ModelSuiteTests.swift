import Foundation
import GlmcIR
import Testing

@testable import GlmcFrontend

/// Real models through the importer and the verifier. `GLMC_MODELS` names the folder that holds the `.onnx` files; without it the
/// suite is skipped.
@Suite struct ModelSuiteTests {
    static let root = ProcessInfo.processInfo.environment["GLMC_MODELS"]

    static var files: [String] {
        guard let root, let names = try? FileManager.default.contentsOfDirectory(atPath: root) else { return [] }
        return names.filter { $0.hasSuffix(".onnx") }.sorted().map { root + "/" + $0 }
    }

    @Test(.enabled(if: root != nil), arguments: files) func imports(_ path: String) throws {
        let clock = ContinuousClock()
        var imported: ImportedModel?
        let time = try clock.measure { imported = try OnnxImporter.load(path) }
        let function = try #require(imported).function
        try Verifier.verify(function)
        for warning in imported?.warnings ?? [] { print(path, warning) }
        print(path, time, function.allNodes.count, "nodes", function.dimensions.map(\.name), function.outputs.map { "\(function.type($0))" })
    }

    /// Recorded runs: `GLMC_MODEL_REFERENCES` names a folder with a `.npz` per model, arrays `in:NAME` and `out:NAME`.
    static let references = ProcessInfo.processInfo.environment["GLMC_MODEL_REFERENCES"]

    static var recorded: [String] {
        guard let references else { return [] }
        return files.filter { FileManager.default.fileExists(atPath: references + "/" + name($0) + ".npz") }
    }

    static func name(_ path: String) -> String { String(path.split(separator: "/").last?.dropLast(5) ?? "") }

    @Test(.enabled(if: references != nil), arguments: recorded, [false, true]) func reproducesRecordedRuns(_ path: String, _ isFixed: Bool) throws {
        let entries = try Npz.read(try #require(Self.references) + "/" + Self.name(path) + ".npz")
        var inputs: [String: Tensor] = [:]
        let elements: [NumpyElement: ElementType] = [.f32: .f32, .i64: .i64, .i32: .i32]
        for entry in entries where entry.name.hasPrefix("in:") {
            let array = entry.array
            inputs[String(entry.name.dropFirst(3))] = try Tensor(
                try #require(elements[array.element]), array.shape, storage: array.bytes.owner, byteOffset: array.bytes.offset)
        }
        var options = ImportOptions()
        if isFixed { options.shapes = inputs.mapValues(\.shape) }
        let function = try OnnxImporter.load(path, options: options).function
        let outputs = try Interpreter.run(function, try function.inputs.map { try #require(inputs[function[$0].name]) })
        for (id, output) in zip(function.outputs, outputs) {
            let wanted = try #require(entries.first { $0.name == "out:" + function[id].name }).array
            #expect(output.shape == wanted.shape)
            let reference = try Tensor(.f32, wanted.shape, storage: wanted.bytes.owner, byteOffset: wanted.bytes.offset).doubles
            let error = zip(output.doubles, reference).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
            let relative = (error / reference.reduce(1e-30) { $0 + $1 * $1 }).squareRoot()
            print(Self.name(path), isFixed ? "fixed" : "free", function[id].name, relative)
            #expect(relative < 1e-4)
        }
    }
}
