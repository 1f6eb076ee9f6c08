import GlmcIR

/// `gather(dequantize(constant), indices)` → `dequantize(gather(constant, indices))` with the scales and zero points of the rows, for tables [V, D] of integers
/// that have a scale per row, per column, or for blocks of a row. Elements of four bits lie two in a byte.
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
        if table.isPacked {
            let (mask, four) = (try create(Constant(.scalar(15, .u8)), []), try create(Constant(.scalar(4, .u8)), []))
            codes = try create(Concat(axis: last), [try create(Binary(.and), [codes, mask]), try create(Binary(.shiftRight), [codes, four])])
        }
        let grid = Dequantize(element: table.element, axis: last, blockSize: table.block)
        let parameters = try [table.scales, table.zeros].map { try table.block == 0 ? create(Constant($0), []) : rows($0) }
        try rewriter.replace(id, with: grid, [codes] + parameters)
    }
}

/// A table [V, D] that a constant of integers stands for.
private struct CodedTable {
    /// [V, D]; packed, u8 [V, D/2], where byte `i` of a row holds element `i` in its lower half and element `i + D/2` in its upper half.
    let codes: Tensor
    /// [V, D / block]; without blocks, one per column.
    let scales: Tensor
    /// Like `scales`, of the codes' type.
    let zeros: Tensor
    /// Elements of a row that share a scale; 0 for a scale per column.
    let block: Int
    let isPacked: Bool
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
        isPacked = [.u4, .i4].contains(elements.element) && width % 2 == 0
        guard isPacked else {
            (codes, self.zeros) = (elements, zeros)
            return
        }
        let offset = elements.element == .i4 ? 8 : 0, zero = zeros.reader
        self.zeros = Tensor(.u8, shape, integers: { zero.loadInteger(at: $0) + offset })
        let reader = elements.reader, half = width / 2
        codes = Tensor(.u8, [rows, half]) { target in
            for i in 0..<rows * half {
                let place = i / half * width + i % half
                target[i] = UInt8(reader.loadInteger(at: place) + offset) | UInt8(reader.loadInteger(at: place + half) + offset) << 4
            }
        }
        withExtendedLifetime((elements, zeros)) {}
    }
}
