import GlmcIR

/// Branches. What is decided at compile time leaves no trace: a known branch is inlined.
extension GraphImporter {
    mutating func branch(_ c: OnnxCall) throws -> [Imported] {
        guard type(try c[0]).elementCount.constant ?? 1 == 1 else { throw Diagnostic(.invalid, "the condition is \(type(try c[0])), not one bool") }
        let condition = try reshape(c[0], [])
        let graphs = [try c.graph("then_branch"), try c.graph("else_branch")]
        if let known = knownConstantUnlessBound(condition)?.splat { return try importSubgraph(graphs[known != 0 ? 0 : 1], inputs: []) }
        if let (sizes, taken) = sizeEquality(condition), Self.isSqueeze(graphs[taken], orIdentity: graphs[1 - taken]) {
            if keepsRanks, let squeezed = try squeezed(by: graphs[taken], where: sizes) {
                hasSqueezed = true
                return [squeezed]
            }
            if let result = try assume(sizes, graphs[taken]) { return result }
            if isDemanded(sizes, bySqueezeIn: graphs[taken]) { return try importSubgraph(graphs[taken], inputs: []) }
        }
        // Branches that cannot be regions leave nothing behind.
        var trial = trial()
        var regions: [BlockID?] = []
        var problems: [[Diagnostic]] = []
        for graph in graphs {
            trial.errors = []
            do {
                regions.append(try trial.importRegion([], names: [], mayNotRun: true) { g, _ in
                    let results = try g.importSubgraph(graph, inputs: [])
                    return results.contains(where: \.isFailed) ? nil : try g.tensors(results)
                })
            } catch let error as Diagnostic {
                // A graph that is none is wrong whether it runs or not.
                if error.kind == .invalid { throw error }
                regions.append(nil)
                trial.errors.append(error)
            }
            problems.append(trial.errors)
        }
        if let then = regions[0], let otherwise = regions[1] {
            let results = zip(trial.rewriter.function[then].results, trial.rewriter.function[otherwise].results).map { (trial.type($0), trial.type($1)) }
            if results.allSatisfy({ $0.element == $1.element && $0.rank == $1.rank }) {
                trial.errors = errors
                self = trial
                let joined = results.flatMap { a, b in
                    zip(a.shape, b.shape).filter { $0 != $1 }.map { dataDependentDimension("branch", bound: .maximum($0, $1)) }
                }
                return try emitMany(If(joined: joined), [condition], results.count, regions: [then, otherwise]).map { .tensor($0) }
            }
        }
        // Branches that do not come together as tensors can only be chosen at compile time.
        if let chosen = knownConstant(condition)?.splat { return try importSubgraph(graphs[chosen != 0 ? 0 : 1], inputs: []) }
        // A branch whose shapes do not fit cannot run with these inputs at all, but it could be chosen.
        for (i, region) in regions.enumerated() where region != nil && regions[1 - i] == nil && problems[1 - i].allSatisfy({ $0.kind == .invalid }) {
            let reason = "the \(i == 0 ? "else" : "then") branch cannot run at these shapes (\(problems[1 - i].first?.message ?? ""))"
            if let (sizes, taken) = sizeEquality(condition), taken == i {
                if let result = try assume(sizes, graphs[i]) { return result }
                if let result = try assumeOfInputs(sizes, graphs[i], "the \(i == 0 ? "then" : "else") branch of If\(c.node.name.isEmpty ? "" : " (\(c.node.name))"), the only one that can run at these shapes") { return result }
            }
            throw Diagnostic.unsupported(reason + ", and whether it is taken is not known at compile time", hint: "fix the shapes with --shape")
        }
        if problems.contains(where: { !$0.isEmpty }) {
            errors += problems.joined()
            return [.failed]
        }
        throw Diagnostic.unsupported(
            "the branches give values of different rank or kind, and the condition is not known at compile time", hint: "fix the shapes with --shape")
    }

    /// The two sizes whose equality decides a condition, and the branch that is taken where they are equal.
    private func sizeEquality(_ condition: ValueID) -> (sizes: SizeEquation, branch: Int)? {
        var id = condition, branch = 0
        while let nodeID = rewriter.function.definingNode(id) {
            let node = rewriter.function[nodeID]
            switch node.op {
            case let unary as Unary where unary.function == .not: branch = 1 - branch
            case is Reshape: break
            case let cast as Cast where cast.to == .bool && element(node.operands[0]) == .bool: break
            case let binary as Binary where binary.function == .equal || binary.function == .notEqual:
                guard let a = rewriter.function.symbolicContents(node.operands[0]), let b = rewriter.function.symbolicContents(node.operands[1]),
                      a.count == 1, b.count == 1 else { return nil }
                return (SizeEquation(a[0], b[0]), binary.function == .equal ? branch : 1 - branch)
            default: return nil
            }
            id = node.operands[0]
        }
        return nil
    }

    /// Takes a branch always, because two sizes are equal by assumption. Inputs get the sizes that make them so, which artifacts check.
    /// Nil where no size of an input can be chosen so: what cannot be checked is not assumed.
    private mutating func assume(_ sizes: SizeEquation, _ graph: OnnxGraph) throws -> [Imported]? {
        // Inputs that are given know better.
        if sizes.left.dimensions.union(sizes.right.dimensions).contains(where: { givenSizes[$0] != nil }) {
            _ = (known(sizes.left), known(sizes.right))
            throw Diagnostic.unsupported("the condition is not known at compile time")
        }
        guard isBindable(sizes) else { return nil }
        expect([sizes])
        return try importSubgraph(graph, inputs: [])
    }

    /// Takes a branch always, because a size that an input holds, not one of its own sizes, is equal to another by assumption. Artifacts check it.
    private mutating func assumeOfInputs(_ sizes: SizeEquation, _ graph: OnnxGraph, _ place: String) throws -> [Imported]? {
        let sides = [sizes.left, sizes.right]
        guard !mayNotRun, sides.contains(where: isHeldByInput), sides.allSatisfy({ !$0.dimensions.contains(where: rewriter.function.isDataDependent) }) else { return nil }
        rewriter.assume(sizes.left - sizes.right, for: place)
        rewriter.assume(sizes.right - sizes.left, for: place)
        return try importSubgraph(graph, inputs: [])
    }
}
