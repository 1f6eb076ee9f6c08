import GlmcIR

extension KernelFamily {
    /// Sums, means and extrema over axes that lie outside of the contiguous one, such as global pooling of channels-last images.
    static let reduceColumns = KernelFamily("reduce-columns") { query in
        guard let op = query.op(Reduce.self), ColumnReduction.functions[op.function] != nil, query.target.vectorBits > 0 else { return nil }
        let type = query.operandType(0)
        guard type.element == .f32, let inner = type.layout.axisOrder(rank: type.rank).last, !op.axes.isEmpty, !op.axes.contains(inner) else { return nil }
        let lanes = query.target.lanes(ofBytes: 4)
        let isWide = type.shape[inner].constant.map { $0 * 2 >= lanes } ?? true
        guard isWide, op.axes.map({ type.shape[$0] }).product.constant.map({ $0 >= 8 }) ?? true else { return nil }
        return KernelPlan { site in try ColumnReduction(op: op, x: try site.operand(0, along: inner), inner: inner, target: site.target).emit(&site) }
    }
}

/// A few vectors of columns at a time walk over all rows. Long reductions are cut into chunks, whose partial results a second phase
/// combines: threads share the chunks, and rounding errors grow with a chunk's length only.
struct ColumnReduction {
    let op: Reduce
    let x: TensorView
    let inner: Int
    let target: Target

    /// How a function combines elements; a mean is a sum that is divided at the end.
    static let functions: [ReduceFunction: (combine: BinaryOperator, initial: Double)] = [
        .add: (.add, 0), .mean: (.add, 0), .minimum: (.minimum, .infinity), .maximum: (.maximum, -.infinity),
    ]

    private var lanes: Int { target.lanes(ofBytes: 4) }
    private var columns: Extent { x.shape[inner] }
    private var vectors: Extent { columns.ceilDivided(by: Extent(lanes)) }
    /// Axes that are neither reduced nor the columns.
    private var outer: [Int] { x.shape.indices.filter { $0 != inner && !op.axes.contains($0) } }
    private var reduced: [ReductionAxis] {
        let order = op.axes.sorted { (x.strides[$0].constant ?? .max) > (x.strides[$1].constant ?? .max) }
        return Contraction.merged(order.map { ReductionAxis(x.shape[$0], stride: x.strides[$0]) })
    }

    /// Vectors that pass over the rows together.
    private var blocks: AxisCut { vectors.constant.map { AxisCut(extent: $0, limit: 8) } ?? AxisCut(freeSizes: [4, 1]) }

    func emit(_ site: inout KernelSite) throws {
        guard let function = Self.functions[op.function] else { throw Diagnostic(.internal, "\(op.function.rawValue) is not reduced by columns") }
        let reduced = reduced, blocks = blocks
        let isLong = x.shape.product.constant.map { $0 >= 1 << 16 } ?? true
        let chunks = isLong ? 8 : 1
        let stride = vectors * Extent(lanes), outerCount = outer.map { x.shape[$0] }.product
        let partials = chunks > 1 ? site.scratch("partial", .f32, count: outerCount * Extent(chunks) * stride, perThread: false) : nil
        try site.generate { builder, store in
            let units = outerCount * Extent(chunks) * blocks.tileCount(of: vectors)
            try builder.loop("u", to: Expr(units), kind: .parallel) { builder, unit in
                let position = builder.split(unit, over: [outerCount, Extent(chunks), blocks.tileCount(of: vectors)])
                try blocks.emit(tile: position[2], of: vectors, into: &builder) { builder, first, count in
                    let column = builder.bind(first * .int(lanes), "c")
                    let index = builder.split(position[0], over: outer.map { x.shape[$0] })
                    var base = Expr(x.offset) + column
                    for (axis, i) in zip(outer, index) { base = base + i * Expr(x.strides[axis]) }
                    let masks = (0..<count).map { v in mask(column + .int(v * lanes), isLast: v == count - 1, &builder) }
                    let sums = accumulate(builder.bind(base, "a"), reduced, position[1], of: chunks, masks, function, into: &builder)
                    for (v, sum) in sums.enumerated() {
                        let here = column + .int(v * lanes)
                        if let partials {
                            let place = (position[0] * .int(chunks) + position[1]) * Expr(stride) + here
                            builder.emit(.store(Access(partials, place, KernelType(.f32, lanes: lanes)), .variable(sum)))
                        } else {
                            try finish(.variable(sum), index, here, masks[v], store, into: &builder)
                        }
                    }
                }
            }
            guard let partials else { return }
            builder.emit(.barrier)
            try builder.loop("u", to: Expr(outerCount * vectors), kind: .parallel) { builder, unit in
                let position = builder.split(unit, over: [outerCount, vectors])
                let column = builder.bind(position[1] * .int(lanes), "c")
                let total = builder.declare(.broadcast(.float(function.initial, .f32), lanes), "x")
                for chunk in 0..<chunks {
                    let place = (position[0] * .int(chunks) + .int(chunk)) * Expr(stride) + column
                    builder.emit(.assign(total, .binary(function.combine, .variable(total), .load(Access(partials, place, KernelType(.f32, lanes: lanes))))))
                }
                let index = builder.split(position[0], over: outer.map { x.shape[$0] })
                try finish(.variable(total), index, column, mask(column, isLast: true, &builder), store, into: &builder)
            }
        }
    }

