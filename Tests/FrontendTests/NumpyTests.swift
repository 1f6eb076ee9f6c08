import Foundation
import GlmcIR
import GlmcTestSupport
import Testing

@testable import GlmcFrontend

private func npy(_ header: String, _ body: [UInt8], version: UInt8 = 1) -> [UInt8] {
    let count = header.utf8.count
    let length = version == 1 ? [UInt8(count & 0xff), UInt8(count >> 8)] : [UInt8(count & 0xff), UInt8(count >> 8), 0, 0]
    return [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0] + length + Array(header.utf8) + body
}

private func read(_ bytes: [UInt8]) throws -> NumpyArray { try Npy.read(ByteSpan(bytes), file: "t.npy") }

private func temporary(_ name: String) -> String {
    FileManager.default.temporaryDirectory.appending(path: "glmc-\(ProcessInfo.processInfo.processIdentifier)-\(name)").path
}

private func array(_ element: NumpyElement, _ shape: [Int], _ bytes: [UInt8]) throws -> NumpyArray {
    try #require(NumpyArray(element: element, shape: shape, bytes: ByteSpan(bytes)))
}

@Suite struct NumpyTests {
    @Test func readsAllByteAndAxisOrders() throws {
        let little = try read(npy("{'descr': '<i2', 'fortran_order': False, 'shape': (2, 2), }\n", [1, 0, 2, 0, 3, 0, 4, 0]))
        #expect(little.element == .i16 && little.shape == [2, 2])
        let big = try read(npy("{'descr': '>i2', 'fortran_order': False, 'shape': (2, 2), }\n", [0, 1, 0, 2, 0, 3, 0, 4]))
        #expect(big.bytes.array == little.bytes.array)
        let fortran = try read(npy("{'shape': (2, 2), 'fortran_order': True, 'descr': '<i2'}", [1, 0, 3, 0, 2, 0, 4, 0], version: 2))
        #expect(fortran.bytes.array == little.bytes.array)
        let scalar = try read(npy("{'descr': '|b1', 'fortran_order': False, 'shape': (), }", [1]))
        #expect(scalar.shape.isEmpty && scalar.element == .bool)
        let complex = try read(npy("{'descr': '>c8', 'fortran_order': False, 'shape': (1,), }", [1, 2, 3, 4, 5, 6, 7, 8]))
        #expect(complex.bytes.array == [4, 3, 2, 1, 8, 7, 6, 5])
    }

    @Test(arguments: [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (1,), }",
        "{'descr': '<f4', 'shape': (1,), }", "{'descr': '<f4'", "", "{'shape': ((1,),)}",
    ])
    func refusesHeadersThatLie(_ header: String) {
        #expect(throws: Diagnostic.self) { try read(npy(header, [0, 0, 0, 0])) }
    }

    @Test func mutatedFilesNeverTrap() throws {
        var generator = TestGenerator(state: 3)
        let whole = npy("{'descr': '<i2', 'fortran_order': True, 'shape': (2, 2), }\n", [1, 0, 2, 0, 3, 0, 4, 0])
        for _ in 0..<2000 { _ = try? read(generator.mutate(whole)) }
        let path = temporary("fuzz.npz")
        defer { try? FileManager.default.removeItem(atPath: path) }
        for compressed in [false, true] {
            let entries = [Npz.Entry(name: "a", array: try array(.u8, [64], [UInt8](repeating: 7, count: 64)))]
            try Npz.write(entries, to: path, compressed: compressed)
            let archive = try Files.map(path).array
            for _ in 0..<2000 { _ = try? Npz.read(ByteSpan(generator.mutate(archive)), file: "t.npz") }
        }
    }

    @Test(arguments: [false, true]) func npzRoundTrips(_ compressed: Bool) throws {
        let path = temporary("round-\(compressed).npz")
        defer { try? FileManager.default.removeItem(atPath: path) }
        let large = [UInt8]((0..<300_000).map { UInt8($0 * $0 >> 8 & 0xff) })
        let entries = [
            Npz.Entry(name: "x", array: try array(.f32, [2, 1], [1, 2, 3, 4, 5, 6, 7, 8])),
            Npz.Entry(name: "empty", array: try array(.i64, [0, 3], [])),
            Npz.Entry(name: "large", array: try array(.u16, [150, 1000], large)),
            Npz.Entry(name: "b", array: try array(.bf16, [1], [0x80, 0x3f])),
        ]
        try Npz.write(entries, to: path, compressed: compressed)
        let back = try Npz.read(path)
        #expect(back.map(\.name) == entries.map(\.name))
        for (a, b) in zip(back, entries) {
            #expect(a.array.element == b.array.element && a.array.shape == b.array.shape && a.array.bytes.array == b.array.bytes.array)
        }
    }

    @Test func writesWholeFilesOrNone() throws {
        let one = try array(.f32, [1], [0, 0, 0, 0])
        #expect(throws: Diagnostic.self) { try Npy.write(one, to: "/nonexistent/folder/t.npy") }
        let path = temporary("one.npy")
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Npy.write(one, to: path)
        #expect(try Files.map(path).count == 64 + 64 + 4)
        #expect(try Npy.read(path).shape == [1])
        let rest = try FileManager.default.contentsOfDirectory(atPath: FileManager.default.temporaryDirectory.path)
        #expect(!rest.contains { $0.hasSuffix(".\(getpid()).part") || $0.hasSuffix("-\(getpid()).part") })
    }

    @Test func refusesBombs() throws {
        let path = temporary("bomb.npz")
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Npz.write([.init(name: "a", array: try array(.u8, [64], [UInt8](repeating: 7, count: 64)))], to: path, compressed: true)
        var bytes = try Files.map(path).array
        let directory = try #require(bytes.indices.dropLast(4).first { Array(bytes[$0..<$0 + 4]) == [0x50, 0x4b, 1, 2] })
        bytes.replaceSubrange(directory + 24..<directory + 28, with: [0, 0, 0, 0x70])
        #expect(throws: Diagnostic.self) { try Npz.read(ByteSpan(bytes), file: "t.npz") }
    }
}
