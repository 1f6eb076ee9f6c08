import GlmcIR

/// A value that a loop carries only to put something before or behind it in every iteration: how exporters write a list that is filled and joined later. What is put
/// there is stacked instead, and joined with the first value when the loop is over.
struct GrowingState {
    /// Among the carried values.
    let position: Int
    /// The name of what each iteration adds.
    let part: String
    /// Along which it is added; negative from the back.
    let axis: Int
    let isInFront: Bool

    /// The growing states of a Loop's body.
    static func all(in body: OnnxGraph) -> [GrowingState] {
        let reads = body.nodes.map { GraphImporter.reads(of: $0) }
        return body.inputs.dropFirst(2).enumerated().compactMap { position, state in
            let next = body.outputs[position + 1].name
            guard let concat = body.nodes.first(where: { $0.outputs == [next] && $0.op == "Concat" && $0.domain.isEmpty }), concat.inputs.count == 2,
                  concat.inputs[0] != concat.inputs[1], let at = concat.inputs.firstIndex(of: state.name), body.outputs.count(where: { $0.name == next }) == 1,
                  case .int(let axis)? = concat.attributes.first(where: { $0.name == "axis" })?.value,
                  reads.count(where: { $0.contains(state.name) }) == 1, !reads.contains(where: { $0.contains(next) }), !body.outputs.contains(where: { $0.name == state.name })
            else { return nil }
            return GrowingState(position: position, part: concat.inputs[1 - at], axis: Int(axis), isInFront: at == 1)
        }
    }

    /// The body that hands on what the states would grow by, behind its own stacked outputs, instead of the states.
    static func stacked(_ states: [GrowingState], in body: OnnxGraph) -> OnnxGraph {
        var result = body
        let grown = Set(states.map { body.outputs[$0.position + 1].name })
        result.nodes.removeAll { !grown.isDisjoint(with: $0.outputs) }
        for state in states.reversed() {
            result.inputs.remove(at: state.position + 2)
            result.outputs.remove(at: state.position + 1)
        }
        result.outputs += states.map { OnnxValueInfo(name: $0.part) }
        return result
    }
}

extension GraphImporter {
    /// A loop's results in the order of its node: `results` of the body that `GrowingState.stacked` gives, with the growing states joined.
    mutating func grown(_ states: [GrowingState], from initial: [Imported], _ results: [Imported]) throws -> [Imported] {
        var own = Array(results.dropLast(states.count))
        for (state, stack) in zip(states, results.suffix(states.count)) {
            guard case .tensor(let first) = initial[state.position], case .tensor(let stack) = stack else { throw Diagnostic.unsupported("a region passes tensors only") }
            let axis = try normalized(state.axis, rank: rank(first)), added = try merged(stack, axis: axis, isReversed: state.isInFront)
            own.insert(.tensor(try concat(state.isInFront ? [added, first] : [first, added], axis: axis)), at: state.position)
        }
        return own
    }

    /// The slices of `stack` along axis 0 one after the other along their own `axis`.
    private mutating func merged(_ stack: ValueID, axis: Int, isReversed: Bool) throws -> ValueID {
        let sizes = shape(stack)
        guard axis + 1 < sizes.count else { throw Diagnostic(.invalid, "what an iteration adds along axis \(axis) has rank \(sizes.count - 1)") }
        let ordered = isReversed ? try slice(stack, axis: 0, start: sizes[0] - 1, size: sizes[0], step: -1) : stack
        let permutation = Array(1...axis + 1).dropLast() + [0] + Array(axis + 1..<sizes.count)
        var target = Array(sizes.dropFirst())
        target[axis] = target[axis] * sizes[0]
        return try reshape(try transpose(ordered, permutation), target)
    }
}
