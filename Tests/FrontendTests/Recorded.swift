import Foundation
import GlmcIR

@testable import GlmcFrontend

/// Folders of models beside these tests, each with `golden.npz`: inputs, and what transformers computes with them, by name.
enum Recorded {
    /// The folder with the folders of one kind of models.
    static func root(_ kind: String) -> String { URL(filePath: #filePath).deletingLastPathComponent().appending(path: kind).path }

    static func names(in root: String) -> [String] { ((try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []).sorted() }

    static func golden(_ folder: String) throws -> [String: Tensor] {
        Dictionary(uniqueKeysWithValues: try Npz.read(folder + "/golden.npz").map { entry in
            let type: ElementType = entry.array.element == .i64 ? .i64 : .f32
            return (entry.name, try Tensor(type, entry.array.shape, storage: entry.array.bytes.owner, byteOffset: entry.array.bytes.offset))
        })
    }

    /// Runs the only entry point of a model on the recorded inputs.
    static func run(_ folder: String, _ task: EncoderTask? = nil) throws -> (results: [String: [Double]], golden: [String: [Double]]) {
        var options = ImportOptions()
        options.task = task
        let function = try CheckpointImporter.load(folder, options: options).function
        try Verifier.verify(function)
        let golden = try golden(folder)
        let results = try Interpreter.run(function, try function.inputs.map { try input(function[$0].name, golden) })
        return (Dictionary(uniqueKeysWithValues: zip(function.outputs.map { function[$0].name }, results.map(\.doubles))), golden.mapValues { $0.element == .f32 ? $0.doubles : [] })
    }

    static func input(_ name: String, _ tensors: [String: Tensor]) throws -> Tensor {
        guard let tensor = tensors[name] else { throw Diagnostic(.invalid, "no input '\(name)' is recorded") }
        return tensor
    }

    /// The relative L2 distance; sums in another order differ by less than 1e-5.
    static func error(_ actual: [Double], _ wanted: [Double]) -> Double {
        guard actual.count == wanted.count else { return .infinity }
        return (zip(actual, wanted).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } / wanted.reduce(0) { $0 + $1 * $1 }).squareRoot()
    }
}

/// A copy of a folder, for tests that change its files; it is removed when `body` returns.
func withCopy(of folder: String, _ body: (String) throws -> Void) throws {
    let copy = FileManager.default.temporaryDirectory.appending(path: "glmc-copy-\(UUID().uuidString)").path
    try FileManager.default.copyItem(atPath: folder, toPath: copy)
    defer { try? FileManager.default.removeItem(atPath: copy) }
    try body(copy)
}

/// Changes a text file.
func edit(_ file: String, _ change: (String) -> String) throws {
    try change(try String(contentsOfFile: file, encoding: .utf8)).write(toFile: file, atomically: true, encoding: .utf8)
}
