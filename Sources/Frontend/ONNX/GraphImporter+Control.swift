import GlmcIR

/// Branches. What is decided at compile time leaves no trace: a known branch is inlined.
extension GraphImporter {
    mutating func branch(_ c: OnnxCall) throws -> [Imported] {
        guard type(try c[0]).elementCount.constant ?? 1 == 1 else { throw Diagnostic(.invalid, "the condition is \(type(try c[0])), not one bool") }
        let condition = try reshape(c[0], [])
        let graphs = [try c.graph("then_branch"), try c.graph("else_branch")]
        if let known = knownConstantUnlessBound(condition)?.splat { return try importSubgraph(graphs[known != 0 ? 0 : 1], inputs: []) }
        if let squeezing = graphs.indices.first(where: { Self.isSqueeze(graphs[$0], orIdentity: graphs[1 - $0]) }) {
            let reason = "squeezes an axis where its size is 1, which is not known at compile time; the result is NaN where it is not"
            return try assumed(squeezing, condition, graphs, reason)
        }
        // Branches that cannot be regions leave nothing behind.
        var trial = self
        var regions: [BlockID?] = []
        var problems: [[Diagnostic]] = []
        for graph in graphs {
            trial.blockers = []
            do {
                regions.append(try trial.importRegion([], names: [], mayNotRun: true) { g, _ in
                    let results = try g.importSubgraph(graph, inputs: [])
                    return results.contains(where: \.isFailed) ? nil : try g.tensors(results)
                })
            } catch let error as Diagnostic {
                regions.append(nil)
                trial.blockers.append(error)
            }
            problems.append(trial.blockers)
        }
        if let then = regions[0], let otherwise = regions[1] {
            let results = zip(trial.rewriter.function[then].results, trial.rewriter.function[otherwise].results).map { (trial.type($0), trial.type($1)) }
            if results.allSatisfy({ $0.element == $1.element && $0.rank == $1.rank }) {
                trial.blockers = blockers
                self = trial
                let joined = results.flatMap { a, b in
                    zip(a.shape, b.shape).filter { $0 != $1 }.map { runtimeDimension("branch", bound: .maximum($0, $1)) }
                }
                return try emitMany(If(joined: joined), [condition], results.count, regions: [then, otherwise]).map { .tensor($0) }
            }
        }
        // A branch whose shapes do not fit cannot run with these inputs at all.
        for (i, region) in regions.enumerated() where region != nil && regions[1 - i] == nil && problems[1 - i].allSatisfy({ $0.kind == .invalid }) {
            let reason = "the \(i == 0 ? "else" : "then") branch cannot run at these shapes (\(problems[1 - i].first?.message ?? "")); the result is NaN where it would be taken"
            return try assumed(i, condition, graphs, reason)
        }
        // Branches that do not come together as tensors can only be chosen at compile time.
        if let chosen = knownConstant(condition)?.splat { return try importSubgraph(graphs[chosen != 0 ? 0 : 1], inputs: []) }
        if problems.contains(where: { !$0.isEmpty }) {
            blockers += problems.joined()
            return [.failed]
        }
        throw Diagnostic.unsupported(
            "the branches give values of different rank or kind, and the condition is not known at compile time", hint: "fix the shapes with --shape")
    }

    /// Takes branch `i` always, with a warning; floating-point results are NaN where the condition says otherwise.
    private mutating func assumed(_ i: Int, _ condition: ValueID, _ graphs: [OnnxGraph], _ reason: String) throws -> [Imported] {
        warnings.append(Diagnostic(.unsupported, reason, at: ["node '\(provenance.first ?? "")' (If)"]))
        let holds = i == 0 ? condition : try unary(.not, condition)
        return try importSubgraph(graphs[i], inputs: []).map { result in
            guard case .tensor(let id) = result, element(id).isFloat else { return result }
            return .tensor(try select(holds, id, try scalar(.nan, like: id)))
        }
    }

    /// Whether one branch is a Squeeze and the other hands the same value on: how exporters write a squeeze of one axis.
    private static func isSqueeze(_ graph: OnnxGraph, orIdentity other: OnnxGraph) -> Bool {
        func only(_ graph: OnnxGraph) -> OnnxNode? {
            let nodes = graph.nodes.filter { $0.op != "Constant" }
            return nodes.count == 1 ? nodes[0] : nil
        }
        guard let squeeze = only(graph), let identity = only(other) else { return false }
        return squeeze.op == "Squeeze" && squeeze.domain.isEmpty && identity.op == "Identity" && squeeze.inputs.first == identity.inputs.first
    }
}
