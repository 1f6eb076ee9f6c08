import GlmcFuzz
import GlmcIR
import Testing

@testable import GlmcPasses

@Suite struct PassManagerTests {
    private func function() throws -> Function {
        try Parser.parseFunction("""
            func @f(%x: f32[4]) {
              %one = constant(value: f32[](1))
              %0 = binary.multiply(%x, %one) loc("first")
              %1 = unary.negate(%0)
              %2 = unary.negate(%1)
              %y = unary.exp(%2)
              return %y
            }
            """)
    }

    @Test func reportsRewritesAndSkipsDisabledPasses() throws {
        var manager = PassManager()
        manager.options.disabled = ["dce"]
        var f = try function()
        let reports = try manager.run([.canonicalize, .eliminateDeadCode], on: &f, PassContext())
        #expect(reports.map(\.name) == ["canonicalize"])
        #expect(reports[0].rewrites == 2)
    }

    @Test func stopsAfterARewriteOfAPass() throws {
        var manager = PassManager()
        manager.options.stopAfter = (1, 1)
        var f = try function()
        let reports = try manager.run([.canonicalize, .eliminateDeadCode], on: &f, PassContext())
        #expect(reports.count == 1 && reports[0].rewrites == 1)
        #expect(f.allNodes.contains { (f[$0].op as? Unary)?.function == .negate })
    }

    @Test func printsWhatChanged() throws {
        final class Log: @unchecked Sendable { var text = "" }
        let log = Log()
        var manager = PassManager()
        manager.options.printAfter = ["all"]
        manager.options.output = { log.text += $0 }
        var f = try function()
        try manager.run([.canonicalize, .canonicalize], on: &f, PassContext())
        #expect(log.text.contains("// after pass 1, canonicalize\nfunc @f"))
        #expect(log.text.contains("// after pass 2, canonicalize: unchanged"))
    }

    @Test func blamesTheRewriteThatBreaksTheFunction() throws {
        // Turns exponentials around, and on its second rewrite gives a value another type behind everyone's back.
        let broken = Pass("broken", "Breaks the function") { rewriter, _ in
            for id in rewriter.function.allNodes {
                guard let op = rewriter.function[id].op as? Unary, rewriter.beginRewrite() else { continue }
                if rewriter.rewrites == 2 {
                    rewriter.setType(.tensor(TensorType(.f64, [3])), of: rewriter.function[id].results[0])
                } else {
                    try rewriter.setOp(Unary(op.function == .negate ? .absolute : op.function), of: id)
                }
            }
        }
        var f = try function()
        let before = f.description
        let failure = #expect(throws: PassManager.Failure.self) {
            try PassManager(PassManager.Options(verifiesEach: true)).run([.eliminateDeadCode, broken, .canonicalize], on: &f, PassContext(level: .o1))
        }
        #expect(failure?.pass == 2)
        #expect(failure?.rewrite == 2)
        #expect(failure?.description.contains("pass 2 (broken), rewrite 2") == true)
        #expect(failure?.reproducer.passes == ["broken", "canonicalize"])
        let text = failure?.reproducer.module(fileName: "r.glm", weightsFileName: "r.bin").text ?? ""
        #expect(text.hasPrefix("// glmc opt r.glm -O1 --passes=broken,canonicalize\n"))
        #expect(failure?.reproducer.function.description == before)
    }

    @Test func rulesThatUndoEachOtherEndInADiagnostic() throws {
        var f = try function()
        let replace = Rule("replace", on: Unary.self) { function, id, op in
            let operand = function[id].operands[0]
            return { try $0.replace(id, with: Unary(op.function), [operand]) }
        }
        let failure = #expect(throws: PassManager.Failure.self) {
            try PassManager().run([Pass("endless", "", rules: [replace])], on: &f, PassContext())
        }
        #expect(failure?.description.contains("do not come to an end") == true)
    }

    @Test func remarksSayWhatWasDoneAndWhatWasNot() throws {
        var f = try Parser.parseFunction("""
            func @f(%x: f32[2, 4], %q: f32[1, 1, 2, 2], %k: f32[1, 1, 2, 2], %v: f32[1, 1, 2, 2]) {
              %g = activation.sigmoid(%x) loc("gate")
              %y = binary.multiply(%x, %g) loc("swish")
              %s = matmul(%q, %k)
              %p = softmax(%s) loc("probabilities")
              %o = matmul(%p, %v) loc("mixed")
              return %y, %o, %p
            }
            """)
        let reports = try PassManager().run([.recognizeActivations, .recognizeAttention], on: &f, PassContext())
        let done = try #require(reports[0].remarks.first)
        #expect(done.op == "activation" && done.provenance == ["gate", "swish"] && !done.missed)
        let missed = try #require(reports[1].remarks.first)
        #expect(missed.provenance == ["mixed"] && missed.missed && missed.message.hasSuffix("the softmax has other readers"))
    }

    @Test func extensionsRunWhereTheyAreTold() throws {
        let mine = Pass("mine", "A pass from outside") { _, _ in }
        var library = PassLibrary.standard
        library.add(mine, after: "recognize-norms", from: .o2)
        let names = library.pipeline(.o3).map(\.name)
        let position = try #require(names.firstIndex(of: "mine"))
        #expect(names[position - 1] == "recognize-norms")
        #expect(!library.pipeline(.o1).map(\.name).contains("mine"))
        #expect(try library.passes(named: ["mine"]).count == 1)
        #expect(throws: Diagnostic.self) { try library.passes(named: ["yours"]) }
    }

    @Test func allPassesHaveNamesOfTheirOwn() {
        let names = Pipelines.allPasses.map(\.name)
        #expect(Set(names).count == names.count)
        for level in OptimizationLevel.allCases { for pass in Pipelines.passes(level) { #expect(names.contains(pass.name), "\(pass.name)") } }
    }
}

@Suite struct MinimumCutTests {
    /// Against trying all divisions.
    @Test(arguments: 0..<100)
    func isMinimal(_ seed: Int) {
        var random = Noise(seed)
        let count = 6
        func cost() -> Int { Int(random.next() % 8) }
        let source = (0..<count).map { _ in cost() }, sink = (0..<count).map { _ in cost() }
        var pairs: [(Int, Int, Int, Int)] = []
        for _ in 0..<8 { pairs.append((Int(random.next() % 6), Int(random.next() % 6), cost(), cost())) }
        func total(_ side: [Bool]) -> Int {
            (0..<count).reduce(0) { $0 + (side[$1] ? source[$1] : sink[$1]) }
                + pairs.reduce(0) { $0 + (side[$1.0] && !side[$1.1] ? $1.2 : !side[$1.0] && side[$1.1] ? $1.3 : 0) }
        }
        var cut = MinimumCut(count: count)
        for i in 0..<count {
            cut.addCost(ofSourceSide: i, source[i])
            cut.addCost(ofSinkSide: i, sink[i])
        }
        for (a, b, forward, backward) in pairs { cut.addCost(between: a, b, forward: forward, backward: backward) }
        let best = (0..<1 << count).map { bits in total((0..<count).map { bits >> $0 & 1 == 1 }) }.min()
        #expect(total(cut.solve()) == best)
    }
}
