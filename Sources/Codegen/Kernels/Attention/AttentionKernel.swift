import GlmcIR

extension KernelFamily {
    /// Attention by blocks of query rows whose scores stay in the first-level caches.
    static let attention = KernelFamily("attention-rows") { query in
        guard let op = query.op(Attention.self), query.operandType(0).element == .f32 else { return nil }
        // Masks are read by vectors along the keys, or one value for all of them.
        if op.optionalParts(query.node.operands).mask != nil, let last = query.operandType(3).shape.last, !last.broadcastsAsKnown(to: query.operandType(1).shape[2]) { return nil }
        guard query.operandType(0).shape[3].isConstant, query.operandType(2).shape[3].isConstant else { return nil }
        return KernelPlan { site in
            let operands = try site.operandTypes.indices.map { try site.operand($0) }, (mask, lengths) = op.optionalParts(operands)
            var kernel = AttentionKernel(op: op, q: operands[0], k: operands[1], v: operands[2], mask: mask, lengths: lengths, target: site.target)
            try kernel.emit(&site)
        }
    }
}

/// Keys are packed into panels once per head (for a single query they are read where they lie: `emitStep`); then every block of rows computes its scores (a
/// contraction over the head's depth), their softmax, and the weighted sum of the values (a contraction over the keys).
struct AttentionKernel {
    let op: Attention
    let q: TensorView
    let k: TensorView
    let v: TensorView
    var mask: TensorView?
    let lengths: TensorView?
    let model: RegisterModel

    init(op: Attention, q: TensorView, k: TensorView, v: TensorView, mask: TensorView?, lengths: TensorView?, target: Target) {
        (self.op, self.q, self.k, self.v, self.mask, self.lengths) = (op, q, k, v, mask, lengths)
        model = RegisterModel(target)
    }

    var lanes: Int { model.lanes }
    var batch: Extent { q.shape[0] }
    var heads: Extent { q.shape[1] }
    var sharedHeads: Extent { k.shape[1] }
    var queries: Extent { q.shape[2] }
    var keys: Extent { k.shape[2] }
    var depth: Extent { q.shape[3] }
    var width: Extent { v.shape[3] }
    /// Vectors of scores per row, and elements from one row of scores to the next.
    var keyVectors: Extent { keys.ceilDivided(by: Extent(lanes)) }
    var rowStride: Extent { (keyVectors + 1) * Extent(lanes) }

    /// Rows per block: a balanced cut of at most 28 rows; short blocks for a free number of queries.
    private var rows: AxisCut {
        guard let queries = queries.constant else { return AxisCut(freeSizes: [8, 1]) }
        // Exact divisors need one body only.
        if let exact = (8...28).reversed().first(where: { queries % $0 == 0 }) { return AxisCut(extent: queries, limit: exact) }
        return AxisCut(extent: queries, limit: 24)
    }

    func vector(_ value: Double) -> Expr { lanes == 1 ? .float(value, .f32) : .broadcast(.float(value, .f32), lanes) }
    func splat(_ value: Expr) -> Expr { lanes == 1 ? value : .broadcast(value, lanes) }
    private var vectorType: KernelType { KernelType(.f32, lanes: lanes) }

    mutating func emit(_ site: inout KernelSite) throws {
        let strided = mask.flatMap { $0.shape.isEmpty || $0.shape.last == 1 || $0.strides.last == 1 ? nil : $0 }
        if let strided {
            // Scores are masked by vectors of neighbouring keys, so the mask's last axis has to be contiguous.
            let copy = site.scratch("mask", strided.element, count: strided.shape.product, perThread: false)
            mask = TensorView(copy, strided.element, shape: strided.shape, strides: Layout.rowMajor.strides(of: strided.shape))
        }
        let (kernel, mask) = (self, mask)
        let copy = strided.flatMap { from in mask.map { (from: from, to: $0) } }
        if let group = kernel.stepGroup { return try kernel.emitStep(&site, group: group, copying: copy) }
        try kernel.emitBody(&site, copying: copy)
    }

    func emit(_ copy: (from: TensorView, to: TensorView), into builder: inout KernelBuilder) {
        builder.loops(over: copy.from.shape, kind: .parallel) { builder, index in builder.emit(copy.to.store(copy.from.load(index), index)) }
    }

