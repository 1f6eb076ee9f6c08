import GlmcIR

/// What an op demands of sizes beyond what types say: two sizes are equal, or one is not negative.
struct SizeDemand: Hashable {
    enum Rule: Hashable {
        case equal(SizeEquation)
        case notNegative(Extent)

        var dimensions: Set<String> {
            switch self {
            case .equal(let equation): equation.left.dimensions.union(equation.right.dimensions)
            case .notNegative(let size): size.dimensions
            }
        }
    }
    var rule: Rule
    /// The first op that demands it.
    var place: String
    /// Whether the data decide, not the sizes of inputs alone.
    var dependsOnData = false
}

extension Function {
    /// What the ops of a block demand of the sizes of inputs. The sizes of the function's own values are checked where the workspace is measured.
    func sizeDemands(of block: BlockID) -> [SizeDemand] {
        let assumed = block == body ? assumptions.filter { !$0.size.dimensions.contains(where: isDataDependent) } : []
        return assumed.map { SizeDemand(rule: .notNegative($0.size), place: $0.place) }
            + demands(of: nodes(in: block), resultsToo: block != body) { !$0.contains(where: isDataDependent) }
    }

    /// What nodes demand of sizes that are found while the model runs, before they are computed.
    func foundSizeDemands(of ids: [NodeID]) -> [SizeDemand] {
        dimensions.isEmpty ? [] : demands(of: ids, resultsToo: true) { $0.contains(where: isDataDependent) }.map {
            SizeDemand(rule: $0.rule, place: $0.place, dependsOnData: true)
        }
    }

    /// - Parameter resultsToo: whether the sizes of results must be seen not to be negative.
    private func demands(of ids: [NodeID], resultsToo: Bool, where isMeant: (Set<String>) -> Bool) -> [SizeDemand] {
        var seen: Set<SizeDemand.Rule> = []
        return ids.flatMap { id -> [SizeDemand] in
            let node = self[id]
            let context = inferenceContext(operands: node.operands, regions: node.regions, resultCount: node.results.count)
            var rules = node.op.equalSizes(in: context).filter { !$0.holds }.map { SizeDemand.Rule.equal($0) }
            let sizes = resultsToo ? node.results.flatMap { type($0).tensor?.shape ?? [] } : []
            rules += (node.op.nonNegativeSizes(in: context) + sizes).filter { !$0.isNeverNegative }.map { .notNegative($0) }
            let place = node.op.mnemonic + (node.provenance.isEmpty ? "" : " (\(node.provenance.joined(separator: ", ")))")
            return rules.filter { !$0.dimensions.isEmpty && isMeant($0.dimensions) && seen.insert($0).inserted }.map { SizeDemand(rule: $0, place: place) }
        }
    }
}
