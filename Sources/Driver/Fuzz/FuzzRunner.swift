import Foundation
import GlmcCodegen
import GlmcFuzz
import GlmcIR
import GlmcRuntime

/// Compiles cases and compares what they give with what the interpreter says.
struct FuzzRunner {
    var compilation: Compilation

    /// What is wrong with one case.
    struct Fault: Equatable {
        /// Number of the case among those that were run together; nil where the whole is at fault.
        var position: Int?
        var message: String
    }

    /// - Parameter compilation: what to compile with; quickly, with every chance for threads to divide the work.
    init(_ compilation: Compilation) {
        self.compilation = compilation
        self.compilation.cache = nil
        self.compilation.minParallelWork = 1
        self.compilation.verifiesEach = true
        // The later flag wins: these kernels run once.
        self.compilation.extraFlags.append("-O1")
    }

    private var precision: Expectation.Precision {
        if compilation.quantization != nil { return .int8 }
        return compilation.mixedPrecision.flatMap { Expectation.Precision(rawValue: $0.name) } ?? .full
    }

    /// Compiles the cases into one artifact, runs it, and says which of them give something else than they should.
    /// - Throws: what compiling or running them together throws.
    func faults(_ cases: [FuzzCase]) throws -> [Fault] {
        // What the interpreter refuses has no right answer; sizes that an op refuses are left out.
        var expectations: [[Expectation]] = []
        var legal: [(position: Int, test: FuzzCase)] = []
        for (position, test) in cases.enumerated() {
            CrashReport.enter("evaluating")
            let runs = test.runs.compactMap { run in (try? Expectation(test.function, run, precision: precision)).map { (run, $0) } }
            guard !runs.isEmpty else { continue }
            legal.append((position, FuzzCase(test.function, runs.map(\.0))))
            expectations.append(runs.map(\.1))
        }
        guard !legal.isEmpty else { return [] }
        let whole = try FuzzCase.joined(legal.map(\.test))
        try Verifier.verify(whole.function)
        var function = whole.function
        _ = try compilation.optimise(&function)
        let artifact = try compilation.temporaryArtifact(function, name: "random")
        let session = try Session(artifact, threads: compilation.threads ?? 1), entry = try artifact.entryPoint(named: nil)
        var faults: [Int: Fault] = [:]
        for (run, inputs) in whole.runs.enumerated() {
            var bound: [String: TensorBuffer] = [:]
            for (info, tensor) in zip(entry.inputs, inputs) { bound[info.name] = try TensorBuffer(type: info.type, shape: tensor.shape, bytes: tensor.bytes) }
            let invocation = try session.bind(bound)
            try invocation.run()
            var output = 0
            for (number, (position, test)) in legal.enumerated() {
                for index in test.function.outputs.indices {
                    let actual = try Tensor(invocation.output(output))
                    let which = run < test.runs.count ? run : 0
                    if let difference = expectations[number][which].difference(index, actual), faults[position] == nil {
                        faults[position] = Fault(position: position, message: "output \(index) \(difference)")
                    }
                    output += 1
                }
            }
        }
        return faults.values.sorted { ($0.position ?? 0) < ($1.position ?? 0) }
    }
}
