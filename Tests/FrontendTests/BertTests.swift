import Foundation
import GlmcIR
import Testing

@testable import GlmcFrontend

/// A BERT folder against recorded outputs. `GLMC_BERT` names the folder, `GLMC_BERT_GOLDEN` a `.npz` file with the three inputs and
/// `last_hidden_state`; without them the suite is skipped.
@Suite struct BertTests {
    static let folder = ProcessInfo.processInfo.environment["GLMC_BERT"]
    static let golden = ProcessInfo.processInfo.environment["GLMC_BERT_GOLDEN"]

    @Test(.enabled(if: folder != nil && golden != nil)) func reproducesTheRecordedOutput() throws {
        let function = try CheckpointImporter.load(try #require(Self.folder)).function
        try Verifier.verify(function)
        let entries = try Npz.read(try #require(Self.golden))
        func tensor(_ name: String, _ element: ElementType) throws -> Tensor {
            let array = try #require(entries.first { $0.name == name }).array
            return try Tensor(element, array.shape, storage: array.bytes.owner, byteOffset: array.bytes.offset)
        }
        // One sample is enough for an interpreter.
        let inputs = try function.inputs.map { input -> Tensor in
            let all = try tensor(function[input].name, .i64)
            let width = all.shape[1], values = all.integers
            return Tensor(Array(values[..<width]), shape: [1, width])
        }
        let actual = try #require(try Interpreter.run(function, inputs).first).doubles
        let wanted = try tensor("last_hidden_state", .f32).doubles[..<actual.count]
        let error = zip(actual, wanted).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        #expect((error / wanted.reduce(0) { $0 + $1 * $1 }).squareRoot() < 1e-5)
    }
}
