/// The element types of `.npy` files that have a meaning here, by the type string without its byte order.
///
/// numpy has no bfloat16: it is written as the two-byte void type `V2`, which is what `numpy.save` makes of an `ml_dtypes`
/// bfloat16 array, and which `array.view('u2')` or `array.view(ml_dtypes.bfloat16)` opens in numpy.
public enum NumpyElement: String, Sendable, CaseIterable {
    case bool = "b1"
    case i8 = "i1", i16 = "i2", i32 = "i4", i64 = "i8"
    case u8 = "u1", u16 = "u2", u32 = "u4", u64 = "u8"
    case f16 = "f2", f32 = "f4", f64 = "f8"
    case bf16 = "V2"
    case c64 = "c8", c128 = "c16"

    public var byteCount: Int {
        switch self {
        case .bool, .i8, .u8: 1
        case .i16, .u16, .f16, .bf16: 2
        case .i32, .u32, .f32: 4
        case .i64, .u64, .f64, .c64: 8
        case .c128: 16
        }
    }

    /// Bytes that change places together between byte orders: half of a complex number, nothing of a void.
    var swapCount: Int {
        switch self {
        case .c64, .c128: byteCount / 2
        case .bf16: 1
        default: byteCount
        }
    }
}

/// An array of a `.npy` file or of an entry of a `.npz` file: row-major, little-endian.
public struct NumpyArray: Sendable {
    public var element: NumpyElement
    public var shape: [Int]
    public var bytes: ByteSpan

    /// nil when `bytes` is not exactly what `shape` needs.
    public init?(element: NumpyElement, shape: [Int], bytes: ByteSpan) {
        guard GlmcFrontend.byteCount(shape, element.byteCount) == bytes.count else { return nil }
        self.element = element
        self.shape = shape
        self.bytes = bytes
    }
}
