import GlmcIR

extension KernelFamily {
    /// Transposed convolutions to few channels whose filter is as large as its stride: every input position makes a block of the
    /// result of its own, such as the last step of segmentation and text detection.
    static let blockTransposedConvolution = KernelFamily("conv-transpose-blocks") { query in
        guard let op = query.op(TransposedConvolution.self), let filter = query.constant(1), filter.rank == 4, query.target.vectorBits > 0 else { return nil }
        guard isFloatProduct(query), op.groups == 1, op.dilations.allSatisfy({ $0 == 1 }), filter.count > 0,
              Array(filter.shape[2...]) == op.strides, (op.cropBefore + op.cropAfter + op.outputPadding).allSatisfy({ $0 == 0 }),
              filter.shape[1...].reduce(1, *) <= 2 * query.target.lanes(ofBytes: 4) else { return nil }
        return KernelPlan { site in try BlockTransposedConvolution(filter: filter, image: try site.operand(0), result: site.resultTypes[0]).emit(&site) }
    }
}

/// Row by row: a matrix product gives every input position its block, one lane per element; the blocks are laid out as rows of the
/// result, and those pass through the epilogue by whole vectors.
struct BlockTransposedConvolution {
    let filter: Tensor
    let image: TensorView
    let result: TensorType

    func emit(_ site: inout KernelSite) throws {
        let model = RegisterModel(site.target), lanes = model.lanes
        let depth = filter.shape[0], blockY = filter.shape[2], blockX = filter.shape[3], columns = filter.shape[1...].reduce(1, *)
        let height = image.shape[2], width = image.shape[3], resultWidth = result.shape[3]
        let plan = TilePlan(y: 1, x: width.constant, columns: columns, depth: depth, rowBytes: 0, elementBytes: filter.element.byteCount, model: model, storesAnyWidth: true)
        let kind = try site.contractionKind(image.element, filter.element, contiguous: image.strides[1] == 1)
        let axes = [(axis: ReductionAxis(Extent(depth), stride: image.strides[1]), sourceStride: columns)]
        let packing = PanelFormat(
            kind: kind, axes: axes, columns: columns, columnStride: 1, outer: 1, outerStride: depth * columns, lanes: lanes, panels: plan.panels)
        let weights = try site.weight(kind.weightElement, [filter], as: packing)
        let rounded = (columns + lanes - 1) / lanes * lanes
        let blocks = site.scratch("blocks", .f32, count: width * Extent(rounded), perThread: true)
        let rows = site.scratch("rows", .f32, count: resultWidth * Extent(columns / blockX), perThread: true)
        try site.generate { builder, store in
            try builder.loop("u", to: Expr(result.shape[0] * height), kind: .parallel) { builder, unit in
                let position = builder.split(unit, over: [result.shape[0], height])
                let problem = Contraction(
                    kind: kind, y: 1, x: width, columns: Extent(columns), input: image.buffer,
                    inputBase: { _ in Expr(image.offset) + position[0] * Expr(image.strides[0]) + position[1] * Expr(image.strides[2]) },
                    inputStrideY: 0, inputStrideX: image.strides[3], reduction: axes.map(\.axis), weights: .packed(weights)
                ) { builder, _, _, x, column, value, _ in
                    builder.emit(.store(Access(blocks, x * .int(rounded) + column, value.type), value))
                }
                try ContractionEmitter(problem, plan: plan, lanes: lanes).emit(into: &builder, kind: .serial)
                builder.loop("x", to: Expr(width)) { builder, x in
                    for column in 0..<columns {
                        let (row, at) = (column / blockX, column % blockX)
                        let element = Expr.load(Access(blocks, x * .int(rounded) + .int(column), KernelType(.f32)))
                        builder.emit(.store(Access(rows, .int(row) * Expr(resultWidth) + x * .int(blockX) + .int(at), KernelType(.f32)), element))
                    }
                }
                for row in 0..<columns / blockX {
                    let index = [position[0], .int(row / blockY), position[1] * .int(blockY) + .int(row % blockY)]
                    try emitRow(.int(row) * Expr(resultWidth), of: rows, lanes, into: &builder) { try store(&$0, $1, index + [$2], 3, $3) }
                }
            }
        }
    }

    private func emitRow(
        _ start: Expr, of rows: BufferID, _ lanes: Int, into builder: inout KernelBuilder,
        _ store: (inout KernelBuilder, _ value: Expr, _ x: Expr, _ count: Expr?) throws -> Void
    ) throws {
        let width = Expr(result.shape[3]), type = KernelType(.f32, lanes: lanes)
        let whole = builder.bind(width / .int(lanes) * .int(lanes), "whole")
        try builder.loop("x", to: whole / .int(lanes)) { builder, v in
            let x = builder.bind(v * .int(lanes), "x")
            try store(&builder, builder.bind(.load(Access(rows, start + x, type)), "v"), x, nil)
        }
        if let known = result.shape[3].constant, known % lanes == 0 { return }
        try builder.when(whole < width) { builder in
            let count = builder.bind(width - whole, "m")
            try store(&builder, builder.bind(.load(Access(rows, start + whole, type, mask: count)), "v"), whole, count)
        }
    }
}
