import GlmcIR

/// How much arithmetic a node does, for profiles: two operations per multiply-add of a contraction, one per result element of
/// everything else.
enum OperationCount {
    static func isContraction(_ op: any Op) -> Bool { op is MatMul || op is BlockMatMul || op is BlockMatMulInteger || op is BlockRowMatMul || op is Convolution || op is TransposedConvolution || op is Attention }

    static func of(_ id: NodeID, in function: Function) -> Extent {
        let node = function[id]
        guard let first = node.results.first, case .tensor(let result) = function.type(first) else { return 0 }
        func operand(_ i: Int) -> TensorType { function.tensorType(node.operands[i]) }
        switch node.op {
        case is MatMul where operand(0).rank > 0, is BlockMatMul where operand(0).rank > 0, is BlockMatMulInteger where operand(0).rank > 0,
             is BlockRowMatMul where operand(0).rank > 0:
            return Extent(2) * result.elementCount * operand(0).shape[operand(0).rank - 1]
        case is Convolution:
            return Extent(2) * result.elementCount * operand(1).shape.dropFirst().reduce(1, *)
        case is TransposedConvolution:
            // Every input element meets the filter's output channels and taps.
            return Extent(2) * operand(0).elementCount * operand(1).shape.dropFirst().reduce(1, *)
        case is Attention where operand(0).rank == 4:
            return Extent(2) * operand(0).elementCount * operand(1).shape[2] + Extent(2) * result.elementCount * operand(1).shape[2]
        default: return result.elementCount
        }
    }
}
