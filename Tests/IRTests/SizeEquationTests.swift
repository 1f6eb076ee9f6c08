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
