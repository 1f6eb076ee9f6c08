import GlmcIR

/// Attention of one query per head, as a decoder's step has it: every key and value is read once, where it lies.
///
/// Three phases over all threads: scores by blocks of keys, for all query heads that share these keys at once; the softmax of every head's scores;
/// weighted sums of the values by columns. Blocks and columns, unlike heads, are enough for every thread.
extension AttentionKernel {
    /// Keys of one block; a multiple of the lanes of every target.
    private static let blockKeys = 64

    /// The query heads that share keys and values, where this form applies.
    var stepGroup: Int? {
        guard queries == 1, k.strides[3] == 1, v.strides[3] == 1, depth.isConstant, let group = heads.exactQuotient(by: sharedHeads)?.constant, group <= 16,
              !op.causal || keys == op.causalOffset + 1 else { return nil }
        return group
    }

    func emitStep(_ site: inout KernelSite, group: Int, copying copy: (from: TensorView, to: TensorView)?) throws {
        let scores = site.scratch("scores", .f32, count: batch * heads * rowStride, perThread: false)
        let sums = site.scratch("sums", .f32, count: batch * heads, perThread: false)
        let plan = TilePlan(y: group, x: 1, columns: width.constant, depth: 0, rowBytes: 0, elementBytes: v.element.byteCount, model: model, maximumVectors: 4)
        try site.generate { builder, store in
            if let copy { emit(copy, into: &builder) }
            emitStepScores(group, scores, into: &builder)
            builder.emit(.barrier)
            builder.loop("h", to: Expr(batch * heads), kind: .parallel) { builder, flat in
                let place = builder.split(flat, over: [batch, heads]), end = op.keyCount(place[0], lengths, keys, in: &builder)
                if op.softcap != 0 || mask != nil { emitCapsAndMasks(flat, place[0], place[1], end, scores, into: &builder) }
                emitSoftmax(flat, scores, sums, vectors: vectors(of: end), into: &builder)
            }
            builder.emit(.barrier)
            func firstHead(_ outer: [Expr]) -> Expr { outer[0] * Expr(heads) + outer[1] * .int(group) }
            var values = Contraction(
                kind: .multiplyAdd(.f32, v.element), outer: [batch, sharedHeads], y: Extent(group), x: 1, columns: width, input: scores,
                inputBase: { firstHead($0) * Expr(rowStride) }, inputStrideY: rowStride, inputStrideX: 0, reduction: [ReductionAxis(keys, stride: 1)],
                weights: .rows(v.buffer, stride: v.strides[2]),
                weightBase: { Expr(v.offset) + $0[0] * Expr(v.strides[0]) + $0[1] * Expr(v.strides[1]) }
            ) { builder, outer, y, _, column, value, lanesThatExist in
                let factor = splat(.load(Access(sums, firstHead(outer) + y, KernelType(.f32))))
                try store(&builder, value * factor, [outer[0], outer[1] * .int(group) + y, .int(0), column], 3, lanesThatExist)
            }
            if lengths != nil { values.steps = { builder, outer in op.keyCount(outer[0], lengths, keys, in: &builder) } }
            try ContractionEmitter(values, plan: plan, lanes: lanes).emit(into: &builder)
        }
    }

    /// How many vectors `end` keys make.
    private func vectors(of end: Expr) -> Expr { lengths == nil ? Expr(keyVectors) : (end + .int(lanes - 1)) / .int(lanes) }

