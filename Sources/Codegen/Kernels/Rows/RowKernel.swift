import GlmcIR

/// Vector loops over one contiguous axis of a tensor, for normalisations: every row is read a few times while it stays in the
/// first-level cache, and written once through the epilogue.
struct RowKernel {
    let input: TensorView
    let axis: Int
    let lanes: Int

    /// - Returns: nil where the axis is not contiguous in memory.
    init?(_ input: TensorView, axis: Int, target: Target) {
        guard input.strides[axis] == 1 else { return nil }
        self.input = input
        self.axis = axis
        lanes = target.lanes(ofBytes: 4)
    }

    var length: Extent { input.shape[axis] }
    /// Whole vectors per row, and the elements that are left.
    var wholeVectors: Extent { length.floorDivided(by: Extent(lanes)) }
    var hasRest: Bool { length.exactQuotient(by: Extent(lanes)) == nil }

    func splat(_ value: Expr) -> Expr { lanes == 1 ? value : .broadcast(value, lanes) }
    func across(_ op: ReductionOperator, _ value: Expr) -> Expr { lanes == 1 ? value : .horizontal(op, value) }

    /// One parallel loop over all rows; `body` gets the index of the row's first element.
    func rows(_ builder: inout KernelBuilder, _ body: (inout KernelBuilder, [Expr]) throws -> Void) rethrows {
        let axes = input.shape.indices.filter { $0 != axis }
        try builder.loop("row", to: Expr(axes.map { input.shape[$0] }.product), kind: .parallel) { builder, row in
            var index = [Expr](repeating: .int(0), count: input.shape.count)
            for (other, position) in zip(axes, builder.split(row, over: axes.map { input.shape[$0] })) { index[other] = position }
            try body(&builder, index)
        }
    }

    /// A loop over the row's vectors; `count` is the number of lanes that exist in the last, partial one (nil: all).
    func vectors(_ builder: inout KernelBuilder, _ body: (inout KernelBuilder, _ position: Expr, _ count: Expr?) throws -> Void) rethrows {
        try builder.loop("v", to: Expr(wholeVectors)) { builder, v in try body(&builder, v * .int(lanes), nil) }
        guard hasRest else { return }
        let start = Expr(wholeVectors * Extent(lanes))
        if let whole = length.constant { return try body(&builder, start, .int(whole % lanes)) }
        let rest = builder.bind(Expr(length) - start, "m")
        try builder.when(.int(0) < rest, { try body(&$0, start, rest) }, else: { _ in })
    }

    /// The row's elements at `position`, as f32; missing lanes are zero.
    func load(_ view: TensorView, at row: [Expr], _ position: Expr, _ count: Expr?) -> Expr {
        var index = row
        index[axis] = row[axis] + position
        return .load(Access(view.buffer, view.address(index), KernelType(.f32, lanes: lanes), mask: count))
    }

    /// A parameter that broadcasts to the rows' tensor, at `position` of a row.
    func parameter(_ view: TensorView, at row: [Expr], _ position: Expr, _ count: Expr?) -> Expr {
        let skipped = input.shape.count - view.shape.count
        var address = Expr(view.offset)
        for own in view.shape.indices {
            let stride = view.stride(own, broadcastTo: input.shape[own + skipped])
            address = address + (own + skipped == axis ? position : row[own + skipped]) * Expr(stride)
        }
        let last = axis - skipped
        if last < 0 || view.shape[last] == 1 {
            let access = Access(view.buffer, address, KernelType(.f32))
            return lanes == 1 ? .load(access) : .loadBroadcast(access, lanes)
        }
        return .load(Access(view.buffer, address, KernelType(.f32, lanes: lanes), mask: count))
    }

    /// The sum over the row of `term`, whose missing lanes must be zero.
    func sum(_ builder: inout KernelBuilder, _ term: (inout KernelBuilder, _ position: Expr, _ count: Expr?) -> Expr) -> Expr {
        let total = builder.declare(splat(.float(0, .f32)), "sum")
        vectors(&builder) { builder, position, count in
            let value = term(&builder, position, count)
            builder.emit(.assign(total, .variable(total) + value))
        }
        return builder.bind(across(.add, .variable(total)), "sum")
    }

    /// Stores `value` at `position` of a row through the epilogue.
    func store(_ builder: inout KernelBuilder, _ store: SiteStore, _ value: Expr, _ row: [Expr], _ position: Expr, _ count: Expr?) throws {
        var index = row
        index[axis] = row[axis] + position
        try store(&builder, value, index, axis, count)
    }
}
