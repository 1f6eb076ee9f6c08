/// What is compared by its bits: numbers of which zeros of either sign, and NaNs, are to be told apart as their bits are.
public protocol BitComparable: Sendable {
    func hasSameBits(as other: Self) -> Bool
    func hashBits(into hasher: inout Hasher)
}

extension Double: BitComparable {
    public func hasSameBits(as other: Double) -> Bool { bitPattern == other.bitPattern }
    public func hashBits(into hasher: inout Hasher) { hasher.combine(bitPattern) }
}

extension Array: BitComparable where Element: BitComparable {
    public func hasSameBits(as other: [Element]) -> Bool { count == other.count && zip(self, other).allSatisfy { $0.hasSameBits(as: $1) } }
    public func hashBits(into hasher: inout Hasher) {
        hasher.combine(count)
        for element in self { element.hashBits(into: &hasher) }
    }
}

/// A floating-point attribute or constant as keys see it: equal where the bits are equal. 0.0 is not -0.0, and a NaN equals itself, so
/// that nothing is merged that computes another result, and nothing equal is kept twice.
///
/// Every float in a value that is compared or hashed (attributes of ops, constants in expressions) is stored so.
@propertyWrapper
public struct Bitwise<Value: BitComparable>: Hashable, Sendable {
    public var wrappedValue: Value

    public init(wrappedValue: Value) { self.wrappedValue = wrappedValue }
    public init(_ value: Value) { wrappedValue = value }

    public static func == (a: Bitwise, b: Bitwise) -> Bool { a.wrappedValue.hasSameBits(as: b.wrappedValue) }
    public func hash(into hasher: inout Hasher) { wrappedValue.hashBits(into: &hasher) }
}
