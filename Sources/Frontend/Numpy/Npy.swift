import GlmcIR

/// The `.npy` format: a magic number, a version, a header that is a Python dictionary literal, and the elements.
public enum Npy {
    private static let magic: [UInt8] = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]

    /// The array in the file at `path`. Little-endian row-major data stays in the mapped file.
    public static func read(_ path: String) throws -> NumpyArray { try read(Files.map(path), file: path) }

    /// The array in `bytes`; `file` and `place` name it in errors.
    public static func read(_ bytes: ByteSpan, file: String, place: String = "") throws -> NumpyArray {
        func bad(_ reason: String, hint: String? = nil) -> Diagnostic {
            Diagnostic(file: file, place: place, reason: reason, hint: hint)
        }
        let start = bytes.slice(offset: 0, count: min(bytes.count, 12))?.array ?? []
        guard start.count >= 10, Array(start[0..<6]) == magic else { throw bad("is not a .npy file") }
        let version = start[6]
        let headerStart = version == 1 ? 10 : 12
        guard (1...3).contains(version), start.count >= headerStart else { throw bad("has the unknown .npy version \(version)") }
        let headerCount = (8..<headerStart).reversed().reduce(0) { $0 << 8 | Int(start[$1]) }
        guard headerCount <= 1 << 20, let header = bytes.slice(offset: headerStart, count: headerCount),
            let body = bytes.slice(offset: headerStart + headerCount, count: bytes.count - headerStart - headerCount)
        else { throw bad("is truncated inside its header") }

        var parser = NpyHeaderParser(text: header.array)
        guard let fields = parser.parse() else { throw bad("has a header that is not of the form {'descr': …, 'fortran_order': …, 'shape': …}") }
        let order = fields.descr.first
        let name = String(fields.descr.dropFirst())
        guard let order, "<>|=".contains(order), let element = NumpyElement(rawValue: name) else {
            throw bad("dtype '\(fields.descr)' is not supported", hint: "save it as a number type; objects and strings are not read")
        }
        guard let needed = byteCount(fields.shape, element.byteCount) else { throw bad("has an absurd shape: \(fields.shape)") }
        guard needed == body.count else {
            throw bad("has \(body.count) bytes of data where \(fields.shape) of \(name) needs \(needed)")
        }
        var data = body
        if order == ">" { data = swapped(data, element.swapCount) }
        if fields.fortranOrder && fields.shape.count > 1 { data = rowMajor(data, fields.shape, element.byteCount) }
        if element == .bool, data.withUnsafeBytes({ $0.contains { $0 > 1 } }) {
            throw bad("holds a bool that is neither 0 nor 1")
        }
        guard let array = NumpyArray(element: element, shape: fields.shape, bytes: data) else { throw bad("is inconsistent") }
        return array
    }

    /// Writes `array` to `path`, whole or not at all.
    public static func write(_ array: NumpyArray, to path: String) throws {
        let head = header(array)
        try head.withUnsafeBytes { head in
            try array.bytes.withUnsafeBytes { body in try Files.replace(path, with: [head, body]) }
        }
    }

    /// Everything before the elements, padded to a multiple of 64 bytes so that a mapped file has aligned elements.
    static func header(_ array: NumpyArray) -> [UInt8] {
        let order = array.element.byteCount == 1 ? "|" : "<"
        let shape = array.shape.map(String.init).joined(separator: ", ") + (array.shape.count == 1 ? "," : "")
        let text = "{'descr': '\(order)\(array.element.rawValue)', 'fortran_order': False, 'shape': (\(shape)), }"
        // Version 2 has a 4-byte length; version 1 serves whatever fits its 2 bytes.
        let isLong = text.utf8.count + 75 > 0xffff
        let prefix = isLong ? 12 : 10
        let padding = 63 - (prefix + text.utf8.count) % 64
        let length = text.utf8.count + padding + 1
        var bytes = magic + [isLong ? 2 : 1, 0]
        for i in 0..<(isLong ? 4 : 2) { bytes.append(UInt8(length >> (8 * i) & 0xff)) }
        return bytes + Array(text.utf8) + [UInt8](repeating: 0x20, count: padding) + [0x0a]
    }

    private static func swapped(_ data: ByteSpan, _ size: Int) -> ByteSpan {
        guard size > 1 else { return data }
        return data.withUnsafeBytes { source in
            ByteSpan(TensorStorage(count: source.count) { target in
                for i in 0..<source.count { target[i] = source[i - i % size + size - 1 - i % size] }
            })
        }
    }

    private static func rowMajor(_ data: ByteSpan, _ shape: [Int], _ size: Int) -> ByteSpan {
        var strides: [Int] = []
        var stride = size
        for dim in shape {
            strides.append(stride)
            stride *= dim
        }
        return data.withUnsafeBytes { source in
            ByteSpan(TensorStorage(count: source.count) { target in
                var index = [Int](repeating: 0, count: shape.count)
                var from = 0
                for to in Swift.stride(from: 0, to: source.count, by: size) {
                    for byte in 0..<size { target[to + byte] = source[from + byte] }
                    for axis in shape.indices.reversed() {
                        index[axis] += 1
                        from += strides[axis]
                        if index[axis] < shape[axis] { break }
                        from -= strides[axis] * shape[axis]
                        index[axis] = 0
                    }
                }
            })
        }
    }
}

