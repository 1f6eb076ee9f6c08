import GlmcIR

extension KernelFamily {
    /// All families, in order of preference. A node that none matches is lowered generically.
    public static let all: [KernelFamily] = [
        depthwiseConvolution, denseConvolution, blockTransposedConvolution, transposedConvolution, matrixProduct, attention, recurrent, layerNorm,
        rmsNorm, softmax, pooling, reduceColumns,
    ]
}

extension KernelFamily {
    /// The names of the families that compute nodes of a function's body on `target`, in order.
    public static func chosen(in function: Function, target: Target) -> [String] {
        function.nodes(in: function.body).compactMap { id in
            let query = KernelQuery(function: function, node: function[id], target: target)
            return all.first { $0.matches(query) }?.name
        }
    }
}
