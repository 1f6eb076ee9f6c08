import GlmcIR

/// Reads the head of a GGUF file from front to back. All numbers have their least significant byte first.
struct GgufCursor {
    private let bytes: ByteSpan
    private let file: String
    private(set) var position = 0

    init(_ bytes: ByteSpan, file: String) { (self.bytes, self.file) = (bytes, file) }

    private func ends(_ what: String) -> Diagnostic {
        Diagnostic(file: file, place: what, reason: "does not fit the file of \(bytes.count) bytes", hint: "is it a GGUF file, and complete?")
    }

    mutating func take(_ count: Int, _ what: String) throws(Diagnostic) -> ByteSpan {
        guard let span = bytes.slice(offset: position, count: count) else { throw ends(what) }
        position += count
        return span
    }

    mutating func integer<T: FixedWidthInteger>(_: T.Type, _ what: String) throws(Diagnostic) -> T {
        T(littleEndian: try take(MemoryLayout<T>.size, what).withUnsafeBytes { $0.loadUnaligned(as: T.self) })
    }

    /// A number of things that take at least `size` bytes each.
    mutating func count(of size: Int, _ what: String) throws(Diagnostic) -> Int {
        let count = try integer(UInt64.self, what)
        guard count <= UInt64((bytes.count - position) / size) else { throw ends("\(count) \(what)") }
        return Int(count)
    }

    mutating func string(_ what: String) throws(Diagnostic) -> String {
        let text = try take(try count(of: 1, "bytes of \(what)"), what)
        guard let string = text.withUnsafeBytes({ String(validating: $0, as: UTF8.self) }) else { throw Diagnostic(file: file, place: what, reason: "is not UTF-8") }
        return string
    }

    /// The value of `key`, with its type in front.
    mutating func value(_ key: String) throws(Diagnostic) -> JSONValue {
        let type = try integer(UInt32.self, key)
        guard type == Self.list else { return try value(key, type: type) }
        let element = try integer(UInt32.self, key)
        guard let size = Self.sizes[element] else { throw unknown(element, key) }
        let count = try count(of: size, "items of \(key)")
        guard count <= 1 << 24 else { throw Diagnostic(file: file, place: key, reason: "is a list of \(count) items, and at most \(1 << 24) are taken") }
        var items: [JSONValue] = []
        items.reserveCapacity(count)
        for _ in 0..<count { items.append(try value(key, type: element)) }
        return .array(items)
    }

    private static let list: UInt32 = 9
    /// Bytes that a value takes at least, by its type's number.
    private static let sizes: [UInt32: Int] = [0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 8: 8, 10: 8, 11: 8, 12: 8]

    private mutating func value(_ key: String, type: UInt32) throws(Diagnostic) -> JSONValue {
        switch type {
        case 0: return .int(Int64(try integer(UInt8.self, key)))
        case 1: return .int(Int64(try integer(Int8.self, key)))
        case 2: return .int(Int64(try integer(UInt16.self, key)))
        case 3: return .int(Int64(try integer(Int16.self, key)))
        case 4: return .int(Int64(try integer(UInt32.self, key)))
        case 5: return .int(Int64(try integer(Int32.self, key)))
        case 6: return .double(Double(Float(bitPattern: try integer(UInt32.self, key))))
        case 7: return .bool(try integer(UInt8.self, key) != 0)
        case 8: return .string(try string(key))
        case 10:
            guard let value = Int64(exactly: try integer(UInt64.self, key)) else { throw Diagnostic(file: file, place: key, reason: "is a number beyond 2⁶³") }
            return .int(value)
        case 11: return .int(try integer(Int64.self, key))
        case 12: return .double(Double(bitPattern: try integer(UInt64.self, key)))
        default: throw unknown(type, key)
        }
    }

    private func unknown(_ type: UInt32, _ key: String) -> Diagnostic { Diagnostic(file: file, place: key, reason: "has a value of type \(type), which the format does not have here") }
}
