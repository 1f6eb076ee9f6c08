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
    /// Products whose results leave the function, such as a language model's head, and weights that are also looked up, such as an embedding, are left to
    /// `quantize-weights`: four bits cost most there.
    public static func quantizeBlocks(_ options: QuantizationOptions = QuantizationOptions(), sharing known: QuantizedWeightTable = QuantizedWeightTable()) -> Pass {
        Pass("quantize-blocks", "Stores weights of products in four bits by blocks, and computes with them in f32") { rewriter, _ in
            for id in rewriter.function.allNodes where rewriter.function.contains(id) {
                let node = rewriter.function[id]
                guard node.op is MatMul, let weights = rewriter.function.constant(node.operands[1]) else { continue }
                if let obstacle = obstacle(node, weights, rewriter.function, options) {
                    rewriter.remark("has no weights in int4: \(obstacle)", at: id, missed: true)
                    continue
                }
                guard let blocks = known.blocks(weights) else {
                    rewriter.remark("has no weights in int4: one is not finite, or too large", at: id, missed: true)
                    continue
                }
                guard rewriter.beginRewrite() else { return }
                rewriter.remark("has weights in int4", at: id)
                let parts = try [blocks.codes, blocks.scales, blocks.minimums].map { try rewriter.create1(Constant($0), [], at: .before(id)) }
                try rewriter.replace(id, with: BlockMatMul(block: BlockWeights.block), [node.operands[0]] + parts)
            }
        }
    }

    private static func obstacle(_ node: Node, _ weights: Tensor, _ function: Function, _ options: QuantizationOptions) -> String? {
        if let obstacle = options.obstacle(node, in: function) { return obstacle }
        guard weights.rank == 2, weights.shape[0] % BlockWeights.block == 0 else { return "\(weights.shape) is no matrix of whole blocks" }
        return function.leaves(node.results[0]) ? "its results leave the model" : nil
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
