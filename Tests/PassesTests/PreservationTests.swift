import Foundation
import GlmcFuzz
import GlmcIR
import GlmcPasses
import Testing

/// Passes change how a function computes, not what: every function of the file tests, and random ones, give the same results
/// before and after.
@Suite struct PreservationTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(path: "FileTests/cases")

    /// Parts of the names of files whose passes change results on purpose.
    private static let lossy = ["quantiz", "mixed-precision/mixed-precision"]

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

    @Test(arguments: 0..<300)
    func randomGraphsKeepTheirResults(_ seed: Int) throws {
        let test = RandomGraph.make(seed: UInt64(seed), isDynamic: seed % 3 == 0)
        try check(test.function, PassLibrary.standard.pipeline(.o3), "seed \(seed)", runs: test.runs)
    }

    /// Stopping after any rewrite leaves a valid function with the same results.
    @Test(arguments: 0..<10)
    func anyNumberOfRewrites(_ seed: Int) throws {
        let test = RandomGraph.make(seed: UInt64(1000 + seed))
        let passes = PassLibrary.standard.pipeline(.o2)
        for pass in passes.indices where pass % 2 == 0 {
            var manager = PassManager(PassManager.Options(verifiesEach: true))
            manager.options.stopAfter = (pass + 1, seed)
            try check(test.function, passes, "seed \(seed), stopped in pass \(pass + 1)", runs: test.runs, manager)
        }
    }

    @Test(arguments: 0..<100)
    func printingIsAFixedPoint(_ seed: Int) throws {
        let test = RandomGraph.make(seed: UInt64(5000 + seed), isDynamic: seed % 2 == 0)
        let text = test.text(remarks: ["seed \(seed)"])
        let parsed = try FuzzCase(text: text, file: "seed \(seed)")
        #expect(parsed.text(remarks: ["seed \(seed)"]) == text)
        #expect(parsed.runs == test.runs)
        #expect(try Interpreter.run(parsed.function, test.runs[0]) == Interpreter.run(test.function, test.runs[0]))
    }

    private func check(
        _ function: Function, _ passes: [Pass], _ name: String, runs: [[Tensor]]? = nil,
        _ manager: PassManager = PassManager(PassManager.Options(verifiesEach: true))
    ) throws {
        var changed = function
        try manager.run(passes, on: &changed, PassContext(level: .o3))
        try Verifier.verify(changed)
        #expect(changed.outputNames == function.outputNames, "\(name): \(function.name)")
        for inputs in runs ?? [Self.inputs(of: function, seed: 7)] {
            // What the original refuses to compute, such as a division by zero, has no result to compare.
            guard var expected = try? Expectation(function, inputs) else { continue }
            for (index, actual) in try Interpreter.run(changed, inputs).enumerated() {
                if let difference = expected.difference(index, actual) {
                    Issue.record("\(name): \(function.name): result \(index) \(difference)\n\(FuzzCase(function, [inputs]).text(remarks: []))")
                }
            }
        }
    }

    /// Random inputs that fit; dimensions have size 3.
    private static func inputs(of function: Function, seed: Int) -> [Tensor] {
        var noise = Noise(seed)
        let sizes = Dictionary(uniqueKeysWithValues: function.dimensions.map { ($0.name, 3) })
        return function.inputs.map { input in
            let type = function.tensorType(input), shape = type.shape.map { $0.evaluate(sizes) ?? 3 }
            if type.element.isFloat { return Tensor(type.element, shape, values: { _ in Double(noise.int(-1000...1000)) / 1000 }) }
            return Tensor(type.element, shape, integers: { _ in noise.int(0...1) })
        }
    }
}