    /// Scaled products of the queries with every key; lanes behind the last key become −∞.
    private func emitStepScores(_ group: Int, _ scores: BufferID, into builder: inout KernelBuilder) {
        let block = Expr.int(Self.blockKeys), blocks = keys.ceilDivided(by: Extent(Self.blockKeys))
        builder.loop("u", to: Expr(batch * sharedHeads * blocks), kind: .parallel) { builder, unit in
            let position = builder.split(unit, over: [batch, sharedHeads, blocks])
            let (n, shared) = (position[0], position[1]), first = builder.bind(position[2] * block, "j")
            let head = builder.bind(shared * .int(group), "h")
            let row = builder.bind((n * Expr(heads) + head) * Expr(rowStride), "r"), all = op.keyCount(n, lengths, keys, in: &builder)
            if lengths != nil || keys.exactQuotient(by: Extent(lanes)) == nil {
                let isLast = Expr.binary(.equal, position[2], lengths == nil ? Expr(blocks - 1) : .max(.int(0), all - .int(1)) / block)
                builder.when(isLast) { builder in
                    for g in 0..<group {
                        let last = row + .int(g) * Expr(rowStride) + (lengths == nil ? Expr(keyVectors - 1) : .max(.int(0), vectors(of: all) - .int(1))) * .int(lanes)
                        builder.emit(.store(Access(scores, last, KernelType(.f32, lanes: lanes)), vector(-.infinity)))
                    }
                }
            }
            let query = builder.bind(Expr(q.offset) + n * Expr(q.strides[0]) + head * Expr(q.strides[1]), "a")
            let keyBase = builder.bind(Expr(k.offset) + n * Expr(k.strides[0]) + shared * Expr(k.strides[1]), "b")
            let end = builder.bind(lengths == nil ? .min(first + block, all) : .max(first, .min(first + block, all)), "e")
            let together = Swift.max(1, 8 / group)
            let whole = builder.bind(first + (end - first) / .int(together) * .int(together), "w")
            func dots(_ j: Expr, _ count: Int, _ builder: inout KernelBuilder) {
                let products = self.dots(query, keyBase + j * Expr(k.strides[2]), group, keys: count, into: &builder)
                for i in 0..<count {
                    for g in 0..<group {
                        builder.emit(.store(Access(scores, row + .int(g) * Expr(rowStride) + j + .int(i), KernelType(.f32)), products[i][g]))
                    }
                }
            }
            builder.loop("j", from: first, to: whole, step: together) { builder, j in dots(j, together, &builder) }
            if together > 1 { builder.loop("j", from: whole, to: end) { builder, j in dots(j, 1, &builder) } }
        }
    }

    /// Scaled dot products of `keys` keys that follow each other with `group` queries.
    private func dots(_ query: Expr, _ key: Expr, _ group: Int, keys: Int, into builder: inout KernelBuilder) -> [[Expr]] {
        let depth = depth.constant ?? 0
        let sums = (0..<keys).map { _ in (0..<group).map { _ in builder.declare(vector(0), "c") } }
        for start in stride(from: 0, to: depth, by: lanes) {
            let exists: Expr? = depth - start < lanes ? .int(depth - start) : nil
            func load(_ view: TensorView, _ address: Expr) -> Expr {
                .load(Access(view.buffer, address + .int(start), KernelType(view.element, lanes: lanes), mask: exists))
            }
            let factors = (0..<keys).map { builder.bind(load(k, key + .int($0) * Expr(k.strides[2])).converted(to: .f32), "k") }
            for g in 0..<group {
                let factor = builder.bind(load(q, query + .int(g) * Expr(q.strides[1])), "q")
                for i in 0..<keys { builder.emit(.assign(sums[i][g], .fma(factor, factors[i], .variable(sums[i][g])))) }
            }
        }
        return sums.map { row in
            row.map { sum in
                let product = lanes == 1 ? .variable(sum) : Expr.horizontal(.add, .variable(sum))
                return builder.bind(op.scale == 1 ? product : product * .float(op.scale, .f32), "s")
            }
        }
    }

    private func emitCapsAndMasks(_ flat: Expr, _ n: Expr, _ head: Expr, _ end: Expr, _ scores: BufferID, into builder: inout KernelBuilder) {
        let row = builder.bind(flat * Expr(rowStride), "r")
        func update(_ column: Expr, _ exists: Expr?, _ builder: inout KernelBuilder) {
            let access = Access(scores, row + column, KernelType(.f32, lanes: lanes), mask: exists)
            var score = Expr.load(access)
            if op.softcap != 0 { score = .unary(.tanh, score * vector(1 / op.softcap)) * vector(op.softcap) }
            if let mask { score = masked(score, mask, [n, head, .int(0)], column, exists) }
            builder.emit(.store(access, score))
        }
        let whole = lengths == nil ? Expr(keys.floorDivided(by: Extent(lanes))) : end / .int(lanes)
        builder.loop("j", to: whole) { builder, j in update(j * .int(lanes), nil, &builder) }
        guard lanes > 1, lengths != nil || keys.exactQuotient(by: Extent(lanes)) == nil else { return }
        let start = builder.bind(whole * .int(lanes), "j"), rest = builder.bind(end - start, "m")
        builder.when(.int(0) < rest) { builder in update(start, rest, &builder) }
    }
}
