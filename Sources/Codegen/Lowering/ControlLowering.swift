import GlmcIR

/// Lowers nodes with regions to steps.
extension ProgramBuilder {
    /// Each branch leaves what it yields where the node's results lie.
    mutating func branch(_ id: NodeID, _ condition: ValueID) throws -> [Step] {
        let node = function[id]
        let branches = try node.regions.map { region -> [Step] in
            let yielded = function[region].results
            var steps = demands(of: region) + (try lower(region))
            for (result, value) in zip(node.results, yielded) {
                steps += defineSizes(of: function.tensorType(result), as: function.tensorType(value))
                steps += try copy(value, to: try place(result), nodes: [id])
            }
            return steps
        }
        return [.conditional(try placements.placement(ofOperand: condition), then: branches[0], otherwise: branches[1])]
    }

    /// Every state has a home, where each iteration finds it and leaves its next value. What is stacked goes to its slice first, while
    /// the states still have their old values.
    mutating func loop(_ id: NodeID, _ form: LoopForm) throws -> [Step] {
        let node = function[id], loop = LoopID(index: id.index)
        // A condition that always holds is a state that only the region may read.
        let states = form.states.filter { $0.result != nil || form.condition != nil || !function[$0.argument].uses.isEmpty }
        for state in states where ![state.initial, state.next].allSatisfy({ hasType(of: state.argument, $0) }) {
            throw Diagnostic.unsupported("'\(function[state.argument].name)' changes its shape from iteration to iteration")
        }
        let homes = try states.map { try place($0.argument) }
        var before: [Step] = [], after: [Step] = []
        for (state, home) in zip(states, homes) {
            before += try copy(state.initial, to: home, nodes: [id])
            if let result = state.result, try place(result) != home { after += try copy(state.argument, to: place(result), nodes: [id]) }
        }

        // Slices of nothing have no place: a region that never runs is not written.
        if case .extent(0) = form.limit { return before + (form.iterations.map { [.define(dimension: $0, 0)] } ?? []) + after }

        var body = demands(of: node.regions[0]) + (try lower(node.regions[0]))
        for stack in form.scanOutputs {
            let whole = try place(stack.whole)
            let slot = whole.slice(along: stack.axis, isReversed: stack.isReversed, count: whole.shape[stack.axis], of: loop)
            body += try copy(stack.part, to: slot, nodes: [id])
        }
        body += try moveOn(zip(states, homes).map { ($0.next, $1) }, homes, id)

        return before + [.loop(LoopStep(
            id: loop,
            limit: try limit(form.limit),
            condition: try form.condition.map { try place(form.states[$0].argument) },
            counter: try form.counter.flatMap { function[$0].uses.isEmpty ? nil : try place($0) },
            iterations: form.iterations, body: body))] + after
    }

    /// A region may be one that the sizes of the inputs do not fit.
    private func demands(of region: BlockID) -> [Step] {
        let demands = function.sizeDemands(of: region)
        return demands.isEmpty ? [] : [.demand(demands)]
    }

    private func hasType(of a: ValueID, _ b: ValueID) -> Bool {
        let (x, y) = (function.tensorType(a), function.tensorType(b))
        return x.element == y.element && x.shape == y.shape
    }

    /// Gives the states their next values, all at once: what lies in the home of another state is set aside first.
    private mutating func moveOn(_ moves: [(value: ValueID, home: TensorPlacement)], _ homes: [TensorPlacement], _ id: NodeID) throws -> [Step] {
        var aside: [Step] = [], moved: [Step] = []
        for (value, home) in moves {
            let place = placements[value]
            if place == home { continue }
            if let place, homes.contains(where: { $0.storage == place.storage }) {
                let temporary = placements.temporary(function.tensorType(value))
                aside += try copy(value, to: temporary, nodes: [id])
                moved += try copy(value, from: temporary, to: home, nodes: [id])
            } else {
                moved += try copy(value, to: home, nodes: [id])
            }
        }
        return aside + moved
    }

    private mutating func limit(_ limit: LoopForm.Limit) throws -> LoopStep.Limit {
        switch limit {
        case .extent(let extent): .extent(extent)
        case .value(let value): .value(try placements.placement(ofOperand: value))
        }
    }

    /// Where branches disagree on a size, the one that runs defines it.
    private func defineSizes(of joined: TensorType, as type: TensorType) -> [Step] {
        zip(joined.shape, type.shape).compactMap { extent, size in
            guard extent != size, let name = extent.dimensionName, function.isDataDependent(name) else { return nil }
            return .define(dimension: name, size)
        }
    }
}
