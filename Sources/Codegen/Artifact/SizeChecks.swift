import GlmcIR

extension EntryText {
    /// The function that refuses sizes with which an op that always runs is not defined, and its name for the table; `0` where every size
    /// will do.
    var agreement: (text: String, name: String) {
        let demands = program.function.sizeDemands(of: program.function.body)
        if demands.isEmpty { return ("", "0") }
        var out = "static int \(symbol("agree"))(const int64_t *d, const glmc_call *call)\n{\n"
        for demand in demands {
            let place = ForeignText.literal(demand.place)
            switch demand.rule {
            case .equal(let equation):
                let words = [equation.left, equation.right].map { "\(ForeignText.literal($0.description)), (long long)\(text($0, "d"))" }
                out += "    if (\(violation(demand))) return glmc_disagree(call, \(place), \(words.joined(separator: ", ")));\n"
            case .notNegative(let size):
                out += "    if (\(violation(demand))) return glmc_too_small(call, \(place), \(ForeignText.literal(size.description)), (long long)\(text(size, "d")));\n"
            }
        }
        return (out + "    return GLMC_OK;\n}\n\n", symbol("agree"))
    }

    /// A C condition over `d`: whether a demand is not met.
    func violation(_ demand: SizeDemand) -> String {
        switch demand.rule {
        case .equal(let equation):
            let (a, b) = (text(equation.left, "d"), text(equation.right, "d"))
            return "\(a) != \(b)" + (equation.leftMayBeOne ? " && \(a) != 1" : "")
        case .notNegative(let size): return "\(text(size, "d")) < 0"
        }
    }

    /// What a run says that meets an op whose demand is not met.
    func complaint(_ demand: SizeDemand) -> String {
        switch demand.rule {
        case .equal(let equation):
            "\(demand.dependsOnData ? "the sizes that follow from these data" : "the sizes of these inputs") do not fit \(demand.place), which runs with them: \(equation.left) must be \(equation.right)"
        case .notNegative(let size):
            "\(demand.dependsOnData ? "the sizes that follow from these data" : "these inputs") do not fit \(demand.place), which runs with them: \(size) must not be negative"
        }
    }
}
