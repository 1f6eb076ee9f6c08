import GlmcIR

extension KernelFamily {
    /// Products of floats with constant weights in blocks.
    static let blockProduct = KernelFamily("gemm-blocks", readsManyRows: true, matches: { query in
        query.op(BlockMatMul.self) != nil && hasConstants(query, from: 1)
    }, panels: { query in
        query.constant(1).map {
            MatrixProduct.request(query, weights: $0, depth: BlockCodes.depth($0), kind: lookupKind($0, .multiplyAdd(.f32, .i8)), right: 1, RegisterModel(query.target))
        }
    }, emit: { site in
        let op = try site.op(BlockMatMul.self), x = try site.operand(0)
        try MatrixProduct(x, operandTypes: site.operandTypes, result: site.resultTypes[0]).emitBlocks(&site, first: 1, size: op.block)
    })

    /// Products of rows in i8, quantised in the blocks of the weights.
    static let integerBlockProduct = KernelFamily("gemm-blocks-i8", readsManyRows: true, matches: { query in
        guard query.op(BlockMatMulInteger.self) != nil, hasConstants(query, from: 3) else { return false }
        return query.operandType(3).element == .u8 ? query.target.hasNibbleDots : multipliesBytes(query)
    }, panels: { query in
        query.constant(3).map {
            MatrixProduct.request(query, weights: $0, depth: BlockCodes.depth($0), kind: lookupKind($0, .dot(.i8, .i8)), right: 3, .integerBlocks(query.target))
        }
    }, emit: { site in
        let op = try site.op(BlockMatMulInteger.self), types = site.operandTypes
        let x = try site.operand(0, along: types[0].rank - 1), scales = try site.operand(1), sums = try site.operand(2)
        try MatrixProduct(x, operandTypes: types, result: site.resultTypes[0], right: 3).emitBlocks(&site, first: 3, size: op.block, input: (scales, sums))
    })

    /// Products of rows in i8, quantised in blocks, with weights of i8.
    static let blockRowProduct = KernelFamily("gemm-rows-i8", readsManyRows: true, matches: { query in
        query.op(BlockRowMatMul.self) != nil && hasConstants(query, from: 2) && multipliesBytes(query)
    }, panels: { query in
        query.constant(2).map { MatrixProduct.request(query, weights: $0, depth: $0.shape[0], kind: .dot(.i8, .i8), right: 2, .integerBlocks(query.target)) }
    }, emit: { site in
        let op = try site.op(BlockRowMatMul.self), types = site.operandTypes
        guard let weights = site.constant(2) else { throw Diagnostic(.internal, "the weights of a block product are no constants") }
        let x = try site.operand(0, along: types[0].rank - 1), scales = try site.operand(1)
        try MatrixProduct(x, operandTypes: types, result: site.resultTypes[0], right: 2).emitRows(&site, weights: weights, size: op.block, scales: scales)
    })

    /// What `BlockQuantize` makes is never −128, which `dot` of i8 must not meet.
    private static func multipliesBytes(_ query: KernelQuery) -> Bool {
        query.target.dots.contains(.i8) && query.function.definingOp(query.node.operands[0], as: BlockQuantize.self) != nil
    }

    /// How codes are read that may be looked up as well, which those of four bits are not.
    private static func lookupKind(_ codes: Tensor, _ kind: ContractionKind) -> ContractionKind? { codes.element == .u8 ? nil : kind }

    private static func hasConstants(_ query: KernelQuery, from first: Int) -> Bool {
        (first..<query.node.operands.count).allSatisfy { (query.constant($0)?.count ?? 0) > 0 }
    }
}

extension RegisterModel {
    /// For sums of integers beside those of floats: the codes of two vectors and two factors of a row take registers that tiles cannot have.
    static func integerBlocks(_ target: Target) -> RegisterModel {
        var model = RegisterModel(target)
        model.registers -= 4
        return model
    }
}

extension MatrixProduct {
    private func parameter(_ view: TensorView) -> InputBlocks.Parameter {
        InputBlocks.Parameter(buffer: view.buffer, base: leftBase(view), rowStride: stride(view, rowAxis), blockStride: view.strides[view.shape.count - 1])
    }

    private func blockPlan(_ model: RegisterModel, _ weights: Tensor, _ site: KernelSite) -> TilePlan {
        var plan = plan(model, weights: weights.element, panels: site.formats[weights])
        plan.lastLanes = model.lanes
        plan.spanPanels(model, held: 3)
        return plan
    }

    /// - Parameters:
    ///   - first: the operand that holds the codes.
    ///   - input: the scales and sums of the left side, where it is quantised.
    fileprivate func emitBlocks(_ site: inout KernelSite, first: Int, size: Int, input: (scales: TensorView, sums: TensorView)? = nil) throws {
        guard let codes = site.constant(first), let scales = site.constant(first + 1) else { throw Diagnostic(.internal, "the weights of a block product are no constants") }
        let minimums = site.operandTypes.count > first + 2 ? site.constant(first + 2) : nil
        let model = input == nil ? RegisterModel(site.target) : .integerBlocks(site.target), plan = blockPlan(model, codes, site)
        func packed(_ tensor: Tensor, _ kind: ContractionKind) -> BufferID {
            site.packed(tensor, as: PanelPacking(matrix: tensor, kind: kind, lanes: model.lanes, panels: plan.panels), element: tensor.element)
        }
        func parameters(_ tensor: Tensor) -> BufferID { packed(tensor, .multiplyAdd(.f32, tensor.element)) }
        let kind = input == nil ? ContractionKind.multiplyAdd(.f32, codes.element) : .dot(.i8, .i8)
        let blocks = WeightBlocks(
            codes: packed(codes, kind), perByte: BlockCodes.perByte(codes.element), scales: parameters(scales), minimums: minimums.map(parameters),
            scaleElement: scales.element, size: size)
        let inputBlocks = input.map { InputBlocks(size: size, scales: parameter($0.scales), sums: parameter($0.sums)) }
        try site.generate { builder, store in
            // The depth is that of the rows, not of the bytes.
            var problem = contraction(.multiplyAdd(.f32, codes.element), weights: .blocks(blocks), weightBase: { _ in .int(0) }, store: store)
            problem.inputBlocks = inputBlocks
            try ContractionEmitter(problem, plan: plan, lanes: model.lanes).emit(into: &builder)
        }
    }

    fileprivate func emitRows(_ site: inout KernelSite, weights: Tensor, size: Int, scales: TensorView) throws {
        let model = RegisterModel.integerBlocks(site.target), plan = blockPlan(model, weights, site), kind = ContractionKind.dot(.i8, .i8)
        let buffer = site.packed(weights, as: PanelPacking(matrix: weights, kind: kind, lanes: model.lanes, panels: plan.panels), element: .i8)
        try site.generate { builder, store in
            var problem = contraction(kind, weights: .packed(buffer), weightBase: { _ in .int(0) }, store: store)
            problem.inputBlocks = InputBlocks(size: size, scales: parameter(scales), sums: nil)
            try ContractionEmitter(problem, plan: plan, lanes: model.lanes).emit(into: &builder)
        }
    }
}
