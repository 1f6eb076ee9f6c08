import GlmcIR

extension OnnxRules {
    /// Losses and the update rules of training.
    static let training: [OnnxRule] = [
        OnnxRule("NegativeLogLikelihoodLoss", since: 12) { g, c in
            try g.likelihoodLoss(c, try c[0], try c[1], try c.optional(2))
        },
        OnnxRule(tensors: "SoftmaxCrossEntropyLoss", since: 12) { g, c in
            let logProbability = try g.emit(Softmax(axis: 1, log: true), [c[0]])
            return [try g.likelihoodLoss(c, logProbability, try c[1], try c.optional(2)), logProbability]
        },
        OnnxRule(tensors: "Adagrad", domain: preview) { g, c in
            let rate = try g.div(try c[0], try g.add(try g.mul(try g.cast(c[1], g.element(try c[0])), try c.float("decay_factor", 0)), 1))
            return try g.update(c, states: 1) { g, x, gradient, states in
                let squares = try g.add(states[0], try g.mul(gradient, gradient))
                let step = try g.div(try g.mul(rate, gradient), try g.add(try g.unary(.sqrt, squares), try c.float("epsilon", 1e-6)))
                return [try g.sub(x, step), squares]
            }
        },
        OnnxRule(tensors: "Adam", domain: preview) { g, c in
            let alpha = try c.float("alpha", 0.9), beta = try c.float("beta", 0.999), rate = try c[0], own = g.element(rate)
            let time = try g.cast(c[1], own)
            let first = try g.sub(try g.scalar(1, own), try g.binary(.power, try g.scalar(alpha, own), time))
            let second = try g.sub(try g.scalar(1, own), try g.binary(.power, try g.scalar(beta, own), time))
            let adjusted = try g.select(try g.binary(.greater, time, 0), try g.div(try g.mul(rate, try g.unary(.sqrt, second)), first), rate)
            return try g.update(c, states: 2) { g, x, gradient, states in
                let mean = try g.add(try g.mul(states[0], alpha), try g.mul(gradient, 1 - alpha))
                let squares = try g.add(try g.mul(states[1], beta), try g.mul(try g.mul(gradient, gradient), 1 - beta))
                let root = try g.add(try g.unary(.sqrt, squares), try c.float("epsilon", 1e-6))
                let new = try g.sub(x, try g.div(try g.mul(adjusted, mean), root))
                return [try g.mul(new, 1 - (try c.float("norm_coefficient_post", 0))), mean, squares]
            }
        },
        OnnxRule(tensors: "Momentum", domain: preview) { g, c in
            let alpha = try c.float("alpha", 0), rate = try c[0], own = g.element(rate)
            let beta = try g.select(try g.binary(.greater, c[1], 0), try g.scalar(try c.float("beta", 0), own), try g.scalar(1, own))
            return try g.update(c, states: 1) { g, x, gradient, states in
                let momentum = try g.add(try g.mul(states[0], alpha), try g.mul(beta, gradient))
                let direction = try c.string("mode", "") == "nesterov" ? try g.add(gradient, try g.mul(momentum, alpha)) : momentum
                return [try g.sub(x, try g.mul(rate, direction)), momentum]
            }
        },
    ]

    private static let preview = "ai.onnx.preview.training"
}

extension GraphImporter {
    /// −weight[t] · logProbability[t], averaged over the weights, summed, or as it is; targets equal to `ignore_index` count nothing.
    mutating func likelihoodLoss(_ c: OnnxCall, _ logProbability: ValueID, _ target: ValueID, _ weight: ValueID?) throws -> ValueID {
        let own = element(logProbability)
        let ignored = try c.int("ignore_index")
        var labels = try cast(target, .i64)
        var isKept: ValueID?
        if let ignored {
            isKept = try binary(.notEqual, labels, try constant(Tensor(.i64, [], integers: { _ in ignored })))
            if let isKept { labels = try select(isKept, labels, try scalar(0, .i64)) }
        }
        var picked = try squeeze(try emit(GatherElements(axis: 1), [logProbability, try unsqueeze(labels, [1])]), [1])
        var weights = try weight.map { try gather($0, labels, axis: 0) }
        if let isKept {
            // A weight of 0 would not do: what stands in an ignored target's place may be infinite.
            picked = try select(isKept, picked, try scalar(0, own))
            weights = try select(isKept, try weights ?? filled(1, own, shape(labels)), try scalar(0, own))
        }
        let loss = try unary(.negate, try weights.map { try mul(picked, $0) } ?? picked)
        let all = Array(0..<rank(loss))
        switch try c.string("reduction", "mean") {
        case "none": return loss
        case "sum": return try reduce(.add, loss, all, keep: false)
        default:
            guard let weights else { return try reduce(.mean, loss, all, keep: false) }
            return try div(try reduce(.add, loss, all, keep: false), try reduce(.add, weights, all, keep: false))
        }
    }

    /// Applies an update rule to each optimised tensor. Inputs: rate, time, all values, all gradients, then each kind of state;
    /// results in the order new values, new states.
    mutating func update(
        _ c: OnnxCall, states: Int, _ rule: (inout GraphImporter, ValueID, ValueID, [ValueID]) throws -> [ValueID]
    ) throws -> [ValueID] {
        let count = (c.inputCount - 2) / (2 + states)
        guard count > 0, c.inputCount == 2 + count * (2 + states) else { throw Diagnostic(.invalid, "has \(c.inputCount) inputs") }
        var results = [[ValueID]](repeating: [], count: 1 + states)
        for i in 0..<count {
            let x = try c[2 + i]
            let gradient = try add(try mul(x, try c.float("norm_coefficient", 0)), try c[2 + count + i])
            let old = try (0..<states).map { try c[2 + count * (2 + $0) + i] }
            for (kind, value) in try rule(&self, x, gradient, old).enumerated() { results[kind].append(value) }
        }
        return results.flatMap { $0 }
    }
}
