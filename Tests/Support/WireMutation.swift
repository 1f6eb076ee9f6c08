/// Changes a protobuf message field by field and writes it again with right lengths, so that the damage reaches past the reader: numbers become
/// extreme, strings stand in for one another, fields vanish or appear twice.
public struct WireMutation: Sendable {
    private indirect enum Field: Sendable {
        case varint(Int, UInt64)
        /// Four or eight bytes.
        case fixed(Int, wireType: UInt64, [UInt8])
        case bytes(Int, [UInt8])
        case message(Int, [Field])
    }

    private var fields: [Field]
    /// All short texts in the message: names of values, operators and attributes.
    private var texts: [[UInt8]] = []

    /// nil where the bytes are no message.
    public init?(_ bytes: [UInt8]) {
        guard let fields = Self.parse(bytes[...], depth: 0) else { return nil }
        self.fields = fields
        collect(fields)
    }

    /// The message with one to three fields changed.
    public func mutated(_ generator: inout TestGenerator) -> [UInt8] {
        var fields = fields
        for _ in 0..<Int.random(in: 1...3, using: &generator) { change(&fields, &generator) }
        return Self.bytes(fields)
    }

    private static let extremes: [Int64] = [0, -1, 1, 2, 3, 7, -2, 16, 1 << 20, 1 << 31, 1 << 31 - 1, 1 << 40, 1 << 62, .min, .max]

    private func change(_ fields: inout [Field], _ generator: inout TestGenerator) {
        guard !fields.isEmpty else { return }
        let at = Int.random(in: 0..<fields.count, using: &generator)
        switch (fields[at], Int.random(in: 0..<12, using: &generator)) {
        case (_, 0): fields.remove(at: at)
        case (let field, 1): fields.insert(field, at: at)
        case (.varint(let number, _), _):
            fields[at] = .varint(number, UInt64(bitPattern: Self.extremes.randomElement(using: &generator) ?? 0))
        case (.fixed(let number, let type, let bytes), _):
            fields[at] = .fixed(number, wireType: type, bytes.map { _ in [0, 0x7f, 0x80, 0xff].randomElement(using: &generator) ?? 0 })
        case (.bytes(let number, let bytes), let choice):
            fields[at] = .bytes(number, choice < 9 ? texts.randomElement(using: &generator) ?? [] : generator.mutate(bytes))
        case (.message(let number, var inner), _):
            change(&inner, &generator)
            fields[at] = .message(number, inner)
        }
    }

    private mutating func collect(_ fields: [Field]) {
        for field in fields {
            switch field {
            case .bytes(_, let bytes) where bytes.count <= 24: texts.append(bytes)
            case .message(_, let inner): collect(inner)
            default: break
            }
        }
    }

    private static func parse(_ bytes: ArraySlice<UInt8>, depth: Int) -> [Field]? {
        var rest = bytes, fields: [Field] = []
        func varint() -> UInt64? {
            var value: UInt64 = 0, shift: UInt64 = 0
            while let byte = rest.popFirst(), shift < 64 {
                value |= UInt64(byte & 0x7f) << shift
                if byte < 0x80 { return value }
                shift += 7
            }
            return nil
        }
        while !rest.isEmpty {
            guard let tag = varint(), (1...40).contains(tag >> 3) else { return nil }
            let number = Int(tag >> 3)
            switch tag & 7 {
            case 0:
                guard let value = varint() else { return nil }
                fields.append(.varint(number, value))
            case 1, 5:
                let count = tag & 7 == 1 ? 8 : 4
                guard rest.count >= count else { return nil }
                fields.append(.fixed(number, wireType: tag & 7, Array(rest.prefix(count))))
                rest = rest.dropFirst(count)
            case 2:
                guard let length = varint(), length <= UInt64(rest.count) else { return nil }
                let content = rest.prefix(Int(length))
                rest = rest.dropFirst(Int(length))
                // Text often looks like a message: what is all printable is text.
                let isText = content.allSatisfy { (0x20..<0x7f).contains($0) }
                if !isText, depth < 20, let inner = parse(content, depth: depth + 1) {
                    fields.append(.message(number, inner))
                } else {
                    fields.append(.bytes(number, Array(content)))
                }
            default: return nil
            }
        }
        return fields
    }

    private static func bytes(_ fields: [Field]) -> [UInt8] {
        fields.flatMap { field -> [UInt8] in
            func tag(_ number: Int, _ type: UInt64) -> [UInt8] { Proto.varint(UInt64(number) << 3 | type) }
            switch field {
            case .varint(let number, let value): return tag(number, 0) + Proto.varint(value)
            case .fixed(let number, let type, let bytes): return tag(number, type) + bytes
            case .bytes(let number, let bytes): return tag(number, 2) + Proto.varint(UInt64(bytes.count)) + bytes
            case .message(let number, let inner):
                let content = Self.bytes(inner)
                return tag(number, 2) + Proto.varint(UInt64(content.count)) + content
            }
        }
    }
}
