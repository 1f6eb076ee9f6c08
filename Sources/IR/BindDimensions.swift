extension Rewriter {
    /// Gives named dimensions a value, or another expression, wherever they appear: in types, attributes and the declarations.
    /// Dimensions that get a value are no longer declared; inputs' types show it instead.
    /// - Throws: `Diagnostic` where an op refuses its new operand types.
    public mutating func bindDimensions(_ values: [String: Extent]) throws {
        func substitute(_ extent: Extent) -> Extent { extent.substitute { values[$0] } }
        func substitute(_ type: ValueType) -> ValueType {
            switch type {
            case .tensor(let tensor): .tensor(tensor.with(shape: tensor.shape.map { substitute($0) }))
            case .sequence(let element): .sequence(substitute(element))
            case .optional(let element): .optional(substitute(element))
            }
        }
        func substitute<O: Op>(_ op: O) -> (any Op)? {
            var copy = op
            for attribute in O.attributes {
                guard case .extents(let list) = attribute.get(op) else { continue }
                guard attribute.set(&copy, .extents(list.map { substitute($0) })) else { continue }
            }
            return copy == op ? nil : copy
        }
        for index in 0..<function.valueCount {
            let value = ValueID(index: index)
            setType(substitute(function.type(value)), of: value)
            substituteContents(of: value, substitute)
        }
        for id in function.allNodes {
            let op: any Op = function[id].op
            if let changed = substitute(op) { setAttributes(changed, of: id) }
        }
        bindDeclarations(values)
        // Known sizes can make further sizes known.
        try inferAgain()
    }

    /// Infers all result types anew, in order, keeping layouts.
    /// - Throws: `Diagnostic` where an op refuses its operands.
    public mutating func inferAgain() throws {
        for id in function.allNodes where function[id].regions.isEmpty {
            let node = function[id]
            let context = function.inferenceContext(operands: node.operands, regions: [], resultCount: node.results.count)
            let types: [ValueType]
            do {
                types = try node.op.infer(context)
            } catch let error as Diagnostic {
                throw error.inside(node.op.mnemonic + (node.provenance.isEmpty ? "" : " (\(node.provenance.joined(separator: ", ")))"))
            }
            setResultTypes(zip(node.results, types).map { result, type in
                guard let tensor = type.tensor else { return function.type(result) }
                return .tensor(tensor.with(layout: function.tensorType(result).layout))
            }, of: id)
        }
    }
}
