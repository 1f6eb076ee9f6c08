/// An op whose arithmetic is sums of products.
public protocol ContractionOp: Op {
    /// How many products a run adds up; nil for operands that the op refuses.
    func multiplyAdds(_ operands: [TensorType], _ results: [TensorType]) -> Extent?
}

/// A product with a matrix, stored in whatever form: each element of the result is a sum over the last axis of operand 0.
protocol MatrixProductOp: ContractionOp {}

extension MatrixProductOp {
    public func multiplyAdds(_ operands: [TensorType], _ results: [TensorType]) -> Extent? {
        operands[0].shape.last.map { results[0].elementCount * $0 }
    }
}

extension MatMul: MatrixProductOp {}
extension BlockMatMul: MatrixProductOp {}
extension BlockMatMulInteger: MatrixProductOp {}
extension BlockRowMatMul: MatrixProductOp {}

extension Function {
    /// How many products a node adds up; nil for one that does something else.
    public func multiplyAdds(of id: NodeID) -> Extent? {
        let node = self[id]
        guard let op = node.op as? any ContractionOp, !node.operands.isEmpty, !node.results.isEmpty else { return nil }
        return op.multiplyAdds(node.operands.map { tensorType($0) }, node.results.map { tensorType($0) })
    }

    /// How much arithmetic a node does, for profiles: two operations for each product that is added up, one for each element of every other result.
    public func operationCount(of id: NodeID) -> Extent {
        if let products = multiplyAdds(of: id) { return Extent(2) * products }
        return self[id].results.first.flatMap { type($0).tensor?.elementCount } ?? 0
    }
}
