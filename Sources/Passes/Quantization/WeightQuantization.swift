import GlmcIR

extension Pass {
    /// Constant right sides of products, and tables that rows are looked up in, as s8 with a scale per column or row. Sums and activations stay in f32:
    /// what is gained is memory, and the time to read it.
    ///
    /// ```
    /// %0 = matmul(%x, %w) : f32[1, 768]
    /// %1 = gather(%table, %ids, axis: 0) : f32[1, 576]
    /// ```
    /// becomes
    /// ```
    /// %0 = matmul(%x, %w8) : f32[1, 768]
    /// %1 = binary.multiply(%0, %scales) : f32[1, 768]
    /// %2 = gather(%table8, %ids, axis: 0) : i8[1, 576]
    /// %3 = cast(%2, to: f32) : f32[1, 576]
    /// %4 = gather(%rowscales, %ids, axis: 0) : f32[1, 1]
    /// %5 = binary.multiply(%3, %4) : f32[1, 576]
    /// ```
    ///
    /// A table that is also a product's weight, as where a language model's head is tied to its embedding, is quantised once.
    public static func quantizeWeights(_ options: QuantizationOptions = QuantizationOptions(), sharing known: QuantizedWeightTable = QuantizedWeightTable()) -> Pass {
        Pass("quantize-weights", "Stores weights as 8-bit integers, and computes with them in f32") { rewriter, _ in
            for id in rewriter.function.allNodes where rewriter.function.contains(id) { try quantizeByChannel(id, options, known, &rewriter) }
        }
    }

    /// A product or look-up as one of weights with a scale per column or row; others stay as they are.
    static func quantizeByChannel(_ id: NodeID, _ options: QuantizationOptions, _ known: QuantizedWeightTable, _ rewriter: inout Rewriter) throws {
        let node = rewriter.function[id]
        if node.op is MatMul {
            if let reason = options.reason(node, in: rewriter.function) { return rewriter.remark("keeps its weights: \(reason)", at: id, missed: true) }
            guard let weights = rewriter.function.constant(node.operands[1]), let quantized = known.weights(weights, axis: weights.rank - 1) else {
                return rewriter.remark("keeps its weights: one is not finite", at: id, missed: true)
            }
            guard rewriter.beginRewrite() else { return }
            rewriter.remark("has weights in int8", at: id)
            let values = try rewriter.create1(Constant(quantized.values), [], at: .before(id))
            let sum = try rewriter.create1(MatMul(), [node.operands[0], values], at: .before(id), provenance: node.provenance)
            let scales = try rewriter.create1(Constant(quantized.scales), [], at: .before(id))
            try rewriter.replace(id, with: Binary(.multiply), [sum, scales])
        } else if let table = node.lookUpTable(in: rewriter.function, options), let quantized = known.weights(table, axis: 0) {
            guard rewriter.beginRewrite() else { return }
            rewriter.remark("looks rows up in int8", at: id)
            let wide = rewriter.function.tensorType(node.results[0]).element
            func rows(_ tensor: Tensor, _ rewriter: inout Rewriter) throws -> ValueID {
                let constant = try rewriter.create1(Constant(tensor), [], at: .before(id))
                return try rewriter.create1(node.op, [constant, node.operands[1]], at: .before(id), provenance: node.provenance)
            }
            guard let column = quantized.scales.reshaped([table.shape[0], 1]) else { return }
            let values = try rewriter.create1(Cast(to: .f32), [try rows(quantized.values, &rewriter)], at: .before(id), provenance: node.provenance)
            let scaled = try rewriter.create1(Binary(.multiply), [values, try rows(column, &rewriter)], at: .before(id), provenance: node.provenance)
            try rewriter.replace(id, with: wide == .f32 ? [scaled] : [try rewriter.create1(Cast(to: wide), [scaled], at: .before(id))])
        }
    }
}

extension Node {
    /// The constant table of which a node looks rows up, where it may be quantised.
    func lookUpTable(in function: Function, _ options: QuantizationOptions) -> Tensor? {
        guard let gather = op as? Gather, gather.axis == 0, let table = function.constant(operands[0]), table.rank == 2, table.shape[1] > 1,
              table.element.isProductWeight, !options.keeps(provenance) else { return nil }
        return table
    }
}
