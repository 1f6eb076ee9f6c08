import GlmcIR
import Synchronization

/// Matrices of a quantised checkpoint by the layer's name: entry points share them.
final class CheckpointMatrices: Sendable {
    private struct Key: Hashable {
        var name: String
        var isLookedUp: Bool
    }

    private let quantization: CheckpointQuantization?
    private let known = Mutex<[Key: CheckpointMatrix]>([:])

    init(_ quantization: CheckpointQuantization?) { self.quantization = quantization }

    /// The matrix of the layer `name`, which maps `from` elements to `to`; nil where the layer is not quantised.
    /// - Parameter isLookedUp: whether its columns are also picked one by one; codes take a byte each then.
    /// - Throws: `Diagnostic` that names the tensor that is missing or is not as the format says.
    func matrix(_ name: String, from: Int, to: Int, isLookedUp: Bool, in checkpoint: Checkpoint) throws -> CheckpointMatrix? {
        let key = Key(name: name, isLookedUp: isLookedUp)
        if let matrix = known.withLock({ $0[key] }) { return matrix }
        let weight = "\(name).weight", matrix: CheckpointMatrix?
        if let blocks = checkpoint.blocks[weight] {
            guard blocks.shape == [to, from] else {
                throw Diagnostic(.invalid, "has shape \(blocks.shape), and \(checkpoint.configPlace) asks for [\(to), \(from)]", at: ["tensor '\(weight)'"])
            }
            matrix = CheckpointMatrix(weights: try blocks.matrix(isLookedUp: isLookedUp), tensors: [weight])
        } else {
            matrix = try quantization?.matrix(name, from: from, to: to, in: checkpoint.tensors)
        }
        known.withLock { $0[key] = matrix }
        return matrix
    }
}

extension GraphBuilding {
    /// x·w of a quantised matrix: the numbers that the checkpoint holds, multiplied with x in f32.
    mutating func product(_ x: ValueID, _ matrix: CheckpointMatrix) throws -> ValueID {
        let input = try matrix.order.map { try gather(x, try constant(Tensor($0)), axis: rank(x) - 1) } ?? x
        switch matrix.weights {
        case .blocks(let codes, let scales, let minimums, let size, let bits):
            let constants = try ([codes, scales] + (minimums.map { [$0] } ?? [])).map { try constant($0) }
            return try emit(BlockMatMul(block: size, bits: codes.element == .u8 ? bits : BlockMatMul().bits), [input] + constants)
        case .bytes(let values, let scales):
            return try mul(try matmul(input, try constant(values)), try constant(scales))
        }
    }
    /// Rows of a quantised matrix's transpose, picked by integers, in f32.
    mutating func rows(_ codes: Tensor, _ scales: Tensor, _ minimums: Tensor?, size: Int, at indices: ValueID) throws -> ValueID {
        func picked(_ matrix: Tensor) throws -> ValueID { try cast(try gather(try constant(matrix.transposed([1, 0])), indices, axis: 0, countsBackwards: false), .f32) }
        let flat = try picked(codes), shape = shape(flat), last = shape.count
        var x = try reshape(flat, shape.dropLast() + [Extent(scales.shape[0]), Extent(size)])
        x = try mul(x, try unsqueeze(try picked(scales), [last]))
        if let minimums { x = try add(x, try unsqueeze(try picked(minimums), [last])) }
        return try reshape(x, shape)
    }
}
