import GlmcIR

extension KernelFamily {
    /// All families, in order of preference. A node that none matches is lowered generically.
    public static let all = [winogradConvolution] + direct

    /// The families that add up the products that the op's definition names, in whatever order.
    public static let direct: [KernelFamily] = [
        depthwiseConvolution, denseConvolution, blockTransposedConvolution, transposedConvolution, matrixProduct, blockProduct, integerBlockProduct, blockRowProduct,
        attention, recurrent, layerNorm, rmsNorm, softmax, pooling, reduceColumns,
    ]
}

extension KernelFamily {
    /// The names of the families that compute nodes of a function's body on `target`, in order.
    public static func chosen(in function: Function, target: Target) -> [String] {
        function.nodes(in: function.body).compactMap { id in
            let query = KernelQuery(function: function, node: function[id], target: target)
            return best(for: query, among: all)?.family
        }
    }

    /// How the first family computes a node that can; nil where it is lowered generically. Tensors without elements are not worth a kernel.
    static func best(for query: KernelQuery, among families: [KernelFamily]) -> TunedKernel? {
        let values = query.node.operands + query.node.results.prefix(1)
        guard !values.contains(where: { query.function.type($0).tensor?.elementCount == 0 }) else { return nil }
        return families.lazy.compactMap { family in family.match(query).map { TunedKernel(family: family.name, plan: $0) } }.first
    }
}
