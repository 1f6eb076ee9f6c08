import GlmcIR
import GlmcPasses

extension Pass {
    /// Fuses the logarithm of a sum of exponentials.
    ///
    /// ```
    /// %0 = unary.exp(%x) : f32[4, 10]
    /// %1 = reduce.add(%0, axes: [1]) : f32[4]
    /// %2 = unary.log(%1) : f32[4]
    /// ```
    /// becomes
    /// ```
    /// %0 = reduce.logSumExp(%x, axes: [1]) : f32[4]
    /// ```
    ///
    /// One kernel instead of three, and one that does not overflow for large `x`.
    public static let fuseLogSumExp = Pass("fuse-log-sum-exp", "Fuses log(sum(exp(x)))", rules: [logOfSumOfExp])
}

private let logOfSumOfExp = Rule("log-of-sum-of-exp", on: Unary.self) { function, id, op in
    guard op.function == .log, let (_, sum, summed) = function.match(function[id].operands[0], Reduce.self), sum.function == .add,
          let x = function.unary(summed[0], .exp) else { return nil }
    return { try $0.replace(id, with: Reduce(.logSumExp, axes: sum.axes, keepDims: sum.keepDims), [x]) }
}
