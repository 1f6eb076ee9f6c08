import GlmcIR

/// compressed-tensors (vLLM project). `pack-quantized`: `weight_packed` i32 [N, K/p] with p neighbours of a row in a word, 4, 8 or 16, `weight_scale` [N, G], codes and
/// zeros moved by 2^(bits−1), `weight_zero_point` i32 [N/p, G] where there are zeros, and `weight_g_idx` i32 [K]. `int-quantized` and `naive-quantized`: `weight` i8 [N, K],
/// `weight_scale` [N, G] and, where there are zeros, `weight_zero_point` i8 [N, G]. Activations of such models are multiplied as they are.
extension MatrixParts {
    func compressed() throws -> CheckpointMatrix? {
        if has("weight_packed") { return try packed() }
        guard tensors["\(name).weight"]?.element == .i8 else { return nil }
        let values = try constant(try tensor("weight", [to, from], [.i8])).transposed([1, 0])
        return CheckpointMatrix(weights: try bytes(values), tensors: ["weight", "weight_scale", "weight_zero_point"].map { "\(name).\($0)" })
    }

    /// - Parameter values: i8 [from, to].
    private func bytes(_ values: Tensor) throws -> CheckpointMatrix.Weights {
        if tensors["\(name).weight_scale"]?.shape == [to, 1], !has("weight_zero_point") {
            let scales = try constant(try tensor("weight_scale", [to, 1], Self.floats)), reader = scales.reader
            return .bytes(values, scales: withExtendedLifetime(scales) { Tensor(.f32, [to], values: { reader.load(at: $0) }) })
        }
        let size = try groupSize("weight_scale", axis: 1, bits: 8), groups = from / size
        let scales = try constant(try tensor("weight_scale", [to, groups], Self.floats)).transposed([1, 0])
        guard has("weight_zero_point") else { return .blocks(codes: values, scales: scales, minimums: nil, size: size, bits: 8) }
        let zeros = try constant(try tensor("weight_zero_point", [to, groups], [.i8])).transposed([1, 0]), (scale, zero) = (scales.reader, zeros.reader)
        return withExtendedLifetime((scales, zeros)) {
            .blocks(
                codes: values, scales: Tensor(.f32, [groups, to], values: { scale.load(at: $0) }),
                minimums: Tensor(.f32, [groups, to], values: { -scale.load(at: $0) * zero.load(at: $0) }), size: size, bits: 8)
        }
    }

    private func packed() throws -> CheckpointMatrix {
        let bits = try bits("weight_packed", axis: 1, count: from, [2, 4, 8]), perWord = 32 / bits
        let size = try groupSize("weight_scale", axis: 1, bits: bits), groups = from / size
        let words = try tensor("weight_packed", [to, from / perWord], [.i32]), order = try order("weight_g_idx", size: size)
        if has("weight_shape") {
            let shape = try constant(try tensor("weight_shape", [2], [.i64, .i32])).integers
            guard shape == [to, from] else { throw Diagnostic(.invalid, "says \(shape), and config.json asks for [\(to), \(from)]", at: place("weight_shape")) }
        }
        let scales = try constant(try tensor("weight_scale", [to, groups], Self.floats)).transposed([1, 0])
        var zeros: (PackedCodes, Int)?
        if has("weight_zero_point") {
            guard to % perWord == 0 else { throw Diagnostic(.unsupported, "zeros of \(to) columns, which is no multiple of \(perWord), are not supported", at: place("weight_zero_point")) }
            // Words of neighbouring columns follow each other by groups.
            zeros = (PackedCodes(words: try tensor("weight_zero_point", [to / perWord, groups], [.i32]).bytes, bits: bits, strides: (1, groups), packsRows: false), 0)
        }
        let codes = PackedCodes(words: words.bytes, bits: bits, strides: (1, from / perWord), packsRows: true)
        return CheckpointMatrix(
            weights: try blocks(codes, scales: scales, zeros: zeros, size: size, order: order), order: order,
            tensors: ["weight_packed", "weight_scale", "weight_shape", "weight_zero_point", "weight_g_idx"].map { "\(name).\($0)" })
    }
}
