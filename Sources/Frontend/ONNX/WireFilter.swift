import COnnx

/// A pass over the protobuf wire format that makes a file safe and cheap to unpack.
///
/// It copies what `descriptor` knows and leaves out the rest, with three changes: messages nested deeper than `maximumDepth` are
/// refused (protobuf-c recurses per level), as is text with a zero byte, and every `TensorProto.raw_data` becomes its position in the input (`raw_offset`,
/// `raw_length`). The copy is as large as the model without its weights, so unpacking never holds a second copy of them.
struct WireFilter {
    /// Protobuf's own customary limit. A subgraph in a node takes three levels.
    static let maximumDepth = 100

    private static let rawData: UInt32 = 9
    private static let rawOffset: UInt32 = 400_000_001
    private static let rawLength: UInt32 = 400_000_002

    private let input: UnsafeRawBufferPointer
    private var output: [UInt8] = []
    private var tables: [UnsafePointer<ProtobufCMessageDescriptor>: [UInt32: UnsafePointer<ProtobufCFieldDescriptor>]] = [:]

    private init(_ input: UnsafeRawBufferPointer) { self.input = input }

    /// The filtered copy of `input`, a serialised message of type `descriptor`; or the reason why there is none.
    static func filter(
        _ input: UnsafeRawBufferPointer, as descriptor: UnsafePointer<ProtobufCMessageDescriptor>
    ) throws(WireError) -> [UInt8] {
        var filter = WireFilter(input)
        try filter.message(0..<input.count, descriptor, depth: 1)
        return filter.output
    }

    private mutating func message(
        _ range: Range<Int>, _ descriptor: UnsafePointer<ProtobufCMessageDescriptor>, depth: Int
    ) throws(WireError) {
        guard depth <= Self.maximumDepth else { throw .tooDeep }
        let fields = table(of: descriptor)
        let isTensor = descriptor == onnx_tensor_descriptor()
        var position = range.lowerBound
        while position < range.upperBound {
            let start = position
            let tag = try varint(&position, range.upperBound)
            guard tag >> 3 > 0, tag >> 3 < 1 << 29 else { throw .malformed(at: start) }
            let number = UInt32(tag >> 3)
            let wireType = tag & 7
            let payload = try self.payload(wireType, &position, range.upperBound)
            guard let field = fields[number], number < Self.rawOffset else { continue }
            let isMessage = field.pointee.type == PROTOBUF_C_TYPE_MESSAGE
            switch wireType {
            case 2 where isMessage:
                let child = UnsafeRawPointer(field.pointee.descriptor!).assumingMemoryBound(to: ProtobufCMessageDescriptor.self)
                append(tag)
                // The length is known afterwards: five bytes hold any 32-bit varint, padded.
                let lengthAt = output.count
                output.append(contentsOf: [0x80, 0x80, 0x80, 0x80, 0])
                try message(payload, child, depth: depth + 1)
                let length = output.count - lengthAt - 5
                guard length < 1 << 31 else { throw .tooLarge }
                for i in 0..<5 { output[lengthAt + i] = UInt8(length >> (7 * i) & 0x7f) | (i < 4 ? 0x80 : 0) }
            case 2 where isTensor && number == Self.rawData:
                append(UInt64(Self.rawOffset) << 3)
                append(UInt64(payload.lowerBound))
                append(UInt64(Self.rawLength) << 3)
                append(UInt64(payload.count))
            default:
                guard accepts(field.pointee, wireType) else { throw .malformed(at: start) }
                if field.pointee.type == PROTOBUF_C_TYPE_STRING, input[payload].contains(0) { throw .zeroInText(at: start) }
                append(tag)
                if wireType == 2 { append(UInt64(payload.count)) }
                output.append(contentsOf: input[payload])
            }
        }
    }

    /// The bytes of one field after its tag (and after its length), all inside the message.
    private func payload(_ wireType: UInt64, _ position: inout Int, _ end: Int) throws(WireError) -> Range<Int> {
        let start = position
        let count: Int
        var from = start
        switch wireType {
        case 0:
            _ = try varint(&position, end)
            return start..<position
        case 1: count = 8
        case 5: count = 4
        case 2:
            let length = try varint(&position, end)
            guard length <= UInt64(end - position) else { throw .truncated(at: start) }
            count = Int(length)
            from = position
        default: throw .malformed(at: start)
        }
        guard count <= end - from else { throw .truncated(at: start) }
        position = from + count
        return from..<position
    }

    private func accepts(_ field: ProtobufCFieldDescriptor, _ wireType: UInt64) -> Bool {
        let own: UInt64
        switch field.type {
        case PROTOBUF_C_TYPE_FLOAT, PROTOBUF_C_TYPE_FIXED32, PROTOBUF_C_TYPE_SFIXED32: own = 5
        case PROTOBUF_C_TYPE_DOUBLE, PROTOBUF_C_TYPE_FIXED64, PROTOBUF_C_TYPE_SFIXED64: own = 1
        case PROTOBUF_C_TYPE_STRING, PROTOBUF_C_TYPE_BYTES, PROTOBUF_C_TYPE_MESSAGE: return wireType == 2
        default: own = 0
        }
        return wireType == own || (wireType == 2 && field.label == PROTOBUF_C_LABEL_REPEATED)
    }

    private func varint(_ position: inout Int, _ end: Int) throws(WireError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard position < end else { throw .truncated(at: position) }
            let byte = input[position]
            position += 1
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
        }
        throw .malformed(at: position)
    }

    private mutating func append(_ value: UInt64) {
        var value = value
        while value >= 0x80 {
            output.append(UInt8(truncatingIfNeeded: value) | 0x80)
            value >>= 7
        }
        output.append(UInt8(value))
    }

    private mutating func table(
        of descriptor: UnsafePointer<ProtobufCMessageDescriptor>
    ) -> [UInt32: UnsafePointer<ProtobufCFieldDescriptor>] {
        if let known = tables[descriptor] { return known }
        let table = fieldTable(of: descriptor)
        tables[descriptor] = table
        return table
    }
}

private func fieldTable(
    of descriptor: UnsafePointer<ProtobufCMessageDescriptor>
) -> [UInt32: UnsafePointer<ProtobufCFieldDescriptor>] {
    var table: [UInt32: UnsafePointer<ProtobufCFieldDescriptor>] = [:]
    for i in 0..<Int(descriptor.pointee.n_fields) {
        let field = descriptor.pointee.fields + i
        table[field.pointee.id] = field
    }
    return table
}

/// Why bytes are not a protobuf message that can be unpacked.
enum WireError: Error, Equatable {
    case truncated(at: Int)
    case malformed(at: Int)
    case tooDeep
    case tooLarge
    /// protobuf-c ends text at a zero byte, which would make one name of two.
    case zeroInText(at: Int)
    /// protobuf-c refused what the filter let through, or ran out of the memory that a message of this size may need.
    case refused

    var reason: String {
        switch self {
        case .truncated(let at): "the file is truncated: a field that begins at byte \(at) runs past the end of its message"
        case .malformed(let at): "not a protobuf message: no valid field at byte \(at)"
        case .tooDeep: "messages are nested more than \(WireFilter.maximumDepth) levels deep"
        case .tooLarge: "the model without its raw weights exceeds 2 GiB"
        case .zeroInText(let at): "the text at byte \(at) holds a zero byte, which no name may"
        case .refused: "the protobuf content is inconsistent"
        }
    }
}
