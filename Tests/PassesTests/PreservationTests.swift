import Foundation
import GlmcIR
import GlmcPasses
import Testing

/// Passes change how a function computes, not what: every function of the file tests, and random ones, give the same results
/// before and after.
@Suite struct PreservationTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(path: "FileTests/cases")

    /// Parts of the names of files whose passes change results on purpose.
    private static let lossy = ["quantiz", "narrow-floats/narrow-floats"]

    /// Files whose mode is `pass` and whose passes keep results.
    static let files: [String] = {
        let all = FileManager.default.enumerator(atPath: folder.path)?.compactMap { $0 as? String } ?? []
        return all.filter { name in
            name.hasSuffix(".glm") && !lossy.contains { name.contains($0) }
                && (try? String(contentsOf: folder.appending(path: name), encoding: .utf8))?.hasPrefix("// test: pass ") == true
        }.sorted()
    }()

    @Test(arguments: files)
    func fileTestsKeepTheirResults(_ name: String) throws {
        let text = try String(contentsOf: Self.folder.appending(path: name), encoding: .utf8)
        let source = text.components(separatedBy: "// ---- expected\n")[0]
        let head = source.components(separatedBy: "\n")[0].dropFirst("// test: pass ".count)
        let passes = try PassLibrary.standard.passes(named: head.split(separator: ",").map(String.init))
        for function in try Parser.parse(source, file: name) {
            // The passes of the file, and everything at once.
            for list in [passes, PassLibrary.standard.pipeline(.o3)] { try check(function, list, name) }
        }
    }

    @Test(arguments: 0..<200)
    func randomFunctionsKeepTheirResults(_ seed: Int) throws {
        let function = try RandomFunction.make(seed: UInt64(seed))
        try check(function, PassLibrary.standard.pipeline(.o3), "seed \(seed)")
    }

    /// Stopping after any rewrite leaves a valid function with the same results.
    @Test(arguments: 0..<10)
    func anyNumberOfRewrites(_ seed: Int) throws {
        let function = try RandomFunction.make(seed: UInt64(1000 + seed))
        let passes = PassLibrary.standard.pipeline(.o2)
        for pass in passes.indices where pass % 2 == 0 {
            var manager = PassManager(PassManager.Options(verifiesEach: true))
            manager.options.stopAfter = (pass + 1, seed)
            try check(function, passes, "seed \(seed), stopped in pass \(pass + 1)", manager)
        }
    }

    @Test(arguments: 0..<100)
    func printingIsAFixedPoint(_ seed: Int) throws {
        let function = try RandomFunction.make(seed: UInt64(5000 + seed))
        let text = Printer.print(function, weights: .inline)
        let parsed = try Parser.parseFunction(text)
        #expect(Printer.print(parsed, weights: .inline) == text)
        let inputs = RandomFunction.inputs(of: function, seed: 1)
        #expect(try Interpreter.run(parsed, inputs) == Interpreter.run(function, inputs))
    }

    private func check(
        _ function: Function, _ passes: [Pass], _ name: String, _ manager: PassManager = PassManager(PassManager.Options(verifiesEach: true))
    ) throws {
        var changed = function
        try manager.run(passes, on: &changed, PassContext(level: .o3))
        try Verifier.verify(changed)
        #expect(changed.outputNames == function.outputNames, "\(name): \(function.name)")
        // What the original refuses to compute, such as a division by zero, has no result to compare.
        let inputs = RandomFunction.inputs(of: function, seed: 7)
        guard let expected = try? Interpreter.run(function, inputs) else { return }
        let actual = try Interpreter.run(changed, inputs)
        for (a, b) in zip(expected, actual) {
            #expect(a.element == b.element && a.shape == b.shape, "\(name): \(function.name)")
            #expect(RandomFunction.isClose(a, b), "\(name): \(function.name)\n\(function)\n\(changed)")
        }
    }
}
