import GlmcIR

/// GPTQ (Frantar et al. 2022) as AutoGPTQ and GPTQModel store it: `qweight` i32 [K/p, N] with p neighbours of a column in a word, 4, 8 or 16, `qzeros` i32 [G, N/p], one
/// less than the zero in the first format, `scales` [G, N], and the group of each row in `g_idx` i32 [K].
extension MatrixParts {
    func gptq(zeroOffset: Int) throws -> CheckpointMatrix? {
        guard has("qweight") else { return nil }
        let bits = try bits("qweight", axis: 0, count: from, [2, 4, 8]), perWord = 32 / bits, size = try groupSize("scales", axis: 0, bits: bits), groups = from / size
        guard to % perWord == 0 else { throw Diagnostic(.unsupported, "zeros of \(to) columns, which is no multiple of \(perWord), are not supported", at: place("qzeros")) }
        let words = try tensor("qweight", [from / perWord, to], [.i32]), zeros = try tensor("qzeros", [groups, to / perWord], [.i32])
        let scales = try constant(try tensor("scales", [groups, to], Self.floats)), order = try order("g_idx", size: size)
        let codes = PackedCodes(words: words.bytes, bits: bits, strides: (to, 1), packsRows: true)
        let packedZeros = PackedCodes(words: zeros.bytes, bits: bits, strides: (to / perWord, 1), packsRows: false)
        return CheckpointMatrix(
            weights: try blocks(codes, scales: scales, zeros: (packedZeros, zeroOffset), size: size, order: order), order: order,
            tensors: ["qweight", "qzeros", "scales", "g_idx"].map { "\(name).\($0)" })
    }
}
