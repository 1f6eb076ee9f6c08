import GlmcIR

extension KernelFamily {
    /// Products of floats with constant weights in blocks.
    static let blockProduct = KernelFamily("gemm-blocks") { query in
        guard let op = query.op(BlockMatMul.self), let weights = constants(query, from: 1) else { return nil }
        let codes = weights[0], kind = lookupKind(codes, .multiplyAdd(.f32, .i8))
        let panels = MatrixProduct.request(query, weights: codes, depth: op.codes.depth(codes), kind: kind, right: 1, RegisterModel(query.target))
        return KernelPlan(readsManyRows: true, panels: panels) { site in
            try MatrixProduct(try site.operand(0), operandTypes: site.operandTypes, result: site.resultTypes[0]).emitBlocks(&site, weights, op.codes.perByte(codes.element), size: op.block)
        }
    }

    /// Products of rows in i8, quantised in the blocks of the weights.
    static let integerBlockProduct = KernelFamily("gemm-blocks-i8") { query in
        guard let op = query.op(BlockMatMulInteger.self), let weights = constants(query, from: 3),
              op.codes.perByte(query.operandType(3).element) == 2 ? query.target.hasNibbleDots : multipliesBytes(query) else { return nil }
        let codes = weights[0], kind = lookupKind(codes, .dot(.i8, .i8))
        let panels = MatrixProduct.request(query, weights: codes, depth: op.codes.depth(codes), kind: kind, right: 3, .integerBlocks(query.target))
        return KernelPlan(readsManyRows: true, panels: panels) { site in
            let types = site.operandTypes, x = try site.operand(0, along: types[0].rank - 1), scales = try site.operand(1), sums = try site.operand(2)
            try MatrixProduct(x, operandTypes: types, result: site.resultTypes[0], right: 3).emitBlocks(&site, weights, op.codes.perByte(codes.element), size: op.block, input: (scales, sums))
        }
    }

    /// Products of rows in i8, quantised in blocks, with weights of i8.
    static let blockRowProduct = KernelFamily("gemm-rows-i8") { query in
        guard let op = query.op(BlockRowMatMul.self), let weights = constants(query, from: 2)?.first, multipliesBytes(query) else { return nil }
        let panels = MatrixProduct.request(query, weights: weights, depth: weights.shape[0], kind: .dot(.i8, .i8), right: 2, .integerBlocks(query.target))
        return KernelPlan(readsManyRows: true, panels: panels) { site in
            let types = site.operandTypes, x = try site.operand(0, along: types[0].rank - 1), scales = try site.operand(1)
            try MatrixProduct(x, operandTypes: types, result: site.resultTypes[0], right: 2).emitRows(&site, weights: weights, size: op.block, scales: scales)
        }
    }

    /// What `BlockQuantize` makes is never −128, which `dot` of i8 must not meet.
    private static func multipliesBytes(_ query: KernelQuery) -> Bool {
        query.target.dots.contains(.i8) && query.function.definingOp(query.node.operands[0], as: BlockQuantize.self) != nil
    }

    /// How codes are read that may be looked up as well, which those of fewer bits are not.
    private static func lookupKind(_ codes: Tensor, _ kind: ContractionKind) -> ContractionKind? { codes.element == .u8 ? nil : kind }

    /// The operands from `first` on, if all are constants that hold something.
    private static func constants(_ query: KernelQuery, from first: Int) -> [Tensor]? {
        let constants = (first..<query.node.operands.count).compactMap(query.constant)
        return constants.count == query.node.operands.count - first && constants.allSatisfy { $0.count > 0 } ? constants : nil
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
    ///   - weights: codes, scales and, where they have them, minimums.
    ///   - perByte: codes in a byte.
    ///   - input: the scales and sums of the left side, where it is quantised.
    fileprivate func emitBlocks(_ site: inout KernelSite, _ weights: [Tensor], _ perByte: Int, size: Int, input: (scales: TensorView, sums: TensorView)? = nil) throws {
        let codes = weights[0], scales = weights[1], minimums = weights.count > 2 ? weights[2] : nil
        let model = input == nil ? RegisterModel(site.target) : .integerBlocks(site.target), plan = blockPlan(model, codes, site)
        func panels(_ tensor: Tensor, _ kind: ContractionKind) throws -> BufferID {
            try site.weight(tensor.element, [tensor], as: PanelFormat(matrix: tensor, kind: kind, lanes: model.lanes, panels: plan.panels))
        }
        func parameters(_ tensor: Tensor) throws -> BufferID { try panels(tensor, .multiplyAdd(.f32, tensor.element)) }
        let kind = input == nil ? ContractionKind.multiplyAdd(.f32, codes.element) : .dot(.i8, .i8)
        let blocks = WeightBlocks(
            codes: try panels(codes, kind), perByte: perByte, scales: try parameters(scales), minimums: try minimums.map(parameters),
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
        let buffer = try site.weight(.i8, [weights], as: PanelFormat(matrix: weights, kind: kind, lanes: model.lanes, panels: plan.panels))
        try site.generate { builder, store in
            var problem = contraction(kind, weights: .packed(buffer), weightBase: { _ in .int(0) }, store: store)
            problem.inputBlocks = InputBlocks(size: size, scales: parameter(scales), sums: nil)
            try ContractionEmitter(problem, plan: plan, lanes: model.lanes).emit(into: &builder)
        }
    }
}
