/// The pipelines, from top to bottom. Order is the whole content: what each pass does is said in its own file.
public enum Pipelines {
    public static func passes(_ level: OptimizationLevel) -> [Pass] {
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
        .assignLayouts,
    ]

    static let o3: [Pass] = o2

    /// Every pass once, for `glmc passes`.
    static let allPasses: [Pass] = [
        .foldConstants,
        .canonicalize,
        .eliminateCommonSubexpressions,
        .eliminateDeadCode,
        .recognizeActivations,
        .recognizeNorms,
        .recognizeSoftmax,
        .recognizeAttention,
        .foldScales,
        .mergeProjections,
        .quantizeDynamic(),
        .lowerQuantized,
        .foldRequantization,
        .assignLayouts,
    ]
}
