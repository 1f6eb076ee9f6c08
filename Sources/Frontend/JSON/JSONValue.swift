/// A JSON document. Numbers that are written as integers and fit stay exact; objects keep the order of the file.
public enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case string(String)
    case array([JSONValue])
    case object([Member])

    public struct Member: Sendable, Equatable {
        public var key: String
        public var value: JSONValue

        public init(key: String, value: JSONValue) {
            self.key = key
            self.value = value
        }
    }

    /// The member of an object, nil when there is none or this is no object.
    public subscript(key: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.key == key }?.value
    }

    public var string: String? { if case .string(let value) = self { value } else { nil } }
    public var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    public var int: Int? { if case .int(let value) = self { Int(value) } else { nil } }

    public var double: Double? {
        switch self {
        case .int(let value): Double(value)
        case .double(let value): value
        default: nil
        }
    }
}

/// Why a text is not JSON, and at which byte.
public struct JSONError: Error, Sendable, Equatable {
    public var reason: String
    public var offset: Int
}

extension JSONValue {
    /// Parses a whole document (RFC 8259). Stricter than most: duplicate keys are an error, and so is nesting deeper than 128
    /// levels; a header that says two things about one tensor must not be taken at its word.
    public init(parsing text: UnsafeRawBufferPointer) throws(JSONError) {
        var parser = JSONParser(text: text)
        self = try parser.document()
    }

    public init(parsing text: String) throws(JSONError) {
        let bytes = Array(text.utf8)
        var result: Result<JSONValue, JSONError> = .success(.null)
        bytes.withUnsafeBytes { buffer in
            do throws(JSONError) { result = .success(try JSONValue(parsing: buffer)) } catch { result = .failure(error) }
        }
        self = try result.get()
    }
}

private struct JSONParser {
    let text: UnsafeRawBufferPointer
    var position = 0

    mutating func document() throws(JSONError) -> JSONValue {
        let value = try value(depth: 0)
        skipSpace()
        guard position == text.count else { throw failure("text after the end of the document") }
        return value
    }

    private mutating func value(depth: Int) throws(JSONError) -> JSONValue {
        guard depth < 128 else { throw failure("nesting is too deep") }
        skipSpace()
        switch peek {
        case UInt8(ascii: "{"): return try object(depth)
        case UInt8(ascii: "["): return try array(depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return try number()
        }
    }

    private mutating func object(_ depth: Int) throws(JSONError) -> JSONValue {
        position += 1
        var members: [JSONValue.Member] = []
        var keys: Set<[UInt8]> = []  // by their bytes: to String, two spellings of an accent are one key
        skipSpace()
        if take("}") { return .object([]) }
        while true {
            skipSpace()
            guard peek == UInt8(ascii: "\"") else { throw failure("a key is expected") }
            let key = try string()
            guard keys.insert(Array(key.utf8)).inserted else { throw failure("key '\(key)' appears twice") }
            skipSpace()
            guard take(":") else { throw failure("':' is expected") }
            members.append(.init(key: key, value: try value(depth: depth + 1)))
            skipSpace()
            if take("}") { return .object(members) }
            guard take(",") else { throw failure("',' or '}' is expected") }
        }
    }

    private mutating func array(_ depth: Int) throws(JSONError) -> JSONValue {
        position += 1
        var items: [JSONValue] = []
        skipSpace()
        if take("]") { return .array([]) }
        while true {
            items.append(try value(depth: depth + 1))
            skipSpace()
            if take("]") { return .array(items) }
            guard take(",") else { throw failure("',' or ']' is expected") }
        }
    }

    private mutating func string() throws(JSONError) -> String {
        position += 1
        let start = position
        while position < text.count, text[position] >= 0x20, text[position] != UInt8(ascii: "\\") {
            guard text[position] == UInt8(ascii: "\"") else {
                position += 1
                continue
            }
            guard let string = String(validating: UnsafeRawBufferPointer(rebasing: text[start..<position]), as: UTF8.self) else { throw failure("a string is not UTF-8") }
            position += 1
            return string
        }
        var bytes = Array(text[start..<position])
        while let byte = peek {
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let string = String(validating: bytes, as: UTF8.self) else { throw failure("a string is not UTF-8") }
                return string
            case UInt8(ascii: "\\"): try escape(into: &bytes)
            case 0..<0x20: throw failure("a control character inside a string")
            default: bytes.append(byte)
            }
        }
        throw failure("a string does not end")
    }

    private mutating func escape(into bytes: inout [UInt8]) throws(JSONError) {
        guard let byte = peek else { throw failure("a string does not end") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): bytes.append(byte)
        case UInt8(ascii: "b"): bytes.append(8)
        case UInt8(ascii: "f"): bytes.append(12)
        case UInt8(ascii: "n"): bytes.append(10)
        case UInt8(ascii: "r"): bytes.append(13)
        case UInt8(ascii: "t"): bytes.append(9)
        case UInt8(ascii: "u"):
            var code = try hex()
            if code & 0xfc00 == 0xd800, take("\\"), take("u") {
                let low = try hex()
                guard low & 0xfc00 == 0xdc00 else { throw failure("a surrogate stands alone") }
                code = 0x10000 + (code & 0x3ff) << 10 + (low & 0x3ff)
            }
            guard let scalar = Unicode.Scalar(code) else { throw failure("a surrogate stands alone") }
            bytes.append(contentsOf: Array(String(Character(scalar)).utf8))
        default: throw failure("an unknown escape")
        }
    }

    private mutating func hex() throws(JSONError) -> UInt32 {
        guard text.count - position >= 4 else { throw failure("a string does not end") }
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = Character(Unicode.Scalar(text[position])).hexDigitValue else { throw failure("four hexadecimal digits are expected") }
            code = code << 4 | UInt32(digit)
            position += 1
        }
        return code
    }

    private mutating func number() throws(JSONError) -> JSONValue {
        let start = position
        var isInteger = true
        while let byte = peek {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"): break
            case UInt8(ascii: "+"), UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"): isInteger = false
            default:
                return try number(start, isInteger)
            }
            position += 1
        }
        return try number(start, isInteger)
    }

    private func number(_ start: Int, _ isInteger: Bool) throws(JSONError) -> JSONValue {
        let digits = String(decoding: text[start..<position], as: UTF8.self)
        if isInteger, let value = Int64(digits) { return .int(value) }
        guard !digits.isEmpty, let value = Double(digits), value.isFinite else {
            throw JSONError(reason: "a value is expected", offset: start)
        }
        return .double(value)
    }

    private mutating func word(_ word: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
        for byte in word.description.utf8 {
            guard peek == byte else { throw failure("a value is expected") }
            position += 1
        }
        return value
    }

    private var peek: UInt8? { position < text.count ? text[position] : nil }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard peek == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func skipSpace() {
        while let byte = peek, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { position += 1 }
    }

    private func failure(_ reason: String) -> JSONError { JSONError(reason: reason, offset: position) }
}
