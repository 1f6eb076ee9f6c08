#if canImport(Glibc)
import Glibc
#endif

// What the scalar operators mean, for `evaluate` and the loop interpreter.

extension UnaryOperator {
    public var isTranscendental: Bool {
        switch self {
        case .exp, .log, .log1p, .expm1, .sin, .cos, .tan, .asin, .acos, .atan, .sinh, .cosh, .tanh, .asinh, .acosh, .atanh, .erf: true
        default: false
        }
    }

    /// Whether integers and bool have this function too.
    public var isDefinedOnIntegers: Bool {
        switch self {
        case .negate, .absolute, .sign, .floor, .ceil, .truncate, .round, .isNaN, .isPositiveInfinity, .isNegativeInfinity, .not, .bitwiseNot, .popcount: true
        default: false
        }
    }

    /// The function on real numbers; predicates and `not` give 0 or 1.
    public func evaluate(_ x: Double) -> Double {
        switch self {
        case .negate: -x
        case .absolute: abs(x)
        case .sign: x.isNaN ? .nan : x > 0 ? 1 : x < 0 ? -1 : 0
        case .sqrt: x.squareRoot()
        case .reciprocal: 1 / x
        case .reciprocalSqrt: 1 / x.squareRoot()
        case .exp: Glibc.exp(x)
        case .log: Glibc.log(x)
        case .log1p: Glibc.log1p(x)
        case .expm1: Glibc.expm1(x)
        case .sin: Glibc.sin(x)
        case .cos: Glibc.cos(x)
        case .tan: Glibc.tan(x)
        case .asin: Glibc.asin(x)
        case .acos: Glibc.acos(x)
        case .atan: Glibc.atan(x)
        case .sinh: Glibc.sinh(x)
        case .cosh: Glibc.cosh(x)
        case .tanh: Glibc.tanh(x)
        case .asinh: Glibc.asinh(x)
        case .acosh: Glibc.acosh(x)
        case .atanh: Glibc.atanh(x)
        case .erf: Glibc.erf(x)
        case .floor: x.rounded(.down)
        case .ceil: x.rounded(.up)
        case .truncate: x.rounded(.towardZero)
        case .round: x.rounded(.toNearestOrEven)
        case .isNaN: x.isNaN ? 1 : 0
        case .isPositiveInfinity: x == .infinity ? 1 : 0
        case .isNegativeInfinity: x == -.infinity ? 1 : 0
        case .not: x == 0 ? 1 : 0
        case .bitwiseNot, .popcount: 0
        }
    }

    /// The function on an integer type; the result still has to be wrapped to the type.
    /// - Throws: `Diagnostic` where the function is not defined on integers.
    public func evaluate(_ x: Int, _ element: ElementType) throws -> Int {
        switch self {
        case .negate: 0 &- x
        case .absolute: x < 0 && element.isSignedInteger ? 0 &- x : x
        case .sign: element == .u64 ? (x == 0 ? 0 : 1) : x.signum()
        case .floor, .ceil, .truncate, .round: x
        case .isNaN, .isPositiveInfinity, .isNegativeInfinity: 0
        case .not: x == 0 ? 1 : 0
        case .bitwiseNot: ~x
        case .popcount: (element == .u64 || element == .i64 ? x : x & (1 << element.bitWidth - 1)).nonzeroBitCount
        default: throw Diagnostic(.invalid, "\(rawValue) is not defined on \(element.rawValue)")
        }
    }
}

extension BinaryOperator {
    /// The function on real numbers; comparisons give 0 or 1.
    public func evaluate(_ a: Double, _ b: Double) -> Double {
        switch self {
        case .add: a + b
        case .subtract: a - b
        case .multiply: a * b
        case .divide: a / b
        case .remainder: fmod(a, b)
        case .minimum: a.isNaN || b.isNaN ? .nan : Swift.min(a, b)
        case .maximum: a.isNaN || b.isNaN ? .nan : Swift.max(a, b)
        case .power: pow(a, b)
        case .atan2: Glibc.atan2(a, b)
        case .equal: a == b ? 1 : 0
        case .notEqual: a != b ? 1 : 0
        case .less: a < b ? 1 : 0
        case .lessOrEqual: a <= b ? 1 : 0
        case .greater: a > b ? 1 : 0
        case .greaterOrEqual: a >= b ? 1 : 0
        case .and, .or, .xor, .shiftLeft, .shiftRight: .nan
        }
    }

