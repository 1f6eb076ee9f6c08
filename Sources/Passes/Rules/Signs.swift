import GlmcIR

// What rules may assume about the signs of values. A few steps are followed back; what is not seen is not assumed.

extension Function {
    /// Whether no element is -0.0: sums start from 0.0, and 0.0 + -0.0 is 0.0.
    func isNeverNegativeZero(_ value: ValueID, depth: Int = 8) -> Bool {
        if let constant = constant(value) { return constant.count <= 1 << 16 && !constant.doubles.contains { $0 == 0 && $0.sign == .minus } }
        guard depth > 0, let id = definingNode(value) else { return false }
        let operands = self[id].operands
        switch self[id].op {
        case is Convolution, is TransposedConvolution, is MatMul, is Softmax: return true
        case let op as Reduce: return op.function == .add || op.function == .mean
        case let op as Binary where op.function == .add: return operands.contains { isNeverNegativeZero($0, depth: depth - 1) }
        case is Reshape, is Transpose, is Expand, is Slice: return isNeverNegativeZero(operands[0], depth: depth - 1)
        default: return isNeverNegative(value, depth: depth - 1)
        }
    }

    /// Whether no element of a float tensor is negative or -0.0; NaNs may be among them.
    func isNeverNegative(_ value: ValueID, depth: Int = 8) -> Bool {
        if let constant = constant(value) { return constant.count <= 1 << 16 && !constant.doubles.contains { $0.sign == .minus && !$0.isNaN } }
        guard depth > 0, let id = definingNode(value) else { return false }
        let operands = self[id].operands
        func all(_ values: some Sequence<ValueID>) -> Bool { values.allSatisfy { isNeverNegative($0, depth: depth - 1) } }
        switch self[id].op {
        case let op as Unary: return op.function == .absolute || op.function == .exp
        case let op as Activation: return op.kind == .sigmoid || op.kind == .softplus
        case let op as Binary:
            switch op.function {
            case .multiply: return operands[0] == operands[1] || all(operands)
            case .add, .divide, .minimum: return all(operands)
            case .maximum: return operands.contains { constant($0)?.doubles.allSatisfy { $0 > 0 } ?? false } || all(operands)
            case .power: return splat(operands[1]) == 2
            default: return false
            }
        case let op as Reduce: return [.add, .mean, .minimum, .maximum, .multiply].contains(op.function) && all(operands.prefix(1))
        case is Reshape, is Transpose, is Expand, is Slice: return all(operands.prefix(1))
        case let op as Cast: return op.to.isFloat && tensorType(operands[0]).element.isFloat && all(operands)
        default: return false
        }
    }
}
