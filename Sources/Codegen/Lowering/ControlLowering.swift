import GlmcIR

/// Lowers nodes with regions to steps.
enum ControlLowering {
    static func lower(
        _ id: NodeID, in function: Function,
        place: (ValueID) throws -> TensorPlacement, operand: (ValueID) throws -> TensorPlacement,
        block: (BlockID) throws -> [Step], copy: (ValueID, TensorPlacement) throws -> Step
    ) throws -> [Step] {
        let node = function[id]
        guard node.regions.count == 2, node.operands.count == 1 else {
            throw Diagnostic.unsupported("\(node.op.mnemonic) is not compiled to native code yet")
        }
        let branches = try node.regions.map { region -> [Step] in
            var steps = try block(region)
            for (result, value) in zip(node.results, function[region].results) { steps.append(try copy(value, try place(result))) }
            return steps
        }
        return [.conditional(try operand(node.operands[0]), then: branches[0], otherwise: branches[1])]
    }
}
