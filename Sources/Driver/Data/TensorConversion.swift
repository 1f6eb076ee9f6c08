import GlmcFrontend
import GlmcIR
import GlmcRuntime

extension ScalarType {
    /// The name that the IR, messages and manifests use: `f32`.
    var name: String { "\(self)" }
    var elementType: ElementType? { ElementType(rawValue: name) }

    init?(_ element: ElementType) {
        guard let found = ScalarType.allCases.first(where: { $0.name == element.rawValue }) else { return nil }
        self = found
    }

    init(_ element: NumpyElement) {
        self = switch element {
        case .bool: .bool
        case .i8: .i8
        case .i16: .i16
        case .i32: .i32
        case .i64: .i64
        case .u8: .u8
        case .u16: .u16
        case .u32: .u32
        case .u64: .u64
        case .f16: .f16
        case .f32: .f32
        case .f64: .f64
        case .bf16: .bf16
        case .c64: .c64
        case .c128: .c128
        }
    }

    /// How numpy files hold this type; those that numpy lacks are held as the bytes that they take in memory.
    var numpy: NumpyElement {
        switch self {
        case .bool: .bool
        case .i8, .i4, .i2: .i8
        case .i16: .i16
        case .i32: .i32
        case .i64: .i64
        case .u16: .u16
        case .u32: .u32
        case .u64: .u64
        case .f16: .f16
        case .f32: .f32
        case .f64: .f64
        case .bf16: .bf16
        case .c64: .c64
        case .c128: .c128
        case .u8, .u4, .u2, .string, .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f8e8m0, .f4e2m1: .u8
        }
    }
}

extension TensorBuffer {
    /// - Parameter wanted: the type that the model takes, for those that numpy files hold as bytes.
    init(_ array: NumpyArray, as wanted: ScalarType? = nil) throws(RuntimeError) {
        let own = ScalarType(array.element)
        let type = wanted.map { $0 != own && $0.numpy == array.element ? $0 : own } ?? own
        self = try TensorBuffer.copying(array.bytes, type: type, shape: array.shape)
    }

    /// A tensor of a test case or of a model.
    init(_ tensor: OnnxTensor) throws {
        guard case .bytes(let bytes) = tensor.data, let type = ScalarType(rawValue: tensor.element.rawValue), type != .string else {
            throw Diagnostic(.unsupported, "tensors of \(tensor.element) cannot be passed to an artifact")
        }
        let bits = tensor.element.bits
        guard bits < 8 else {
            self = try TensorBuffer.copying(bytes, type: type, shape: tensor.dims)
            return
        }
        self = try TensorBuffer(zeros: type, shape: tensor.dims)
        let isSigned = type == .i4 || type == .i2
        withUnsafeMutableBytes { target in
            bytes.withUnsafeBytes { source in
                for index in 0..<target.count {
                    let code = source[index * bits / 8] >> UInt8(index * bits % 8) & (1 << UInt8(bits) - 1)
                    target[index] = isSigned && code >> UInt8(bits - 1) == 1 ? code | ~(1 << UInt8(bits) - 1) : code
                }
            }
        }
    }

    private static func copying(_ bytes: ByteSpan, type: ScalarType, shape: [Int]) throws(RuntimeError) -> TensorBuffer {
        var result = try TensorBuffer(zeros: type, shape: shape)
        guard result.byteCount == bytes.count else { throw RuntimeError(.tooSmall, "\(bytes.count) bytes do not fill a tensor of \(type) with shape \(shape)") }
        result.withUnsafeMutableBytes { target in bytes.withUnsafeBytes { target.copyMemory(from: $0) } }
        return result
    }

    /// The tensor as numpy files hold it.
    var numpy: NumpyArray? {
        NumpyArray(element: type.numpy, shape: shape, bytes: ByteSpan(TensorStorage(count: byteCount) { target in withUnsafeBytes { target.copyMemory(from: $0) } }))
    }

    /// All elements as numbers; complex ones as (real, imaginary) pairs.
    var doubles: [Double] {
        guard let element = type.elementType else { return [] }
        return withUnsafeBytes { bytes in
            let reader = ElementReader(element, bytes)
            return (0..<shape.reduce(1, *) * (element.isComplex ? 2 : 1)).map { reader.load(at: $0) }
        }
    }
}
