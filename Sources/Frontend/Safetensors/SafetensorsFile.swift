import GlmcIR

/// The element types of the format, by their name in the header.
public enum SafetensorsElement: String, Sendable, CaseIterable {
    case bool = "BOOL"
    case u8 = "U8", i8 = "I8", u16 = "U16", i16 = "I16", u32 = "U32", i32 = "I32", u64 = "U64", i64 = "I64"
    case f16 = "F16", bf16 = "BF16", f32 = "F32", f64 = "F64", c64 = "C64"
    case f8e4m3 = "F8_E4M3", f8e5m2 = "F8_E5M2", f8e8m0 = "F8_E8M0"

    public var byteCount: Int {
        switch self {
        case .bool, .u8, .i8, .f8e4m3, .f8e5m2, .f8e8m0: 1
        case .u16, .i16, .f16, .bf16: 2
        case .u32, .i32, .f32: 4
        case .u64, .i64, .f64, .c64: 8
        }
    }
}

/// One tensor of a file: exactly `shape` elements, row-major and little-endian, in the mapped file.
public struct SafetensorsTensor: Sendable {
    public var element: SafetensorsElement
    public var shape: [Int]
    public var bytes: ByteSpan
}

/// A safetensors file: a length, a JSON header, and the tensors' bytes without gaps.
///
/// The header is not believed: it must be JSON of the right form, every tensor's bytes must match its shape, and together the
/// tensors must cover the rest of the file without overlap or hole, as the format demands.
public struct SafetensorsFile: Sendable {
    public var tensors: [String: SafetensorsTensor]
    public var metadata: [String: String]

    /// The format's own bound on the header.
    static let maximumHeader = 100_000_000

    public init(at path: String) throws { try self.init(Files.map(path), file: path) }

    /// The file in `bytes`; `file` names it in errors.
    public init(_ bytes: ByteSpan, file: String) throws {
        func bad(_ reason: String, at place: String = "", hint: String? = nil) -> Diagnostic {
            Diagnostic(file: file, place: place, reason: reason, hint: hint)
        }
        let hint = "is it a safetensors file, and complete?"
        guard bytes.count >= 8 else { throw bad("is shorter than its header length", hint: hint) }
        let length = bytes.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)) }
        guard length <= UInt64(Self.maximumHeader), Int(length) <= bytes.count - 8,
            let header = bytes.slice(offset: 8, count: Int(length)),
            let body = bytes.slice(offset: 8 + Int(length), count: bytes.count - 8 - Int(length))
        else { throw bad("the header length \(length) does not fit the file of \(bytes.count) bytes", hint: hint) }

        let document: JSONValue
        do {
            document = try header.withUnsafeBytes { text throws(JSONError) in try JSONValue(parsing: text) }
        } catch let error as JSONError {
            throw bad("the header is not JSON: \(error.reason) at byte \(8 + error.offset)", hint: hint)
        }
        guard case .object(let members) = document else { throw bad("the header is not a JSON object", hint: hint) }

        tensors = [:]
        metadata = [:]
        var ranges: [(begin: Int, end: Int, name: String)] = []
        for member in members {
            if member.key == "__metadata__" {
                guard case .object(let entries) = member.value else { throw bad("__metadata__ is not an object") }
                for entry in entries {
                    guard let text = entry.value.string else { throw bad("is not a string", at: "metadata '\(entry.key)'") }
                    metadata[entry.key] = text
                }
                continue
            }
            let place = "tensor '\(member.key)'"
            guard let name = member.value["dtype"]?.string else { throw bad("has no dtype", at: place) }
            guard let element = SafetensorsElement(rawValue: name) else { throw bad("dtype '\(name)' is not supported", at: place) }
            guard let shape = member.value["shape"]?.array, let offsets = member.value["data_offsets"]?.array else {
                throw bad("has no shape or no data_offsets", at: place)
            }
            let dims = shape.compactMap(\.int)
            guard dims.count == shape.count, dims.allSatisfy({ $0 >= 0 }) else {
                throw bad("has a shape that is not a list of sizes", at: place)
            }
            guard offsets.count == 2, let begin = offsets[0].int, let end = offsets[1].int, begin >= 0, begin <= end else {
                throw bad("has data_offsets that are not a range", at: place)
            }
            guard let needed = byteCount(dims, element.byteCount) else { throw bad("is too large: \(dims)", at: place) }
            guard needed == end - begin else {
                throw bad("has \(end - begin) bytes where \(dims) of \(name) needs \(needed)", at: place)
            }
            guard let span = body.slice(offset: begin, count: needed) else {
                throw bad("ends at byte \(end) of \(body.count)", at: place, hint: "the file is truncated")
            }
            tensors[member.key] = SafetensorsTensor(element: element, shape: dims, bytes: span)
            ranges.append((begin, end, member.key))
        }
        ranges.sort { ($0.begin, $0.end) < ($1.begin, $1.end) }
        var covered = 0
        for range in ranges {
            guard range.begin == covered else {
                throw bad(range.begin < covered ? "overlaps another tensor" : "leaves a hole before it", at: "tensor '\(range.name)'")
            }
            covered = range.end
        }
        guard covered == body.count else { throw bad("\(body.count - covered) bytes after the last tensor belong to nothing") }
    }
}

/// The bytes that `dims` elements of `size` bytes take, or nil when that is absurd.
func byteCount(_ dims: [Int], _ size: Int) -> Int? {
    var total = size
    var isEmpty = false
    for dim in dims {
        let (next, overflow) = total.multipliedReportingOverflow(by: max(dim, 1))
        guard dim >= 0, !overflow, next <= 1 << 48 else { return nil }
        if dim == 0 { isEmpty = true }
        total = next
    }
    return isEmpty ? 0 : total
}
