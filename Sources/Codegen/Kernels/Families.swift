extension KernelFamily {
    /// All families, in order of preference. A node that none matches is lowered generically.
    public static let all: [KernelFamily] = [
        depthwiseConvolution, denseConvolution, matrixProduct,
    ]
}
