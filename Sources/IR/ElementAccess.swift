/// Reads elements of one type as numbers. f64 and Int carry every value of the narrower types exactly.
public struct ElementReader {
    let element: ElementType
    let base: UnsafeRawBufferPointer

    public init(_ element: ElementType, _ bytes: UnsafeRawBufferPointer) {
        self.element = element
        base = bytes
    }

    /// The element at flat index `i`; for complex types, `i` counts real and imaginary parts.
    public func load(at i: Int) -> Double {
        switch element {
        case .f64, .c128: base.loadUnaligned(fromByteOffset: i &* 8, as: Double.self)
        case .f32, .c64: Double(base.loadUnaligned(fromByteOffset: i &* 4, as: Float.self))
        case .f16: Double(base.loadUnaligned(fromByteOffset: i &* 2, as: Float16.self))
        case .bf16: Double(Float(bitPattern: UInt32(base.loadUnaligned(fromByteOffset: i &* 2, as: UInt16.self)) << 16))
        case .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f8e8m0, .f4e2m1:
            NarrowFloat.format(of: element)?.decode(base[i]) ?? 0
        case .u64: Double(base.loadUnaligned(fromByteOffset: i &* 8, as: UInt64.self))
        default: Double(loadInteger(at: i))
        }
    }

    /// The element at flat index `i` as an integer; floats truncate towards zero and saturate, u64 wraps above `Int.max`.
    public func loadInteger(at i: Int) -> Int {
        switch element {
        case .i64: base.loadUnaligned(fromByteOffset: i &* 8, as: Int.self)
        case .u64: Int(bitPattern: base.loadUnaligned(fromByteOffset: i &* 8, as: UInt.self))
        case .i32: Int(base.loadUnaligned(fromByteOffset: i &* 4, as: Int32.self))
        case .u32: Int(base.loadUnaligned(fromByteOffset: i &* 4, as: UInt32.self))
        case .i16: Int(base.loadUnaligned(fromByteOffset: i &* 2, as: Int16.self))
        case .u16: Int(base.loadUnaligned(fromByteOffset: i &* 2, as: UInt16.self))
        case .i8, .i4, .i2: Int(Int8(bitPattern: base[i]))
        case .u8, .u4, .u2, .bool: Int(base[i])
        case .string: 0
        default: ElementWriter.truncate(load(at: i))
        }
    }
}

/// Writes numbers as elements of one type, converting exactly as the type's rules say.
public struct ElementWriter {
    let element: ElementType
    let base: UnsafeMutableRawBufferPointer

    public init(_ element: ElementType, _ bytes: UnsafeMutableRawBufferPointer) {
        self.element = element
        base = bytes
    }

    /// Stores `value` rounded to nearest even (floats; the 8-bit kinds saturate, but keep infinity where they have one) or truncated
    /// (integers, by the rule of `truncated`).
    public func store(_ value: Double, at i: Int) {
        switch element {
        case .f64, .c128: base.storeBytes(of: value, toByteOffset: i &* 8, as: Double.self)
        case .f32, .c64: base.storeBytes(of: Float(value), toByteOffset: i &* 4, as: Float.self)
        case .f16: base.storeBytes(of: Float16(value), toByteOffset: i &* 2, as: Float16.self)
        case .bf16: base.storeBytes(of: NarrowFloat.bfloat16(Float(value)), toByteOffset: i &* 2, as: UInt16.self)
        case .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f8e8m0, .f4e2m1:
            base[i] = NarrowFloat.format(of: element)?.encode(value, saturate: !value.isInfinite) ?? 0
        case .bool: base[i] = value != 0 ? 1 : 0
        default: store(integer: ElementWriter.truncated(value, to: element), at: i)
        }
    }

