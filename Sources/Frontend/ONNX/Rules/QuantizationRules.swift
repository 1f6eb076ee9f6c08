import GlmcIR

extension OnnxRules {
    static let quantizations: [OnnxRule] = [
        OnnxRule("QuantizeLinear", since: 10) { g, c in
            let x = try c[0], scale = try g.scalarShape(c[1])
            let zero: ValueID
            if let given = try c.optional(2) {
                zero = try g.parameter(given, like: scale)
            } else {
                zero = try g.filled(0, try c.element("output_dtype") ?? .u8, g.shape(scale))
            }
            let op = Quantize(element: g.element(zero), axis: try g.quantizationAxis(c, x, scale), saturate: try c.flag("saturate", true), blockSize: try c.int("block_size", 0))
            if let precision = try c.element("precision"), precision != g.element(x), precision.isFloat {
                return try g.emit(op, [try g.cast(x, precision), try g.cast(scale, precision), zero])
            }
            return try g.emit(op, [x, try g.cast(scale, g.element(x).isFloat ? g.element(x) : g.element(scale)), zero])
        },
        OnnxRule("DequantizeLinear", since: 10) { g, c in
            let x = try c[0], scale = try g.scalarShape(c[1])
            let zero = try c.optional(2).map { try g.parameter($0, like: scale) } ?? g.filled(0, g.element(x), g.shape(scale))
            let to = try c.element("output_dtype") ?? g.element(scale)
            return try g.emit(Dequantize(element: to, axis: try g.quantizationAxis(c, x, scale), blockSize: try c.int("block_size", 0)), [x, scale, zero])
        },
        OnnxRule(tensors: "DynamicQuantizeLinear", since: 11) { g, c in
            try g.emitMany(DynamicQuantize(), [c[0]], 3)
        },
    ]
}

extension GraphImporter {
    /// A zero point as it belongs to a scale: of one shape, in which a scalar and a vector of one element are alike.
    mutating func parameter(_ zero: ValueID, like scale: ValueID) throws -> ValueID {
        if rank(zero) != rank(scale) { expect([SizeEquation(shape(zero).product, 1), SizeEquation(shape(scale).product, 1)]) }
        return try scalarShape(zero)
    }

    /// The quantisation axis; version 10 has none, and per-tensor parameters do not care.
    func quantizationAxis(_ c: OnnxCall, _ x: ValueID, _ scale: ValueID) throws -> Int {
        rank(scale) == 0 ? 0 : try normalized(try c.int("axis", 1), rank: rank(x))
    }
}
