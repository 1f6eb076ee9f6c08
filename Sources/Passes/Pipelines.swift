/// The pipelines, from top to bottom. Order is the whole content: what each pass does is said in its own file.
///
/// A pipeline has four parts: what makes the function simpler and finds what exporters took apart; quantisation, if it is asked
/// for or the model comes with it; narrow floats for what is left, if they are asked for; and the physical layouts, last, because
/// later rewrites would lose them.
public enum Pipelines {
    /// - Parameters:
    ///   - quantization: passes that insert `quantize` and `dequantize`; none for a model that is not to be quantised.
    ///   - narrowing: passes that insert casts to 16-bit floats and back.
    public static func passes(_ level: OptimizationLevel, quantization: [Pass] = [], narrowing: [Pass] = []) -> [Pass] {
        let lowersQuantized = level >= .o2 || !quantization.isEmpty
        return optimization(level) + quantization + (lowersQuantized ? quantized() : []) + narrowing + (narrowing.isEmpty ? [] : narrowed)
            + (level >= .o2 ? layout : [])
    }

    /// The first part.
    private static func optimization(_ level: OptimizationLevel) -> [Pass] {
        switch level {
        case .o0: o0
        case .o1: o1
        case .o2: o2
        case .o3: o3
        }
    }

    /// Only what makes shapes known.
    static let o0: [Pass] = [
        .foldConstants,
        .eliminateDeadCode,
    ]

    /// Cheap clean-ups.
    static let o1: [Pass] = [
        .foldConstants,
        .simplifyRegions,
        .canonicalize,
        .eliminateCommonSubexpressions,
        .eliminateDeadCode,
    ]

    static let o2: [Pass] = o1 + [
        .recognizeActivations,
        .recognizeNorms,
        .recognizeSoftmax,
        .recognizeAttention,
        // After recognition: half of a GELU must not end up in the next layer's weights.
        .foldScales,
        .foldConstants,
        .canonicalize,
        .eliminateCommonSubexpressions,
        .eliminateDeadCode,
    ]

    static let o3: [Pass] = o2

    /// What runs on a function with casts to 16-bit floats and back in it.
    static let narrowed: [Pass] = [.lowerNarrowFloats, .canonicalize, .foldConstants, .eliminateCommonSubexpressions, .eliminateDeadCode]

    static let layout: [Pass] = [.assignLayouts]

    /// Every pass once, for `glmc passes`.
    static let allPasses: [Pass] = [
        .foldConstants,
        .simplifyRegions,
        .canonicalize,
        .eliminateCommonSubexpressions,
        .eliminateDeadCode,
        .recognizeActivations,
        .recognizeNorms,
        .recognizeSoftmax,
        .recognizeAttention,
        .foldScales,
        .mergeProjections,
        .quantizeStatic(),
        .quantizeDynamic(),
        .quantizeBlocks(),
        .quantizeByteBlocks(),
        .quantizeBlockActivations,
        .quantizeWeights(),
        .lowerQuantized,
        .lowerBlockWeights,
        .foldRequantization,
        .mixedPrecision(),
        .lowerNarrowFloats,
        .assignLayouts,
    ]
}
