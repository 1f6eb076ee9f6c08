import GlmcIR

extension Pass {
    /// Rows that meet weights of four or eight bits in 8 bits, by blocks: products are sums of integers then, several at an instruction. What several products
    /// read is quantised once.
    ///
    /// ```
    /// %0 = block_matmul(%x, %codes, %scales, %minimums, block: 32) : f32[1, 768]
    /// %1 = matmul(%x, %w8) : f32[1, 768]
    /// ```
    /// becomes
    /// ```
    /// %0, %1, %2 = block_quantize(%x, block: 32) : i8[1, 576], f32[1, 18], f32[1, 18]
    /// %3 = block_matmul_integer(%0, %1, %2, %codes, %scales, %minimums, block: 32) : f32[1, 768]
    /// %4 = block_row_matmul(%0, %1, %w8, block: 32) : f32[1, 768]
    /// ```
    public static let quantizeBlockActivations = Pass("quantize-block-activations", "Computes products with weights of four and eight bits in integers") { rewriter, _ in
        var known: [BlockRows: [ValueID]] = [:]
        for id in rewriter.function.allNodes where rewriter.function.contains(id) {
            let node = rewriter.function[id]
            guard let size = blockSize(node, rewriter.function) else { continue }
            guard rewriter.beginRewrite() else { return }
            let key = BlockRows(region: node.block, value: node.operands[0], size: size)
            let rows = try known[key] ?? rewriter.create(BlockQuantize(block: size), [node.operands[0]], at: .before(id), provenance: node.provenance)
            known[key] = rows
            rewriter.remark("computes in integers", at: id)
            if node.op is MatMul {
                try rewriter.replace(id, with: BlockRowMatMul(block: size), rows.prefix(2) + [node.operands[1]])
            } else {
                let bits = (node.op as? BlockMatMul)?.bits ?? BlockMatMul().bits
                try rewriter.replace(id, with: BlockMatMulInteger(block: size, bits: bits), rows + node.operands.dropFirst())
            }
        }
    }

    /// In what blocks the rows of a product would be quantised; nil where they cannot be.
    private static func blockSize(_ node: Node, _ function: Function) -> Int? {
        if let op = node.op as? BlockMatMul { return op.block <= 1 << 16 ? op.block : nil }
        guard node.op is MatMul, function.tensorType(node.operands[0]).element == .f32, function.tensorType(node.operands[0]).rank >= 2,
              let weights = function.constant(node.operands[1]), weights.element == .i8, weights.rank == 2, weights.shape[0] % BlockWeights.block == 0 else { return nil }
        return BlockWeights.block
    }

    /// Rows as they are quantised, where they are known.
    private struct BlockRows: Hashable {
        let region: BlockID
        let value: ValueID
        let size: Int
    }
}