    /// The function on an integer type or bool; the result still has to be wrapped to the type.
    /// - Throws: `Diagnostic` for a division by zero.
    public func evaluate(_ a: Int, _ b: Int, _ element: ElementType) throws -> Int {
        let unsigned = element == .u64
        let (x, y) = (UInt(bitPattern: a), UInt(bitPattern: b))
        switch self {
        case .add: return element == .bool ? a | b : a &+ b
        case .subtract: return a &- b
        case .multiply: return a &* b
        case .divide, .remainder:
            guard b != 0 else { throw Diagnostic(.invalid, "integer division by zero") }
            if unsigned { return Int(bitPattern: self == .divide ? x / y : x % y) }
            return self == .divide ? a.dividedReportingOverflow(by: b).partialValue : a.remainderReportingOverflow(dividingBy: b).partialValue
        case .minimum: return unsigned ? Int(bitPattern: Swift.min(x, y)) : Swift.min(a, b)
        case .maximum: return unsigned ? Int(bitPattern: Swift.max(x, y)) : Swift.max(a, b)
        case .power: return ElementWriter.truncate(pow(Double(a), Double(b)))
        case .and: return a & b
        case .or: return a | b
        case .xor: return a ^ b
        case .shiftLeft: return b >= element.bitWidth ? 0 : a << b
        case .shiftRight: return unsigned ? Int(bitPattern: b >= 64 ? 0 : x >> y) : a >> Swift.min(b, 63)
        case .equal: return a == b ? 1 : 0
        case .notEqual: return a != b ? 1 : 0
        case .less: return (unsigned ? x < y : a < b) ? 1 : 0
        case .lessOrEqual: return (unsigned ? x <= y : a <= b) ? 1 : 0
        case .greater: return (unsigned ? x > y : a > b) ? 1 : 0
        case .greaterOrEqual: return (unsigned ? x >= y : a >= b) ? 1 : 0
        case .atan2: throw Diagnostic(.invalid, "atan2 is not defined on integers")
        }
    }

    /// The function on sizes that a tensor of `element` holds, as if it held any (`Function.assumptions`), where the result is a size too, or a truth that holds whatever the dimensions.
    public func evaluate(_ a: Extent, _ b: Extent, _ element: ElementType) -> Extent? {
        // A float holds the fraction of a quotient too.
        if element.isFloat && self == .divide { return a.exactQuotient(by: b) }
        if let x = a.constant, let y = b.constant { return (try? evaluate(x, y, element.isInteger ? element : .i64)).map { Extent($0) } }
        switch self {
        case .add: return a + b
        case .subtract: return a - b
        case .multiply: return a * b
        case .divide: return Self.truncatedQuotient(a, b)
        case .remainder: return Self.truncatedQuotient(a, b).map { a.isNeverNegative ? a.modulo(b) : a - $0 * b }
        case .minimum: return .minimum(a, b)
        case .maximum: return .maximum(a, b)
        case .equal, .notEqual, .less, .lessOrEqual, .greater, .greaterOrEqual: return holds((a - b).range).map { $0 ? 1 : 0 }
        case .and: return a == 0 || b == 0 ? 0 : nil
        default: return nil
        }
    }

    /// `a / b` rounded towards zero; nil where `b` may be negative or is 0.
    public static func truncatedQuotient(_ a: Extent, _ b: Extent) -> Extent? {
        guard b != 0, b.isNeverNegative else { return nil }
        if a.isNeverNegative { return a.floorDivided(by: b) }
        return .maximum(a.floorDivided(by: b), 0) - .maximum((-a).floorDivided(by: b), 0)
    }

    /// Whether a comparison of two numbers holds that differ by what lies in `difference`; nil where it depends.
    private func holds(_ difference: ExtentRange) -> Bool? {
        let (low, high) = (difference.low, difference.high)
        let isPositive = low.map { $0 > 0 } ?? false, isNegative = high.map { $0 < 0 } ?? false
        let isZero = low == 0 && high == 0, isAtLeastZero = low.map { $0 >= 0 } ?? false, isAtMostZero = high.map { $0 <= 0 } ?? false
        return switch self {
        case .equal: isZero ? true : isPositive || isNegative ? false : nil
        case .notEqual: isZero ? false : isPositive || isNegative ? true : nil
        case .less: isNegative ? true : isAtLeastZero ? false : nil
        case .lessOrEqual: isAtMostZero ? true : isPositive ? false : nil
        case .greater: isPositive ? true : isAtMostZero ? false : nil
        case .greaterOrEqual: isAtLeastZero ? true : isNegative ? false : nil
        default: nil
        }
    }
}
