import GlmcIR

extension Pass {
    /// Computes equal expressions once.
    ///
    /// ```
    /// %0 = binary.add(%x, %y) : f32[8]
    /// %1 = binary.add(%y, %x) : f32[8]
    /// %2 = binary.multiply(%0, %1) : f32[8]
    /// ```
    /// becomes
    /// ```
    /// %0 = binary.add(%x, %y) : f32[8]
    /// %1 = binary.multiply(%0, %0) : f32[8]
    /// ```
    ///
    /// Equal means: an equal op (attributes included), the same operands up to the order of a commutative op, the same result
    /// types, and no regions. A node inside a region may be replaced by one outside, not the other way round. Constants are
    /// merged by content, which is what makes tied weights appear once in the artifact.
    ///
    /// Recognition passes rely on it: exporters repeat subexpressions (`x - mean(x)` in a LayerNorm), and a pattern can then
    /// compare values by identity.
    public static let eliminateCommonSubexpressions = Pass("cse", "Computes equal expressions once") { rewriter, _ in
        var known: [Expression: [ValueID]] = [:]
        _ = try merge(in: rewriter.function.body, &rewriter, &known)
    }

    private struct Expression: Hashable {
        let op: AnyHashable
        let operands: [ValueID]
        let types: [ValueType]

        init(_ node: Node, _ function: Function) {
            op = Expression.erase(node.op)
            let isCommutative = (node.op as? Binary)?.function.isCommutative ?? false
            operands = isCommutative ? node.operands.sorted { $0.index < $1.index } : node.operands
            types = node.results.map { function.type($0) }
        }

        private static func erase<O: Op>(_ op: O) -> AnyHashable { AnyHashable(op) }
    }

    /// Merges the nodes of a block with what is known around it; returns what it has added to that.
    private static func merge(in block: BlockID, _ rewriter: inout Rewriter, _ known: inout [Expression: [ValueID]]) throws -> [Expression] {
        var added: [Expression] = []
        for id in rewriter.function.nodes(in: block) {
            let node = rewriter.function[id]
            for region in node.regions {
                // What a region computes does not exist outside it.
                for expression in try merge(in: region, &rewriter, &known) { known[expression] = nil }
            }
            guard node.op.isPure, node.regions.isEmpty else { continue }
            let expression = Expression(node, rewriter.function)
            guard let values = known[expression] else {
                known[expression] = node.results
                added.append(expression)
                continue
            }
            guard rewriter.beginRewrite() else { break }
            try rewriter.replace(id, with: values)
        }
        return added
    }
}