/// Reads the header's dictionary literal: string, boolean and tuple-of-integers values under the three known keys.
private struct NpyHeaderParser {
    let text: [UInt8]
    private var position = 0

    init(text: [UInt8]) { self.text = text }

    mutating func parse() -> (descr: String, fortranOrder: Bool, shape: [Int])? {
        var descr: String?
        var fortranOrder: Bool?
        var shape: [Int]?
        guard take("{") else { return nil }
        while !take("}") {
            guard let key = string(), take(":") else { return nil }
            switch key {
            case "descr" where descr == nil:
                descr = string()
                guard descr != nil else { return nil }
            case "fortran_order" where fortranOrder == nil:
                fortranOrder = take("True") ? true : take("False") ? false : nil
                guard fortranOrder != nil else { return nil }
            case "shape" where shape == nil:
                shape = tuple()
                guard shape != nil else { return nil }
            default: return nil
            }
            if !take(",") {
                guard take("}") else { return nil }
                break
            }
        }
        skipSpace()
        guard position == text.count, let descr, let fortranOrder, let shape else { return nil }
        return (descr, fortranOrder, shape)
    }

    private mutating func tuple() -> [Int]? {
        guard take("(") else { return nil }
        var items: [Int] = []
        while !take(")") {
            skipSpace()
            let start = position
            while position < text.count, (0x30...0x39).contains(text[position]) { position += 1 }
            guard let value = Int(String(decoding: text[start..<position], as: UTF8.self)), items.count < 64 else { return nil }
            items.append(value)
            if !take(",") {
                guard take(")") else { return nil }
                break
            }
        }
        return items
    }

    private mutating func string() -> String? {
        skipSpace()
        guard position < text.count, text[position] == 0x27 || text[position] == 0x22 else { return nil }
        let quote = text[position]
        guard let end = text[(position + 1)...].firstIndex(of: quote) else { return nil }
        defer { position = end + 1 }
        return String(decoding: text[(position + 1)..<end], as: UTF8.self)
    }

    private mutating func take(_ word: String) -> Bool {
        skipSpace()
        let bytes = Array(word.utf8)
        guard text.count - position >= bytes.count, Array(text[position..<position + bytes.count]) == bytes else { return false }
        position += bytes.count
        return true
    }

    private mutating func skipSpace() {
        while position < text.count, text[position] == 0x20 || text[position] == 0x0a { position += 1 }
    }
}
