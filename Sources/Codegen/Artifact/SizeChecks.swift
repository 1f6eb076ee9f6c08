import GlmcIR

extension MainText {
    /// What the ops demand of the sizes of inputs beyond what types say, each with the first op that does. Only what always runs counts: a
    /// branch may not be taken. Sizes that are found while running are the ops' own affair.
    private var sizeChecks: [(equation: SizeEquation, place: String)] {
        let function = program.function
        let free = Set(function.dimensions.filter { if case .input = $0.info.source { true } else { false } }.map(\.name))
        var seen: Set<SizeEquation> = []
        return function.nodes(in: function.body).flatMap { id -> [(equation: SizeEquation, place: String)] in
            let node = function[id]
            let context = function.inferenceContext(operands: node.operands, regions: node.regions, resultCount: node.results.count)
            return node.op.equalSizes(in: context).filter { equation in
                let mentioned = equation.left.dimensions.union(equation.right.dimensions)
                return !equation.holds && !mentioned.isEmpty && mentioned.isSubset(of: free) && seen.insert(equation).inserted
            }.map { ($0, node.op.mnemonic + (node.provenance.isEmpty ? "" : " (\(node.provenance.joined(separator: ", ")))")) }
        }
    }

    /// The function that refuses sizes with which an op is not defined, and its name for the table; `0` where every size will do.
    var agreement: (text: String, name: String) {
        let checks = sizeChecks
        if checks.isEmpty { return ("", "0") }
        var out = "static int glmc_main_agree(const int64_t *d, const glmc_call *call)\n{\n    glmc_size a, b;\n"
        for (equation, place) in checks {
            let words = [place, equation.left.description, equation.right.description].map(ForeignText.literal)
            out += "    a = \(text(equation.left, "d")); b = \(text(equation.right, "d"));\n"
            out += "    if (a != b\(equation.leftMayBeOne ? " && a != 1" : "")) return glmc_disagree(call, \(words[0]), \(words[1]), (long long)a, \(words[2]), (long long)b);\n"
        }
        return (out + "    return GLMC_OK;\n}\n\n", "glmc_main_agree")
    }
}
