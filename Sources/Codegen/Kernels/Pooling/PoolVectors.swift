import GlmcIR

extension KernelFamily {
    /// Maximum and average pooling of channels-last images, by vectors of channels.
    static let pooling = KernelFamily("pool-vectors") { query in
        guard let op = query.op(Pool.self), !op.indices, (1...2).contains(op.window.count), op.dilations.allSatisfy({ $0 == 1 }) else { return nil }
        let image = query.operandType(0)
        let isFloat = [.f32, .f16, .bf16].contains(image.element) && (op.function == .max || op.function == .average)
        let isByte = image.element == .u8 && op.function == .max
        // A window must never miss the image altogether: its result would need a rule of its own.
        let fits = zip(op.window, zip(op.padBefore, op.padAfter)).allSatisfy { $0 > $1.0 && $0 > $1.1 } && !op.ceilMode
        guard isFloat || isByte, fits, image.layout == .channelsLast, query.resultType.layout == .channelsLast, let channels = image.shape[1].constant else { return nil }
        return KernelPlan { site in try PoolVectors(op: op, image: try site.operand(0, along: 1), channels: channels, result: site.resultTypes[0]).emit(&site) }
    }
}

/// Every output position walks the part of its window that lies inside the image, a few vectors of channels at a time.
struct PoolVectors {
    let op: Pool
    let image: TensorView
    let channels: Int
    let result: TensorType

    private var isMaximum: Bool { op.function == .max }

    func emit(_ site: inout KernelSite) throws {
        let lanes = site.target.lanes(ofBytes: 4)
        let chunks = AxisCut(extent: (channels + lanes - 1) / lanes, limit: 4)
        let outer = [result.shape[0]] + result.shape.dropFirst(2)
        try site.generate { builder, store in
            try builder.loop("u", to: Expr(outer.product * Extent(chunks.tileCount)), kind: .parallel) { builder, unit in
                let index = builder.split(unit, over: outer + [Extent(chunks.tileCount)])
                let position = Array(index[1...op.window.count])
                let ranges = position.enumerated().map { axis, at -> (from: Expr, to: Expr) in
                    let start = builder.bind(at * .int(op.strides[axis]) - .int(op.padBefore[axis]), "s")
                    if op.padBefore[axis] == 0 && op.padAfter[axis] == 0 { return (start, start + .int(op.window[axis])) }
                    return (
                        builder.bind(.max(start, .int(0)), "from"),
                        builder.bind(.min(start + .int(op.window[axis]), Expr(image.shape[axis + 2])), "to")
                    )
                }
                try chunks.emit(tile: index[index.count - 1], of: Extent(chunks.tileCount), into: &builder) { builder, first, vectors in
                    let channel = builder.bind(first * .int(lanes), "c")
                    let base = builder.bind(Expr(image.offset) + index[0] * Expr(image.strides[0]) + channel, "a")
                    let counts = (0..<vectors).map { v -> Expr? in
                        guard channels % lanes != 0, v == vectors - 1 else { return nil }
                        return builder.bind(.min(.int(lanes), .int(channels) - (channel + .int(v * lanes))), "m")
                    }
                    let sums = reduce(base, ranges, counts, lanes, into: &builder)
                    let factor = isMaximum ? nil : reciprocal(ranges, lanes, into: &builder)
                    for (v, sum) in sums.enumerated() {
                        var value = factor.map { .variable(sum) * $0 } ?? .variable(sum)
                        value = image.element == .u8 ? .roundSaturate(value, .u8) : value.converted(to: image.element)
                        try store(&builder, value, [index[0], channel + .int(v * lanes)] + position, 1, counts[v])
                    }
                }
            }
        }
    }

    /// The maximum or sum over the window, one variable per vector.
    private func reduce(_ base: Expr, _ ranges: [(from: Expr, to: Expr)], _ counts: [Expr?], _ lanes: Int, into builder: inout KernelBuilder) -> [Variable] {
        let initial = Expr.float(isMaximum ? -.infinity : 0, .f32)
        let sums = counts.map { _ in builder.declare(lanes == 1 ? initial : .broadcast(initial, lanes), "x") }
        func nest(_ axis: Int, _ address: Expr, _ builder: inout KernelBuilder) {
            guard axis < ranges.count else {
                let here = builder.bind(address, "a")
                for (v, sum) in sums.enumerated() {
                    let loaded = Expr.load(Access(image.buffer, here + .int(v * lanes), KernelType(image.element, lanes: lanes), mask: counts[v]))
                    builder.emit(.assign(sum, .binary(isMaximum ? .maximum : .add, .variable(sum), loaded.converted(to: .f32))))
                }
                return
            }
            builder.loop("k", from: ranges[axis].from, to: ranges[axis].to) { builder, k in
                nest(axis + 1, address + k * Expr(image.strides[axis + 2]), &builder)
            }
        }
        nest(0, base, &builder)
        return sums
    }

    /// One over the number of elements that an average divides by.
    private func reciprocal(_ ranges: [(from: Expr, to: Expr)], _ lanes: Int, into builder: inout KernelBuilder) -> Expr {
        var factor = Expr.float(1 / Double(op.window.reduce(1, *)), .f32)
        let isPadded = (op.padBefore + op.padAfter).contains { $0 != 0 }
        if isPadded && !op.countIncludePad {
            let count = ranges.reduce(Expr.int(1)) { $0 * ($1.to - $1.from) }
            factor = builder.bind(.binary(.divide, .float(1, .f32), .cast(.max(count, .int(1)), .f32)), "r")
        }
        return lanes == 1 ? factor : builder.bind(.broadcast(factor, lanes), "r")
    }
}
