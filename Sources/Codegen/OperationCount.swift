import GlmcIR

/// How much arithmetic a node does, for profiles: two operations per multiply-add.
enum OperationCount {
    /// Contractions have one operation count per pair of elements that meet; everything else counts its results. The reduction's
    /// length is what the weights hold per result channel.
    static func of(_ id: NodeID, in function: Function) -> Extent {
        let node = function[id]
        guard let first = node.results.first, case .tensor(let result) = function.type(first) else { return 0 }
        guard let op = node.op as? any PointwiseOp, op.elementCost == .many, op.rereadsOperands, node.operands.count == 2 else {
            return result.elementCount
        }
        let a = function.tensorType(node.operands[0]), b = function.tensorType(node.operands[1])
        guard let outputs = result.elementCount.exactQuotient(by: 1) else { return 0 }
        let contracted = b.rank >= 2 && a.rank == b.rank && a.shape.last == b.shape[b.rank - 2] && result.shape.last == b.shape.last
            ? b.shape[b.rank - 2] : b.shape.dropFirst().reduce(1, *)
        return Extent(2) * outputs * contracted
    }
}
