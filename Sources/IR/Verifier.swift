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
        for (output, axes) in function.squeezedAxes {
            let rank = function.outputs.indices.contains(output) ? function.tensorType(function.outputs[output]).rank : 0
            guard !axes.isEmpty, zip(axes, axes.dropFirst()).allSatisfy(<), axes.allSatisfy((0..<rank).contains), !function.states.contains(where: { $0.output == output }) else {
                throw Diagnostic(.invalid, "output \(output) cannot be squeezed along \(axes): only outputs that are no states, and each of their axes once, in order")
            }
        }
    }

    private static func checkDimensions(of function: Function) throws {
        for (name, info) in function.dimensions {
            if case .input(let position, let axis) = info.source {
                let shape = function.inputs.indices.contains(position) ? function.type(function.inputs[position]).tensor?.shape ?? [] : []
                guard shape.indices.contains(axis), shape[axis].dimensionName == name else {
                    throw Diagnostic(.invalid, "the dimension '\(name)' is said to be axis \(axis) of input \(position), which is no axis of that size")
                }
            }
            guard case .value(let position, let element) = info.source else { continue }
            guard function.inputs.indices.contains(position), let type = function.type(function.inputs[position]).tensor, type.element == .i64,
                  let count = type.elementCount.constant, 0..<count ~= element else {
                throw Diagnostic(.invalid, "the dimension '\(name)' is element \(element) of input \(position), which is no i64 that always has it")
            }
        }
    }

    /// Checks that types mention declared dimensions only, and that every dimension that is found while the model runs is found by one op, before it is used,
    /// and has room for the most that op may find. What importers declare does all that; a file may say anything.
    public static func checkFoundSizes(of function: Function) throws {
        let declared = Set(function.dimensions.map(\.name))
        var open = declared.filter(function.isDataDependent)
        func check(_ type: ValueType, _ place: String) throws {
            for name in type.tensor?.shape.flatMap(\.dimensions) ?? [] where open.contains(name) || !declared.contains(name) {
                throw Diagnostic(.invalid, "the dimension '\(name)' \(declared.contains(name) ? "is used before it is found" : "is not declared")", at: [place])
            }
        }
        func check(_ block: BlockID) throws {
            for id in function.nodes(in: block) {
                let node = function[id], place = node.op.mnemonic + (node.provenance.isEmpty ? "" : " (\(node.provenance.joined(separator: ", ")))")
                for region in node.regions { try check(region) }
                let sizes = node.op.foundSizes
                let most: [Extent?]
                do { most = try node.op.mostFound(node, in: function) } catch let error as Diagnostic { throw error.inside(place) }
                for (size, most) in zip(sizes, most) {
                    guard let most else { continue }
                    guard let name = size.dimensionName, let bound = function.dataDependentBound(name), open.remove(name) != nil else {
                        throw Diagnostic(.invalid, "the size \(size) is found while the model runs: it needs a data-dependent dimension of its own", at: [place])
                    }
                    guard (bound - most).isNeverNegative else {
                        throw Diagnostic(.invalid, "the dimension '\(name)' is bound by \(bound), and \(most) may be found", at: [place])
                    }
                }
                for result in node.results { try check(function.type(result), place) }
            }
        }
        for input in function.inputs { try check(function.type(input), "input '\(function[input].name)'") }
        try check(function.body)
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
                guard actual.rowMajor == type.rowMajor else { throw fail("result has type \(actual), but the op gives \(type)") }
                visible.insert(result)
                defined.append(result)
            }
        }
        for result in function[block].results where !visible.contains(result) {
            throw Diagnostic(.internal, "a block yields a value that is not defined in it")
        }
        visible.subtract(defined)
    }
}

extension ValueType {
    /// The type without its layout, which the layout pass assigns and no op infers.
    var rowMajor: ValueType {
        if case .tensor(let type) = self { .tensor(type.with(layout: .rowMajor)) } else { self }
    }
}
