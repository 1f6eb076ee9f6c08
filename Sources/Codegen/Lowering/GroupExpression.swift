import GlmcIR

/// The elements of a group's values as expressions: nodes of the group are inlined, everything else is read from memory.
///
/// Every value is what its element type holds, whether it crosses memory or not: the results of inlined nodes, and what a tuned kernel
/// hands to its epilogue, are rounded or wrapped to their type (`Expr.held`). So fusion never changes a result.
struct GroupExpression {
    let function: Function
    /// Nodes whose results are computed where they are read.
    let inlined: Set<NodeID>
    /// The views and types of all values read from memory or computed inside; the types may have merged axes.
    var views: [ValueID: TensorView]
    var types: [ValueID: TensorType] = [:]
    /// Values that are computed once per element of the group's result, at the same index; each after those it reads.
    var shared: [ValueID] = []

    func type(_ value: ValueID) -> TensorType { types[value] ?? function.tensorType(value) }

    /// The element of the group's result `value` at `index`, in its compute type; `known` as below.
    func result(_ value: ValueID, at index: [Expr], known: [ValueID: Expr] = [:], in builder: inout KernelBuilder) throws -> Expr {
        var known = Dictionary(uniqueKeysWithValues: known.map { ($0, $1.held(in: type($0).element)) })
        for one in shared where known[one] == nil {
            known[one] = builder.bind(try element(one, at: index, known: known, in: &builder), "e")
        }
        return try element(value, at: index, known: known, in: &builder)
    }

    /// The value at `index` in its compute type. `known` gives values that are at hand already, such as a tuned kernel's
    /// accumulator.
    func element(_ value: ValueID, at index: [Expr], known: [ValueID: Expr] = [:], in builder: inout KernelBuilder) throws -> Expr {
        if let expr = known[value] { return expr.converted(to: type(value).element.computeType) }
        if case .node(let id, let result) = function[value].definition, isInlined(id), let op = function[id].op as? any PointwiseOp {
            let node = function[id]
            let operands = OperandElements(
                types: node.operands.map { type($0) }, resultTypes: node.results.map { type($0) },
                loads: node.operands.map { operand in
                    { index, builder in try element(operand, at: index, known: known, in: &builder) }
                })
            let outer = builder.origin
            builder.origin = id.index
            defer { builder.origin = outer }
            return try op.element(of: result, at: index, from: operands, in: &builder).held(in: type(value).element)
        }
        guard let view = views[value] else {
            throw Diagnostic(.internal, "the value '\(function[value].name)' is neither computed nor in memory here")
        }
        return view.load(index).converted(to: view.element.computeType)
    }

    /// Whether the value needs no memory: its node is inlined wherever it is read.
    func isComputable(_ value: ValueID) -> Bool { function.definingNode(value).map(isInlined) ?? false }

    private func isInlined(_ id: NodeID) -> Bool {
        if inlined.contains(id) { return true }
        let node = function[id]
        guard node.operands.isEmpty, node.op is any PointwiseOp else { return false }
        return (node.op as? Constant).map { $0.value.splat != nil } ?? true
    }

    /// The values that the expression of `root` reads from memory.
    static func externalOperands(of nodes: [NodeID], in function: Function, inside: Set<NodeID>) -> [ValueID] {
        var seen: Set<ValueID> = []
        var result: [ValueID] = []
        for id in nodes {
            for operand in function[id].operands where seen.insert(operand).inserted {
                if let definition = function.definingNode(operand) {
                    if inside.contains(definition) { continue }
                    let node = function[definition]
                    if node.operands.isEmpty, node.op is any PointwiseOp {
                        guard let constant = node.op as? Constant, constant.value.splat == nil else { continue }
                    }
                }
                result.append(operand)
            }
        }
        return result
    }
}
