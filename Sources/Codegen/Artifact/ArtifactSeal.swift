import Foundation
import GlmcIR

/// A check value behind a shared library that glmc wrote. Loading a damaged library would run damaged code, so it is checked first.
///
/// The file ends in `GLMCSEAL`, eight bytes of hash over everything before, and `GLMCSEAL` again; loaders ignore what follows a library. A library
/// without a seal (another tool rewrote it) is only checked for being complete.
public enum ArtifactSeal {
    private static let magic = Array("GLMCSEAL".utf8)
    private static let byteCount = 24

    /// Seals a finished file.
    static func append(to path: String) throws(Diagnostic) {
        do {
            let content = try Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped)
            let value = content.withUnsafeBytes { hash($0) }
            let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
            try file.seekToEnd()
            try file.write(contentsOf: magic + (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) } + magic)
            try file.close()
        } catch {
            throw Diagnostic(.invalid, "cannot write \(path): \(error.localizedDescription)", hint: "is there room?")
        }
    }

    /// - Throws: where the file is cut short or its bytes are not those that were sealed.
    public static func check(_ path: String) throws(Diagnostic) {
        guard let file = try? Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped) else { throw Diagnostic(.invalid, "cannot be read", at: [path]) }
        let isWhole = file.withUnsafeBytes { bytes in
            let tail = UnsafeRawBufferPointer(rebasing: bytes.suffix(64))
            let isSealed = tail.indices.dropLast(7).contains { tail[$0..<$0 + 8].elementsEqual(magic) }
            guard isSealed else { return isComplete(bytes) }
            let content = UnsafeRawBufferPointer(rebasing: bytes.dropLast(byteCount)), seal = UnsafeRawBufferPointer(rebasing: bytes.suffix(byteCount))
            return seal.count == byteCount && seal.prefix(8).elementsEqual(magic) && seal.suffix(8).elementsEqual(magic)
                && UInt64(littleEndian: seal.loadUnaligned(fromByteOffset: 8, as: UInt64.self)) == hash(content)
        }
        guard isWhole else { throw Diagnostic(.invalid, "is damaged or incomplete: its bytes are not those that were compiled", at: [path], hint: "compile the model again") }
    }

    /// Whether an ELF file holds everything that its headers name; other formats are left to the loader.
    private static func isComplete(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count >= 64 else { return false }
        guard bytes[..<4].elementsEqual([0x7f, 0x45, 0x4c, 0x46]), bytes[4] == 2, bytes[5] == 1 else { return true }
        func number<T: FixedWidthInteger>(_ offset: UInt64, _ type: T.Type) -> UInt64 { UInt64(T(littleEndian: bytes.loadUnaligned(fromByteOffset: Int(offset), as: T.self))) }
        func fits(_ offset: UInt64, _ size: UInt64) -> Bool {
            let (end, overflow) = offset.addingReportingOverflow(size)
            return !overflow && end <= UInt64(bytes.count)
        }
        let programs = number(32, UInt64.self), sections = number(40, UInt64.self)
        let (programSize, programCount) = (number(54, UInt16.self), number(56, UInt16.self))
        guard fits(programs, programSize * programCount), fits(sections, number(58, UInt16.self) * number(60, UInt16.self)), programSize >= 56 else { return false }
        return (0..<programCount).allSatisfy { i in
            let header = programs + i * programSize
            return fits(number(header + 8, UInt64.self), number(header + 32, UInt64.self))
        }
    }

    /// A hash that finds damage, not forgery: one multiplication per eight bytes, so that it costs less than reading the file.
    private static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var hash = UInt64(bytes.count) &+ 0x9e37_79b9_7f4a_7c15
        func add(_ word: UInt64) {
            hash = (hash ^ word) &* 0xff51_afd7_ed55_8ccd
            hash ^= hash >> 32
        }
        let words = bytes.count / 8
        for i in 0..<words { add(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8 * i, as: UInt64.self))) }
        for i in 8 * words..<bytes.count { add(UInt64(bytes[i])) }
        return hash
    }
}
