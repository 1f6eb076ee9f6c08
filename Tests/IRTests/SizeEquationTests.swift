import GlmcFuzz
import Testing

@testable import GlmcIR

@Suite struct SizeEquationTests {
    static let a = Extent.dimension("a"), b = Extent.dimension("b"), c = Extent.dimension("c"), found = Extent.dimension("found")

    /// `a` is given up before `b`, `b` before `c`; `found` is no dimension of an input.
    private func solution(_ left: Extent, _ right: Extent) -> String? {
        let answer = SizeEquation(left, right).solution { ["a": 0, "b": 1, "c": 2][$0] }
        return answer.map { "\($0.dimension) := \($0.value)" }
    }

    @Test func solvesForOneDimension() {
        let (a, b, c) = (Self.a, Self.b, Self.c)
        #expect(solution(a, b) == "a := b" && solution(b, a) == "a := b" && solution(c, b) == "b := c")
        #expect(solution(a, 3) == "a := 3" && solution(3, a) == "a := 3" && solution(a, 0) == "a := 0")
        #expect(solution(4 * a, b) == "b := 4*a", "a would have to be a fraction")
        #expect(solution(4 * a, 4 * b) == "a := b" && solution(6 * a, 12) == "a := 2")
        #expect(solution(a * b, c) == "c := a*b")
        #expect(solution(a + 2, b) == "b := a+2", "a := b-2 might be negative")
        #expect(solution(b.floorDivided(by: 3), a) == "a := floordiv(b, 3)")
        #expect(solution(Extent.maximum(a, b), a) == "a := b", "what is added by broadcasting is as large")
    }

    @Test func leavesOpenWhatFixesNothing() {
        let (a, b, found) = (Self.a, Self.b, Self.found)
        #expect(solution(a, a) == nil && solution(3, 4) == nil && solution(a, -1) == nil)
        #expect(solution(2 * a, 3) == nil && solution(a * a, 9) == nil && solution(a * b, 2 * a + 1) == nil)
        #expect(solution(a, found) == nil && solution(a, found * b) == nil, "what is found while running fixes no input")
        #expect(solution(Extent.maximum(a - 3, 0), a - 3) == nil, "any a from 3 on will do")
        #expect(SizeEquation(a, b, leftMayBeOne: true).solution { _ in 0 } == nil)
        #expect(SizeEquation(1, b, leftMayBeOne: true).holds && SizeEquation(a, a).holds && !SizeEquation(1, b).holds)
    }

    /// What an op accepts and computes fulfils all that it demands; so every equation is a necessary one.
    @Test(arguments: OpSamples.all.keys.sorted()) func holdForOperandsThatAreAccepted(_ mnemonic: String) throws {
        let generator = try #require(OpSamples.all[mnemonic])
        for seed in 0..<30 {
            var noise = Noise(seed)
            let sample = generator(&noise)
            for equation in sample.op.equalSizes(in: InferenceContext(operands: sample.operands.map { .tensor($0.type) })) {
                let size = { (extent: Extent) in extent.evaluate(sample.dimensions) }
                #expect(size(equation.left) == size(equation.right) || equation.leftMayBeOne && size(equation.left) == 1, "\(equation) of \(sample)")
            }
        }
    }

    /// Sizes that an op refuses when they are known are refused when the artifact runs: whatever `infer` demands of free sizes is an equation, or a size that
    /// is not negative.
    @Test(arguments: OpSamples.all.keys.sorted()) func refuseWhatInferenceRefuses(_ mnemonic: String) throws {
        let generator = try #require(OpSamples.all[mnemonic])
        for seed in 0..<30 {
            var noise = Noise(seed)
            let sample = generator(&noise), shapes = sample.operands.map(\.shape)
            func types(_ size: (Int, Int) -> Extent) -> [TensorType] {
                sample.operands.enumerated().map { i, tensor in TensorType(tensor.element, tensor.shape.indices.map { size(i, $0) }) }
            }
            let free = InferenceContext(operands: types { shapes[$0][$1] == 1 ? 1 : .dimension("o\($0)a\($1)") }.map { .tensor($0) })
            guard let results = try? sample.op.infer(free) else { continue }
            for (operand, shape) in shapes.enumerated() {
                for axis in shape.indices where shape[axis] != 1 {
                    for size in [0, shape[axis] - 1, shape[axis] + 1, 2 * shape[axis]] where size != 1 && size >= 0 {
                        let known = types { Extent($0 == operand && $1 == axis ? size : shapes[$0][$1]) }
                        guard (try? sample.op.infer(InferenceContext(operands: known.map { .tensor($0) }))) == nil else { continue }
                        var sizes = sample.dimensions
                        for (i, type) in known.enumerated() { for (j, extent) in type.shape.enumerated() { sizes["o\(i)a\(j)"] = extent.constant } }
                        func value(_ extent: Extent) -> Int { extent.evaluate(sizes) ?? 0 }
                        // Where nothing is computed, nothing needs to be refused.
                        if results.flatMap({ $0.tensor?.shape ?? [] }).contains(where: { value($0) == 0 }) { continue }
                        let isRefused = sample.op.equalSizes(in: free).contains { value($0.left) != value($0.right) && !($0.leftMayBeOne && value($0.left) == 1) }
                            || sample.op.nonNegativeSizes(in: free).contains { value($0) < 0 } || results.flatMap { $0.tensor?.shape ?? [] }.contains { value($0) < 0 }
                        #expect(isRefused, "nothing refuses \(known) for \(sample)")
                    }
                }
            }
        }
    }

    /// An op may be asked about operands that it would refuse: too few, of any rank.
    @Test(arguments: OpSamples.all.keys.sorted()) func neverTrapOnOperandsThatAreRefused(_ mnemonic: String) throws {
        let generator = try #require(OpSamples.all[mnemonic])
        var noise = Noise(1)
        let op = generator(&noise).op
        for count in 0...6 {
            for rank in 0...5 {
                let type = ValueType.tensor(TensorType(.f32, (0..<rank).map { .dimension("d\($0)") }))
                _ = op.equalSizes(in: InferenceContext(operands: Array(repeating: type, count: count)))
            }
        }
    }
}
