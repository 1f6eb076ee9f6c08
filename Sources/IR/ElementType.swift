/// The type of one tensor element.
///
/// Sub-byte types occupy one byte per element in memory (the numeric value, sign-extended for signed types); packing is a
/// matter of file formats and of kernels. `bool` is one byte, 0 or 1. Complex numbers are pairs (real, imaginary).
public enum ElementType: String, Hashable, Sendable, CaseIterable {
    case f64, f32, f16, bf16
    case f8e4m3fn, f8e4m3fnuz, f8e5m2, f8e5m2fnuz, f8e8m0, f4e2m1
    case i64, i32, i16, i8, i4, i2
    case u64, u32, u16, u8, u4, u2
    case bool
    case c64, c128
    case string

    /// Bytes that one element occupies in memory; 0 for `string`, whose elements live elsewhere.
    public var byteCount: Int {
        switch self {
        case .f64, .i64, .u64, .c64: 8
        case .f32, .i32, .u32: 4
        case .f16, .bf16, .i16, .u16: 2
        case .c128: 16
        case .string: 0
        default: 1
        }
    }

    /// Bits of information in one element, as ONNX and numpy count them.
    public var bitWidth: Int {
        switch self {
        case .i4, .u4, .f4e2m1: 4
        case .i2, .u2: 2
        case .bool: 1
        default: byteCount * 8
        }
    }

    public var isFloat: Bool {
        switch self {
        case .f64, .f32, .f16, .bf16, .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f8e8m0, .f4e2m1: true
        default: false
        }
    }

    public var isSignedInteger: Bool {
        switch self {
        case .i64, .i32, .i16, .i8, .i4, .i2: true
        default: false
        }
    }

    public var isUnsignedInteger: Bool {
        switch self {
        case .u64, .u32, .u16, .u8, .u4, .u2: true
        default: false
        }
    }

    public var isInteger: Bool { isSignedInteger || isUnsignedInteger }
    public var isComplex: Bool { self == .c64 || self == .c128 }

    /// The type in which kernels and `evaluate` compute on elements of this type: narrow floats compute in f32, sub-byte
    /// integers in i32/u32 steps of their own width; everything else in itself.
    public var computeType: ElementType {
        switch self {
        case .f16, .bf16, .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f8e8m0, .f4e2m1: .f32
        case .i4, .i2: .i8
        case .u4, .u2: .u8
        default: self
        }
    }

    /// The inclusive range of an integer type as exact integers; nil for other types. u64's upper bound is given by its bit
    /// pattern and is therefore reported as `Int.max`.
    public var integerRange: ClosedRange<Int>? {
        switch self {
        case .i64: Int.min...Int.max
        case .u64: 0...Int.max
        case .bool: 0...1
        case _ where isSignedInteger: -(1 << (bitWidth - 1))...((1 << (bitWidth - 1)) - 1)
        case _ where isUnsignedInteger: 0...((1 << bitWidth) - 1)
        default: nil
        }
    }
}
