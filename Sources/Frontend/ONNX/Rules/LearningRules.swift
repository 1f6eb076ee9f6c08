import GlmcIR

extension OnnxRules {
    /// The classical machine learning domain, where its operators are plain tensor code.
    static let learning: [OnnxRule] = [
        OnnxRule("Binarizer", domain: ml) { g, c in
            let x = try c[0]
            return try g.cast(try g.binary(.greater, x, try c.float("threshold", 0)), g.element(x))
        },
        OnnxRule("ArrayFeatureExtractor", domain: ml) { g, c in
            let x = try c[0], indices = try c[1]
            return try g.gather(g.rank(x) == 1 ? try g.unsqueeze(x, [0]) : x, try g.reshape(indices, [g.type(indices).elementCount]), axis: -1)
        },
        OnnxRule("Scaler", domain: ml) { g, c in
            let x = try g.cast(c[0], .f32)
            let offset = try g.constant(Tensor(try c.floats("offset")?.map { Float($0) } ?? [0]))
            let scale = try g.constant(Tensor(try c.floats("scale")?.map { Float($0) } ?? [1]))
            return try g.mul(try g.sub(x, offset), scale)
        },
    ]

    private static let ml = "ai.onnx.ml"
}
