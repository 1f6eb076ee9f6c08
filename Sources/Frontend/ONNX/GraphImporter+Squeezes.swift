import GlmcIR

/// Squeezes that depend on a size, `If(size == 1, Squeeze(x), x)`: how exporters write a squeeze of one axis. Only the rank of the result depends on the size, never
/// its elements. Where nothing but elementwise operators stands between it and outputs, the outputs are squeezed when the artifact runs; elsewhere the size is
/// taken to be one, which the artifact checks.
extension GraphImporter {
    /// What the squeeze in `graph` gives where it depends on `sizes` being equal; nil where it does not squeeze just the axis of that size.
    mutating func squeezed(by graph: OnnxGraph, where sizes: SizeEquation) throws -> Imported? {
        guard block == rewriter.function.body, let squeeze = graph.nodes.last(where: { $0.op == "Squeeze" }), let (x, size) = unitAxis(sizes, of: squeeze),
              let axes = try axes(of: squeeze, in: graph, rank: shape(x).count), axes.count == 1, shape(x)[axes[0]] == size else { return nil }
        return .squeezed(x, axes: axes)
    }

    /// Operators that may be nothing but one function per element. What other operators give may be the operand itself, for its shape: a Flatten of a matrix.
    private static let elementwise = Set(OnnxRules.elementwise.map(\.op)).union(["Cast"])

    /// What a node makes of inputs one of which is squeezed, and the others single numbers, if it treats all axes alike.
    /// - Parameter build: imports the node with the squeezed input as it is before the squeeze.
    mutating func throughElementwise(_ node: OnnxNode, _ inputs: [Imported?], _ build: (inout Self, [Imported?]) throws -> [Imported]) throws -> [Imported]? {
        guard node.domain.isEmpty, Self.elementwise.contains(node.op) else { return nil }
        var squeezed: (id: ValueID, axes: [Int])?
        var plain = inputs
        for (i, input) in inputs.enumerated() {
            switch input {
            case .squeezed(let id, let axes)? where squeezed == nil:
                squeezed = (id, axes)
                plain[i] = .tensor(id)
            case .tensor(let id)? where !shape(id).isEmpty: return nil
            case .tensor?, nil: break
            default: return nil
            }
        }
        guard let (id, axes) = squeezed else { return nil }
        let results = try build(&self, plain)
        guard results.count == 1, case .tensor(let result) = results[0], isElementwise(result, of: id) else { return nil }
        return [.squeezed(result, axes: axes)]
    }

    /// Whether `value` comes from `source` by elementwise nodes whose other operands are single numbers.
    private func isElementwise(_ value: ValueID, of source: ValueID) -> Bool {
        if value == source { return true }
        guard let node = rewriter.function.definingNode(value).map({ rewriter.function[$0] }), node.op.isElementwise, node.op.isAxisAgnostic, shape(value) == shape(source) else { return false }
        return node.operands.allSatisfy { shape($0).isEmpty || isElementwise($0, of: source) }
    }

    /// The squeezed tensor, and the size that `sizes` says to be one.
    private func unitAxis(_ sizes: SizeEquation, of squeeze: OnnxNode) -> (x: ValueID, size: Extent)? {
        guard let name = squeeze.inputs.first, case .tensor(let x)? = lookup(name) else { return nil }
        let (size, one) = sizes.left.isConstant ? (sizes.right, sizes.left) : (sizes.left, sizes.right)
        return one == 1 && shape(x).contains(size) && isFree(size) ? (x, size) : nil
    }

    /// The axes that a Squeeze in a branch names, counted from the front; nil where they are not known.
    private func axes(of squeeze: OnnxNode, in graph: OnnxGraph, rank: Int) throws -> [Int]? {
        var named: [Int]?
        if case .ints(let axes)? = squeeze.attributes.first(where: { $0.name == "axes" })?.value { named = axes.map { Int($0) } }
        if squeeze.inputs.count > 1 {
            var trial = trial(), constants = graph
            constants.nodes = graph.nodes.filter { $0.op == "Constant" }
            trial.scopes.append([:])
            try trial.importBody(constants)
            guard case .tensor(let axes)? = trial.lookup(squeeze.inputs[1]), let known = trial.knownConstantUnlessBound(axes), known.element.isInteger else { return nil }
            named = known.integers
        }
        return named.flatMap { try? normalized($0, rank: rank) }
    }

    /// Whether the squeeze in `graph` itself asks for the equality, which artifacts then check where it runs.
    func isDemanded(_ sizes: SizeEquation, bySqueezeIn graph: OnnxGraph) -> Bool {
        graph.nodes.last { $0.op == "Squeeze" }.map { unitAxis(sizes, of: $0) != nil } ?? false
    }

    /// Whether one branch is a Squeeze and the other hands the same value on.
    static func isSqueeze(_ graph: OnnxGraph, orIdentity other: OnnxGraph) -> Bool {
        func only(_ graph: OnnxGraph) -> OnnxNode? {
            let nodes = graph.nodes.filter { $0.op != "Constant" }
            return nodes.count == 1 ? nodes[0] : nil
        }
        guard let squeeze = only(graph), let identity = only(other) else { return false }
        return squeeze.op == "Squeeze" && squeeze.domain.isEmpty && identity.op == "Identity" && squeeze.inputs.first == identity.inputs.first
    }
}