    /// Stores an integer, wrapping to the width of an integer type.
    public func store(integer value: Int, at i: Int) {
        switch element {
        case .i64, .u64: base.storeBytes(of: value, toByteOffset: i &* 8, as: Int.self)
        case .i32, .u32: base.storeBytes(of: Int32(truncatingIfNeeded: value), toByteOffset: i &* 4, as: Int32.self)
        case .i16, .u16: base.storeBytes(of: Int16(truncatingIfNeeded: value), toByteOffset: i &* 2, as: Int16.self)
        case .i8, .u8: base[i] = UInt8(truncatingIfNeeded: value)
        case .i4, .i2:
            let shift = 8 - element.bitWidth
            base[i] = UInt8(bitPattern: Int8(truncatingIfNeeded: value << shift) >> Int8(shift))
        case .u4, .u2: base[i] = UInt8(truncatingIfNeeded: value & (1 << element.bitWidth - 1))
        case .bool: base[i] = value != 0 ? 1 : 0
        case .string: break
        // Straight to f32: through f64, integers beyond 2^53 would be rounded twice.
        case .f32: base.storeBytes(of: Float(value), toByteOffset: i &* 4, as: Float.self)
        default: store(Double(value), at: i)
        }
    }

    /// `value` truncated towards zero as C code converts it: i32 and the 64-bit types saturate and take NaN as 0, narrower types
    /// are what is left of the i64.
    static func truncated(_ value: Double, to element: ElementType) -> Int {
        element == .i32 || element == .u64 ? saturated(value, to: element) : truncate(value)
    }

    /// `value` truncated towards zero and limited to the range of an integer type; NaN gives 0. u64 gives its bit pattern.
    static func saturated(_ value: Double, to element: ElementType) -> Int {
        if element == .u64 {
            guard value > 0 else { return 0 }
            return Int(bitPattern: UInt(exactly: value.rounded(.towardZero)) ?? .max)
        }
        guard let range = element.integerRange else { return truncate(value) }
        return Swift.min(Swift.max(truncate(value), range.lowerBound), range.upperBound)
    }

    /// `value` rounded half to even and limited to the range of an integer type; NaN gives the least of it.
    static func roundSaturated(_ value: Double, to element: ElementType) -> Int {
        saturated(value.isNaN ? -.infinity : value.rounded(.toNearestOrEven), to: element)
    }

    static func truncate(_ value: Double) -> Int {
        value.isNaN ? 0 : Int(exactly: value.rounded(.towardZero)) ?? (value < 0 ? Int.min : Int.max)
    }
}

/// The conversion rules of an 8- or 4-bit float, from the OCP FP8/MX specifications and ONNX's table of float8 casts.
public struct NarrowFloat: Sendable {
    let exponentBits: Int
    let mantissaBits: Int
    let bias: Int
    /// Whether the top exponent encodes infinities and NaNs (e5m2), a single NaN per sign (e4m3fn), or the pattern 0x80 is the
    /// only NaN (the `uz` kinds), or there is no NaN at all (e2m1).
    let special: Special
    enum Special: Sendable { case ieee, topMantissa, negativeZero, none }

    static func format(of element: ElementType) -> NarrowFloat? {
        switch element {
        case .f8e4m3fn: NarrowFloat(exponentBits: 4, mantissaBits: 3, bias: 7, special: .topMantissa)
        case .f8e4m3fnuz: NarrowFloat(exponentBits: 4, mantissaBits: 3, bias: 8, special: .negativeZero)
        case .f8e5m2: NarrowFloat(exponentBits: 5, mantissaBits: 2, bias: 15, special: .ieee)
        case .f8e5m2fnuz: NarrowFloat(exponentBits: 5, mantissaBits: 2, bias: 16, special: .negativeZero)
        case .f4e2m1: NarrowFloat(exponentBits: 2, mantissaBits: 1, bias: 1, special: .none)
        case .f8e8m0: NarrowFloat(exponentBits: 8, mantissaBits: 0, bias: 127, special: .topMantissa)
        default: nil
        }
    }

    private var width: Int { (isUnsigned ? 0 : 1) + exponentBits + mantissaBits }
    private var isUnsigned: Bool { exponentBits == 8 }
    private var signBit: UInt8 { isUnsigned ? 0 : 1 << UInt8(width - 1) }
    private var nan: UInt8 {
        switch special {
        case .ieee: 0x7F
        case .topMantissa: isUnsigned ? 0xFF : 0x7F
        case .negativeZero: 0x80
        case .none: 0
        }
    }

