import GlmcIR

extension OnnxRules {
    /// Operators on string tensors, which exist at compile time only.
    static let texts: [OnnxRule] = [
        OnnxRule(values: "StringConcat", since: 20) { g, c in
            let (a, b) = (try g.text(c, 0), try g.text(c, 1))
            guard let shape = try TensorType.broadcast(a.shape.map { Extent($0) }, b.shape.map { Extent($0) }).constants else { throw Diagnostic(.invalid, "the shapes are not constant") }
            let (x, y) = (BroadcastIndex(a.shape, to: shape), BroadcastIndex(b.shape, to: shape))
            return [.strings(StringTensor(shape: shape, values: (0..<shape.reduce(1, *)).map { a.values[x[$0]] + b.values[y[$0]] }))]
        },
    ]
}

extension GraphImporter {
    func text(_ c: OnnxCall, _ i: Int) throws -> StringTensor {
        guard case .strings(let tensor) = try c.value(i) else { throw Diagnostic.unsupported("input \(i) is not a string tensor that is known at compile time") }
        return tensor
    }
}
