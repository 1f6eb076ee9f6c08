import GlmcIR

extension OnnxRules {
    static let recurrent: [OnnxRule] = [
        OnnxRule(tensors: "LSTM", since: 7) { g, c in
            var (common, operands, isBatchFirst) = try g.recurrent(c, gates: 4, lengths: 4)
            let cell = try c.optional(6).map { try g.batchFirst($0, isBatchFirst) } ?? g.filled(0, g.element(try c[0]), g.shape(operands[4]))
            operands.append(cell)
            let peepholes = try c.optional(7)
            if let peepholes { operands.append(peepholes) }
            common.hasLengths = try g.appendLengths(c, 4, &operands)
            let op = Lstm(common, peepholes: peepholes != nil, inputForget: try c.flag("input_forget"))
            return try g.recurrentResults(op, operands, 3, isBatchFirst)
        },
        OnnxRule(tensors: "GRU", since: 7) { g, c in
            var (common, operands, isBatchFirst) = try g.recurrent(c, gates: 3, lengths: 4)
            common.hasLengths = try g.appendLengths(c, 4, &operands)
            return try g.recurrentResults(Gru(common, linearBeforeReset: try c.flag("linear_before_reset")), operands, 2, isBatchFirst)
        },
        OnnxRule(tensors: "RNN", since: 7) { g, c in
            var (common, operands, isBatchFirst) = try g.recurrent(c, gates: 1, lengths: 4)
            common.hasLengths = try g.appendLengths(c, 4, &operands)
            return try g.recurrentResults(Rnn(common), operands, 2, isBatchFirst)
        },
    ]
}

extension GraphImporter {
    /// The names of ONNX activations as kinds.
    private static let activations: [String: ActivationKind] = [
        "relu": .relu, "tanh": .tanh, "sigmoid": .sigmoid, "affine": .affine, "leakyrelu": .leakyRelu,
        "thresholdedrelu": .thresholdedRelu, "scaledtanh": .scaledTanh, "hardsigmoid": .hardSigmoid, "elu": .elu,
        "softsign": .softsign, "softplus": .softplus,
    ]

    /// What the recurrent operators share: attributes, and the operands x, w, r, b and initial state with time first.
    mutating func recurrent(_ c: OnnxCall, gates: Int, lengths: Int) throws -> (RecurrentAttributes, [ValueID], Bool) {
        guard let direction = RecurrentDirection(rawValue: try c.string("direction", "forward")) else { throw Diagnostic(.invalid, "the direction is not known") }
        let isBatchFirst = try c.int("layout", 0) == 1
        let x = isBatchFirst ? try swapAxes(c[0], 0, 1) : try c[0]
        let r = try c[2]
        guard rank(x) == 3, rank(r) == 3, let hidden = try c.int("hidden_size") ?? shape(r)[2].constant, (1..<1 << 24).contains(hidden) else { throw Diagnostic(.invalid, "takes a sequence and weights of rank 3") }
        let names = try c.strings("activations") ?? []
        let kinds = try names.map { name in
            guard let kind = Self.activations[name.lowercased()] else { throw Diagnostic(.invalid, "the activation '\(name)' is not known") }
            return kind
        }
        let alphas = try c.floats("activation_alpha") ?? [], betas = try c.floats("activation_beta") ?? []
        // The lists hold one entry per activation that has the parameter, in order.
        func spread(_ values: [Double], _ has: (ActivationKind) -> Bool, _ standard: (ActivationKind) -> Double) -> [Double] {
            guard !values.isEmpty else { return [] }
            if values.count == kinds.count { return values }
            var rest = values[...]
            return kinds.map { has($0) ? rest.popFirst() ?? standard($0) : standard($0) }
        }
        let withAlpha: Set<ActivationKind> = [.affine, .leakyRelu, .thresholdedRelu, .scaledTanh, .hardSigmoid, .elu]
        let withBeta: Set<ActivationKind> = [.affine, .scaledTanh, .hardSigmoid]
        let common = RecurrentAttributes(
            hiddenSize: hidden, direction: direction, activations: kinds.map(\.rawValue),
            alphas: spread(alphas, { withAlpha.contains($0) }, { $0.defaults.alpha }),
            betas: spread(betas, { withBeta.contains($0) }, { $0.defaults.beta }), clip: try c.float("clip", 0))
        let directions = Extent(direction.count)
        let b = try c.optional(3) ?? filled(0, element(x), [directions, Extent(2 * gates * hidden)])
        let state = try c.optional(5).map { try batchFirst($0, isBatchFirst) } ?? filled(0, element(x), [directions, shape(x)[1], Extent(hidden)])
        return (common, [x, try c[1], r, b, state], isBatchFirst)
    }

    /// A state [D, B, H] from the given layout ([B, D, H] when batch comes first), or back.
    mutating func batchFirst(_ state: ValueID, _ isBatchFirst: Bool) throws -> ValueID { isBatchFirst ? try swapAxes(state, 0, 1) : state }

    mutating func appendLengths(_ c: OnnxCall, _ position: Int, _ operands: inout [ValueID]) throws -> Bool {
        guard let lengths = try c.optional(position) else { return false }
        // Lengths that all equal the sequence's say nothing.
        if let known = knownConstantUnlessBound(lengths), let full = shape(operands[0])[0].constant, known.integers.allSatisfy({ $0 == full }) { return false }
        operands.append(try cast(lengths, .i32))
        return true
    }

    mutating func recurrentResults(_ op: any Op, _ operands: [ValueID], _ count: Int, _ isBatchFirst: Bool) throws -> [ValueID] {
        var results = try emitMany(op, operands, count)
        if isBatchFirst {
            // Y [T, D, B, H] becomes [B, T, D, H].
            results[0] = try transpose(results[0], [2, 0, 1, 3])
            for i in 1..<count { results[i] = try swapAxes(results[i], 0, 1) }
        }
        return results
    }
}
