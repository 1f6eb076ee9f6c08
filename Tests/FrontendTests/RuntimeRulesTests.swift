import GlmcIR
import GlmcTestSupport
import Testing

@testable import GlmcFrontend

/// Operators of ONNX Runtime's own domain against their definitions.
@Suite struct RuntimeRulesTests {
    struct Packing: CustomTestStringConvertible {
        var bits: Int, block: Int, depth: Int, zeros: Zeros
        enum Zeros { case none, packed, floats }
        var testDescription: String { "\(bits) bits, blocks of \(block), \(depth) rows, zeros: \(zeros)" }
    }

    private static func attribute(_ name: String, _ value: Int) -> Proto { Proto().string(1, name).int(3, Int64(value)).int(20, 2) }

    private func product(_ packing: Packing, columns: Int, codes: Proto, more: [(String, Proto)], x: Tensor) throws -> Tensor {
        let names = ["x", "w", "s"] + ["z", "", "b"].map { name in more.contains { $0.0 == name } ? name : "" }
        let attributes = [("K", packing.depth), ("N", columns), ("bits", packing.bits), ("block_size", packing.block)].map { Self.attribute($0.0, $0.1) }
        let graph = Onnx.graph(
            nodes: [Onnx.node("MatMulNBits", names, ["y"], attributes).string(7, "com.microsoft")], initializers: [codes] + more.map(\.1),
            inputs: [Onnx.value("x", 1, sizes: ["M", "\(packing.depth)"])], outputs: [Onnx.value("y", 1, sizes: [])])
        let model = Onnx.model(graph).message(8, Proto().string(1, "com.microsoft").int(2, 1))
        let function = try OnnxImporter.importModel(try OnnxReader.model(ByteSpan(model.bytes), file: "test.onnx"), file: "test.onnx").function
        try Module(function).verify()
        return try Interpreter.run(function, [x])[0]
    }

    @Test(arguments: [
        Packing(bits: 4, block: 16, depth: 32, zeros: .none), Packing(bits: 4, block: 16, depth: 48, zeros: .packed), Packing(bits: 4, block: 32, depth: 40, zeros: .packed),
        Packing(bits: 8, block: 16, depth: 32, zeros: .none), Packing(bits: 8, block: 32, depth: 64, zeros: .packed), Packing(bits: 2, block: 16, depth: 80, zeros: .packed),
        Packing(bits: 2, block: 16, depth: 16, zeros: .none), Packing(bits: 4, block: 16, depth: 32, zeros: .floats),
    ])
    func multipliesPackedMatrices(_ packing: Packing) throws {
        let columns = 3, blocks = (packing.depth + packing.block - 1) / packing.block, most = 1 << packing.bits
        func code(_ n: Int, _ k: Int) -> Int { (7 * n + 5 * k + k * k / 3) % most }
        func scale(_ n: Int, _ b: Int) -> Float { Float(1 + n + 2 * b) / 16 }
        func zero(_ n: Int, _ b: Int) -> Double {
            switch packing.zeros {
            case .none: Double(most / 2)
            case .packed: Double((3 * n + b) % most)
            case .floats: Double(n) + 0.5 * Double(b)
            }
        }
        func packed(_ count: Int, _ value: (Int, Int) -> Int) -> [UInt8] {
            (0..<columns).flatMap { n in
                var row = [UInt8](repeating: 0, count: (count * packing.bits + 7) / 8)
                for k in 0..<count { row[k * packing.bits / 8] |= UInt8(value(n, k) << (k * packing.bits % 8)) }
                return row
            }
        }
        let width = blocks * packing.block, bytes = packed(width) { $1 < packing.depth ? code($0, $1) : 0 }
        let codes = Onnx.tensor("w", 2, [Int64(columns), Int64(blocks), Int64(packing.block * packing.bits / 8)]).bytes(9, bytes)
        var more = [("s", Onnx.floatTensor("s", [Int64(columns * blocks)], (0..<columns * blocks).map { scale($0 / blocks, $0 % blocks) }))]
        if packing.zeros == .packed {
            let values = packed(blocks) { Int(zero($0, $1)) }
            more.append(("z", Onnx.tensor("z", 2, [Int64(values.count)]).bytes(9, values)))
        } else if packing.zeros == .floats {
            more.append(("z", Onnx.floatTensor("z", [Int64(columns), Int64(blocks)], (0..<columns * blocks).map { Float(zero($0 / blocks, $0 % blocks)) })))
        }
        more.append(("b", Onnx.floatTensor("b", [Int64(columns)], [1, 2, 3])))
        let x = Tensor((0..<2 * packing.depth).map { Float($0 % 11 - 5) / 4 }, shape: [2, packing.depth])
        let y = try product(packing, columns: columns, codes: codes, more: more, x: x)
        for m in 0..<2 {
            for n in 0..<columns {
                let sum = (0..<packing.depth).reduce(Double(n + 1)) { sum, k in
                    let b = k / packing.block
                    return sum + x.doubles[m * packing.depth + k] * (Double(code(n, k)) - zero(n, b)) * Double(scale(n, b))
                }
                #expect(abs(y.doubles[m * columns + n] - sum) <= 1e-5 * max(1, abs(sum)), "\(m), \(n)")
            }
        }
    }

