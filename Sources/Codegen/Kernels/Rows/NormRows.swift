import GlmcIR

extension KernelFamily {
    /// Layer normalisation over the last axis.
    static let layerNorm = KernelFamily("layer-norm-rows", matches: { query in
        guard let op = query.op(LayerNorm.self) else { return false }
        return normalizesLastAxis(op.axis, query)
    }, emit: { site in
        let epsilon = try site.op(LayerNorm.self).epsilon
        try emitNorm(&site, epsilon: epsilon, isCentred: true)
    })

    /// Root-mean-square normalisation over the last axis.
    static let rmsNorm = KernelFamily("rms-norm-rows", matches: { query in
        guard let op = query.op(RMSNorm.self) else { return false }
        return normalizesLastAxis(op.axis, query)
    }, emit: { site in
        let epsilon = try site.op(RMSNorm.self).epsilon
        try emitNorm(&site, epsilon: epsilon, isCentred: false)
    })

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
        var x = try site.operand(0)
        var parameters: [TensorView] = []
        for i in 1..<site.operandTypes.count { parameters.append(try site.operand(i)) }
        let axis = x.shape.count - 1
        x = try site.contiguous(x, axis: axis)
        for i in parameters.indices where !parameters[i].shape.isEmpty {
            parameters[i] = try site.contiguous(parameters[i], axis: parameters[i].shape.count - 1)
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

extension KernelSite {
    /// `view`, or a copy of it, with stride 1 along `axis`.
    mutating func contiguous(_ view: TensorView, axis: Int) throws -> TensorView {
        if view.strides[axis] == 1 || view.shape[axis] == 1 { return view }
        let buffer = scratch("copy", view.element, count: view.shape.product, perThread: false)
        let order = view.shape.indices.filter { $0 != axis } + [axis]
        var strides = [Extent](repeating: 1, count: order.count), stride: Extent = 1
        for other in order.reversed() {
            strides[other] = stride
            stride = stride * view.shape[other]
        }
        let copy = TensorView(buffer, view.element, shape: view.shape, strides: strides)
        try generate { builder, _ in
            builder.loops(over: view.shape, kind: .parallel) { builder, index in builder.emit(copy.store(view.load(index), index)) }
            builder.emit(.barrier)
        }
        return copy
    }
}
