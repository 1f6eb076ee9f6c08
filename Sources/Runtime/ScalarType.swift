import CGlmcABI

/// The element type of a tensor, numbered as in ONNX.
public enum ScalarType: Int32, Sendable, CaseIterable {
    case f32 = 1, u8, i8, u16, i16, i32, i64, string, bool, f16, f64, u32, u64, c64, c128, bf16
    case f8e4m3fn, f8e4m3fnuz, f8e5m2, f8e5m2fnuz, u4, i4, f4e2m1, f8e8m0, u2, i2

    /// Bytes that one element takes; those of less than 8 bits take a whole byte. `nil` for strings.
    public var byteCount: Int? {
        switch self {
        case .string: nil
        case .u8, .i8, .bool, .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f8e8m0, .u4, .i4, .f4e2m1, .u2, .i2: 1
        case .u16, .i16, .f16, .bf16: 2
        case .f32, .u32, .i32: 4
        case .f64, .u64, .i64, .c64: 8
        case .c128: 16
        }
    }

    /// Bytes of a packed tensor of this type; `nil` when a size is negative, the type has no size, or the product overflows.
    public func byteCount(shape: [Int]) -> Int? {
        guard var count = byteCount else { return nil }
        var isEmpty = false
        for size in shape {
            guard size >= 0 else { return nil }
            if size == 0 { isEmpty = true; continue }
            let (product, overflow) = count.multipliedReportingOverflow(by: size)
            guard !overflow else { return nil }
            count = product
        }
        return isEmpty ? 0 : count
    }
}

/// A Swift type that holds one element of a tensor bit for bit.
public protocol TensorScalar: BitwiseCopyable, Sendable {
    static var scalarType: ScalarType { get }
}

extension Float: TensorScalar { public static var scalarType: ScalarType { .f32 } }
extension Double: TensorScalar { public static var scalarType: ScalarType { .f64 } }
extension Int8: TensorScalar { public static var scalarType: ScalarType { .i8 } }
extension Int16: TensorScalar { public static var scalarType: ScalarType { .i16 } }
extension Int32: TensorScalar { public static var scalarType: ScalarType { .i32 } }
extension Int64: TensorScalar { public static var scalarType: ScalarType { .i64 } }
extension UInt8: TensorScalar { public static var scalarType: ScalarType { .u8 } }
extension UInt16: TensorScalar { public static var scalarType: ScalarType { .u16 } }
extension UInt32: TensorScalar { public static var scalarType: ScalarType { .u32 } }
extension UInt64: TensorScalar { public static var scalarType: ScalarType { .u64 } }
extension Bool: TensorScalar { public static var scalarType: ScalarType { .bool } }
#if !(os(macOS) && arch(x86_64))
extension Float16: TensorScalar { public static var scalarType: ScalarType { .f16 } }
#endif
