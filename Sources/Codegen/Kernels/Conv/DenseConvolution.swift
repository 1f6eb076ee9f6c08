import GlmcIR

extension KernelFamily {
    /// Dense, strided, dilated, 1x1 and grouped convolutions with constant filters, as contractions over filter taps and channels.
    static let denseConvolution = KernelFamily("conv-tile") { query in
        guard let op = query.op(Convolution.self), let filter = query.constant(1), (3...5).contains(filter.rank) else { return nil }
        let input = query.operandType(0)
        // Narrow groups waste lanes: a group should fill at least half a vector.
        let columns = filter.shape[0] / op.groups
        guard op.groups == 1 || columns * 2 >= query.target.lanes(ofBytes: 4), filter.count > 0,
              ContractionKind(input.element, filter.element, target: query.target, contiguous: true) != nil else { return nil }
        return KernelPlan(readsManyRows: true) { site in try DenseConvolution(op, filter, try site.operand(0), result: site.resultTypes[0]).emit(&site) }
    }
}

/// A convolution as a contraction: y and x are the last two spatial axes, columns the output channels of one group.
struct DenseConvolution {
    let op: Convolution
    let filter: Tensor
    let image: TensorView
    let result: TensorType

    init(_ op: Convolution, _ filter: Tensor, _ image: TensorView, result: TensorType) {
        (self.op, self.filter, self.image, self.result) = (op, filter, image, result)
    }

    /// The number of spatial axes.
    private var rank: Int { filter.rank - 2 }
    private var depth: Int { filter.shape[1] }
    private var columns: Int { filter.shape[0] / op.groups }

    func emit(_ site: inout KernelSite) throws {
        // With one spatial axis it plays y, so that blocks of rows can be split between threads.
        let xAxis = rank == 1 ? nil : rank - 1
        let yAxis = rank == 1 ? 0 : rank - 2
        let y = result.shape[yAxis + 2], x = xAxis.map { result.shape[$0 + 2] } ?? 1
        let strideY = image.strides[yAxis + 2] * Extent(op.strides[yAxis])
        let strideX = xAxis.map { image.strides[$0 + 2] * Extent(op.strides[$0]) } ?? 0
        let planes = rank == 3 ? result.shape[2] : 1

        let filterStrides = rowMajorStrides(filter.shape)
        var axes: [(axis: ReductionAxis, sourceStride: Int)] = (0..<rank).map { i in
            (ReductionAxis(Extent(filter.shape[i + 2]), stride: image.strides[i + 2] * Extent(op.dilations[i])), filterStrides[i + 2])
        }
        axes.append((ReductionAxis(Extent(depth), stride: image.strides[1]), filterStrides[1]))
        // Where a group has one channel, the innermost run goes along a spatial axis.
        let contiguous = Contraction.merged(axes.map(\.axis)).last?.stride == 1
        let kind = try site.contractionKind(image.element, filter.element, contiguous: contiguous), model = RegisterModel(site.target, kind)
        let taps = axes.dropLast().reduce(1) { $0 * ($1.axis.count.constant ?? 1) }

        let element = image.element.byteCount
        let plan = TilePlan(
            y: y.constant, x: x.constant, columns: columns, depth: taps * depth, rowBytes: (strideY.constant ?? 0) * element,
            elementBytes: filter.element.byteCount, model: model, storesAnyWidth: true)
        let packing = PanelFormat(
            kind: kind, axes: axes, columns: columns, columnStride: filterStrides[0], outer: op.groups, outerStride: filterStrides[0] * columns,
            lanes: model.lanes, panels: plan.panels)
        let weights = try site.weight(kind.weightElement, [filter], as: packing)
        try site.generate { builder, store in
            let problem = Contraction(
                kind: kind, outer: [result.shape[0], Extent(op.groups), planes], y: y, x: x, columns: Extent(columns), input: image.buffer,
                inputBase: { outer in
                    var base = Expr(image.offset) + outer[0] * Expr(image.strides[0]) + outer[1] * Expr(image.strides[1] * Extent(depth))
                    if rank == 3 { base = base + outer[2] * Expr(image.strides[2] * Extent(op.strides[0])) }
                    return base
                },
                inputStrideY: strideY, inputStrideX: strideX, reduction: axes.map(\.axis), weights: .packed(weights),
                weightBase: { outer in outer[1] * .int(packing.outerCount) }
            ) { builder, outer, y, x, column, value, count in
                let channel = outer[1] * .int(columns) + column
                let spatial = rank == 1 ? [y] : rank == 2 ? [y, x] : [outer[2], y, x]
                try store(&builder, value, [outer[0], channel] + spatial, 1, count)
            }
            try ContractionEmitter(problem, plan: plan, lanes: model.lanes).emit(into: &builder)
        }
    }
}
