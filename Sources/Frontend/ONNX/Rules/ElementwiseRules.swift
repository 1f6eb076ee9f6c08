import GlmcIR

extension OnnxRules {
    /// Operators that are one scalar function per element.
    static let elementwise: [OnnxRule] = unaryTable.map { op, function in
        OnnxRule(op) { g, c in try g.unary(function, c[0]) }
    } + binaryTable.map { op, function in
        OnnxRule(op, since: 7) { g, c in try g.binary(function, c[0], c[1]) }
    } + variadicTable.map { op, function in
        OnnxRule(op, since: 6) { g, c in try g.folding(function, c.tensors()) }
    } + activationTable.map { op, kind in
        OnnxRule(op) { g, c in try g.activation(kind, c[0], alpha: try c.float("alpha"), beta: try c.float("beta")) }
    } + [
        OnnxRule("Identity") { g, c in try c[0] },
        OnnxRule(values: "Identity", since: 14) { g, c in [try c.value(0)] },
        OnnxRule("Relu") { g, c in try g.activation(.relu, c[0]) },
        OnnxRule("Selu", since: 6) { g, c in try g.activation(.selu, c[0], alpha: try c.float("alpha"), beta: try c.float("gamma")) },
        OnnxRule("Gelu", since: 20) { g, c in
            try g.activation(try c.string("approximate", "none") == "tanh" ? .geluTanh : .gelu, c[0])
        },
        OnnxRule("Swish", since: 24) { g, c in try g.activation(.silu, c[0], alpha: try c.float("alpha", 1)) },
        OnnxRule("Shrink", since: 9) { g, c in try g.shrink(c) },
        OnnxRule("PRelu", since: 7) { g, c in
            let x = try c[0]
            return try g.select(try g.binary(.less, x, 0), try g.mul(x, try c[1]), x)
        },
        OnnxRule("IsInf", since: 10) { g, c in
            let x = try c[0]
            let (positive, negative) = (try c.flag("detect_positive", true), try c.flag("detect_negative", true))
            switch (positive, negative) {
            case (true, true): return try g.binary(.or, try g.unary(.isPositiveInfinity, x), try g.unary(.isNegativeInfinity, x))
            case (true, false): return try g.unary(.isPositiveInfinity, x)
            case (false, true): return try g.unary(.isNegativeInfinity, x)
            case (false, false): return try g.filled(0, .bool, g.shape(x))
            }
        },
        OnnxRule("Pow", since: 7) { g, c in try g.power(c[0], c[1]) },
        OnnxRule("Mod", since: 10) { g, c in try g.modulo(c[0], c[1], truncated: try c.flag("fmod")) },
        OnnxRule("BitShift", since: 11) { g, c in
            var amount = try c[1]
            let own = g.element(amount)
            // A negative amount shifts everything out, as its bit pattern read as a huge unsigned number would.
            if own.isSignedInteger { amount = try g.select(try g.binary(.less, amount, 0), try g.scalar(Double(own.bitWidth), own), amount) }
            return try g.binary(try c.string("direction", "") == "LEFT" ? .shiftLeft : .shiftRight, c[0], amount)
        },
        OnnxRule("Mean", since: 8) { g, c in
            let inputs = try c.tensors()
            return try g.div(try g.folding(.add, inputs), Double(inputs.count))
        },
        OnnxRule("Where", since: 9) { g, c in try g.select(c[0], c[1], c[2]) },
        OnnxRule("Clip", since: 6) { g, c in
            try g.clip(c[0], try c.float("min").map { try g.scalar($0, like: try c[0]) }, try c.float("max").map { try g.scalar($0, like: try c[0]) })
        },
        OnnxRule("Clip", since: 11) { g, c in try g.clip(c[0], c.optional(1), c.optional(2)) },
        OnnxRule("SwiGLU") { g, c in try g.mul(try g.activation(.silu, c[0], alpha: try c.float("alpha", 1)), c[1]) },
    ]

