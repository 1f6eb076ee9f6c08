import GlmcIR

/// AWQ (Lin et al. 2023) as AutoAWQ's version `gemm` stores it: `qweight` i32 [K, N/8] and `qzeros` i32 [G, N/8], eight columns in a word, in the order
/// 0 2 4 6 1 3 5 7 from the lowest bits on, and `scales` [G, N].
extension MatrixParts {
    func awq() throws -> CheckpointMatrix? {
        guard has("qweight") else { return nil }
        let bits = try bits("qweight", axis: 1, count: to, [4]), size = try groupSize("scales", axis: 0, bits: bits), groups = from / size
        let words = try tensor("qweight", [from, to / 8], [.i32]), zeros = try tensor("qzeros", [groups, to / 8], [.i32])
        let scales = try constant(try tensor("scales", [groups, to], Self.floats))
        // Column 8j + i lies at place order[i].
        let order = [0, 4, 1, 5, 2, 6, 3, 7]
        func packed(_ tensor: SafetensorsTensor) -> PackedCodes { PackedCodes(words: tensor.bytes, bits: bits, strides: (to / 8, 1), packsRows: false, order: order) }
        return CheckpointMatrix(
            weights: try blocks(packed(words), scales: scales, zeros: (packed(zeros), 0), size: size, order: nil), tensors: ["qweight", "qzeros", "scales"].map { "\(name).\($0)" })
    }
}
