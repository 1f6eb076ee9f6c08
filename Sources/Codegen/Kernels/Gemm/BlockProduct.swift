import GlmcIR

extension KernelFamily {
    /// Products with constant weights of four bits.
    static let blockProduct = KernelFamily("gemm-blocks", readsManyRows: true, matches: { query in
        query.op(BlockMatMul.self) != nil && (1..<query.node.operands.count).allSatisfy { (query.constant($0)?.count ?? 0) > 0 }
    }, panels: { query in
        query.constant(1).map { MatrixProduct.request(query, weights: $0, depth: $0.shape[0] * 2, kind: nil) }
    }, emit: { site in
        let op = try site.op(BlockMatMul.self), x = try site.operand(0)
        guard let codes = site.constant(1), let scales = site.constant(2) else { throw Diagnostic(.internal, "the weights of a block product are no constants") }
        try MatrixProduct(x, operandTypes: site.operandTypes, result: site.resultTypes[0]).emit(&site, codes: codes, scales: scales,
            minimums: site.operandTypes.count > 3 ? site.constant(3) : nil, block: op.block)
    })
}

extension MatrixProduct {
    func emit(_ site: inout KernelSite, codes: Tensor, scales: Tensor, minimums: Tensor?, block: Int) throws {
        let model = RegisterModel(site.target)
        var plan = plan(model, weights: .u8, panels: site.formats[codes])
        plan.lastLanes = model.lanes
        plan.spanPanels(model, held: 3)
        func packed(_ tensor: Tensor) -> BufferID {
            let kind = ContractionKind.multiplyAdd(.f32, tensor.element)
            return site.packed(tensor, as: PanelPacking(matrix: tensor, kind: kind, lanes: model.lanes, panels: plan.panels), element: tensor.element)
        }
        let blocks = WeightBlocks(
            codes: packed(codes), scales: packed(scales), minimums: minimums.map(packed), scaleElement: scales.element, size: block)
        try site.generate { builder, store in
            let problem = contraction(.multiplyAdd(.f32, .u8), weights: .blocks(blocks), weightBase: { _ in .int(0) }, store: store)
            try ContractionEmitter(problem, plan: plan, lanes: model.lanes).emit(into: &builder)
        }
    }
}
