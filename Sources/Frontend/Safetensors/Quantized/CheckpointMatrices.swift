import GlmcIR
import Synchronization

/// Matrices of a quantised checkpoint by the layer's name: entry points share them.
final class CheckpointMatrices: Sendable {
    private let quantization: CheckpointQuantization
    private let known = Mutex<[String: CheckpointMatrix]>([:])

    init(_ quantization: CheckpointQuantization) { self.quantization = quantization }

    /// As `CheckpointQuantization.matrix`.
    func matrix(_ name: String, from: Int, to: Int, in tensors: [String: SafetensorsTensor]) throws -> CheckpointMatrix? {
        if let matrix = known.withLock({ $0[name] }) { return matrix }
        let matrix = try quantization.matrix(name, from: from, to: to, in: tensors)
        known.withLock { $0[name] = matrix }
        return matrix
    }
}

extension GraphBuilding {
    /// x·w of a quantised matrix: the numbers that the checkpoint holds, multiplied with x in f32.
    mutating func product(_ x: ValueID, _ matrix: CheckpointMatrix) throws -> ValueID {
        let input = try matrix.order.map { try gather(x, try constant(Tensor($0)), axis: rank(x) - 1) } ?? x
        switch matrix.weights {
        case .blocks(let codes, let scales, let minimums, let size):
            let constants = try ([codes, scales] + (minimums.map { [$0] } ?? [])).map { try constant($0) }
            return try emit(BlockMatMul(block: size), [input] + constants)
        case .bytes(let values, let scales):
            return try mul(try matmul(input, try constant(values)), try constant(scales))
        }
    }
}
