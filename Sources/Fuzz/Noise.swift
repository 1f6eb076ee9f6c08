import GlmcIR

/// A small reproducible generator (SplitMix64).
public struct Noise: RandomNumberGenerator {
    private var state: UInt64
    /// Keeps the named dimensions of several samples apart.
    public var suffix: String
    /// The type of a value at hand. Where it fits, types and shapes that are drawn are mostly this one, so that the value can become
    /// an operand as it is.
    public var lean: (element: ElementType, shape: [Int])?

    /// - Parameter suffix: keeps the named dimensions of several samples apart.
    public init(_ seed: Int, suffix: String = "") {
        state = UInt64(truncatingIfNeeded: seed) &* 0x9E37_79B9_7F4A_7C15 &+ 1
        self.suffix = suffix
    }

    public func dimension(_ name: String) -> String { name + suffix }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    public mutating func int(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }
    public mutating func bool() -> Bool { Bool.random(using: &self) }
    public mutating func pick<T>(_ choices: [T]) -> T { choices[int(0...choices.count - 1)] }
    public mutating func pick(_ choices: [ElementType]) -> ElementType {
        if let lean, choices.contains(lean.element), int(0...7) > 0 { return lean.element }
        return choices[int(0...choices.count - 1)]
    }
    /// A shape; one that a value at hand has may be larger.
    public mutating func shape(rank: ClosedRange<Int> = 0...4, sizes: ClosedRange<Int> = 1...4) -> [Int] {
        if let lean = leaning(rank: rank, least: sizes.lowerBound) { return lean }
        return (0..<int(rank)).map { _ in int(sizes) }
    }
    /// The shape of the value at hand, mostly, where it has a rank in `rank` and no size below `least`.
    public mutating func leaning(rank: ClosedRange<Int>, least: Int = 1) -> [Int]? {
        guard let lean, rank.contains(lean.shape.count), lean.shape.allSatisfy({ $0 >= least }), int(0...7) > 0 else { return nil }
        return lean.shape
    }

    /// Small numbers, often equal to each other.
    public mutating func tensor(_ element: ElementType, _ shape: [Int]) -> Tensor {
        switch element {
        case .bool: return Tensor(element, shape, integers: { _ in int(0...1) })
        case _ where element.isInteger:
            let range = element.integerRange ?? 0...1
            return Tensor(element, shape, integers: { _ in int(Swift.max(range.lowerBound, -9)...Swift.min(range.upperBound, 9)) })
        default: return Tensor(element, shape, values: { _ in Double(int(-40...40)) / 8 })
        }
    }

    /// Any bit patterns, for ops that only move elements.
    public mutating func bits(_ element: ElementType, _ shape: [Int]) -> Tensor {
        if element == .bool || element.bitWidth < 8 { return tensor(element, shape) }
        if element.isFloat { return Tensor(element, shape, values: { _ in pick([0, -0.0, 1.5, -2, .infinity, -.infinity, .nan, 448]) }) }
        return Tensor(element, shape) { bytes in for i in bytes.indices { bytes[i] = UInt8(truncatingIfNeeded: next()) } }
    }

    /// Valid indices into an axis, some of them negative.
    public mutating func indices(_ shape: [Int], into extent: Int) -> Tensor { tensor(pick([.i64, .i32]), shape, in: -extent...extent - 1) }

    public mutating func tensor(_ element: ElementType, _ shape: [Int], in range: ClosedRange<Int>) -> Tensor {
        Tensor(element, shape, integers: { _ in int(range) })
    }

    public static let movable: [ElementType] = [.f32, .f32, .i64, .u8, .f16, .bf16, .f64, .bool, .i4, .f8e5m2, .f8e4m3fn, .u64, .i16]
    public static let numeric: [ElementType] = [.f32, .f32, .f64, .i64, .i32, .u64, .u32, .i8, .u8, .i16, .u16, .f16]
}
