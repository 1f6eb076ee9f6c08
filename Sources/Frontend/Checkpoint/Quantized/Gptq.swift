import GlmcIR

/// GPTQ (Frantar et al. 2022) as AutoGPTQ and GPTQModel store it: `qweight` i32 [K/8, N] with eight neighbours of a column in a word, `qzeros` i32 [G, N/8], one
/// less than the zero in the first format, `scales` [G, N], and the group of each row in `g_idx` i32 [K].
extension MatrixParts {
    func gptq(zeroOffset: Int) throws -> CheckpointMatrix? {
        guard has("qweight") else { return nil }
        try demandFourBits("qweight", [from / 8, to], isPossible: from % 8 == 0 && to % 8 == 0)
        let size = try groupSize("scales", axis: 0), groups = from / size
        let words = try tensor("qweight", [from / 8, to], [.i32]), zeros = try tensor("qzeros", [groups, to / 8], [.i32])
        let scales = try constant(try tensor("scales", [groups, to], Self.floats)), order = try order("g_idx", size: size)
        let codes = PackedNibbles(words: words.bytes, strides: (to, 1), packsRows: true), packedZeros = PackedNibbles(words: zeros.bytes, strides: (to / 8, 1), packsRows: false)
        return CheckpointMatrix(
            weights: try blocks(codes, scales: scales, zeros: (packedZeros, zeroOffset), size: size, order: order), order: order,
            tensors: ["qweight", "qzeros", "scales", "g_idx"].map { "\(name).\($0)" })
    }
}