    /// The value of a bit pattern.
    public func decode(_ bits: UInt8) -> Double {
        if special == .topMantissa && bits & ~signBit == nan { return .nan }
        if special == .negativeZero && bits == nan { return .nan }
        let sign: Double = bits & signBit != 0 ? -1 : 1
        let exponent = Int(bits >> UInt8(mantissaBits)) & (1 << exponentBits - 1)
        let mantissa = Int(bits) & (1 << mantissaBits - 1)
        if special == .ieee && exponent == 1 << exponentBits - 1 { return mantissa == 0 ? sign * .infinity : .nan }
        if isUnsigned { return Double(sign: .plus, exponent: exponent - bias, significand: 1) }
        return exponent == 0
            ? sign * Double(sign: .plus, exponent: 1 - bias - mantissaBits, significand: Double(mantissa))
            : sign * Double(sign: .plus, exponent: exponent - bias - mantissaBits, significand: Double(mantissa + 1 << mantissaBits))
    }

    /// The largest finite magnitude's pattern.
    private var largest: UInt8 {
        switch special {
        case .ieee: UInt8((1 << exponentBits - 1) << mantissaBits) - 1
        case .topMantissa: isUnsigned ? 0xFE : 0x7E
        case .negativeZero: 0x7F
        case .none: UInt8(1 << (width - 1) - 1)
        }
    }

    /// The largest finite value.
    var largestFinite: Double { decode(largest) }
    /// Whether values halfway to the next step beyond the largest one round to it.
    var largestIsEven: Bool { largest & 1 == 0 }
    /// Halfway between the largest finite value and the next step beyond it: larger values overflow.
    var overflowThreshold: Double { isUnsigned ? largestFinite : largestFinite + (largestFinite - decode(largest - 1)) / 2 }
    var hasInfinity: Bool { special == .ieee }

    /// The f8e8m0 pattern of a scale: the power of two above, below or nearest to `value`. The sign is ignored.
    static func scale(_ value: Float, saturate: Bool, rounding: ScaleRounding) -> UInt8 {
        if value.isNaN { return 0xFF }
        let top: UInt8 = saturate ? 0xFE : 0xFF
        if value.isInfinite { return top }
        let magnitude = abs(Double(value)), smallest = 0x1p-127
        if magnitude <= smallest { return 0 }
        let below = Int(magnitude.exponent)
        let fraction = magnitude.significand
        let up = switch rounding {
        case .up: fraction > 1
        case .down: false
        case .nearest: fraction >= 1.5
        }
        let exponent = below + (up ? 1 : 0) + 127
        return exponent > 0xFE ? top : UInt8(exponent)
    }

    /// The nearest pattern, ties to even; out of range it saturates, or becomes infinity/NaN without `saturate`.
    public func encode(_ value: Double, saturate: Bool) -> UInt8 {
        if value.isNaN { return nan }
        let sign = value.sign == .minus && !isUnsigned ? signBit : 0
        let magnitude = abs(value)
        let top = largest
        let overflows = magnitude > overflowThreshold || (magnitude == overflowThreshold && !largestIsEven)
        if overflows {
            if saturate { return sign | top }
            return special == .ieee ? sign | UInt8((1 << exponentBits - 1) << mantissaBits) : special == .none ? sign | top : special == .topMantissa ? sign | nan : nan
        }
        var low: UInt8 = 0, high = top
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if decode(middle) <= magnitude { low = middle } else { high = middle }
        }
        if decode(high) <= magnitude { low = high }
        let pattern: UInt8
        if low == top {
            pattern = top
        } else {
            let below = magnitude - decode(low), above = decode(low + 1) - magnitude
            pattern = below < above || (below == above && low & 1 == 0) ? low : low + 1
        }
        if special == .negativeZero && pattern == 0 { return 0 }
        return sign | pattern
    }

    /// Rounds an f32 to bfloat16, ties to even; NaNs stay NaN.
    static func bfloat16(_ value: Float) -> UInt16 {
        if value.isNaN { return 0x7FC0 }
        let bits = value.bitPattern
        return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ ((bits >> 16) & 1)) >> 16)
    }
}
