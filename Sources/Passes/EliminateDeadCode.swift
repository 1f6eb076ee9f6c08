import GlmcIR

extension Pass {
    /// Removes nodes whose results nobody reads and that have no effect.
    ///
    /// ```
    /// %0 = unary.exp(%x) : f32[8]          // unused
    /// %1 = unary.negate(%x) : f32[8]
    /// return %1
    /// ```
    /// becomes
    /// ```
    /// %0 = unary.negate(%x) : f32[8]
    /// return %0
    /// ```
    ///
    /// A pass of its own, although rules erase what they leave behind: models arrive with unused nodes, and passes that work on
    /// whole functions need not clean up after themselves.
    public static let eliminateDeadCode = Pass("dce", "Removes nodes whose results are unused") { rewriter, _ in
        for id in rewriter.function.allNodes.reversed() where rewriter.function.isDead(id) {
            guard rewriter.beginRewrite() else { return }
            rewriter.eraseIfDead(id)
        }
    }
}

extension Function {
    /// Whether a node exists, has no effect, and nothing reads its results or the sizes that it finds.
    public func isDead(_ id: NodeID) -> Bool {
        guard contains(id) else { return false }
        let node = self[id]
        guard node.op.isPure, node.results.allSatisfy({ self[$0].uses.isEmpty }) else { return false }
        let found = Set(node.op.foundSizes.flatMap(\.dimensions)).filter(isDataDependent)
        return found.isEmpty || !allNodes.contains { $0 != id && mentions(found, $0) }
    }

    /// Whether a node has one of the dimensions in an attribute or a result's type.
    private func mentions(_ dimensions: Set<String>, _ id: NodeID) -> Bool {
        func attributes<O: Op>(_ op: O) -> Bool {
            O.attributes.contains { attribute in
                guard case .extents(let list) = attribute.get(op) else { return false }
                return list.contains { !$0.dimensions.isDisjoint(with: dimensions) }
            }
        }
        let op: any Op = self[id].op
        return attributes(op) || self[id].results.contains { result in
            type(result).tensor?.shape.contains { !$0.dimensions.isDisjoint(with: dimensions) } ?? false
        }
    }
}
