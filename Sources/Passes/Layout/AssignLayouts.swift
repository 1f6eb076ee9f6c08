import GlmcIR

extension Pass {
    /// Gives every image its physical layout: channels last where convolutions and their like work on it, row-major elsewhere.
    ///
    /// ```
    /// %0 = pad(%x, before: [0, 0, 1, 1], after: [0, 0, 1, 1]) : f32[1, 3, 226, 226]
    /// %1 = conv(%0, %w, strides: [1, 1], dilations: [1, 1]) : f32[1, 64, 224, 224]
    /// %2 = activation.relu(%1) : f32[1, 64, 224, 224]
    /// %3 = reduce.mean(%2, axes: [2, 3]) : f32[1, 64]
    /// ```
    /// becomes
    /// ```
    /// %0 = pad(%x, before: [0, 0, 1, 1], after: [0, 0, 1, 1]) : f32[1, 3, 226, 226|nhwc]
    /// %1 = conv(%0, %w, strides: [1, 1], dilations: [1, 1]) : f32[1, 64, 224, 224|nhwc]
    /// %2 = activation.relu(%1) : f32[1, 64, 224, 224|nhwc]
    /// %3 = reduce.mean(%2, axes: [2, 3]) : f32[1, 64]
    /// ```
    ///
    /// Shapes and attributes stay in logical order; only addresses change. So this is a choice per value, not a rewrite of ops,
    /// and it is made once for the whole function: every op says what it prefers (`layoutBehavior`), every disagreement has a
    /// price in bytes, and a minimum cut finds the cheapest choice. See `LayoutCosts` for the prices.
    ///
    /// Where a convolution meets a row-major image, or a row-major op an image with its channels last, a `relayout` copies.
    /// Elementwise ops need none: they read each operand in its own layout.
    ///
    /// It must run last: rewrites that infer types anew would lose the layouts of the values that they replace.
    public static let assignLayouts = Pass("layout", "Chooses between row-major and channels-last memory for every value") { rewriter, _ in
        let costs = LayoutCosts(rewriter.function)
        let choice = costs.solve()
        guard choice.values.contains(.channelsLast) else { return }
        for (value, layout) in choice.sorted(by: { $0.key.index < $1.key.index }) where layout == .channelsLast {
            guard rewriter.beginRewrite() else { return }
            rewriter.setLayout(layout, of: value)
        }
        var copies: [LayoutCopy: ValueID] = [:]
        try insertRelayouts(in: rewriter.function.body, &rewriter, &copies)
    }

    private struct LayoutCopy: Hashable {
        let value: ValueID
        let layout: Layout
    }

    /// Copies where an op or the end of a block cannot do with the layout of a value. Readers of one value share the copy.
    private static func insertRelayouts(in block: BlockID, _ rewriter: inout Rewriter, _ copies: inout [LayoutCopy: ValueID]) throws {
        func copy(_ value: ValueID, _ layout: Layout, at position: Rewriter.Position, _ rewriter: inout Rewriter) throws -> ValueID {
            let key = LayoutCopy(value: value, layout: layout)
            if let known = copies[key] { return known }
            let provenance = rewriter.function.definingNode(value).map { rewriter.function[$0].provenance } ?? []
            let result = try rewriter.create1(Relayout(layout), [value], at: position, provenance: provenance)
            copies[key] = result
            if let node = rewriter.function.definingNode(result) { rewriter.remark("copies \(rewriter.function.type(value)) to \(rewriter.function.type(result))", at: node) }
            return result
        }
        for id in rewriter.function.nodes(in: block) {
            let node = rewriter.function[id]
            for region in node.regions {
                // Copies inside a region do not exist outside it.
                var inner = copies
                try insertRelayouts(in: region, &rewriter, &inner)
            }
            for (i, operand) in node.operands.enumerated() {
                guard let type = rewriter.function.type(operand).tensor, let wanted = node.requiredLayout(ofOperand: i, type),
                      wanted != type.layout, !type.hasOneOrder else { continue }
                rewriter.setOperand(i, of: id, to: try copy(operand, wanted, at: .before(id), &rewriter))
            }
        }
        let results = rewriter.function[block].results
        var changed = results
        for (i, value) in results.enumerated() {
            let type = rewriter.function.tensorType(value)
            guard type.layout != .rowMajor, !type.hasOneOrder else { continue }
            changed[i] = try copy(value, .rowMajor, at: .end(block), &rewriter)
        }
        if changed != results { rewriter.setResults(changed, of: block, names: block == rewriter.function.body ? rewriter.function.outputNames : nil) }
    }
}

extension Node {
    /// The layout in which the op must have operand `i`; nil if it takes any.
    fileprivate func requiredLayout(ofOperand i: Int, _ type: TensorType) -> Layout? {
        guard LayoutCosts.ranks.contains(type.rank) else { return nil }
        switch op.layoutBehavior {
        case .rowMajor: return .rowMajor
        case .prefersChannelsLast: return i == 0 ? .channelsLast : .rowMajor
        case .uniform, .any: return nil
        }
    }
}

extension TensorType {
    /// Whether row-major and channels-last are the same order in memory: one channel, or one pixel.
    public var hasOneOrder: Bool {
        rank < 3 || shape[1] == 1 || shape[2...].allSatisfy { $0 == 1 }
    }
}
