/// The value of one attribute of an op, in the form that the printer writes and the parser reads.
public enum AttributeValue: Hashable, Sendable {
    case bool(Bool)
    case integer(Int)
    case integers([Int])
    case float(Bitwise<Double>)
    case floats(Bitwise<[Double]>)
    case string(String)
    case strings([String])
    case extents([Extent])
    case tensor(Tensor)
}

/// A Swift type that an attribute may have.
public protocol AttributeConvertible: Hashable, Sendable {
    var attributeValue: AttributeValue { get }
    /// nil where `value` is not of this type.
    init?(attributeValue value: AttributeValue)
    /// How documentation names the type.
    static var attributeKind: String { get }
}

/// One attribute of op type `O`: its name and how to read and write it. Drives printing, parsing and documentation.
public struct Attribute<O> {
    public let name: String
    public let kind: String
    public let get: (O) -> AttributeValue
    public let set: (inout O, AttributeValue) -> Bool

    public init<T: AttributeConvertible>(_ name: String, _ path: WritableKeyPath<O, T>) {
        self.name = name
        kind = T.attributeKind
        get = { $0[keyPath: path].attributeValue }
        set = { op, value in
            guard let converted = T(attributeValue: value) else { return false }
            op[keyPath: path] = converted
            return true
        }
    }
}

extension Bool: AttributeConvertible {
    public var attributeValue: AttributeValue { .bool(self) }
    public init?(attributeValue value: AttributeValue) {
        guard case .bool(let x) = value else { return nil }
        self = x
    }
    public static var attributeKind: String { "bool" }
}

extension Int: AttributeConvertible {
    public var attributeValue: AttributeValue { .integer(self) }
    public init?(attributeValue value: AttributeValue) {
        guard case .integer(let x) = value else { return nil }
        self = x
    }
    public static var attributeKind: String { "integer" }
}

extension Double: AttributeConvertible {
    public var attributeValue: AttributeValue { .float(Bitwise(self)) }
    public init?(attributeValue value: AttributeValue) {
        switch value {
        case .float(let x): self = x.wrappedValue
        case .integer(let x): self = Double(x)
        default: return nil
        }
    }
    public static var attributeKind: String { "float" }
}

extension String: AttributeConvertible {
    public var attributeValue: AttributeValue { .string(self) }
    public init?(attributeValue value: AttributeValue) {
        guard case .string(let x) = value else { return nil }
        self = x
    }
    public static var attributeKind: String { "string" }
}

extension Tensor: AttributeConvertible {
    public var attributeValue: AttributeValue { .tensor(self) }
    public init?(attributeValue value: AttributeValue) {
        guard case .tensor(let x) = value else { return nil }
        self = x
    }
    public static var attributeKind: String { "tensor" }
}

extension Array: AttributeConvertible where Element: ArrayAttributeElement {
    public var attributeValue: AttributeValue { Element.wrap(self) }
    public init?(attributeValue value: AttributeValue) {
        guard let x = Element.unwrap(value) else { return nil }
        self = x
    }
    public static var attributeKind: String { Element.listKind }
}

/// Element types of list attributes.
public protocol ArrayAttributeElement: Hashable, Sendable {
    static func wrap(_ values: [Self]) -> AttributeValue
    static func unwrap(_ value: AttributeValue) -> [Self]?
    static var listKind: String { get }
}

extension Int: ArrayAttributeElement {
    public static func wrap(_ values: [Int]) -> AttributeValue { .integers(values) }
    public static func unwrap(_ value: AttributeValue) -> [Int]? {
        switch value {
        case .integers(let x): x
        case .extents(let x): x.constants
        default: nil
        }
    }
    public static var listKind: String { "integers" }
}

extension Double: ArrayAttributeElement {
    public static func wrap(_ values: [Double]) -> AttributeValue { .floats(Bitwise(values)) }
    public static func unwrap(_ value: AttributeValue) -> [Double]? {
        switch value {
        case .floats(let x): x.wrappedValue
        case .integers(let x): x.map(Double.init)
        default: nil
        }
    }
    public static var listKind: String { "floats" }
}

extension String: ArrayAttributeElement {
    public static func wrap(_ values: [String]) -> AttributeValue { .strings(values) }
    public static func unwrap(_ value: AttributeValue) -> [String]? {
        switch value {
        case .strings(let x): x
        case .integers(let x) where x.isEmpty: []
        default: nil
        }
    }
    public static var listKind: String { "strings" }
}

extension Extent: ArrayAttributeElement {
    public static func wrap(_ values: [Extent]) -> AttributeValue { .extents(values) }
    public static func unwrap(_ value: AttributeValue) -> [Extent]? {
        switch value {
        case .extents(let x): x
        case .integers(let x): x.map { Extent($0) }
        default: nil
        }
    }
    public static var listKind: String { "extents" }
}

/// Enumerations with string raw values are written as strings: `extension Mode: EnumAttribute {}`.
public protocol EnumAttribute: AttributeConvertible, RawRepresentable where RawValue == String {}

extension EnumAttribute {
    public var attributeValue: AttributeValue { .string(rawValue) }
    public init?(attributeValue value: AttributeValue) {
        guard case .string(let text) = value, let known = Self(rawValue: text) else { return nil }
        self = known
    }
    public static var attributeKind: String { String(describing: Self.self) }
}

extension ElementType: EnumAttribute {}
extension Layout: EnumAttribute {}
extension UnaryOperator: EnumAttribute {}
extension BinaryOperator: EnumAttribute {}
extension ReductionOperator: EnumAttribute {}

extension Extent: AttributeConvertible {
    public var attributeValue: AttributeValue { constant.map { .integer($0) } ?? .extents([self]) }
    public init?(attributeValue value: AttributeValue) {
        switch value {
        case .integer(let x): self.init(x)
        case .integers(let x) where x.count == 1: self.init(x[0])
        case .extents(let x) where x.count == 1: self = x[0]
        // A word in the text is a dimension.
        case .string(let name): self = .dimension(name)
        default: return nil
        }
    }
    public static var attributeKind: String { "extent" }
}
