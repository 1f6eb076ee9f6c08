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
    /// Whether a node exists, has no effect, and none of its results is read.
    public func isDead(_ id: NodeID) -> Bool {
        guard contains(id) else { return false }
        let node = self[id]
        return node.op.isPure && node.results.allSatisfy { self[$0].uses.isEmpty }
    }
}
