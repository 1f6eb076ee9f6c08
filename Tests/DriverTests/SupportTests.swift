import Foundation
import GlmcCodegen
import GlmcFrontend
import GlmcRuntime
import Testing

@testable import GlmcDriver

/// The driver's own tools: child processes, comparison, JSON text.
@Suite struct SupportTests {
    @Test func childrenEndInEveryWay() throws {
        #expect(try ChildProcess.run(["sh", "-c", "echo out; echo err >&2; exit 3"]).end == .exited(3))
        let result = try ChildProcess.run(["sh", "-c", "echo out; echo err >&2"])
        #expect(result.succeeded && result.output == "out\n" && result.errors == "err\n")
        #expect(try ChildProcess.run(["sh", "-c", "kill -SEGV $$"]).end == .crashed(signal: SIGSEGV))
        let start = now()
        #expect(try ChildProcess.run(["sh", "-c", "sleep 30 & sleep 30"], limit: 0.2).end == .timedOut)
        #expect(now() - start < 10)
        #expect(throws: (any Error).self) { try ChildProcess.run(["no-such-program-here"]) }
    }

    @Test func comparesWithTolerance() throws {
        func compare(_ a: [Float], _ b: [Float], atol: Double = 0, rtol: Double = 0) throws -> Comparison {
            Comparison(try TensorBuffer(a, shape: [a.count]), expected: try TensorBuffer(b, shape: [b.count]), atol: atol, rtol: rtol)
        }
        #expect(try compare([1, .nan, .infinity], [1, .nan, .infinity]).matches)
        #expect(try !compare([1, 2], [1, 2.5]).matches)
        #expect(try compare([1, 2], [1, 2.5], atol: 0.5).matches)
        #expect(try compare([1, 2], [1, 2.5], rtol: 0.2).matches)
        #expect(try !compare([1, .nan], [1, 2], atol: 9).matches)
        #expect(try !compare([.infinity], [-.infinity], atol: 9, rtol: 9).matches)
        #expect(try compare([1], [1, 2]).reason != nil)
        #expect(try compare([3, 4], [3, 4]).cosine == 1)
        #expect(try abs(compare([3, 4], [0, 5]).relativeL2 - (10.0).squareRoot() / 5) < 1e-12)
    }

    @Test func writesJSON() throws {
        let value = JSONValue.object(["a": .array([.int(1), .double(0.5), .null]), "b\n\"": .string("ü\u{1}"), "c": .object([])])
        #expect(value.text() == #"{"a":[1, 0.5, null], "b\n\"":"ü\u0001", "c":{}}"#)
        #expect(try JSONValue(parsing: value.text(pretty: true)) == value)
    }
}
