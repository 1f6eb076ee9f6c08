import GlmcIR

/// What happens to a tuned kernel's accumulators: the fused elementwise nodes, then the store.
struct Epilogue {
    let expression: GroupExpression
    /// What the tuned kernel computes.
    let anchor: ValueID
    /// What the group computes; equal to `anchor` where nothing is fused.
    let root: ValueID
    let result: TensorView

    /// Stores `value`, one element or several consecutive ones along `axis`, after the fused operations.
    func store(_ value: Expr, at index: [Expr], along axis: Int, count: Expr?, in builder: inout KernelBuilder) throws {
        let lanes = value.type.lanes
        if lanes == 1 { return try storeScalar(value, at: index, in: &builder) }
        let named = builder.bind(value, "x")
        let lane = builder.variable("lane", .index)
        let scalar = builder.variable("x", KernelType(value.type.element))
        var laneIndex = index
        laneIndex[axis] = index[axis] + .variable(lane)
        let code = try builder.block { try storeScalar(.variable(scalar), at: laneIndex, in: &$0) }
        var vectorizer = Vectorizer(lane: lane, lanes: lanes, mask: count, replacements: [scalar: named])
        if let wide = vectorizer.vectorized(code) {
            builder.emit(wide)
            return
        }
        // No vector form: spill the accumulator and go element by element.
        let spill = builder.spill(value.type)
        builder.emit(.store(Access(spill, .int(0), value.type), named))
        try builder.loop("lane", to: count ?? .int(lanes), kind: .simd(reductions: [])) { builder, lane in
            var position = index
            position[axis] = index[axis] + lane
            let element = Expr.load(Access(spill, lane, KernelType(value.type.element)))
            try storeScalar(element, at: position, in: &builder)
        }
    }

    private func storeScalar(_ value: Expr, at index: [Expr], in builder: inout KernelBuilder) throws {
        let final = try expression.result(root, at: index, known: [anchor: value], in: &builder)
        builder.emit(result.store(final, index))
    }
}
