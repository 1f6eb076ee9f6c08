import GlmcIR

extension Pass {
    /// Products with constant weights in int8 without calibration: every row of the activations is quantised by its own range while
    /// the model runs, the weights now, every column by its own.
    ///
    /// ```
    /// %0 = matmul(%x, %w) : f32[128, 768]
    /// ```
    /// becomes
    /// ```
    /// %0, %1, %2 = dynamic_quantize(%x, per_row: true) : u8[128, 64], f32[128, 1], u8[128, 1]
    /// %3 = matmul(%0, %w8) : i32[128, 768]
    /// %4 = cast(%2, to: i32) : i32[128, 1]
    /// %5 = binary.multiply(%4, %sums) : i32[128, 768]
    /// %6 = binary.subtract(%3, %5) : i32[128, 768]
    /// %7 = cast(%6, to: f32) : f32[128, 768]
    /// %8 = binary.multiply(%1, %scales) : f32[128, 768]
    /// %9 = binary.multiply(%7, %8) : f32[128, 768]
    /// ```
    ///
    /// Convolutions stay in fp32: scanning an image for its range costs too much of what int8 gains.
    public static func quantizeDynamic(_ options: QuantizationOptions = QuantizationOptions(), sharing table: QuantizedWeightTable = QuantizedWeightTable()) -> Pass {
        Pass("quantize-dynamic", "Quantises products with constant weights at run time") { rewriter, _ in
            var known: [BlockValue: (bytes: ValueID, scale: ValueID, zero: ValueID)] = [:]
            for id in rewriter.function.allNodes where rewriter.function.contains(id) {
                // Replacing a product changes the operands of those behind it, to values that an earlier snapshot does not have.
                let node = rewriter.function[id]
                guard node.op is MatMul else {
                    if node.op is Convolution { rewriter.remark("stays in fp32: convolutions need calibration data (--calib)", at: id, missed: true) }
                    continue
                }
                if let reason = reason(node, rewriter.function, options) {
                    rewriter.remark("stays in fp32: \(reason)", at: id, missed: true)
                    continue
                }
                let axis = rewriter.function.tensorType(node.operands[1]).rank - 1
                guard let weights = rewriter.function.constant(node.operands[1]).flatMap({ table.weights($0, axis: axis) }) else {
                    rewriter.remark("stays in fp32: a weight is not finite", at: id, missed: true)
                    continue
                }
                guard rewriter.beginRewrite() else { return }
                let key = BlockValue(block: node.block, value: node.operands[0])
                if known[key] == nil {
                    let results = try rewriter.create(DynamicQuantize(perRow: true), [node.operands[0]], at: .before(id), provenance: node.provenance)
                    known[key] = (results[0], results[1], results[2])
                }
                guard let input = known[key] else { continue }
                rewriter.remark("computes in int8, scaled while the model runs", at: id)
                try rewriter.replaceByDynamic(id, input, weights)
            }
        }
    }

    private struct BlockValue: Hashable {
        let block: BlockID
        let value: ValueID
    }

    private static func reason(_ node: Node, _ function: Function, _ options: QuantizationOptions) -> String? {
        if let reason = options.reason(node, in: function) { return reason }
        guard let weights = function.constant(node.operands[1]) else { return nil }
        return weights.shape[weights.rank - 2] <= IntegerSum.maximumTerms ? nil : "its sums of products may overflow 32 bits"
    }
}

extension Rewriter {
    fileprivate mutating func replaceByDynamic(_ id: NodeID, _ input: (bytes: ValueID, scale: ValueID, zero: ValueID), _ weights: QuantizedWeights) throws {
        let provenance = function[id].provenance
        func add(_ op: any Op, _ operands: [ValueID], _ rewriter: inout Rewriter) throws -> ValueID {
            try rewriter.create1(op, operands, at: .before(id), provenance: provenance)
        }
        let values = weights.values
        let (rows, columns) = (values.shape[values.rank - 2], values.shape[values.rank - 1])
        let sumShape = values.rank == 2 ? [columns] : Array(values.shape.dropLast(2)) + [1, columns]
        let integers = values.integers
        let sums = Tensor(.i32, sumShape, integers: { i in
            let start = i / columns * rows * columns + i % columns
            return (0..<rows).reduce(0) { $0 + integers[start + $1 * columns] }
        })
        let product = try add(MatMul(), [input.bytes, try add(Constant(values), [], &self)], &self)
        let zero = try add(Cast(to: .i32), [input.zero], &self)
        let offset = try add(Binary(.multiply), [zero, try add(Constant(sums), [], &self)], &self)
        let centred = try add(Cast(to: .f32), [try add(Binary(.subtract), [product, offset], &self)], &self)
        let scale = try add(Binary(.multiply), [input.scale, try add(Constant(weights.scales), [], &self)], &self)
        try replace(id, with: [try add(Binary(.multiply), [centred, scale], &self)])
    }
}
