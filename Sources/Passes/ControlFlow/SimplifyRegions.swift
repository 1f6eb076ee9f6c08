import GlmcIR

extension Pass {
    /// Removes branches that are never taken, and results of branches that nobody reads.
    ///
    /// ```
    /// %true = constant(value: bool[](true)) : bool[]
    /// %0 = if(%true) : f32[4] {
    ///   %1 = unary.exp(%x) : f32[4]
    ///   yield %1
    /// } {
    ///   yield %x
    /// }
    /// ```
    /// becomes
    /// ```
    /// %0 = unary.exp(%x) : f32[4]
    /// ```
    ///
    /// A pass of its own rather than part of `canonicalize`, because it moves nodes between blocks. Models exported from
    /// scripts often branch on shapes or versions, which constant folding has decided by now.
    public static let simplifyRegions = Pass(
        "simplify-regions", "Removes branches that are never taken and results of branches that nobody reads",
        rules: [knownBranch, unreadBranchResults])
}

/// An `if` with a constant condition → the nodes of the branch that it takes.
private let knownBranch = Rule("known-branch", on: If.self) { function, id, op in
    let node = function[id]
    guard let condition = function.splat(node.operands[0]), let region = node.regions.dropFirst(condition != 0 ? 0 : 1).first else { return nil }
    return { rewriter in
        // Sizes on which the branches disagreed are those of the branch taken.
        var sizes: [String: Extent] = [:]
        for (result, value) in zip(node.results, rewriter.function[region].results) {
            for (extent, size) in zip(rewriter.function.tensorType(result).shape, rewriter.function.tensorType(value).shape) {
                if op.joined.contains(extent), let name = extent.dimensionName { sizes[name] = size }
            }
        }
        if !sizes.isEmpty { try rewriter.bindDimensions(sizes) }
        let values = try rewriter.inline(region: region, of: id, arguments: [])
        try rewriter.replace(id, with: values)
    }
}

/// An `if` with results that nobody reads → one without them, so that the branches need not compute them.
private let unreadBranchResults = Rule("unread-branch-results", on: If.self) { function, id, op in
    let node = function[id]
    let kept = node.results.indices.filter { !function[node.results[$0]].uses.isEmpty }
    // The extents in `joined` belong to results by order; only where there are none can results be taken out.
    guard kept.count < node.results.count, !kept.isEmpty, op.joined.isEmpty else { return nil }
    return { rewriter in
        for region in node.regions {
            let results = rewriter.function[region].results
            rewriter.setResults(kept.map { results[$0] }, of: region)
        }
        let values = try rewriter.takeOverRegions(of: id, by: op, node.operands)
        for (position, value) in zip(kept, values) { try rewriter.replaceUses(of: node.results[position], with: value) }
        rewriter.erase(id)
    }
}
