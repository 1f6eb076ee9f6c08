/// Checks the invariants of a function.
public enum Verifier {
    /// Tensors beyond this many bytes cannot be addressed by any machine glmc targets.
    static let largestTensor = 1 << 40
    /// The most axes of a tensor.
    static let largestRank = 64
    /// The most atoms in the expression of one size.
    static let heaviestExtent = 256

    /// Refuses negative, overflowing or absurdly large tensor types.
    public static func checkType(_ type: ValueType) throws {
        guard case .tensor(let tensor) = type else { return }
        guard tensor.rank <= largestRank else { throw Diagnostic(.unsupported, "a tensor has \(tensor.rank) axes; at most \(largestRank) are supported") }
        for extent in tensor.shape where extent.weight > heaviestExtent || extent.isTooComplex {
            throw Diagnostic(.unsupported, "the expression of a size has more than \(heaviestExtent) terms", hint: "fix sizes with --shape or --dim")
        }
        if tensor.byteCount.isTooComplex {
            throw Diagnostic(.unsupported, "the number of elements of a tensor is an expression of more than \(Extent.largestWeight) terms", hint: "fix sizes with --shape or --dim")
        }
        for extent in tensor.shape {
            if let size = extent.constant, size < 0 || size > largestTensor {
                throw Diagnostic(.invalid, "the shape \(tensor) has an extent of \(size)")
            }
        }
        if let bytes = tensor.byteCount.constant, bytes > largestTensor {
            throw Diagnostic(.invalid, "a tensor of type \(tensor) would take \(bytes) bytes")
        }
        // Also of a tensor without elements, the other axes together are counted.
        guard tensor.volume <= largestTensor else { throw Diagnostic(.invalid, "the shape \(tensor) is too large") }
    }

    /// Checks that defaults fit their inputs, operands dominate their uses, use lists agree, and every op accepts its operands and gives its results' types.
    /// - Throws: `Diagnostic` naming the node.
    public static func verify(_ function: Function) throws {
        var visible = Set<ValueID>(), readBy: [Use: ValueID] = [:]
        for (index, value) in function.valueArena.enumerated() { for use in value.uses { readBy[use] = ValueID(index: index) } }
        for (input, value) in function.defaults where !function.inputs.contains(input) || function.type(input) != .tensor(value.type) {
            throw Diagnostic(.internal, "the default of '\(function[input].name)' is a tensor of type \(value.type), which is not that of an input (\(function.type(input)))")
        }
        try checkDimensions(of: function)
        try verify(function.body, in: function, &visible, readBy)
        try checkStates(of: function)
    }

    private static func checkDimensions(of function: Function) throws {
        for (name, info) in function.dimensions {
            guard case .value(let position) = info.source else { continue }
            guard function.inputs.indices.contains(position), let type = function.type(function.inputs[position]).tensor, type.rank == 0, type.element == .i64 else {
                throw Diagnostic(.invalid, "the dimension '\(name)' is the value of input \(position), which is no i64 of rank 0")
            }
        }
    }

    /// A state is an input of its own for each output that updates it, of the same type, and nothing reads its old value behind an op that updates it.
    private static func checkStates(of function: Function) throws {
        var seen: Set<ValueID> = [], outputs: Set<Int> = []
        for state in function.states {
            let place = "the state '\(function[state.input].name)'"
            guard function.inputs.contains(state.input), function.outputs.indices.contains(state.output), function.defaults[state.input] == nil,
                  seen.insert(state.input).inserted, outputs.insert(state.output).inserted else {
                throw Diagnostic(.invalid, "\(place) needs an input and an output of its own")
            }
            let type = function.tensorType(state.input)
            guard type == function.tensorType(function.outputs[state.output]), type.isStatic else {
                throw Diagnostic(.invalid, "\(place) is \(function.type(state.input)), and its new value \(function.type(function.outputs[state.output])): it must keep its type, of fixed sizes")
            }
        }
        if seen.isEmpty { return }
        var updated: Set<ValueID> = []
        for id in function.nodes(in: function.body) {
            let node = function[id]
            let reads = node.operands + node.regions.flatMap { region in
                function[region].results + function.nodesDeep(in: region).flatMap { function[$0].operands }
            }
            if let value = reads.first(where: updated.contains) {
                throw Diagnostic(.invalid, "\(node.op.mnemonic) reads the old value of the state '\(function[value].name)' behind the op that updates it")
            }
            if let position = node.op.updatedOperand, seen.contains(node.operands[position]) { updated.insert(node.operands[position]) }
        }
    }

    /// - Parameter readBy: the value in whose list each use stands.
    private static func verify(_ block: BlockID, in function: Function, _ visible: inout Set<ValueID>, _ readBy: [Use: ValueID]) throws {
        var defined = function[block].arguments
        visible.formUnion(defined)
        for id in function.nodes(in: block) {
            let node = function[id]
            func fail(_ message: String) -> Diagnostic {
                Diagnostic(.internal, message, at: [node.op.mnemonic + (node.provenance.isEmpty ? "" : " (\(node.provenance.joined(separator: ", ")))")])
            }
            for (i, operand) in node.operands.enumerated() {
                guard visible.contains(operand) else { throw fail("operand \(i) is used before it is defined") }
                guard readBy[.operand(id, i)] == operand else { throw fail("operand \(i) misses this use in its use list") }
            }
            for region in node.regions { try verify(region, in: function, &visible, readBy) }
            let types: [ValueType]
            do {
                types = try node.op.infer(function.inferenceContext(operands: node.operands, regions: node.regions, resultCount: node.results.count))
            } catch let error as Diagnostic {
                throw fail(error.message)
            }
            guard types.count == node.results.count else { throw fail("has \(node.results.count) results, not \(types.count)") }
            for (result, type) in zip(node.results, types) {
                let actual = function.type(result)
                guard sameUpToLayout(actual, type) else { throw fail("result has type \(actual), but the op gives \(type)") }
                visible.insert(result)
                defined.append(result)
            }
        }
        for result in function[block].results where !visible.contains(result) {
            throw Diagnostic(.internal, "a block yields a value that is not defined in it")
        }
        visible.subtract(defined)
    }

    /// Layouts are assigned by the layout pass, not inferred.
    private static func sameUpToLayout(_ a: ValueType, _ b: ValueType) -> Bool {
        guard let x = a.tensor, let y = b.tensor else { return a == b }
        return x.with(layout: .rowMajor) == y.with(layout: .rowMajor)
    }
}
