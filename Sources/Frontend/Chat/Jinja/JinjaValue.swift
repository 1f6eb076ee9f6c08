import GlmcIR

/// What an expression of a template yields. Values are immutable, as in a sandbox of Python; what can change
/// is an object of the renderer, held by its number.
indirect enum JinjaValue: Sendable {
    /// With the reason, which is told when the value is used.
    case undefined(String)
    case none
    case bool(Bool)
    case int(Int)
    case float(Double)
    case text(JinjaText)
    case list(JinjaItems)
    case tuple(JinjaItems)
    case dict(JinjaDict)
    case range(JinjaRange)
    case view(JinjaDict, JinjaView)
    /// A namespace, an iterator, a loop, a macro.
    case object(Int)
    /// A method that has not been called.
    case method(JinjaValue, String)
    case function(String)

    /// Nesting below this value; bounded, so that nothing that walks over a value can exhaust the stack.
    var height: Int {
        switch self {
        case .list(let items), .tuple(let items): items.height
        case .dict(let dict), .view(let dict, _): dict.height
        case .method(let receiver, _): receiver.height + 1
        default: 0
        }
    }

    static let heightLimit = 150

    /// Python's name of the type.
    var typeName: String {
        switch self {
        case .undefined: "Undefined"
        case .none: "NoneType"
        case .bool: "bool"
        case .int: "int"
        case .float: "float"
        case .text(let text): text.isMarkup ? "Markup" : "str"
        case .list: "list"
        case .tuple: "tuple"
        case .dict: "dict"
        case .range: "range"
        case .view(_, let view): "dict_\(view)"
        case .object: "object"
        case .method, .function: "function"
        }
    }

    /// The integer that this is; truth values are integers.
    var integer: Int? {
        switch self {
        case .int(let value): value
        case .bool(let value): value ? 1 : 0
        default: nil
        }
    }

    var number: Double? {
        if case .float(let value) = self { return value }
        return integer.map(Double.init)
    }

    var text: JinjaText? { if case .text(let text) = self { text } else { nil } }
    var isUndefined: Bool { if case .undefined = self { true } else { false } }
}

enum JinjaView: Sendable { case keys, values, items }

/// The elements of a list or tuple.
struct JinjaItems: Sendable {
    let all: [JinjaValue]
    let height: Int

    init(_ all: [JinjaValue]) throws {
        self.all = all
        height = 1 + (all.lazy.map(\.height).max() ?? 0)
        guard height <= JinjaValue.heightLimit else {
            throw Diagnostic(.invalid, "lists and mappings are nested deeper than \(JinjaValue.heightLimit) levels")
        }
    }
}

struct JinjaRange: Sendable, Equatable {
    var start: Int
    var step: Int
    var count: Int

    var values: [JinjaValue] { (0..<count).map { .int(start + $0 * step) } }
    /// The first number that is not reached any more, for printing.
    var stop: Int
}

/// A mapping in the order in which its keys came.
struct JinjaDict: Sendable {
    private(set) var entries: [(key: JinjaValue, value: JinjaValue)] = []
    private var places: [Key: Int] = [:]
    private(set) var height = 1

    /// Keys that are equal in Python are one key: 1, 1.0 and True.
    indirect enum Key: Hashable {
        case none, undefined
        case int(Int), float(Double), text(JinjaText), tuple([Key]), other(Int)

        init(_ value: JinjaValue) throws {
            switch value {
            case .none: self = .none
            case .undefined: self = .undefined
            case .bool, .int: self = .int(value.integer ?? 0)
            case .float(let number): self = Int(exactly: number).map(Key.int) ?? .float(number)
            case .text(let text): self = .text(text)
            case .tuple(let items): self = .tuple(try items.all.map(Key.init))
            case .object(let number): self = .other(number)
            default: throw Diagnostic(.invalid, "a \(value.typeName) cannot be a key")
            }
        }
    }

    init() {}

    init(_ entries: [(key: JinjaValue, value: JinjaValue)]) throws {
        for entry in entries { try set(entry.key, entry.value) }
    }

    mutating func set(_ key: JinjaValue, _ value: JinjaValue) throws {
        height = max(height, value.height + 1, key.height + 1)
        guard height <= JinjaValue.heightLimit else {
            throw Diagnostic(.invalid, "lists and mappings are nested deeper than \(JinjaValue.heightLimit) levels")
        }
        let hash = try Key(key)
        if let place = places[hash] {
            entries[place].value = value
        } else {
            places[hash] = entries.count
            entries.append((key, value))
        }
    }

    func value(of key: JinjaValue) throws -> JinjaValue? { places[try Key(key)].map { entries[$0].value } }
    subscript(name: JinjaText) -> JinjaValue? { places[.text(name)].map { entries[$0].value } }
    var keys: [JinjaValue] { entries.map(\.key) }
    var values: [JinjaValue] { entries.map(\.value) }
}

extension JinjaValue {
    /// A JSON document as a template sees it.
    init(_ json: JSONValue, depth: Int = 0) throws {
        guard depth < Self.heightLimit else { throw Diagnostic(.invalid, "the conversation is nested deeper than \(Self.heightLimit) levels") }
        switch json {
        case .null: self = .none
        case .bool(let value): self = .bool(value)
        case .int(let value): self = .int(Int(value))
        case .double(let value): self = .float(value)
        case .string(let value): self = .text(JinjaText(value))
        case .array(let items): self = .list(try JinjaItems(items.map { try JinjaValue($0, depth: depth + 1) }))
        case .object(let members):
            self = .dict(try JinjaDict(members.map { (.text(JinjaText($0.key)), try JinjaValue($0.value, depth: depth + 1)) }))
        }
    }
}
