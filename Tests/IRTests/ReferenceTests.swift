import Foundation
import Testing

@testable import GlmcIR

/// Every file of `references/`: an op with inputs and the results of the ONNX reference evaluator, written by
/// `tools/make_op_references.py`.
@Test(arguments: ReferenceCase.all)
func evaluateAgreesWithReference(_ name: String) throws {
    let test = try ReferenceCase(name)
    let results = try Interpreter.run(test.function, test.inputs)
    #expect(results.count == test.expected.count)
    for (result, expected) in zip(results, test.expected) { try expectClose(result, expected) }
}

struct ReferenceCase {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "references")
    static let all: [String] = ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).filter { $0.hasSuffix(".glm") }.sorted()

    let function: Function
    let inputs: [Tensor]
    let expected: [Tensor]

    init(_ name: String) throws {
        let text = try String(contentsOf: ReferenceCase.folder.appending(path: name), encoding: .utf8)
        func tensors(_ prefix: String) throws -> [Tensor] {
            try text.components(separatedBy: "\n").filter { $0.hasPrefix(prefix) }.map { line in
                var tokens = try TokenStream(String(line.dropFirst(prefix.count)), file: name)
                return try AttributeParser(resources: nil).tensor(&tokens)
            }
        }
        function = try Parser.parseFunction(text, file: name)
        inputs = try tensors("// input: ")
        expected = try tensors("// expect: ")
    }
}

/// Equal types; integers equal, floats equal up to `tolerance` times the largest magnitude.
func expectClose(_ result: Tensor, _ expected: Tensor, tolerance: Double = 2e-6) throws {
    #expect(result.element == expected.element)
    try #require(result.shape == expected.shape)
    let scale = expected.doubles.filter(\.isFinite).map(abs).max() ?? 0
    for (i, (a, b)) in zip(result.doubles, expected.doubles).enumerated() {
        let close = a == b || (a.isNaN && b.isNaN) || (expected.element.isFloat && abs(a - b) <= tolerance * max(scale, 1e-3))
        if !close {
            Issue.record("element \(i) is \(a), not \(b)")
            return
        }
    }
}
