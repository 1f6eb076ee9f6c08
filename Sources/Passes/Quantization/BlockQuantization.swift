import GlmcIR

extension Pass {
    /// Constant right sides of products in four bits, in blocks of 32 that share a scale and a minimum.
    ///
    /// ```
    /// %0 = matmul(%x, %w) : f32[1, 768]
    /// ```
    /// becomes
    /// ```
    /// %0 = block_matmul(%x, %codes, %scales, %minimums, block: 32) : f32[1, 768]
    /// ```
    ///
    /// Products whose results leave the function, such as a language model's head, are left to `quantize-byte-blocks`: four bits cost most there.
    public static func quantizeBlocks(_ options: QuantizationOptions = QuantizationOptions(), sharing known: QuantizedWeightTable = QuantizedWeightTable()) -> Pass {
        Pass("quantize-blocks", "Stores weights of products in four bits by blocks, and computes with them in f32") { rewriter, _ in
            for id in rewriter.function.allNodes where rewriter.function.contains(id) {
                if let reason = try quantize(id, .four, options, known, &rewriter) { rewriter.remark("has no weights in int4: \(reason)", at: id, missed: true) }
            }
        }
    }

    /// Constant right sides of products, and tables that rows are looked up in, in eight bits, in blocks of 32 that share a scale.
    ///
    /// ```
    /// %0 = matmul(%x, %w) : f32[1, 768]
    /// %1 = gather(%table, %ids, axis: 0) : f32[1, 576]
    /// ```
    /// becomes
    /// ```
    /// %0 = block_matmul(%x, %codes, %scales, block: 32) : f32[1, 768]
    /// %2 = gather(%codes2, %ids, axis: 0) : i8[1, 576]
    /// %3 = cast(%2, to: f32) : f32[1, 576]
    /// %4 = reshape(%3, shape: [1, 18, 32]) : f32[1, 18, 32]
    /// %5 = gather(%scales2, %ids, axis: 0) : f16[1, 18, 1]
    /// %6 = cast(%5, to: f32) : f32[1, 18, 1]
    /// %7 = binary.multiply(%4, %6) : f32[1, 18, 32]
    /// %1 = reshape(%7, shape: [1, 576]) : f32[1, 576]
    /// ```
    ///
    /// A table that is also a product's weight, as where a language model's head is tied to its embedding, is quantised once. What is no matrix of whole blocks gets
    /// a scale per column or row, as by `quantize-weights`.
    public static func quantizeByteBlocks(_ options: QuantizationOptions = QuantizationOptions(), sharing known: QuantizedWeightTable = QuantizedWeightTable()) -> Pass {
        Pass("quantize-byte-blocks", "Stores weights and tables in eight bits by blocks, and computes with them in f32") { rewriter, _ in
            for id in rewriter.function.allNodes where rewriter.function.contains(id) {
                let isRewritten = try rewriter.function[id].op is MatMul ? quantize(id, .eight, options, known, &rewriter) == nil : lookUp(id, options, known, &rewriter)
                if !isRewritten { try quantizeByChannel(id, options, known, &rewriter) }
            }
        }
    }

    /// A product of constant weights as one of blocks.
    /// - Returns: what is in the way.
    private static func quantize(_ id: NodeID, _ width: BlockWeights.Width, _ options: QuantizationOptions, _ known: QuantizedWeightTable, _ rewriter: inout Rewriter) throws -> String? {
        let node = rewriter.function[id]
        guard node.op is MatMul, let weights = rewriter.function.constant(node.operands[1]) else { return nil }
        if let reason = reason(node, weights, width, rewriter.function, options) { return reason }
        guard let blocks = known.blocks(weights, width) else { return "one is not finite, or too large" }
        guard rewriter.beginRewrite() else { return nil }
        rewriter.remark("has weights in int\(width.rawValue) by blocks", at: id)
        let parts = try blocks.constants.map { try rewriter.create1(Constant($0), [], at: .before(id)) }
        try rewriter.replace(id, with: BlockMatMul(block: BlockWeights.block), [node.operands[0]] + parts)
        return nil
    }

    private static func reason(_ node: Node, _ weights: Tensor, _ width: BlockWeights.Width, _ function: Function, _ options: QuantizationOptions) -> String? {
        if let reason = options.reason(node, in: function) { return reason }
        guard weights.rank == 2, weights.shape[0] % BlockWeights.block == 0 else { return "\(weights.shape) is no matrix of whole blocks" }
        return width == .four && function.leaves(node.results[0]) ? "its results leave the model" : nil
    }

    /// A look-up in a constant table as one in blocks.
    /// - Returns: whether it is.
    private static func lookUp(_ id: NodeID, _ options: QuantizationOptions, _ known: QuantizedWeightTable, _ rewriter: inout Rewriter) throws -> Bool {
        let node = rewriter.function[id]
        guard let table = node.lookUpTable(in: rewriter.function, options), table.shape[1] % BlockWeights.block == 0, let blocks = known.blocks(table.transposed([1, 0]), .eight),
              rewriter.beginRewrite() else { return false }
        rewriter.remark("looks rows up in int8 by blocks", at: id)
        let result = rewriter.function.tensorType(node.results[0]), groups = table.shape[1] / BlockWeights.block
        func add(_ op: any Op, _ operands: [ValueID], _ rewriter: inout Rewriter) throws -> ValueID {
            try rewriter.create1(op, operands, at: .before(id), provenance: node.provenance)
        }
        func rows(_ matrix: Tensor, _ shape: [Extent], _ rewriter: inout Rewriter) throws -> ValueID {
            let constant = try rewriter.create1(Constant(matrix.transposed([1, 0])), [], at: .before(id))
            let wide = try add(Cast(to: .f32), [try add(node.op, [constant, node.operands[1]], &rewriter)], &rewriter)
            return try add(Reshape(result.shape.dropLast() + shape), [wide], &rewriter)
        }
        let values = try rows(blocks.codes, [Extent(groups), Extent(BlockWeights.block)], &rewriter), scales = try rows(blocks.scales, [Extent(groups), 1], &rewriter)
        let scaled = try add(Reshape(result.shape), [try add(Binary(.multiply), [values, scales], &rewriter)], &rewriter)
        try rewriter.replace(id, with: result.element == .f32 ? [scaled] : [try add(Cast(to: result.element), [scaled], &rewriter)])
        return true
    }
}

extension Function {
    /// Whether a value is a result of the function, or becomes one by elementwise ops and moves alone.
    fileprivate func leaves(_ value: ValueID) -> Bool {
        var seen: Set<ValueID> = [], pending = [value]
        while let next = pending.popLast() {
            guard seen.insert(next).inserted else { continue }
            for use in self[next].uses {
                guard case .operand(let user, _) = use else { return true }
                let node = self[user]
                if node.op.isElementwise || node.op is Reshape || node.op is Transpose || node.op is Slice || node.op is Cast { pending += node.results }
            }
        }
        return false
    }
}
