import GlmcIR
import GlmcPasses
import LogSumExp
import Testing

@Suite struct LogSumExpTests {
    private func run(_ body: String) throws -> (before: Function, after: Function) {
        let before = try Parser.parseFunction("func @f(%x: f32[2, 3]) {\n\(body)\n}")
        var after = before
        try PassManager(PassManager.Options(verifiesEach: true)).run([.fuseLogSumExp], on: &after, PassContext())
        return (before, after)
    }

    @Test func fuses() throws {
        let (before, after) = try run("""
            %0 = unary.exp(%x)
            %1 = reduce.add(%0, axes: [1])
            %y = unary.log(%1)
            return %y
            """)
        #expect(after.description.contains("%y = reduce.logSumExp(%x, axes: [1]) : f32[2]"))
        #expect(after.allNodes.count == 1)
        let x = Tensor([1.0, 2, 3, -1, 0, 1] as [Float], shape: [2, 3])
        let expected = try Interpreter.run(before, [x])[0].doubles, actual = try Interpreter.run(after, [x])[0].doubles
        #expect(zip(expected, actual).allSatisfy { abs($0 - $1) < 1e-6 })
    }

    /// The twin that must not fire.
    @Test func leavesOtherReductionsAlone() throws {
        let (before, after) = try run("""
            %0 = unary.exp(%x)
            %1 = reduce.mean(%0, axes: [1])
            %y = unary.log(%1)
            return %y
            """)
        #expect(after.description == before.description)
    }

    @Test func runsInThePipeline() {
        var library = PassLibrary.standard
        library.add(.fuseLogSumExp, after: "recognize-softmax", from: .o1)
        #expect(library.pipeline(.o3).map(\.name).contains("fuse-log-sum-exp"))
        #expect(library.pipeline(.o1).map(\.name).contains("fuse-log-sum-exp"))
    }
}
