import CZlib
import GlmcIR

/// The `.npz` format: a zip archive of `.npy` files, stored or deflated.
public enum Npz {
    /// An array and its name, which is the file name in the archive without `.npy`.
    public struct Entry: Sendable {
        public var name: String
        public var array: NumpyArray

        public init(name: String, array: NumpyArray) {
            self.name = name
            self.array = array
        }
    }

    /// The arrays of the archive at `path`, in its order. Stored entries stay in the mapped file. Sizes, bounds and checksums are
    /// checked, and no entry may claim more than deflate can pack into its bytes.
    public static func read(_ path: String) throws -> [Entry] { try read(Files.map(path), file: path) }

    /// The arrays of the archive in `bytes`; `file` names it in errors.
    public static func read(_ bytes: ByteSpan, file: String) throws -> [Entry] {
        try ZipArchive(bytes, file: file).entries.map { entry in
            let place = "entry '\(entry.name)'"
            let name = entry.name.hasSuffix(".npy") ? String(entry.name.dropLast(4)) : entry.name
            return Entry(name: name, array: try Npy.read(entry.contents(), file: file, place: place))
        }
    }

    /// Writes the arrays to `path`, whole or not at all. `compressed` deflates them; otherwise they are stored.
    public static func write(_ entries: [Entry], to path: String, compressed: Bool = false) throws {
        var local: [(head: [UInt8], body: [UInt8], stored: ByteSpan?)] = []
        var directory: [UInt8] = []
        var offset = 0
        for entry in entries {
            let npy = Npy.header(entry.array)
            var body = npy
            var stored: ByteSpan? = entry.array.bytes
            let size = npy.count + entry.array.bytes.count
            let checksum = entry.array.bytes.withUnsafeBytes { crc($0, after: npy.withUnsafeBytes { crc($0, after: 0) }) }
            if compressed {
                body = try deflated(npy, entry.array.bytes, file: path)
                stored = nil
            }
            let packed = body.count + (stored?.count ?? 0)
            let name = Array((entry.name + ".npy").utf8)
            guard size < 0xffff_ffff, packed < 0xffff_ffff, offset < 0xffff_ffff, name.count <= 0xffff, entries.count < 0xffff else {
                throw Diagnostic(
                    file: path, place: "entry '\(entry.name)'", reason: "is too large for a .npz file",
                    hint: "write the output as separate .npy files")
            }
            // Version needed, flags (UTF-8 names), method, time, date (1 January 1980: equal content gives equal files).
            let common = words([20, 0x800, compressed ? 8 : 0, 0, 0x21], 2) + words([Int(checksum), packed, size], 4) + words([name.count, 0], 2)
            let head = words([0x0403_4b50], 4) + common + name
            directory += words([0x0201_4b50], 4) + words([20], 2) + common + words([0, 0, 0], 2) + words([0, offset], 4) + name
            local.append((head, body, stored))
            offset += head.count + packed
        }
        let end = words([0x0605_4b50], 4) + words([0, 0, entries.count, entries.count], 2) + words([directory.count, offset], 4) + words([0], 2)
        guard offset + directory.count < 0xffff_ffff else {
            throw Diagnostic(file: path, reason: "is too large for a .npz file", hint: "write the outputs as separate .npy files")
        }
        let spans = local.flatMap { [ByteSpan($0.head), ByteSpan($0.body)] + ($0.stored.map { [$0] } ?? []) } + [ByteSpan(directory + end)]
        // Every span outlives the call: `spans` holds their owners.
        try withExtendedLifetime(spans) {
            try Files.replace(path, with: spans.map { $0.withUnsafeBytes { $0 } })
        }
    }

    static func crc(_ bytes: UnsafeRawBufferPointer, after start: UInt32) -> UInt32 {
        UInt32(truncatingIfNeeded: crc32_z(UInt(start), bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count))
    }

    /// The little-endian bytes of `values`, `size` bytes each.
    private static func words(_ values: [Int], _ size: Int) -> [UInt8] {
        values.flatMap { value in (0..<size).map { UInt8(value >> (8 * $0) & 0xff) } }
    }

    private static func deflated(_ head: [UInt8], _ body: ByteSpan, file: String) throws -> [UInt8] {
        var stream = z_stream()
        func failed() -> Diagnostic { Diagnostic(file: file, reason: "cannot be compressed") }
        guard
            deflateInit2_(&stream, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK
        else { throw failed() }
        defer { deflateEnd(&stream) }
        var result: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        func feed(_ input: UnsafeRawBufferPointer, last: Bool) throws {
            var rest = input
            repeat {
                let part = min(rest.count, 1 << 30)
                stream.next_in = UnsafeMutablePointer(mutating: rest.bindMemory(to: UInt8.self).baseAddress)
                stream.avail_in = UInt32(part)
                rest = UnsafeRawBufferPointer(rebasing: rest[part...])
                let finish = last && rest.isEmpty
                // A full buffer means that there may be more.
                repeat {
                    let produced = buffer.withUnsafeMutableBufferPointer { output in
                        stream.next_out = output.baseAddress
                        stream.avail_out = UInt32(output.count)
                        _ = deflate(&stream, finish ? Z_FINISH : Z_NO_FLUSH)
                        return output.count - Int(stream.avail_out)
                    }
                    result.append(contentsOf: buffer[0..<produced])
                } while stream.avail_out == 0
                guard stream.avail_in == 0 else { throw failed() }
            } while !rest.isEmpty
        }
        try head.withUnsafeBytes { try feed($0, last: false) }
        try body.withUnsafeBytes { try feed($0, last: true) }
        return result
    }
}
