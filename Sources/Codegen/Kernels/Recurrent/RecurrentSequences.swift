import GlmcIR

extension KernelFamily {
    /// LSTM, GRU and RNN with constant weights: the input's share of all gates as one product over all time steps, then one product
    /// with packed recurrent weights per step.
    static let recurrent = KernelFamily("recurrent-steps") { query in
        guard let op = query.node.op as? any RecurrentOp, query.resultType.element == .f32, let w = query.constant(1), w.count > 0,
              let r = query.constant(2) else { return nil }
        return KernelPlan { site in try RecurrentSequences(op, w: w, r: r, &site).emit(&site) }
    }
}

private struct RecurrentSequences {
    let op: any RecurrentOp
    let x: TensorView
    let model: RegisterModel
    let hidden: Int
    /// G·H sums per step.
    let sums: Int
    let directions: Int
    /// Sequences that step together share every load of the recurrent weights.
    let blocks: AxisCut
    let input: (plan: TilePlan, packing: PanelFormat, weights: BufferID)
    let recurrent: [Range<Int>: (packing: PanelFormat, weights: BufferID)]

    /// The most sequences per block: more would not fit the registers of one tile.
    private static let largestBlock = 8

    init(_ op: any RecurrentOp, w: Tensor, r: Tensor, _ site: inout KernelSite) throws {
        self.op = op
        x = try site.operand(0)
        let model = RegisterModel(site.target), gates = type(of: op).gateCount, directions = op.common.direction.count, hidden = op.common.hiddenSize
        (self.model, self.directions, self.hidden) = (model, directions, hidden)
        sums = gates * hidden
        let batch = x.shape[1].constant
        blocks = if op.common.hasLengths {
            AxisCut(freeSizes: [1])
        } else if let batch {
            AxisCut(extent: batch, limit: Swift.max(1, Swift.min(Self.largestBlock, (batch * directions + site.threads - 1) / site.threads)))
        } else {
            AxisCut(freeSizes: [Self.largestBlock / 2, 1])
        }
        let width = w.shape[2]
        let plan = TilePlan(
            y: (x.shape[0] * x.shape[1]).constant, x: 1, columns: sums, depth: width, rowBytes: width * 4, elementBytes: 4, model: model)
        let packing = PanelFormat(
            kind: .float, axes: [(ReductionAxis(Extent(width), stride: x.strides[2]), 1)], columns: sums, columnStride: width, outer: directions,
            outerStride: sums * width, lanes: model.lanes, panels: plan.panels)
        input = (plan, packing, try site.weight(.f32, [w], as: packing))
        var recurrent: [Range<Int>: (packing: PanelFormat, weights: BufferID)] = [:]
        for phase in op.phases {
            let plan = Self.stepPlan(rows: blocks.largest, phase, hidden, model)
            let packing = PanelFormat(
                kind: .float, axes: [(ReductionAxis(Extent(hidden), stride: 1), 1)], columns: phase.count * hidden, columnStride: hidden, outer: directions,
                outerStride: sums * hidden, sourceOffset: phase.lowerBound * hidden * hidden, lanes: model.lanes, panels: plan.panels)
            recurrent[phase] = (packing, try site.weight(.f32, [r], as: packing))
        }
        self.recurrent = recurrent
    }

    private static func stepPlan(rows: Int, _ phase: Range<Int>, _ hidden: Int, _ model: RegisterModel) -> TilePlan {
        TilePlan(y: rows, x: 1, columns: phase.count * hidden, depth: hidden, rowBytes: hidden * 4, elementBytes: 4, model: model)
    }

    func emit(_ site: inout KernelSite) throws {
        var operands = [x, x, x]
        for i in 3..<site.operandTypes.count { operands.append(try site.operand(i)) }
        let results = site.resultTypes.indices.map { site.result($0) }
        let (steps, batch) = (x.shape[0], x.shape[1])
        let projected = site.scratch("gates", .f32, count: Extent(directions * sums) * steps * batch, perThread: false)
        let products = site.scratch("sums", .f32, count: Extent(blocks.largest * sums), perThread: true)
        var builder = KernelBuilder()
        swap(&builder, &site.builder)
        defer { swap(&builder, &site.builder) }
        try project(to: projected, in: &builder)
        builder.emit(.barrier)
        let loops = try RecurrentLoops(op, operands: operands, results: results, rows: blocks.largest, in: &builder)
        try loops.emit(blocks: Expr(blocks.tileCount(of: batch)), in: &builder) { builder, direction, block in
            try blocks.emit(tile: block, of: batch, into: &builder) { builder, first, rows in
                try loops.sequences(direction: direction, batch: first, rows: rows, in: &builder) { place in
                    let row = (place.direction * Expr(steps) + place.time) * Expr(batch) + place.batch
                    return PackedSums(kernel: self, rows: rows, direction: place.direction, inputRow: row, projected: projected, products: products)
                }
            }
        }
    }