    /// How many lanes exist at a column; nil: all.
    private func mask(_ column: Expr, isLast: Bool, _ builder: inout KernelBuilder) -> Expr? {
        guard isLast, columns.exactQuotient(by: Extent(lanes)) == nil else { return nil }
        return builder.bind(.min(.int(lanes), Expr(columns) - column), "m")
    }

    /// The combination of a chunk's rows, one variable per vector.
    private func accumulate(
        _ base: Expr, _ axes: [ReductionAxis], _ chunk: Expr, of chunks: Int, _ masks: [Expr?],
        _ function: (combine: BinaryOperator, initial: Double), into builder: inout KernelBuilder
    ) -> [Variable] {
        let sums = masks.map { _ in builder.declare(.broadcast(.float(function.initial, .f32), lanes), "x") }
        func nest(_ depth: Int, _ address: Expr, _ builder: inout KernelBuilder) {
            guard depth < axes.count else {
                let here = builder.bind(address, "a")
                for (v, sum) in sums.enumerated() {
                    let loaded = Expr.load(Access(x.buffer, here + .int(v * lanes), KernelType(.f32, lanes: lanes), mask: masks[v]))
                    builder.emit(.assign(sum, .binary(function.combine, .variable(sum), loaded)))
                }
                return
            }
            let count = Expr(axes[depth].count), isCut = depth == 0 && chunks > 1
            let from = isCut ? builder.bind(chunk * count / .int(chunks), "from") : .int(0)
            let to = isCut ? builder.bind((chunk + .int(1)) * count / .int(chunks), "to") : count
            builder.loop("k", from: from, to: to) { builder, k in nest(depth + 1, address + k * Expr(axes[depth].stride), &builder) }
        }
        nest(0, base, &builder)
        return sums
    }

    private func finish(_ value: Expr, _ index: [Expr], _ column: Expr, _ mask: Expr?, _ store: SiteStore, into builder: inout KernelBuilder) throws {
        var value = value
        if op.function == .mean {
            let count = op.axes.map { x.shape[$0] }.product
            let divisor = count.constant.map { Expr.float(Double($0), .f32) } ?? Expr.cast(Expr(count), .f32)
            value = builder.bind(.binary(.divide, value, .broadcast(divisor, lanes)), "y")
        }
        var full = [Expr](repeating: .int(0), count: x.shape.count)
        for (axis, i) in zip(outer, index) { full[axis] = i }
        full[inner] = column
        let kept = x.shape.indices.filter { op.keepDims || !op.axes.contains($0) }
        try store(&builder, value, kept.map { full[$0] }, kept.firstIndex(of: inner) ?? 0, mask)
    }
}