    private func emitBody(_ site: inout KernelSite, copying copy: (from: TensorView, to: TensorView)?) throws {
        let rows = rows, largest = rows.largest
        let scorePlan = TilePlan(y: largest, x: 1, columns: keys.constant, depth: depth.constant ?? 0, rowBytes: 0, elementBytes: 4, model: model)
        let paddedKeys = keyVectors * Extent(lanes)
        let packed = site.scratch("keys", .f32, count: batch * sharedHeads * paddedKeys * depth, perThread: false)
        let scores = site.scratch("scores", .f32, count: Extent(largest) * rowStride, perThread: true)
        let sums = site.scratch("sums", .f32, count: Extent(largest), perThread: true)
        let valuesInPlace = v.strides[3] == 1
        let valuePlan = TilePlan(y: largest, x: 1, columns: width.constant, depth: 0, rowBytes: 0, elementBytes: 4, model: model)
        let paddedWidth = width.ceilDivided(by: Extent(lanes)) * Extent(lanes)
        let packedValues = valuesInPlace ? nil : site.scratch("values", .f32, count: batch * sharedHeads * paddedWidth * keys, perThread: false)

        try site.generate { builder, store in
            if let copy { emit(copy, into: &builder) }
            PanelPacker(
                source: k, axes: (3, 2), target: packed, batchStride: paddedKeys * depth, columns: keys, depth: depth, panels: scorePlan.panels, lanes: lanes
            ).emit(into: &builder)
            if let packedValues {
                PanelPacker(
                    source: v, axes: (2, 3), target: packedValues, batchStride: paddedWidth * keys, columns: width, depth: keys, panels: valuePlan.panels, lanes: lanes
                ).emit(into: &builder)
            }
            builder.emit(.barrier)
            let blocks = rows.tileCount(of: queries)
            try builder.loop("u", to: Expr(batch * heads * blocks), kind: .parallel) { builder, unit in
                let position = builder.split(unit, over: [batch, heads, blocks])
                let (n, head, block) = (position[0], position[1], position[2])
                let shared = heads == sharedHeads ? head : builder.bind(head / (Expr(heads) / Expr(sharedHeads)), "h")
                let end = op.keyCount(n, lengths, keys, in: &builder)
                let place = Place(n: n, head: head, shared: shared, flat: builder.bind(n * Expr(sharedHeads) + shared, "g"), end: end)
                try rows.emit(tile: block, of: queries, into: &builder) { builder, row, count in
                    try emitScores(place, row, count, plan: scorePlan, packed: packed, scores: scores, into: &builder)
                    builder.loop("i", to: .int(count)) { builder, i in emitSoftmax(i, scores, sums, vectors: Expr(keyVectors), into: &builder) }
                    let weights: WeightSource = packedValues.map { .packed($0) } ?? .rows(v.buffer, stride: v.strides[2])
                    let base = packedValues.map { _ in place.flat * Expr(paddedWidth * keys) }
                        ?? Expr(v.offset) + n * Expr(v.strides[0]) + shared * Expr(v.strides[1])
                    let kind = packedValues == nil ? ContractionKind.multiplyAdd(.f32, v.element) : .float
                    var values = Contraction(
                        kind: kind, y: Extent(count), x: 1, columns: width, input: scores, inputBase: { _ in .int(0) }, inputStrideY: rowStride,
                        inputStrideX: 0, reduction: [ReductionAxis(keys, stride: 1)], weights: weights, weightBase: { _ in base }
                    ) { builder, _, y, _, column, value, lanesThatExist in
                        let factor = splat(.load(Access(sums, y, KernelType(.f32))))
                        try store(&builder, value * factor, [n, head, row + y, column], 3, lanesThatExist)
                    }
                    if lengths != nil { values.steps = { _, _ in end } }
                    try ContractionEmitter(values, plan: replan(valuePlan, count), lanes: lanes).emit(into: &builder, kind: .serial)
                }
            }
        }
    }

    private struct Place {
        var n: Expr
        var head: Expr
        var shared: Expr
        /// The position among all shared heads of all batches.
        var flat: Expr
        /// How many keys count.
        var end: Expr
    }

    /// The same panels for another number of rows.
    private func replan(_ plan: TilePlan, _ rows: Int) -> TilePlan {
        var plan = plan
        let limit = Swift.max(1, (model.registers - 1 - plan.panels.largest) / plan.panels.largest)
        plan.y = AxisCut(extent: rows, limit: Swift.min(limit, plan.y.largest))
        plan.blockRows = plan.y.tileCount
        return plan
    }

