import GlmcIR

// Questions that rules ask about the surroundings of a node.

extension Function {
    /// The nodes that read a value, in no particular order; block results do not count.
    public func users(of value: ValueID) -> [NodeID] {
        self[value].uses.compactMap { if case .operand(let node, _) = $0 { node } else { nil } }
    }

    /// Whether exactly one operand position, and no block result, reads the value.
    public func hasOneUse(_ value: ValueID) -> Bool {
        let uses = self[value].uses
        guard uses.count == 1, case .operand = uses[0] else { return false }
        return true
    }

    /// The nodes that define the operands of a node.
    public func definitions(ofOperandsOf id: NodeID) -> [NodeID] { self[id].operands.compactMap { definingNode($0) } }

    /// The tensor, where the value is a constant.
    public func constant(_ value: ValueID) -> Tensor? { definingOp(value, as: Constant.self)?.value }

    /// The number in every element, where the value is a constant of equal elements of a real or integer type.
    public func splat(_ value: ValueID) -> Double? { constant(value)?.splat }

    /// The node that defines the value, its op and its operands, where the op is of type `O`.
    public func match<O: Op>(_ value: ValueID, _ type: O.Type = O.self) -> (node: NodeID, op: O, operands: [ValueID])? {
        guard let id = definingNode(value), let op = self[id].op as? O else { return nil }
        return (id, op, self[id].operands)
    }

    /// The operand of `function(x)`.
    public func unary(_ value: ValueID, _ function: UnaryOperator) -> ValueID? {
        guard let (_, op, operands) = match(value, Unary.self), op.function == function else { return nil }
        return operands[0]
    }

    /// The operands of `function(a, b)`.
    public func binary(_ value: ValueID, _ function: BinaryOperator) -> (ValueID, ValueID)? {
        guard let (_, op, operands) = match(value, Binary.self), op.function == function else { return nil }
        return (operands[0], operands[1])
    }

    /// `x` and `c` of `function(x, c)`, where `c` is a constant of equal elements; for commutative functions in either order.
    public func binaryWithSplat(_ value: ValueID, _ function: BinaryOperator) -> (ValueID, Double)? {
        guard let (a, b) = binary(value, function) else { return nil }
        if let c = splat(b) { return (a, c) }
        if function.isCommutative, let c = splat(a) { return (b, c) }
        return nil
    }

    /// Operands of the function in both orders if it is commutative: what a pattern must try.
    public func orders(_ value: ValueID, _ function: BinaryOperator) -> [(ValueID, ValueID)] {
        guard let (a, b) = binary(value, function) else { return [] }
        return function.isCommutative && a != b ? [(a, b), (b, a)] : [(a, b)]
    }
}

extension BinaryOperator {
    /// Whether the operands may change places. Minimum and maximum may: NaN wins on either side.
    public var isCommutative: Bool {
        switch self {
        case .add, .multiply, .minimum, .maximum, .and, .or, .xor, .equal, .notEqual: true
        default: false
        }
    }
}

extension Rewriter {
    /// What erasing dead nodes has touched.
    public struct Erased {
        /// Nodes that defined operands of erased ones, and so have lost a use.
        public var producers: [NodeID] = []
        /// Source names of the erased nodes, operands before their users.
        public var provenance: [String] = []
    }

    /// Erases a node whose results are unused and that has no effect, then the nodes that defined its operands, and so on.
    @discardableResult
    public mutating func eraseIfDead(_ id: NodeID) -> Erased {
        enum Task {
            case erase(NodeID)
            case note([String])
        }
        // A list of tasks instead of recursion: chains of dead nodes are as long as models are deep.
        var erased = Erased(), tasks = [Task.erase(id)]
        while let task = tasks.popLast() {
            switch task {
            case .note(let provenance): erased.provenance += provenance
            case .erase(let id):
                guard function.isDead(id) else { continue }
                let node = function[id]
                let inner = node.regions.flatMap { function.nodesDeep(in: $0) }.flatMap { function.definitions(ofOperandsOf: $0) }
                let producers = function.definitions(ofOperandsOf: id) + inner
                erase(id)
                erased.producers += producers
                tasks.append(.note(node.provenance))
                tasks += producers.reversed().map { .erase($0) }
            }
        }
        return erased
    }

    /// Adds a constant with one element.
    public mutating func scalar(_ value: Double, _ element: ElementType, at position: Position) throws -> ValueID {
        try create1(Constant(.scalar(value, element)), [], at: position)
    }

    /// Replaces the only result of a node by the result of a new node with `op`, at the same place.
    public mutating func replace(_ node: NodeID, with op: any Op, _ operands: [ValueID]) throws {
        let result = try create1(op, operands, at: .before(node))
        try replace(node, with: [result])
    }
}
