extension Function {
    /// Tensors with more elements than this are data, not shapes.
    static let symbolicContentsLimit = 64

    /// The elements of a small integer tensor as symbolic extents, in row-major order; nil where they are not known at compile
    /// time. This is how `Shape -> Gather -> Concat -> Reshape` chains become static or symbolic shapes.
    public func symbolicContents(_ value: ValueID) -> [Extent]? { symbolicContents(value, depth: 0) }

    private func symbolicContents(_ value: ValueID, depth: Int) -> [Extent]? {
        guard let type = type(value).tensor, type.element.isInteger || type.element == .bool || type.element.isFloat,
              let count = type.elementCount.constant, count <= Self.symbolicContentsLimit, depth < 64 else { return nil }
        guard case .node(let id, let position) = self[value].definition else { return nil }
        let node = self[id]
        if let constant = node.op as? Constant {
            if constant.value.element.isFloat {
                let values = constant.value.doubles
                return values.allSatisfy { $0 == $0.rounded() && abs($0) < 1e15 } ? values.map { Extent(Int($0)) } : nil
            }
            return constant.value.integers.map { Extent($0) }
        }
        guard node.regions.isEmpty else { return nil }
        let context = InferenceContext(operands: node.operands.map { self.type($0) }, resultCount: node.results.count)
        let operands = node.operands.map { symbolicContents($0, depth: depth + 1) }
        let all = node.op.symbolicContents(operands, in: context)
        guard all.indices.contains(position), let contents = all[position], contents.count == count else { return nil }
        return contents
    }
}
