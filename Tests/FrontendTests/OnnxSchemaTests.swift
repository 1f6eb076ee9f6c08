import Foundation
import Testing

/// Our schema against the one that ONNX itself installs (`libonnx-dev`), or the file that `GLMC_ONNX_PROTO` names.
@Suite struct OnnxSchemaTests {
    static let official: String? = {
        let named = ProcessInfo.processInfo.environment["GLMC_ONNX_PROTO"].map { [$0] } ?? []
        let installed = ["/usr/include/onnx/onnx-ml.proto", "/usr/include/onnx/onnx.proto"]
        return (named + installed).first { FileManager.default.fileExists(atPath: $0) }
    }()

    @Test(.enabled(if: official != nil)) func fieldNumbersAgree() throws {
        let own = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Sources/COnnx/onnx.proto")
        let ours = Self.fields(try String(contentsOf: own, encoding: .utf8))
        let theirs = Self.fields(try String(contentsOfFile: try #require(Self.official), encoding: .utf8))
        #expect(theirs.count > 100)
        // The values of test cases are in a schema of their own, and two fields are ours alone.
        let elsewhere = ["SequenceProto.", "OptionalProto."]
        let private_ = ["TensorProto.raw_offset", "TensorProto.raw_length"]
        for (name, field) in ours where !private_.contains(name) && !elsewhere.contains(where: { name.hasPrefix($0) }) {
            #expect(theirs[name] == field, "\(name)")
        }
    }

    /// `Message.Nested.field` (and `Message.Enum.VALUE`) with type and number.
    static func fields(_ schema: String) -> [String: String] {
        let lines = schema.split(separator: "\n").map { line -> Substring in
            line.range(of: "//").map { line[..<$0.lowerBound] } ?? line
        }
        let text = lines.joined(separator: " ").replacing("{", with: " { ").replacing("}", with: " } ").replacing(";", with: " ; ")
        var scopes: [String] = []
        var result: [String: String] = [:]
        var statement: [String] = []
        for token in text.split(separator: " ").map(String.init) {
            switch token {
            case "{":
                // A oneof is no scope: its fields belong to the message.
                scopes.append(statement.first == "oneof" ? "" : statement.last ?? "")
                statement = []
            case "}":
                scopes.removeLast()
                statement = []
            case ";":
                if let equals = statement.firstIndex(of: "="), equals > 0, equals + 1 < statement.count, !scopes.isEmpty {
                    let type = statement[..<(equals - 1)].filter { $0 != "optional" }.joined(separator: " ")
                    let name = (scopes.filter { !$0.isEmpty } + [statement[equals - 1]]).joined(separator: ".")
                    result[name] = type + " = " + statement[equals + 1]
                }
                statement = []
            default: statement.append(token)
            }
        }
        return result
    }
}
