import GlmcIR

extension KernelFamily {
    /// Transposed convolutions as one dense convolution per phase of the stride.
    static let transposedConvolution = KernelFamily("conv-transpose-tile") { query in
        guard let op = query.op(TransposedConvolution.self), let filter = query.constant(1), filter.rank == 3 || filter.rank == 4 else { return nil }
        // Every phase needs a tap, and enough channels to fill half a vector.
        guard isFloatProduct(query), op.dilations.allSatisfy({ $0 == 1 }), filter.count > 0,
              op.strides.reduce(1, *) <= 16, zip(filter.shape[2...], op.strides).allSatisfy({ $0 >= $1 }),
              filter.shape[1] * 2 >= query.target.lanes(ofBytes: 4) else { return nil }
        return KernelPlan { site in try TiledTransposedConvolution(op: op, filter: filter, image: try site.operand(0), result: site.resultTypes[0]).emit(&site) }
    }
}

/// Output positions whose distance from the cropped origin leaves remainder r modulo the stride see the taps r, r + stride, … only:
/// for them the transposed convolution is an ordinary one with a reversed filter. The input gets a border of zeros where taps
/// reach beyond it.
struct TiledTransposedConvolution {
    let op: TransposedConvolution
    let filter: Tensor
    let image: TensorView
    let result: TensorType

    /// One remainder along one axis.
    private struct Phase {
        /// The first output position, the number of positions, and the input position that its first tap reads.
        var first: Int
        var count: Extent
        var input: Int
        var taps: Int
        /// The tap of the last input position.
        var remainder: Int
    }

    private func phases(_ axis: Int) -> [Phase] {
        let stride = op.strides[axis], size = filter.shape[axis + 2]
        return (0..<stride).map { first in
            let shifted = first + op.cropBefore[axis], remainder = shifted % stride
            let taps = (size - remainder + stride - 1) / stride
            let count = (result.shape[axis + 2] - Extent(first) + Extent(stride - 1)).floorDivided(by: Extent(stride))
            return Phase(first: first, count: count, input: shifted / stride - (taps - 1), taps: taps, remainder: remainder)
        }.filter { $0.count.constant.map { $0 > 0 } ?? true }
    }

    func emit(_ site: inout KernelSite) throws {
        let rank = filter.rank - 2
        let all = (0..<rank).map(phases)
        // Zeros before and after the input along each axis.
        let before = all.map { phases in phases.map { Swift.max(0, -$0.input) }.max() ?? 0 }
        let after = (0..<rank).map { axis in
            all[axis].reduce(Extent(0)) { Extent.maximum($0, $1.count + Extent($1.input + $1.taps - 1) - image.shape[axis + 2]) }
        }
        let isPadded = before.contains { $0 > 0 } || after.contains { $0 != 0 }
        var source = image
        if isPadded {
            let spatial = (0..<rank).map { image.shape[$0 + 2] + Extent(before[$0]) + after[$0] }
            let shape = [image.shape[0], image.shape[1]] + spatial
            let buffer = site.scratch("padded", image.element, count: shape.product, perThread: false)
            source = TensorView(buffer, image.element, shape: shape, strides: Layout.channelsLast.strides(of: shape))
        }
        let padded = source
        if isPadded {
            try site.generate { builder, _ in
                let order = [0] + Array(2..<rank + 2) + [1]
                builder.loops(over: order.map { padded.shape[$0] }, kind: .parallel) { builder, loop in
                    var index = [Expr](repeating: .int(0), count: rank + 2)
                    for (axis, position) in zip(order, loop) { index[axis] = position }
                    var inside: Expr?, from = index
                    for axis in 0..<rank {
                        from[axis + 2] = index[axis + 2] - .int(before[axis])
                        let here = from[axis + 2] >= .int(0) && from[axis + 2] < Expr(image.shape[axis + 2])
                        inside = inside.map { $0 && here } ?? here
                    }
                    let value = Expr.select(inside ?? .integer(1, .bool), image.load(from).converted(to: .f32), .float(0, .f32))
                    builder.emit(padded.store(value.converted(to: image.element), index))
                }
                builder.emit(.barrier)
            }
        }
        for phaseY in rank == 2 ? all[0] : [Phase(first: 0, count: 1, input: 0, taps: 1, remainder: 0)] {
            for phaseX in all[rank - 1] { try emit(phaseY, phaseX, padded, before, &site) }
        }
    }

    private func emit(_ phaseY: Phase, _ phaseX: Phase, _ source: TensorView, _ before: [Int], _ site: inout KernelSite) throws {
        let rank = filter.rank - 2, model = RegisterModel(site.target)
        let depth = filter.shape[0] / op.groups, columns = filter.shape[1]
        let strides = rowMajorStrides(filter.shape)
        let strideX = source.strides[rank + 1], strideY = rank == 2 ? source.strides[2] : 0
        let stepX = op.strides[rank - 1], stepY = rank == 2 ? op.strides[0] : 1
        let filterX = strides[rank + 1], filterY = rank == 2 ? strides[2] : 0
        // Taps in the order of the input positions, which is the reverse of the filter's.
        let axes: [(axis: ReductionAxis, sourceStride: Int)] = [
            (ReductionAxis(Extent(phaseY.taps), stride: strideY), -stepY * filterY),
            (ReductionAxis(Extent(phaseX.taps), stride: strideX), -stepX * filterX),
            (ReductionAxis(Extent(depth), stride: source.strides[1]), strides[0]),
        ]
        let kind = try site.contractionKind(image.element, filter.element, contiguous: source.strides[1] == 1)
        let lastTap = (phaseY.remainder + stepY * (phaseY.taps - 1)) * filterY + (phaseX.remainder + stepX * (phaseX.taps - 1)) * filterX
        let plan = TilePlan(
            y: phaseY.count.constant, x: phaseX.count.constant, columns: columns, depth: phaseY.taps * phaseX.taps * depth,
            rowBytes: (strideY.constant ?? 0) * image.element.byteCount, elementBytes: filter.element.byteCount, model: model, storesAnyWidth: true)
        let packing = PanelFormat(
            kind: kind, axes: axes, columns: columns, columnStride: strides[1], outer: op.groups, outerStride: depth * strides[0],
            sourceOffset: lastTap, lanes: model.lanes, panels: plan.panels)
        let weights = try site.weight(kind.weightElement, [filter], as: packing)
        let startY = rank == 2 ? phaseY.input + before[0] : 0, startX = phaseX.input + before[rank - 1]
        try site.generate { builder, store in
            let problem = Contraction(
                kind: kind, outer: [result.shape[0], Extent(op.groups)], y: phaseY.count, x: phaseX.count, columns: Extent(columns), input: source.buffer,
                inputBase: { outer in
                    Expr(source.offset + strideY * Extent(startY) + strideX * Extent(startX)) + outer[0] * Expr(source.strides[0])
                        + outer[1] * Expr(source.strides[1] * Extent(depth))
                },
                inputStrideY: strideY, inputStrideX: strideX, reduction: axes.map(\.axis), weights: .packed(weights),
                weightBase: { outer in outer[1] * .int(packing.outerCount) }
            ) { builder, outer, y, x, column, value, count in
                let channel = outer[1] * .int(columns) + column
                let column = x * .int(stepX) + .int(phaseX.first)
                let spatial = rank == 2 ? [y * .int(stepY) + .int(phaseY.first), column] : [column]
                try store(&builder, value, [outer[0], channel] + spatial, 1, count)
            }
            try ContractionEmitter(problem, plan: plan, lanes: model.lanes).emit(into: &builder)
        }
    }
}