    private static let unaryTable: [(String, UnaryOperator)] = [
        ("Abs", .absolute), ("Neg", .negate), ("Sign", .sign), ("Sqrt", .sqrt), ("Reciprocal", .reciprocal), ("Exp", .exp), ("Log", .log),
        ("Sin", .sin), ("Cos", .cos), ("Tan", .tan), ("Asin", .asin), ("Acos", .acos), ("Atan", .atan),
        ("Sinh", .sinh), ("Cosh", .cosh), ("Tanh", .tanh), ("Asinh", .asinh), ("Acosh", .acosh), ("Atanh", .atanh), ("Erf", .erf),
        ("Floor", .floor), ("Ceil", .ceil), ("Round", .round), ("IsNaN", .isNaN), ("Not", .not), ("BitwiseNot", .bitwiseNot),
    ]

    private static let binaryTable: [(String, BinaryOperator)] = [
        ("Add", .add), ("Sub", .subtract), ("Mul", .multiply), ("Div", .divide),
        ("Equal", .equal), ("Less", .less), ("LessOrEqual", .lessOrEqual), ("Greater", .greater), ("GreaterOrEqual", .greaterOrEqual),
        ("And", .and), ("Or", .or), ("Xor", .xor), ("BitwiseAnd", .and), ("BitwiseOr", .or), ("BitwiseXor", .xor),
    ]

    private static let variadicTable: [(String, BinaryOperator)] = [("Max", .maximum), ("Min", .minimum), ("Sum", .add)]

    /// Activations whose attributes are named as the op's.
    private static let activationTable: [(String, ActivationKind)] = [
        ("LeakyRelu", .leakyRelu), ("Elu", .elu), ("Celu", .celu), ("Sigmoid", .sigmoid), ("HardSigmoid", .hardSigmoid),
        ("HardSwish", .hardSwish), ("Mish", .mish), ("Softplus", .softplus), ("Softsign", .softsign), ("ThresholdedRelu", .thresholdedRelu),
    ]
}

extension GraphImporter {
    /// `parts[0] ∘ parts[1] ∘ …`
    mutating func folding(_ function: BinaryOperator, _ parts: [ValueID]) throws -> ValueID {
        guard var result = parts.first else { throw Diagnostic(.invalid, "takes at least one input") }
        for part in parts.dropFirst() { result = try binary(function, result, part) }
        return result
    }

    mutating func clip(_ x: ValueID, _ low: ValueID?, _ high: ValueID?) throws -> ValueID {
        var result = x
        if let low { result = try binary(.maximum, result, low) }
        if let high { result = try binary(.minimum, result, high) }
        return result
    }

    /// The result has the base's type; a float exponent of an integer base is honoured in float.
    mutating func power(_ base: ValueID, _ exponent: ValueID) throws -> ValueID {
        let own = element(base)
        if own == element(exponent) { return try binary(.power, base, exponent) }
        if own.isFloat { return try binary(.power, base, try cast(exponent, own)) }
        let wide = element(exponent).isFloat ? element(exponent) : own
        return try cast(try binary(.power, try cast(base, wide), try cast(exponent, wide)), own)
    }

    /// Remainder with the sign of the dividend (`truncated`, C's) or of the divisor (Python's).
    mutating func modulo(_ a: ValueID, _ b: ValueID, truncated: Bool) throws -> ValueID {
        let remainder = try binary(.remainder, a, b)
        if truncated || element(a).isUnsignedInteger { return remainder }
        let isOff = try binary(.and, try binary(.notEqual, remainder, 0),
            try binary(.notEqual, try binary(.less, remainder, 0), try binary(.less, b, 0)))
        return try select(isOff, try add(remainder, b), remainder)
    }

    mutating func shrink(_ c: OnnxCall) throws -> ValueID {
        let (bias, lambda) = (try c.float("bias", 0), try c.float("lambd", 0.5))
        let x = try c[0]
        if element(x).isFloat { return try activation(.shrink, x, alpha: lambda, beta: bias) }
        // In the type of `x`, as the specification has it: the bias wraps, and only the comparison is on real numbers.
        let wide = try cast(x, .f64)
        let (above, below) = (try binary(.greater, wide, lambda), try binary(.less, wide, -lambda))
        let zero = try scalar(0, like: x)
        let shifted = try select(below, try cast(try add(wide, bias), element(x)), zero)
        return try select(above, try cast(try sub(wide, bias), element(x)), shifted)
    }
}
