import GlmcIR

extension KernelFamily {
    /// Softmax along the contiguous axis.
    static let softmax = KernelFamily("softmax-rows") { query in
        guard let op = query.op(Softmax.self), !op.log else { return nil }
        let type = query.operandType(0)
        let axis = op.axis < 0 ? op.axis + type.rank : op.axis
        let isLast = type.layout == .rowMajor ? axis == type.rank - 1 : axis == 1
        guard type.element == .f32, isLast, query.resultType.layout == type.layout else { return nil }
        return KernelPlan { site in try emitSoftmax(&site, axis: axis) }
    }

    private static func emitSoftmax(_ site: inout KernelSite, axis: Int) throws {
        let x = try site.operand(0, along: axis)
        guard let rows = RowKernel(x, axis: axis, target: site.target) else { throw Diagnostic(.internal, "the axis of a softmax is not contiguous") }
        let lanes = rows.lanes
        let scratch = site.scratch("exp", .f32, count: (rows.wholeVectors + 1) * Extent(lanes), perThread: true)
        let type = KernelType(.f32, lanes: lanes)
        try site.generate { builder, store in
            try rows.rows(&builder) { builder, row in
                let top = builder.declare(rows.splat(.float(-.infinity, .f32)), "top")
                rows.vectors(&builder) { builder, position, count in
                    var value = rows.load(x, at: row, position, count)
                    if let count, lanes > 1 {
                        // Missing lanes must not win: they repeat what is known already.
                        builder.emit(.store(Access(scratch, .int(0), type), .variable(top)))
                        builder.emit(.store(Access(scratch, .int(0), type, mask: count), value))
                        value = .load(Access(scratch, .int(0), type))
                    }
                    builder.emit(.assign(top, .binary(.maximum, .variable(top), value)))
                }
                let maximum = builder.bind(rows.splat(rows.across(.maximum, .variable(top))), "max")
                let sum = rows.sum(&builder) { builder, position, count in
                    let e = builder.bind(.unary(.exp, rows.load(x, at: row, position, count) - maximum), "e")
                    guard let count, lanes > 1 else {
                        builder.emit(.store(Access(scratch, position, type), e))
                        return e
                    }
                    builder.emit(.store(Access(scratch, position, type), rows.splat(.float(0, .f32))))
                    builder.emit(.store(Access(scratch, position, type, mask: count), e))
                    return .load(Access(scratch, position, type))
                }
                let inverse = builder.bind(rows.splat(.binary(.divide, .float(1, .f32), sum)), "r")
                try rows.vectors(&builder) { builder, position, count in
                    let value = builder.bind(.load(Access(scratch, position, type)) * inverse, "y")
                    try rows.store(&builder, store, value, row, position, count)
                }
            }
        }
    }
}