    /// Scaled, capped and masked scores of `count` rows.
    private func emitScores(_ place: Place, _ row: Expr, _ count: Int, plan: TilePlan, packed: BufferID, scores: BufferID, into builder: inout KernelBuilder) throws {
        let lowest = vector(-.infinity)
        let hasPartial = keys.exactQuotient(by: Extent(lanes)) == nil
        if hasPartial {
            // Lanes beyond the last key count as masked. Without any key there is no vector of scores, only the room behind it.
            let last = Extent.maximum(keyVectors - 1, 0)
            builder.loop("i", to: .int(count)) { builder, i in
                builder.emit(.store(Access(scores, i * Expr(rowStride) + Expr(last * Extent(lanes)), vectorType), lowest))
            }
        }
        let panelBase = builder.bind(place.flat * Expr(keyVectors * Extent(lanes) * depth), "w")
        let queryBase = builder.bind(Expr(q.offset) + place.n * Expr(q.strides[0]) + place.head * Expr(q.strides[1]) + row * Expr(q.strides[2]), "a")
        let problem = Contraction(
            kind: .float, y: Extent(count), x: 1, columns: keys, input: q.buffer, inputBase: { _ in queryBase }, inputStrideY: q.strides[2], inputStrideX: 0,
            reduction: [ReductionAxis(depth, stride: q.strides[3])], weights: .packed(packed), weightBase: { _ in panelBase }
        ) { builder, _, y, _, column, value, exists in
            var score = value
            if op.scale != 1 { score = score * vector(op.scale) }
            if op.softcap != 0 { score = .unary(.tanh, score * vector(1 / op.softcap)) * vector(op.softcap) }
            if let mask { score = masked(score, mask, [place.n, place.head, row + y], column, exists) }
            let access = Access(scores, y * Expr(rowStride) + column, vectorType, mask: exists)
            let ends = (op.causal ? [row + y + Expr(op.causalOffset) + .int(1)] : []) + (lengths == nil ? [] : [place.end])
            if let end = ends.last {
                // The first lanes see their keys; the others stay at minus infinity.
                let visible = ends.dropLast().reduce(end) { .min($0, $1) } - column
                let bounded = builder.bind(Expr.max(.int(0), Expr.min(visible, exists ?? .int(lanes))), "m")
                builder.emit(.store(Access(scores, y * Expr(rowStride) + column, vectorType), lowest))
                if lanes == 1 {
                    builder.when(.int(0) < bounded) { builder in builder.emit(.store(access, score)) } else: { _ in }
                } else {
                    builder.emit(.store(Access(scores, y * Expr(rowStride) + column, vectorType, mask: bounded), score))
                }
            } else {
                builder.emit(.store(access, score))
            }
        }
        try ContractionEmitter(problem, plan: replan(plan, count), lanes: lanes).emit(into: &builder, kind: .serial)
    }

    /// `score` with the mask's value added, or −∞ where a bool mask is false. `outer` is batch, head and query.
    func masked(_ score: Expr, _ mask: TensorView, _ outer: [Expr], _ column: Expr, _ exists: Expr?) -> Expr {
        let rank = mask.shape.count
        var address = Expr(mask.offset)
        let extents = [batch, heads, queries]
        for (axis, (position, extent)) in zip((0..<rank).reversed().dropFirst(), zip(outer, extents).reversed()) {
            address = address + position * Expr(mask.stride(axis, broadcastTo: extent))
        }
        let isBool = mask.element == .bool
        let element: ElementType = isBool && lanes > 1 ? .u8 : mask.element
        let value: Expr
        if rank == 0 || mask.shape[rank - 1] == 1 {
            value = splat(.load(Access(mask.buffer, address, KernelType(mask.element))).converted(to: .f32))
        } else {
            let loaded = Expr.load(Access(mask.buffer, address + column * Expr(mask.strides[rank - 1]), KernelType(element, lanes: lanes), mask: exists))
            value = loaded.converted(to: .f32)
        }
        if isBool { return .select(.binary(.greater, value, vector(0)), score, vector(-.infinity)) }
        return score + value
    }

    /// Replaces row `i` of the scores by exp(score − maximum) and notes the reciprocal of the sum; for a row without keys what the op wants.
    /// - Parameter vectors: how many vectors of scores the row has.
    func emitSoftmax(_ i: Expr, _ scores: BufferID, _ sums: BufferID, vectors: Expr, into builder: inout KernelBuilder) {
        let row = builder.bind(i * Expr(rowStride), "r")
        func access(_ column: Expr) -> Access { Access(scores, row + column * .int(lanes), vectorType) }
        func across(_ op: ReductionOperator, _ value: Expr) -> Expr { lanes == 1 ? value : .horizontal(op, value) }
        let top = builder.declare(vector(-.infinity), "top")
        builder.loop("j", to: vectors) { builder, j in
            builder.emit(.assign(top, .binary(.maximum, .variable(top), .load(access(j)))))
        }
        let maximum = builder.bind(across(.maximum, .variable(top)), "max")
        let shift = builder.bind(.select(.binary(.equal, maximum, .float(-.infinity, .f32)), .float(0, .f32), maximum), "max")
        let shiftVector = builder.bind(splat(shift), "max")
        let sum = builder.declare(vector(0), "sum")
        builder.loop("j", to: vectors) { builder, j in
            let value = builder.bind(.unary(.exp, .load(access(j)) - shiftVector), "e")
            builder.emit(.store(access(j), value))
            builder.emit(.assign(sum, .variable(sum) + value))
        }
        let total = builder.bind(across(.add, .variable(sum)), "sum")
        let inverse = Expr.select(.binary(.equal, total, .float(0, .f32)), op.withoutSum(keys, .f32), .binary(.divide, .float(1, .f32), total))
        builder.emit(.store(Access(sums, i, KernelType(.f32)), inverse))
    }
}
