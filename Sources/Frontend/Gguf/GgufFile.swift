import GlmcIR

/// A GGUF file, versions 2 and 3 (the format of ggml and llama.cpp): values by key, and tensors, in one file or in several that are numbered.
///
/// Nothing in it is believed: counts are bounded by the bytes that are left, and every tensor's bytes must lie in the file.
public struct GgufFile: Sendable {
    /// As the user named it.
    let path: String
    /// Values by key: numbers, strings, and lists of them.
    private(set) var values: [String: JSONValue] = [:]
    /// Tensors of elements that lie one by one.
    private(set) var tensors: [String: SafetensorsTensor] = [:]
    /// Tensors of elements in blocks.
    private(set) var blocks: [String: BlockTensor] = [:]

    /// Whether there is a file that begins as such files do.
    public static func isOne(_ path: String) -> Bool {
        guard !Files.isFolder(path), let head = try? Files.map(path).slice(offset: 0, count: 4) else { return false }
        return head.array == magic
    }

    private static let magic = Array("GGUF".utf8)

    /// - Throws: `Diagnostic` where the file, or one of those that belong to it, is damaged or holds what is not supported.
    init(at path: String) throws {
        self.init(path)
        try read(Files.map(path), file: path)
        for other in try parts where other != path { try read(Files.map(other), file: other) }
    }

    /// The files that the model lies in, in order.
    /// - Throws: `Diagnostic` where there are several and the name of this one does not tell those of the others.
    public static func files(of path: String) throws -> [String] {
        var file = GgufFile(path)
        try file.read(Files.map(path), file: path)
        return try file.parts
    }

    private var parts: [String] {
        get throws {
            let count = values["split.count"]?.int ?? 1
            return count > 1 ? try Self.siblings(path, count) : [path]
        }
    }

    private init(_ path: String) { self.path = path }

    /// The file in `bytes`; `file` names it in errors.
    init(_ bytes: ByteSpan, file: String) throws {
        self.init(file)
        try read(bytes, file: file)
    }

    /// The names of the files that a model was split into: NAME-00001-of-00003.gguf and so on.
    private static func siblings(_ path: String, _ count: Int) throws -> [String] {
        func padded(_ number: Int) -> String { String(repeating: "0", count: max(5 - String(number).count, 0)) + String(number) }
        let all = (1...min(count, 99_999)).map { "-\(padded($0))-of-\(padded(count)).gguf" }
        guard count <= 99_999, let own = all.first(where: { path.hasSuffix($0) }) else {
            throw Diagnostic(file: path, reason: "is one of \(count) files of a model, and its name does not say which", hint: "such files are called NAME-00001-of-\(padded(min(count, 99_999))).gguf and so on")
        }
        return all.map { path.dropLast(own.count) + $0 }
    }

    private mutating func read(_ bytes: ByteSpan, file: String) throws {
        var cursor = GgufCursor(bytes, file: file)
        guard try cursor.take(4, "the file's first bytes").array == Self.magic else { throw Diagnostic(file: file, reason: "does not begin as a GGUF file") }
        let version = try cursor.integer(UInt32.self, "the version")
        guard version == 2 || version == 3 else {
            throw Diagnostic(.unsupported, "version \(version) of the format is not supported", at: [file], hint: "versions 2 and 3 are, least significant byte first")
        }
        let tensorCount = try cursor.count(of: 24, "tensors"), valueCount = try cursor.count(of: 12, "values")
        var alignment = 32
        for _ in 0..<valueCount {
            let key = try cursor.string("a key"), value = try cursor.value(key)
            values[key] = value
            if key == "general.alignment" {
                guard let own = value.int, own > 0, own <= 1 << 20, own % 8 == 0 else { throw Diagnostic(file: file, place: key, reason: "must be a multiple of 8") }
                alignment = own
            }
        }
        var entries: [(name: String, shape: [Int], type: UInt32, offset: Int)] = []
        for _ in 0..<tensorCount {
            let name = try cursor.string("a tensor's name"), place = "tensor '\(name)'"
            let rank = try cursor.integer(UInt32.self, place)
            guard rank <= 4 else { throw Diagnostic(file: file, place: place, reason: "has \(rank) axes, and at most 4 are possible") }
            let sizes = try (0..<rank).map { _ in try cursor.integer(UInt64.self, place) }
            let type = try cursor.integer(UInt32.self, place), offset = try cursor.integer(UInt64.self, place)
            guard sizes.allSatisfy({ $0 <= UInt64(Int32.max) }), offset <= UInt64(Int.max) else { throw Diagnostic(file: file, place: place, reason: "has sizes or a place beyond any file: \(sizes), \(offset)") }
            entries.append((name, sizes.reversed().map { Int($0) }, type, Int(offset)))
        }
        let start = (cursor.position + alignment - 1) / alignment * alignment
        for entry in entries { try add(entry.name, entry.shape, type: entry.type, bytes, start: start, offset: entry.offset, file) }
    }

    private mutating func add(_ name: String, _ shape: [Int], type: UInt32, _ bytes: ByteSpan, start: Int, offset: Int, _ file: String) throws {
        func bad(_ reason: String, hint: String? = nil) -> Diagnostic { Diagnostic(file: file, place: "tensor '\(name)'", reason: reason, hint: hint) }
        guard tensors[name] == nil, blocks[name] == nil else { throw bad("is there twice") }
        func span(_ count: Int?) throws -> ByteSpan {
            guard let count, start <= bytes.count, offset <= bytes.count - start, let span = bytes.slice(offset: start + offset, count: count) else {
                throw bad("of shape \(shape) does not lie in the file of \(bytes.count) bytes", hint: "the file is truncated")
            }
            return span
        }
        if let element = Self.elements[type] {
            tensors[name] = SafetensorsTensor(element: element, shape: shape, bytes: try span(byteCount(shape, element.byteCount)))
        } else if let format = BlockFormat.all[type] {
            guard let columns = shape.last, columns % format.count == 0 else { throw bad("has rows of \(shape.last ?? 0) elements, which are no whole blocks of \(format.count) (\(format.name))") }
            let rows = shape.dropLast() + [columns / format.count]
            blocks[name] = BlockTensor(format: format, shape: shape, bytes: try span(byteCount(Array(rows), format.byteCount)))
        } else {
            let known = BlockFormat.all.values.map(\.name).sorted() + ["F32", "F16", "BF16", "F64"]
            throw Diagnostic(.unsupported, "tensors of ggml's type \(type) are not supported", at: [file, "tensor '\(name)'"], hint: "supported: \(known.joined(separator: ", "))")
        }
    }

    /// ggml's numbers of types whose elements lie one by one.
    private static let elements: [UInt32: SafetensorsElement] = [0: .f32, 1: .f16, 24: .i8, 25: .i16, 26: .i32, 27: .i64, 28: .f64, 30: .bf16]
}
