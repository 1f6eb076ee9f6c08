import GlmcIR

extension Pipelines {
    /// What runs on a function with `quantize` and `dequantize` in it, whoever put them there: behind the optimisations of its
    /// level, before layouts are assigned.
    /// - Parameter exact: divide by scales as ONNX defines it, instead of folding them; see `foldRequantization`.
    public static func quantized(exact: Bool = false) -> [Pass] {
        let lowering: [Pass] = [.lowerQuantized, .lowerBlockWeights, .canonicalize]
        let folding: [Pass] = exact ? [] : [.foldRequantization, .canonicalize, .foldRequantization, .canonicalize]
        return lowering + folding + [.foldConstants, .eliminateCommonSubexpressions, .eliminateDeadCode]
    }
}
