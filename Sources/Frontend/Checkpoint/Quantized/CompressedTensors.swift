import GlmcIR

/// compressed-tensors (vLLM project). `pack-quantized`: `weight_packed` i32 [N, K/8] with eight neighbours of a row in a word, `weight_scale` [N, G], codes and
/// zeros moved by 8, `weight_zero_point` i32 [N/8, G] where there are zeros, and `weight_g_idx` i32 [K]. `int-quantized` and `naive-quantized`: `weight` i8 [N, K] and
/// `weight_scale` [N, 1]. Activations of such models are multiplied as they are.
extension MatrixParts {
    func compressed() throws -> CheckpointMatrix? {
        if has("weight_packed") { return try packed() }
        guard tensors["\(name).weight"]?.element == .i8 else { return nil }
        guard !has("weight_zero_point") else { throw Diagnostic(.unsupported, "weights of eight bits with zeros are not supported", at: place("weight_zero_point")) }
        let values = try constant(try tensor("weight", [to, from], [.i8])).transposed([1, 0])
        let scales = try constant(try tensor("weight_scale", [to, 1], Self.floats))
        return CheckpointMatrix(
            weights: .bytes(values, scales: Tensor(.f32, [to], values: { scales.reader.load(at: $0) })), tensors: ["weight", "weight_scale"].map { "\(name).\($0)" })
    }

    private func packed() throws -> CheckpointMatrix {
        try demandFourBits("weight_packed", [to, from / 8], isPossible: from % 8 == 0)
        let size = try groupSize("weight_scale", axis: 1), groups = from / size
        let words = try tensor("weight_packed", [to, from / 8], [.i32]), order = try order("weight_g_idx", size: size)
        if has("weight_shape") {
            let shape = try constant(try tensor("weight_shape", [2], [.i64, .i32])).integers
            guard shape == [to, from] else { throw Diagnostic(.invalid, "says \(shape), and config.json asks for [\(to), \(from)]", at: place("weight_shape")) }
        }
        let scales = try constant(try tensor("weight_scale", [to, groups], Self.floats)).transposed([1, 0])
        var zeros: (PackedNibbles, Int)?
        if has("weight_zero_point") {
            guard to % 8 == 0 else { throw Diagnostic(.unsupported, "zeros of \(to) columns, which is no multiple of 8, are not supported", at: place("weight_zero_point")) }
            // Words of neighbouring columns follow each other by groups.
            zeros = (PackedNibbles(words: try tensor("weight_zero_point", [to / 8, groups], [.i32]).bytes, strides: (1, groups), packsRows: false), 0)
        }
        let codes = PackedNibbles(words: words.bytes, strides: (1, from / 8), packsRows: true)
        return CheckpointMatrix(
            weights: try blocks(codes, scales: scales, zeros: zeros, size: size, order: order), order: order,
            tensors: ["weight_packed", "weight_scale", "weight_shape", "weight_zero_point", "weight_g_idx"].map { "\(name).\($0)" })
    }
}
