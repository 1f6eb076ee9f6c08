import Foundation
import Testing

@testable import GlmcIR

/// The files of `Tests/IRTests/references`, through emitted C: the generic lowering of every op, and the
/// tuned kernels where they apply, against the ONNX reference.
@Suite struct NativeReferenceTests {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(path: "IRTests/references")
    /// Several files make one artifact, since most of the time goes into starting the C compiler.
    static let batches: [[String]] = {
        let files = ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).filter { $0.hasSuffix(".glm") }.sorted()
        return stride(from: 0, to: files.count, by: 16).map { Array(files[$0..<min($0 + 16, files.count)]) }
    }()

    @Test(arguments: batches) func genericLowering(_ names: [String]) throws { try check(names, NativeRunner(tuned: false)) }
    @Test(arguments: batches) func tunedKernels(_ names: [String]) throws { try check(names, NativeRunner(tuned: true)) }

    private func check(_ names: [String], _ runner: NativeRunner) throws {
        let batch = try Batch(names)
        let results = try runner.run(batch.function, batch.inputs)
        #expect(results.count == batch.expected.count)
        for (result, (name, expected)) in zip(results, batch.expected) { try expectClose(result, expected, name) }
    }

    /// Several reference files as one function.
    private struct Batch {
        let function: Function
        var inputs: [Tensor] = []
        var expected: [(String, Tensor)] = []

        init(_ names: [String]) throws {
            var arguments: [String] = [], nodes: [String] = [], results: [String] = []
            for name in names {
                let text = try String(contentsOf: folder.appending(path: name), encoding: .utf8)
                for line in text.components(separatedBy: "\n") {
                    // Values are called %x0, %r0, …: give them the file's name.
                    let renamed = line.replacingOccurrences(of: "%", with: "%\(name.dropLast(4))-")
                    if line.hasPrefix("// input: ") {
                        inputs.append(try Batch.tensor(line.dropFirst("// input: ".count)))
                    } else if line.hasPrefix("// expect: ") {
                        expected.append((name, try Batch.tensor(line.dropFirst("// expect: ".count))))
                    } else if line.hasPrefix("func"), let start = renamed.firstIndex(of: "("), let end = renamed.lastIndex(of: ")") {
                        arguments.append(String(renamed[start..<end].dropFirst()))
                    } else if line.hasPrefix("  return ") {
                        results.append(String(renamed.dropFirst("  return ".count)))
                    } else if line.hasPrefix("  ") {
                        nodes.append(renamed)
                    }
                }
            }
            let text = "func @batch(\(arguments.joined(separator: ", "))) {\n\(nodes.joined(separator: "\n"))\n  return \(results.joined(separator: ", "))\n}\n"
            function = try Parser.parseFunction(text)
        }

        private static func tensor(_ text: Substring) throws -> Tensor {
            var tokens = try TokenStream(String(text), file: "reference")
            return try AttributeParser(resources: nil).tensor(&tokens)
        }
    }
}

/// Equal types; integers equal, floats equal up to `tolerance` times the largest magnitude.
func expectClose(_ result: Tensor, _ expected: Tensor, _ name: String, tolerance: Double = 5e-6) throws {
    #expect(result.element == expected.element, "\(name)")
    try #require(result.shape == expected.shape, "\(name)")
    let scale = expected.doubles.filter(\.isFinite).map(abs).max() ?? 0
    for (i, (a, b)) in zip(result.doubles, expected.doubles).enumerated() {
        let close = a == b || (a.isNaN && b.isNaN) || (expected.element.isFloat && abs(a - b) <= tolerance * max(scale, 1e-3))
        if !close {
            Issue.record("\(name): element \(i) is \(a), not \(b)")
            return
        }
    }
}
