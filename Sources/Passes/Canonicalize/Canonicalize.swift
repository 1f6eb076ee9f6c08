extension Pass {
    /// Brings expressions into one of several equal forms, and drops what does nothing.
    ///
    /// ```
    /// %zero = constant(value: f32[](0.0)) : f32[]
    /// %0 = binary.add(%x, %zero) : f32[2, 8]
    /// %1 = reshape(%0, shape: [16]) : f32[16]
    /// %2 = reshape(%1, shape: [4, 4]) : f32[4, 4]
    /// ```
    /// becomes
    /// ```
    /// %0 = reshape(%x, shape: [4, 4]) : f32[4, 4]
    /// ```
    ///
    /// The rules are grouped in this folder by the op at which they start. The canonical forms that later passes count on:
    /// constants are the second operand; subtracting or dividing by a constant is adding or multiplying; elementwise ops
    /// come before the transposes and reshapes of their operand; at most one transpose or reshape in a row.
    public static let canonicalize = Pass(
        "canonicalize", "Simplifies expressions and brings them into one form",
        rules: arithmeticRules + transposeRules + reshapeRules + sliceRules + miscellaneousRules)
}
