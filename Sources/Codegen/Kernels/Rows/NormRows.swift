import GlmcIR

extension KernelFamily {
    /// Layer normalisation over the last axis.
    static let layerNorm = KernelFamily("layer-norm-rows") { query in
        guard let op = query.op(LayerNorm.self), normalizesLastAxis(op.axis, query) else { return nil }
        return KernelPlan { site in try emitNorm(&site, epsilon: op.epsilon, isCentred: true) }
    }

    /// Root-mean-square normalisation over the last axis.
    static let rmsNorm = KernelFamily("rms-norm-rows") { query in
        guard let op = query.op(RMSNorm.self), normalizesLastAxis(op.axis, query) else { return nil }
        return KernelPlan { site in try emitNorm(&site, epsilon: op.epsilon, isCentred: false) }
    }

    /// Vectors run along the last axis, whose parameters must be rows of it: other forms are lowered generically.
    private static func normalizesLastAxis(_ axis: Int, _ query: KernelQuery) -> Bool {
        let type = query.operandType(0)
        guard axis == -1 || axis == type.rank - 1, type.element == .f32, type.layout == .rowMajor, query.resultType.layout == .rowMajor else { return false }
        return query.node.operands.indices.dropFirst().allSatisfy { i in
            let parameter = query.operandType(i)
            return (parameter.rank <= 1 || parameter.layout == .rowMajor) && parameter.shape.last?.broadcastsAsKnown(to: type.shape[type.rank - 1]) ?? true
        }
    }

    /// Two passes for the statistics, one to write.
    private static func emitNorm(_ site: inout KernelSite, epsilon: Double, isCentred: Bool) throws {
        let axis = site.operandTypes[0].rank - 1
        let x = try site.operand(0, along: axis)
        var parameters: [TensorView] = []
        for (i, type) in site.operandTypes.enumerated().dropFirst() {
            parameters.append(type.rank == 0 ? try site.operand(i) : try site.operand(i, along: type.rank - 1))
        }
        guard let rows = RowKernel(x, axis: axis, target: site.target) else { throw Diagnostic(.internal, "the axis of a normalisation is not contiguous") }
        try site.generate { builder, store in
            try rows.rows(&builder) { builder, row in
                let count = Expr.cast(Expr(rows.length), .f32)
                var centre = rows.splat(.float(0, .f32))
                if isCentred {
                    let sum = rows.sum(&builder) { _, position, count in rows.load(x, at: row, position, count) }
                    centre = builder.bind(rows.splat(builder.bind(.binary(.divide, sum, count), "mean")), "mean")
                }
                let squares = rows.sum(&builder) { builder, position, count in
                    let value = builder.bind(rows.load(x, at: row, position, count), "x")
                    guard isCentred else { return value * value }
                    let centred = builder.bind(value - centre, "d")
                    guard let count else { return centred * centred }
                    return rows.firstLanes(of: centred * centred, count, &builder)
                }
                let variance = Expr.binary(.divide, squares, count) + .float(epsilon, .f32)
                let factor = builder.bind(rows.splat(.binary(.divide, .float(1, .f32), .unary(.sqrt, variance))), "r")
                try rows.vectors(&builder) { builder, position, count in
                    var value = rows.load(x, at: row, position, count)
                    if isCentred { value = value - centre }
                    value = value * factor * rows.parameter(parameters[0], at: row, position, count)
                    if parameters.count > 1 { value = value + rows.parameter(parameters[1], at: row, position, count) }
                    try rows.store(&builder, store, builder.bind(value, "y"), row, position, count)
                }
            }
        }
    }
}

extension RowKernel {
    /// `value` with the lanes from `count` on set to zero. Goes through a private cell: it happens once per row.
    func firstLanes(of value: Expr, _ count: Expr, _ builder: inout KernelBuilder) -> Expr {
        if lanes == 1 { return value }
        let cell = builder.scratch("cell", .f32, count: Extent(lanes), perThread: true)
        builder.emit(.store(Access(cell, .int(0), KernelType(.f32, lanes: lanes)), value))
        return builder.bind(.load(Access(cell, .int(0), KernelType(.f32, lanes: lanes), mask: count)), "d")
    }
}
