extension Function {
    /// Tensors with more elements than this are data, not shapes.
    static let symbolicContentsLimit = 64
    /// Elements whose expressions weigh more than this are not followed.
    static let heaviestContents = 256

    /// The elements of a small integer tensor as symbolic extents, in row-major order; nil where they are not known at compile
    /// time. This is how `Shape -> Gather -> Concat -> Reshape` chains become static or symbolic shapes. What a node gives is found
    /// once, from what its operands hold, so following a chain costs no more than the chain.
    public func symbolicContents(_ value: ValueID) -> [Extent]? {
        guard let count = followedCount(value) else { return nil }
        // A size that has become known may not be the one that the contents were found with; such a node is refused when its turn comes.
        guard let constant = definingOp(value, as: Constant.self) else { return self[value].contents?.count == count ? self[value].contents : nil }
        guard constant.value.count == count else { return nil }
        guard constant.value.element.isFloat else { return constant.value.integers.map { Extent($0) } }
        let values = constant.value.doubles
        return values.allSatisfy { $0 == $0.rounded() && abs($0) < 1e15 } ? values.map { Extent(Int($0)) } : nil
    }

    /// The number of elements of a tensor that is small enough to be followed.
    private func followedCount(_ value: ValueID) -> Int? {
        guard let type = type(value).tensor, type.element.isInteger || type.element == .bool || type.element.isFloat,
              let sizes = type.shape.constants, sizes.allSatisfy({ $0 >= 0 }), let count = type.elementCount.constant, count <= Self.symbolicContentsLimit else { return nil }
        return count
    }

    /// What the results of a node hold, from what its operands hold.
    func derivedContents(_ node: Node) -> [[Extent]?] {
        let counts = node.results.map { followedCount($0) }
        guard node.regions.isEmpty, !(node.op is Constant), counts.contains(where: { $0 != nil }) else { return counts.map { _ in nil } }
        let context = InferenceContext(operands: node.operands.map { type($0) }, resultCount: node.results.count)
        let all = node.op.symbolicContents(node.operands.map { symbolicContents($0) ?? truncatedContents($0, in: node) }, in: context)
        return counts.enumerated().map { position, count in
            guard let count, all.indices.contains(position), let contents = all[position], contents.count == count,
                  contents.allSatisfy({ $0.weight <= Self.heaviestContents && !$0.isTooComplex }) else { return nil }
            return contents
        }
    }

    /// What a quotient of floats that hold sizes comes to in a node that takes off its fraction; nil for every other value or node.
    private func truncatedContents(_ value: ValueID, in node: Node) -> [Extent]? {
        guard (node.op as? Cast)?.to.isInteger ?? ((node.op as? Unary)?.function == .floor), definingOp(value, as: Binary.self)?.function == .divide,
              let operands = definingNode(value).map({ self[$0].operands }), let a = symbolicContents(operands[0]), let b = symbolicContents(operands[1]),
              a.count == b.count || b.count == 1, node.op is Cast || a.allSatisfy(\.isNeverNegative) else { return nil }
        let quotients = a.indices.compactMap { BinaryOperator.truncatedQuotient(a[$0], b[b.count == 1 ? 0 : $0]) }
        return quotients.count == a.count ? quotients : nil
    }
}