    @Test(arguments: [2, 4, 8], [false, true]) func looksUpPackedRows(_ bits: Int, _ hasZeros: Bool) throws {
        let (table, code) = try Self.table(bits, hasZeros: hasZeros), zero = hasZeros ? 1 : 1 << (bits - 1)
        let y = try Interpreter.run(try lookup(table, bits: bits, block: 16), [Tensor([2, 0], shape: [2])])[0]
        #expect(y.doubles == [2, 0].flatMap { n in (0..<16).map { Double(code(n, $0) - zero) * [0.5, 0.25, 2][n] } })
    }

    @Test func refusesTablesThatDoNotFit() throws {
        let (table, _) = try Self.table(4, hasZeros: true)
        for block in [-1, 0, 8, 1 << 62] { #expect(throws: (any Error).self) { try lookup(table, bits: 4, block: block) } }
        for bits in [-8, 0, 3, 1 << 62] { #expect(throws: (any Error).self) { try lookup(table, bits: bits, block: 16) } }
        for scales in [Onnx.floatTensor("s", [], [1]), Onnx.floatTensor("s", [3], [1, 1, 1]), Onnx.floatTensor("s", [2, 1], [1, 1])] {
            #expect(throws: (any Error).self) { try lookup([table[0], scales, table[2]], bits: 4, block: 16) }
        }
    }

    /// A table of 3 rows of 16 elements in bytes of `bits` bits each, whose zero points are 2^(bits−1) where they are left out: codes, scales, zeros.
    private static func table(_ bits: Int, hasZeros: Bool) throws -> ([Proto], code: (Int, Int) -> Int) {
        let most = 1 << bits, perByte = 8 / bits
        func code(_ n: Int, _ k: Int) -> Int { (7 * n + 5 * k + k * k / 3) % most }
        var bytes = [UInt8](repeating: 0, count: 3 * 16 / perByte)
        for n in 0..<3 {
            for k in 0..<16 { bytes[(n * 16 + k) / perByte] |= UInt8(code(n, k) << (k % perByte * bits)) }
        }
        let table = [
            Onnx.tensor("w", 2, [3, Int64(16 / perByte)]).bytes(9, bytes), Onnx.floatTensor("s", [3, 1], [0.5, 0.25, 2]), Onnx.tensor("z", 2, [3, 1]).bytes(9, [1, 1, 1]),
        ]
        return (Array(table.prefix(hasZeros ? 3 : 2)), code)
    }

    private func lookup(_ table: [Proto], bits: Int, block: Int) throws -> Function {
        let attributes = [Self.attribute("bits", bits), Self.attribute("block_size", block)]
        let graph = Onnx.graph(
            nodes: [Onnx.node("GatherBlockQuantized", ["w", "i", "s"] + (table.count > 2 ? ["z"] : []), ["y"], attributes).string(7, "com.microsoft")],
            initializers: table, inputs: [Onnx.value("i", 7, sizes: ["N"])], outputs: [Onnx.value("y", 1, sizes: [])])
        let model = Onnx.model(graph).message(8, Proto().string(1, "com.microsoft").int(2, 1))
        return try OnnxImporter.importModel(try OnnxReader.model(ByteSpan(model.bytes), file: "test.onnx"), file: "test.onnx").function
    }

    @Test func refusesWhatDoesNotFit() throws {
        let form = Packing(bits: 4, block: 16, depth: 32, zeros: .none), x = Tensor([Float](repeating: 1, count: 32), shape: [1, 32])
        func codes(_ dims: [Int64]) -> Proto { Onnx.tensor("w", 2, dims).bytes(9, [UInt8](repeating: 0, count: Int(dims.reduce(1, *)))) }
        let scales = [("s", Onnx.floatTensor("s", [2], [1, 1]))]
        _ = try product(form, columns: 1, codes: codes([1, 2, 8]), more: scales, x: x)
        for (packing, dims, more) in [
            (form, [1, 2, 7], scales), (form, [1, 1, 8], scales), (form, [1, 2, 8], [("s", Onnx.floatTensor("s", [3], [1, 1, 1]))]),
            (Packing(bits: 3, block: 16, depth: 32, zeros: .none), [1, 2, 8], scales), (Packing(bits: 4, block: 12, depth: 32, zeros: .none), [1, 2, 8], scales),
            (form, [1, 2, 8], scales + [("z", Onnx.tensor("z", 2, [4]).bytes(9, [0, 0, 0, 0]))]),
        ] as [(Packing, [Int64], [(String, Proto)])] {
            #expect(throws: (any Error).self) { try product(packing, columns: 1, codes: codes(dims), more: more, x: x) }
        }
    }
}
