import CZlib
import GlmcIR

/// The entries of a zip archive, found through its central directory. Zip64 archives are read; encrypted ones, and methods other
/// than stored and deflate, are refused.
struct ZipArchive {
    struct Entry {
        var name: String
        var method: Int
        var checksum: UInt32
        var packed: ByteSpan
        var size: Int
        var file: String

        /// The unpacked bytes, checked against their size and checksum.
        func contents() throws -> ByteSpan {
            let result: ByteSpan
            switch method {
            case 0:
                guard packed.count == size else { throw bad("is stored with \(packed.count) bytes but claims \(size)") }
                result = packed
            case 8:
                // Deflate packs at most 1032 bytes into one.
                guard size / 1032 <= packed.count + 1 else { throw bad("claims an impossible size of \(size) bytes") }
                guard let inflated = inflated() else { throw bad("is damaged: it does not inflate to \(size) bytes") }
                result = inflated
            default: throw bad("uses zip method \(method)", hint: "only stored and deflated entries are read")
            }
            guard result.withUnsafeBytes({ Npz.crc($0, after: 0) }) == checksum else { throw bad("is damaged: its checksum is wrong") }
            return result
        }

        private func bad(_ reason: String, hint: String? = nil) -> Diagnostic {
            Diagnostic(file: file, place: "entry '\(name)'", reason: reason, hint: hint)
        }

        private func inflated() -> ByteSpan? {
            var stream = z_stream()
            guard inflateInit2_(&stream, -15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else { return nil }
            defer { inflateEnd(&stream) }
            var isWhole = false
            let owner = TensorStorage(count: size) { target in
                packed.withUnsafeBytes { source in
                    let bytes = source.bindMemory(to: UInt8.self)
                    let room = target.bindMemory(to: UInt8.self)
                    var read = 0
                    var written = 0
                    var status = Z_OK
                    while status == Z_OK {
                        let input = min(bytes.count - read, 1 << 30)
                        let output = min(room.count - written, 1 << 30)
                        stream.next_in = bytes.baseAddress.map { UnsafeMutablePointer(mutating: $0 + read) }
                        stream.avail_in = UInt32(input)
                        stream.next_out = room.baseAddress.map { $0 + written }
                        stream.avail_out = UInt32(output)
                        status = inflate(&stream, Z_NO_FLUSH)
                        let progress = (input - Int(stream.avail_in), output - Int(stream.avail_out))
                        read += progress.0
                        written += progress.1
                        if progress == (0, 0) { break }
                    }
                    isWhole = status == Z_STREAM_END && written == room.count
                }
            }
            return isWhole ? ByteSpan(owner) : nil
        }
    }

    var entries: [Entry] = []

    init(_ bytes: ByteSpan, file: String) throws {
        let reader = Reader(bytes: bytes)
        func bad(_ reason: String) -> Diagnostic { Diagnostic(file: file, reason: reason, hint: "is it a .npz file, and complete?") }
        guard let end = reader.endOfDirectory() else { throw bad("is not a zip archive: it has no central directory") }
        var position = end.offset
        for _ in 0..<end.count {
            guard reader.number(position, 4) == 0x0201_4b50, let flags = reader.number(position + 8, 2),
                let method = reader.number(position + 10, 2), let checksum = reader.number(position + 16, 4),
                var packed = reader.number(position + 20, 4), var size = reader.number(position + 24, 4),
                let nameCount = reader.number(position + 28, 2), let extraCount = reader.number(position + 30, 2),
                let commentCount = reader.number(position + 32, 2), var offset = reader.number(position + 42, 4),
                let name = bytes.slice(offset: position + 46, count: nameCount)?.array
            else { throw bad("has a damaged central directory") }
            let extra = position + 46 + nameCount
            guard reader.zip64(extra, extraCount, &size, &packed, &offset) else { throw bad("has a damaged zip64 field") }
            position = extra + extraCount + commentCount
            let text = String(decoding: name, as: UTF8.self)
            if text.hasSuffix("/") && size == 0 { continue }
            guard flags & 1 == 0 else { throw bad("entry '\(text)' is encrypted") }
            // The local header repeats the name with an extra field of its own length.
            guard reader.number(offset, 4) == 0x0403_4b50, let localName = reader.number(offset + 26, 2),
                let localExtra = reader.number(offset + 28, 2),
                let content = bytes.slice(offset: offset + 30 + localName + localExtra, count: packed)
            else { throw bad("entry '\(text)' lies outside the file") }
            guard size <= 1 << 48 else { throw bad("entry '\(text)' claims an impossible size") }
            entries.append(
                Entry(name: text, method: method, checksum: UInt32(checksum), packed: content, size: size, file: file))
        }
    }

    private struct Reader {
        let bytes: ByteSpan

        /// The little-endian number of `size` bytes at `offset`; nil outside the file or above `Int.max / 4`.
        func number(_ offset: Int, _ size: Int) -> Int? {
            guard let span = bytes.slice(offset: offset, count: size) else { return nil }
            let value = span.withUnsafeBytes { $0.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) } }
            // Sums of a few such numbers cannot overflow.
            return value <= UInt64(Int.max / 4) ? Int(value) : nil
        }

        /// Where the central directory begins, and how many entries it has.
        func endOfDirectory() -> (offset: Int, count: Int)? {
            let last = bytes.count - 22
            guard last >= 0 else { return nil }
            for position in stride(from: last, through: max(0, last - 0xffff), by: -1)
            where number(position, 4) == 0x0605_4b50 {
                guard let count = number(position + 10, 2), let offset = number(position + 16, 4) else { return nil }
                if count != 0xffff && offset != 0xffff_ffff { return (offset, count) }
                guard number(position - 20, 4) == 0x0706_4b50, let wide = number(position - 12, 8), number(wide, 4) == 0x0606_4b50,
                    let count = number(wide + 32, 8), let offset = number(wide + 48, 8), count <= bytes.count / 46
                else { return nil }
                return (offset, count)
            }
            return nil
        }

        /// Replaces sizes and offset that are all ones by their values in the zip64 extra field.
        func zip64(_ start: Int, _ count: Int, _ size: inout Int, _ packed: inout Int, _ offset: inout Int) -> Bool {
            guard size == 0xffff_ffff || packed == 0xffff_ffff || offset == 0xffff_ffff else { return true }
            var position = start
            while position + 4 <= start + count {
                guard let tag = number(position, 2), let length = number(position + 2, 2) else { return false }
                if tag == 1 {
                    var at = position + 4
                    func next(_ value: inout Int) -> Bool {
                        guard value == 0xffff_ffff else { return true }
                        guard at + 8 <= position + 4 + length, let wide = number(at, 8) else { return false }
                        value = wide
                        at += 8
                        return true
                    }
                    return next(&size) && next(&packed) && next(&offset)
                }
                position += 4 + length
            }
            return false
        }
    }
}
