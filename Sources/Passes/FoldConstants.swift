import GlmcIR

extension Pass {
    /// Evaluates what does not depend on the inputs.
    ///
    /// ```
    /// %a = constant(value: f32[2](1.0, 2.0)) : f32[2]
    /// %0 = unary.exp(%a) : f32[2]
    /// %1 = extents(values: [n, 8], shape: [2]) : i64[2]
    /// %two = constant(value: i64[](2)) : i64[]
    /// %2 = binary.multiply(%1, %two) : i64[2]
    /// ```
    /// becomes
    /// ```
    /// %0 = constant(value: f32[2](2.7182817, 7.389056)) : f32[2]
    /// %2 = extents(values: [2*n, 16], shape: [2]) : i64[2]
    /// ```
    ///
    /// Two ways: nodes whose operands are all constants go through `evaluate`; small integer tensors whose elements follow from
    /// the shapes of the inputs become symbolic `extents`. Nothing is folded into a constant that is both larger than its
    /// operands (times two, for widening casts) and larger than the limit in the context: a broadcast or a range is cheap to
    /// compute and expensive to store. All that is folded has a budget of bytes, because what was folded is an operand in its turn.
    /// `dequantize` stays, because int8 kernels want its operands.
    public static let foldConstants = Pass("fold-constants", "Evaluates what does not depend on the inputs") { rewriter, context in
        var budget = rewriter.function.foldingBudget
        for id in rewriter.function.allNodes where rewriter.function.contains(id) {
            let node = rewriter.function[id]
            guard node.op.isPure, node.regions.isEmpty, !(node.op is Constant) else { continue }
            if let values = rewriter.function.foldedContents(node) {
                guard rewriter.beginRewrite() else { return }
                let result = try rewriter.materialize(values, before: id)
                try rewriter.replace(id, with: [result])
            } else if let tensors = rewriter.function.evaluate(node, context, &budget) {
                guard rewriter.beginRewrite() else { return }
                try rewriter.replaceByConstants(id, tensors)
            }
        }
    }
}

extension Function {
    /// The elements of a node's only result as sizes, if it is a small integer or bool tensor whose elements are known and that
    /// is not written in the simplest way already.
    fileprivate func foldedContents(_ node: Node) -> (type: TensorType, values: [Extent])? {
        guard node.results.count == 1, !(node.op is Extents && !isConstant(node.op)), let type = type(node.results[0]).tensor,
              type.element.isInteger || type.element == .bool, let values = symbolicContents(node.results[0]) else { return nil }
        // Conversions of sizes to other integer types are left alone once they read the simplest form.
        if type.element != .i64, values.constants == nil, node.operands.count == 1, definingOp(node.operands[0], as: Extents.self) != nil { return nil }
        return (type, values)
    }

    /// How many bytes folding may write: a multiple of what the function holds, and room for tables that small models compute.
    fileprivate var foldingBudget: Double {
        let constants = allNodes.reduce(0.0) { $0 + Double((self[$1].op as? Constant)?.value.byteCount ?? 0) }
        return max(0x1p28, 8 * constants)
    }

    private func isConstant(_ op: any Op) -> Bool { (op as? Extents)?.values.constants != nil }

    /// The results of a node on constant operands, where folding pays and what it writes is within `budget`, in bytes.
    fileprivate func evaluate(_ node: Node, _ context: PassContext, _ budget: inout Double) -> [Tensor]? {
        guard !(node.op is Dequantize), !(node.op is Extents) else { return nil }
        let operands = node.operands.compactMap { constant($0) }
        guard operands.count == node.operands.count, isCheapToEvaluate(node) else { return nil }
        let types = node.results.map { type($0) }
        var bytes = 0
        for type in types {
            // A data-dependent size is bounded by what the op may read.
            guard let tensor = type.tensor, Double(tensor.volume) * Double(tensor.element.bitWidth) / 8 <= budget else { return nil }
            let count = tensor.byteCount
            bytes = max(bytes, count.constant ?? 0)
        }
        guard bytes <= max(context.foldingLimit, 2 * operands.reduce(0) { $0 + $1.byteCount }) else { return nil }
        // What cannot be evaluated now, such as a division by zero, is left to fail or not when the model runs.
        guard let results = try? node.op.evaluate(operands, in: EvaluationContext(resultTypes: types)), results.count == types.count else { return nil }
        for (tensor, type) in zip(results, types) {
            guard let expected = type.tensor, expected.element == tensor.element, expected.rank == tensor.rank else { return nil }
        }
        budget -= results.reduce(0) { $0 + Double($1.byteCount) }
        return results
    }
}

extension Rewriter {
    /// Adds a constant, or symbolic sizes, with the given contents.
    fileprivate mutating func materialize(_ contents: (type: TensorType, values: [Extent]), before id: NodeID) throws -> ValueID {
        let (type, values) = contents
        let shape = type.shape.constants ?? []
        if let integers = values.constants {
            return try create1(Constant(Tensor(type.element, shape, integers: { integers[$0] })), [], at: .before(id))
        }
        let sizes = try create1(Extents(values, shape: shape), [], at: .before(id))
        return type.element == .i64 ? sizes : try create1(Cast(to: type.element), [sizes], at: .before(id))
    }

    /// Replaces a node by constants. Dimensions that the results define get their values everywhere.
    fileprivate mutating func replaceByConstants(_ id: NodeID, _ tensors: [Tensor]) throws {
        var sizes: [String: Extent] = [:]
        for (result, tensor) in zip(function[id].results, tensors) {
            for (extent, size) in zip(function.tensorType(result).shape, tensor.shape) {
                if let name = extent.dimensionName { sizes[name] = Extent(size) }
            }
        }
        if !sizes.isEmpty { try bindDimensions(sizes) }
        var values: [ValueID] = []
        for (result, tensor) in zip(function[id].results, tensors) {
            let value = try create1(Constant(tensor), [], at: .before(id))
            setLayout(function.tensorType(result).layout, of: value)
            values.append(value)
        }
        try replace(id, with: values)
    }
}
