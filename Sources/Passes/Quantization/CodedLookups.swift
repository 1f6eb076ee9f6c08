import GlmcIR

/// `gather(dequantize(constant), indices)` → `dequantize(gather(constant, indices))` with the scales and zero points of the rows, for tables [V, D] of integers
/// that have a scale per row, per column, or for blocks of a row. Elements of four and two bits are packed into bytes.
///
/// A scale for the whole table is `lower-quantized`'s.
let lookupOfCodes = Rule("look-up-of-codes", on: Gather.self) { function, id, gather in
    let node = function[id], indices = node.operands[1]
    guard gather.axis == 0, let table = CodedTable(node.operands[0], in: function) else { return nil }
    let last = function.tensorType(indices).rank
    return { rewriter in
        func create(_ op: any Op, _ operands: [ValueID]) throws -> ValueID { try rewriter.create1(op, operands, at: .before(id), provenance: node.provenance) }
        func rows(_ tensor: Tensor) throws -> ValueID { try create(gather, [try create(Constant(tensor), []), indices]) }
        var codes = try rows(table.codes)
        if table.perByte > 1 {
            let bits = 8 / table.perByte, mask = try create(Constant(.scalar(Double(1 << bits - 1), .u8)), [])
            let parts = try (0..<table.perByte).map { part in
                let shift = try create(Constant(.scalar(Double(bits * part), .u8)), [])
                return try create(Binary(.and), [try create(Binary(.shiftRight), [codes, shift]), mask])
            }
            codes = try create(Concat(axis: last), parts)
        }
        let grid = Dequantize(element: table.element, axis: last, blockSize: table.block)
        let parameters = try [table.scales, table.zeros].map { try table.block == 0 ? create(Constant($0), []) : rows($0) }
        try rewriter.replace(id, with: grid, [codes] + parameters)
    }
}

/// A table [V, D] that a constant of integers stands for.
private struct CodedTable {
    /// [V, D]; packed, u8 [V, D/p] with p = `perByte`, where byte `i` of a row holds element `i + m · D/p` from its bit `8m/p` on.
    let codes: Tensor
    /// [V, D / block]; without blocks, one per column.
    let scales: Tensor
    /// Like `scales`, of the codes' type.
    let zeros: Tensor
    /// Elements of a row that share a scale; 0 for a scale per column.
    let block: Int
    let perByte: Int
    /// What the table's elements stand for.
    let element: ElementType

    init?(_ value: ValueID, in function: Function) {
        guard let (_, op, operands) = function.match(value, Dequantize.self), let elements = function.constant(operands[0]), elements.rank == 2, elements.count > 0,
              elements.element.isInteger, let scales = function.constant(operands[1]), let zeros = function.constant(operands[2]), scales.count > 1 else { return nil }
        let (rows, width) = (elements.shape[0], elements.shape[1]), axis = op.axis < 0 ? op.axis + 2 : op.axis, isBlocked = op.blockSize > 0 && scales.rank == 2
        let shape: [Int]
        switch (isBlocked, axis) {
        case (true, 1): (block, shape) = (op.blockSize, scales.shape)
        case (false, 0): (block, shape) = (width, [rows, 1])
        case (false, 1): (block, shape) = (0, scales.shape)
        default: return nil
        }
        guard let scales = scales.reshaped(shape), let zeros = zeros.reshaped(shape) else { return nil }
        self.scales = scales
        element = op.element
        let bits = elements.element.bitWidth, perByte = bits < 8 && width % (8 / bits) == 0 ? 8 / bits : 1
        self.perByte = perByte
        guard perByte > 1 else {
            (codes, self.zeros) = (elements, zeros)
            return
        }
        let offset = [.i4, .i2].contains(elements.element) ? 1 << (bits - 1) : 0, zero = zeros.reader
        self.zeros = Tensor(.u8, shape, integers: { zero.loadInteger(at: $0) + offset })
        let reader = elements.reader, part = width / perByte
        codes = Tensor(.u8, [rows, part]) { target in
            for i in 0..<rows * part {
                let place = i / part * width + i % part
                target[i] = (0..<perByte).reduce(UInt8(0)) { $0 | UInt8(reader.loadInteger(at: place + $1 * part) + offset) << UInt8($1 * bits) }
            }
        }
        withExtendedLifetime((elements, zeros)) {}
    }
}
