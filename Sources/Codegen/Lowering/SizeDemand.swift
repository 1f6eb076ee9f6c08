import GlmcIR

/// What an op demands of the sizes of inputs beyond what types say: two sizes are equal, or one is not negative.
struct SizeDemand: Hashable {
    enum Rule: Hashable {
        case equal(SizeEquation)
        case notNegative(Extent)
    }
    var rule: Rule
    /// The first op that demands it.
    var place: String
}

extension Function {
    /// What the ops of a block demand beyond what always holds. Only sizes of inputs count: those that are found while running are the ops' own
    /// affair.
    func sizeDemands(of block: BlockID) -> [SizeDemand] {
        let free = Set(dimensions.filter { if case .input = $0.info.source { true } else { false } }.map(\.name))
        func isFree(_ extents: Extent...) -> Bool {
            let mentioned = extents.reduce(into: Set<String>()) { $0.formUnion($1.dimensions) }
            return !mentioned.isEmpty && mentioned.isSubset(of: free)
        }
        var seen: Set<SizeDemand.Rule> = []
        return nodes(in: block).flatMap { id -> [SizeDemand] in
            let node = self[id]
            let context = inferenceContext(operands: node.operands, regions: node.regions, resultCount: node.results.count)
            var rules = node.op.equalSizes(in: context).filter { !$0.holds && isFree($0.left, $0.right) }.map { SizeDemand.Rule.equal($0) }
            // The sizes of the function's own values are checked where the workspace is measured.
            let sizes = block == body ? [] : node.results.flatMap { type($0).tensor?.shape ?? [] }
            rules += (node.op.nonNegativeSizes(in: context) + sizes).filter { !$0.isNeverNegative && isFree($0) }.map { .notNegative($0) }
            let place = node.op.mnemonic + (node.provenance.isEmpty ? "" : " (\(node.provenance.joined(separator: ", ")))")
            return rules.filter { seen.insert($0).inserted }.map { SizeDemand(rule: $0, place: place) }
        }
    }
}