    /// `x·wᵀ` of all steps: [D, T, B, G·H].
    private func project(to target: BufferID, in builder: inout KernelBuilder) throws {
        let (steps, batch) = (x.shape[0], x.shape[1]), sums = Expr(.init(self.sums))
        // Steps and batch entries are one axis of rows wherever memory allows.
        let isFlat = batch == 1 || steps == 1 || x.strides[0] == batch * x.strides[1]
        let outer = [Extent(directions)] + (isFlat ? [] : [steps])
        let problem = Contraction(
            kind: .float, outer: outer, y: isFlat ? steps * batch : batch, x: 1, columns: Extent(self.sums), input: x.buffer,
            inputBase: { Expr(x.offset) + (isFlat ? .int(0) : $0[1] * Expr(x.strides[0])) }, inputStrideY: batch == 1 && isFlat ? x.strides[0] : x.strides[1],
            inputStrideX: 0, reduction: [ReductionAxis(x.shape[2], stride: x.strides[2])], weights: .packed(input.weights),
            weightBase: { $0[0] * .int(input.packing.outerCount) }
        ) { builder, outer, y, _, column, value, count in
            let row = isFlat ? outer[0] * Expr(steps * batch) + y : (outer[0] * Expr(steps) + outer[1]) * Expr(batch) + y
            builder.emit(.store(Access(target, row * sums + column, value.type, mask: count), value))
        }
        var plan = input.plan
        if !isFlat {
            plan.y = batch.constant.map { AxisCut(extent: $0, limit: plan.y.largest) } ?? AxisCut(freeWithLimit: plan.y.largest)
            (plan.blockRows, plan.isPanelMajor) = (1, false)
        }
        try ContractionEmitter(problem, plan: plan, lanes: model.lanes).emit(into: &builder)
    }

    /// `v·rᵀ` of the gates of one phase, for `rows` vectors in `v`.
    func multiply(_ v: BufferID, _ phase: Range<Int>, rows: Int, direction: Expr, to target: BufferID, in builder: inout KernelBuilder) throws {
        guard let (packing, weights) = recurrent[phase] else { throw Diagnostic(.internal, "\(op) has no phase \(phase)") }
        let problem = Contraction(
            kind: .float, y: Extent(rows), x: 1, columns: Extent(phase.count * hidden), input: v, inputBase: { _ in .int(0) }, inputStrideY: Extent(hidden),
            inputStrideX: 0, reduction: [ReductionAxis(Extent(hidden), stride: 1)], weights: .packed(weights),
            weightBase: { _ in direction * .int(packing.outerCount) }
        ) { builder, _, y, _, column, value, count in
            let index = y * .int(sums) + column + .int(phase.lowerBound * hidden)
            builder.emit(.store(Access(target, index, value.type, mask: count), value))
        }
        var plan = Self.stepPlan(rows: rows, phase, hidden, model)
        plan.panels = packing.panels
        plan.y = AxisCut(extent: rows, limit: Swift.max(1, Swift.min(rows, (model.registers - 1 - plan.panels.largest) / plan.panels.largest)))
        plan.blockRows = plan.y.tileCount
        try ContractionEmitter(problem, plan: plan, lanes: model.lanes).emit(into: &builder, kind: .serial)
    }
}

/// Sums from the projected input and from a product that is made before the units are visited, vectors of units at a time.
private struct PackedSums: RecurrentSums {
    let kernel: RecurrentSequences
    let rows: Int
    let direction: Expr
    /// The first sequence's row of `projected` at this step.
    let inputRow: Expr
    let projected: BufferID
    let products: BufferID

    private func sum(_ buffer: BufferID, _ row: Expr, _ g: Int, _ unit: RecurrentUnit) -> Expr {
        .load(Access(buffer, row * .int(kernel.sums) + .int(g * kernel.hidden) + unit.j, KernelType(.f32)))
    }

    func prepare(_ gates: Range<Int>, of v: BufferID, in builder: inout KernelBuilder) throws {
        try kernel.multiply(v, gates, rows: rows, direction: direction, to: products, in: &builder)
    }

    func input(_ g: Int, _ unit: RecurrentUnit, in builder: inout KernelBuilder) -> Expr { sum(projected, inputRow + unit.row, g, unit) }

    func recurrent(_ g: Int, _ unit: RecurrentUnit, of v: BufferID, in builder: inout KernelBuilder) -> Expr { sum(products, unit.row, g, unit) }

    func units(_ builder: inout KernelBuilder, _ body: (inout KernelBuilder, RecurrentUnit) throws -> Void) rethrows {
        let lanes = kernel.model.lanes, whole = kernel.hidden / lanes, rest = kernel.hidden % lanes
        try builder.loop("row", to: .int(rows)) { builder, row in
            if whole > 0 { try builder.loop("v", to: .int(whole)) { try vector(&$0, row, $1 * .int(lanes), count: lanes, body) } }
            if rest > 0 { try vector(&builder, row, .int(whole * lanes), count: rest, body) }
        }
    }

    /// `count` neighbouring units at once; one after the other where something has no vector form.
    private func vector(
        _ builder: inout KernelBuilder, _ row: Expr, _ start: Expr, count: Int, _ body: (inout KernelBuilder, RecurrentUnit) throws -> Void
    ) rethrows {
        let lanes = kernel.model.lanes, lane = builder.variable("lane", .index)
        if lanes > 1 {
            let scalar = try builder.block { try body(&$0, RecurrentUnit(row: row, j: start + .variable(lane))) }
            var vectorizer = Vectorizer(lane: lane, lanes: lanes, mask: count < lanes ? .int(count) : nil, replacements: [:])
            if let wide = vectorizer.vectorized(scalar) { return builder.emit(wide) }
        }
        try builder.loop("lane", to: .int(count)) { try body(&$0, RecurrentUnit(row: row, j: start + $1)) }
    }
}
