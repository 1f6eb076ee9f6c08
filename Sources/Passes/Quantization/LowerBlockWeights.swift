import Dispatch
import GlmcIR

extension Pass {
    /// Products with constants that are dequantised, as products with the integers themselves, and look-ups in them as look-ups in the integers.
    ///
    /// ```
    /// %0 = dequantize(%codes, %scales, %zeros, axis: 0, block: 32) : f32[512, 1024]
    /// %1 = matmul(%x, %0) : f32[n, 1024]
    /// ```
    /// becomes
    /// ```
    /// %1 = block_matmul(%x, %packed, %scales, %minimums, block: 32) : f32[n, 1024]
    /// ```
    ///
    /// Elements of four bits and less are packed, two in a byte. One scale per column is one block; where such columns are bytes around 0, what is multiplied is
    /// the bytes, and then the sums. A pass of its own behind `lower-quantized`, which takes what is quantised on both sides: what is left here computes in
    /// f32, and would otherwise be folded to floats, four or eight times as large. Products that are known to have many rows are left to that: integers are widened
    /// for every few rows, and floats are read faster.
    static let lowerBlockWeights = Pass("lower-block-weights", "Reads constant integers with scales as they are, not the floats that they stand for", rules: [
        lookupOfCodes,
        Rule("product-of-codes", on: MatMul.self) { function, id, _ in
            let node = function[id]
            let x = function.tensorType(node.operands[0])
            guard x.element == .f32, (x.shape.dropLast().product.constant ?? 0) < mostRows, let codes = CodedMatrix(node.operands[1], in: function) else { return nil }
            return { rewriter in
                let parts = try codes.constants.map { try rewriter.create1(Constant($0), [], at: .before(id)) }
                guard codes.isColumnwise else { return try rewriter.replace(id, with: BlockMatMul(block: codes.block, bits: codes.isPacked ? codes.bits : BlockMatMul().bits), [node.operands[0]] + parts) }
                let sum = try rewriter.create1(MatMul(), [node.operands[0], parts[0]], at: .before(id), provenance: node.provenance)
                try rewriter.replace(id, with: Binary(.multiply), [sum, parts[1]])
            }
        },
    ])
}

/// Rows from which on a product with floats is the faster one: with 16 rows, codes of four bits took 1.8 times as long on AVX2, and with one row 0.8 to 1.2 times.
private let mostRows = 8

/// A matrix [K, N] that a constant of integers stands for, in the form of `BlockCodes`: `w[k, n] = (q[k, n] − zero[k / block, n]) · scale[k / block, n]`.
private struct CodedMatrix {
    let block: Int
    /// Bits of a code.
    let bits: Int
    private let depth: Int
    private let columns: Int
    /// Whether several codes lie in a byte.
    var isPacked: Bool { bits < 8 }
    /// What is added to an element to make a code: codes are 0…2^bits − 1 or −128…127.
    private let offset: Int
    private let elements: Tensor
    /// From one row of the matrix to the next and from one column to the next, in `elements`.
    private let strides: (row: Int, column: Int)
    /// By block and column, one block after the other.
    private let scales: [Float]
    private let minimums: [Float]

    /// The matrix that `value`, a dequantised constant or the transpose of one, is; nil where it is none, or not of whole blocks of a multiple of 8 rows.
    init?(_ value: ValueID, in function: Function) {
        let transpose = function.match(value, Transpose.self)
        guard transpose.map({ $0.op.permutation == [1, 0] }) ?? true,
              let (_, op, operands) = function.match(transpose?.operands[0] ?? value, Dequantize.self), op.element == .f32,
              let elements = function.constant(operands[0]), elements.rank == 2, elements.count > 0, elements.element == .i8 || elements.element == .u8 || elements.element.bitWidth <= 4,
              let scales = function.constant(operands[1]), scales.element == .f32, let zeros = function.constant(operands[2]) else { return nil }
        let down = transpose == nil ? 0 : 1, axis = op.axis < 0 ? op.axis + 2 : op.axis, inner = elements.shape[1]
        (depth, columns) = (elements.shape[down], elements.shape[1 - down])
        strides = down == 0 ? (inner, 1) : (1, inner)
        let isBlocked = op.blockSize > 0 && scales.rank == 2, block = isBlocked ? op.blockSize : depth
        guard isBlocked || scales.count == 1 ? true : axis == 1 - down, !isBlocked || axis == down, block % 8 == 0, depth % block == 0, zeros.shape == scales.shape else { return nil }
        bits = elements.element.bitWidth == 2 && block % 16 == 0 ? 2 : max(elements.element.bitWidth, 4)
        let isSigned = [.i2, .i4, .i8].contains(elements.element), offset = bits == 8 ? (isSigned ? 0 : -128) : isSigned ? 1 << (bits - 1) : 0
        let blocks = depth / block, scaleReader = scales.reader, zeroReader = zeros.reader, columns = columns
        func place(_ i: Int) -> Int {
            if scales.count == 1 { return 0 }
            let (b, n) = (i / columns, i % columns)
            return !isBlocked ? n : down == 0 ? i : n * blocks + b
        }
        self.scales = (0..<blocks * columns).map { Float(scaleReader.load(at: place($0))) }
        minimums = (0..<blocks * columns).map { i in Float(-Double(offset + zeroReader.loadInteger(at: place(i))) * scaleReader.load(at: place(i))) }
        guard self.scales.allSatisfy(\.isFinite), minimums.allSatisfy(\.isFinite) else { return nil }
        (self.block, self.offset, self.elements) = (block, offset, elements)
        withExtendedLifetime((scales, zeros)) {}
    }

    /// Whether codes stand for themselves, times a scale for their block: no minimums are needed.
    private var isCentred: Bool { zip(scales, minimums).allSatisfy { $1 == (isPacked ? -Float(1 << (bits - 1)) * $0 : 0) } }

    /// Whether the matrix is one of bytes with a scale per column.
    var isColumnwise: Bool { !isPacked && block == depth && isCentred }

    /// Codes, scales and, where they are needed, minimums.
    var constants: [Tensor] {
        func parameters(_ values: [Float]) -> Tensor { Tensor(values, shape: [depth / block, columns]) }
        return [codes, parameters(scales)] + (isCentred ? [] : [parameters(minimums)])
    }

    /// Written by columns, as weights of linear layers lie in files.
    private var codes: Tensor {
        let (depth, columns, offset, strides, isPacked) = (depth, columns, offset, strides, isPacked), bits = bits, perByte = 8 / bits, byteCount = depth / perByte
        return withExtendedLifetime(elements) {
            let reader = elements.reader
            return Tensor(isPacked ? .u8 : .i8, [columns, byteCount]) { target in
                nonisolated(unsafe) let (target, reader) = (target, reader)
                DispatchQueue.concurrentPerform(iterations: columns) { n in
                    func code(_ k: Int) -> Int { reader.loadInteger(at: k * strides.row + n * strides.column) + offset }
                    for i in 0..<byteCount {
                        let first = i / 4 * 4 * perByte + i % 4, byte = (0..<perByte).reduce(0) { $0 | code(first + 4 * $1) << ($1 * bits) }
                        target[n * byteCount + i] = UInt8(truncatingIfNeeded: byte)
                    }
                }
            }.transposed([1, 0])
        }
    }
}
