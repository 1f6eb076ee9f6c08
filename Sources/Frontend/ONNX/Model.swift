/// An ONNX model as it stands in the file: plain values, nothing resolved or checked beyond what `OnnxReader` promises.
public struct OnnxModel: Sendable {
    public var irVersion: Int64 = 0
    public var producer = ""
    public var producerVersion = ""
    /// Operator set version by domain; the default domain is `""` (`ai.onnx` is folded into it).
    public var opsets: [String: Int64] = [:]
    public var graph = OnnxGraph()
    public var functions: [OnnxFunction] = []
    public var metadata: [String: String] = [:]
}

public struct OnnxGraph: Sendable {
    public var name = ""
    public var nodes: [OnnxNode] = []
    public var initializers: [OnnxTensor] = []
    public var sparseInitializers: [OnnxSparseTensor] = []
    public var inputs: [OnnxValueInfo] = []
    public var outputs: [OnnxValueInfo] = []
    public var valueInfos: [OnnxValueInfo] = []
}

public struct OnnxNode: Sendable {
    public var name = ""
    public var op = ""
    /// `""` for the default operator set (`ai.onnx` is folded into it).
    public var domain = ""
    public var overload = ""
    /// Value names; an empty name is an optional input that is left out.
    public var inputs: [String] = []
    /// Value names; an empty name is an output that nobody wants.
    public var outputs: [String] = []
    public var attributes: [OnnxAttribute] = []
}

public struct OnnxAttribute: Sendable {
    public var name = ""
    public var value: Value

    public enum Value: Sendable {
        case float(Float)
        case int(Int64)
        case string([UInt8])
        case tensor(OnnxTensor)
        case graph(OnnxGraph)
        case sparseTensor(OnnxSparseTensor)
        case type(OnnxType)
        case floats([Float])
        case ints([Int64])
        case strings([[UInt8]])
        case tensors([OnnxTensor])
        case graphs([OnnxGraph])
        case sparseTensors([OnnxSparseTensor])
        case types([OnnxType])
        /// Inside a model-local function: the value of the named attribute of the call.
        case reference(String)
        /// The attribute has no value and no usable type.
        case none
    }
}

/// A dense tensor. `OnnxReader` guarantees: no negative dimension, an element count that fits, and exactly as many bytes
/// (or strings) as the dimensions and element type ask for.
public struct OnnxTensor: Sendable {
    public var name = ""
    public var element = OnnxElement.undefined
    public var dims: [Int] = []
    public var data = Data.bytes(ByteSpan([]))

    public enum Data: Sendable {
        /// Row-major little-endian elements; elements of less than a byte are packed, the first in the lowest bits.
        case bytes(ByteSpan)
        /// The elements of a string tensor, as the bytes in the file.
        case strings([[UInt8]])
    }
}

/// A sparse tensor in coordinate form, as in the file.
public struct OnnxSparseTensor: Sendable {
    public var values = OnnxTensor()
    /// Linear indices (`[n]`) or coordinates (`[n, rank]`).
    public var indices = OnnxTensor()
    public var dims: [Int] = []
}

public struct OnnxValueInfo: Sendable {
    public var name = ""
    /// nil when the file does not say.
    public var type: OnnxType?
}

public indirect enum OnnxType: Sendable, Equatable {
    /// `shape` is nil when the rank is unknown.
    case tensor(OnnxElement, shape: [OnnxDimension]?)
    case sparseTensor(OnnxElement, shape: [OnnxDimension]?)
    case sequence(OnnxType)
    case optional(OnnxType)
    case map(key: OnnxElement, value: OnnxType)
    case opaque(domain: String, name: String)
    /// The file names no type.
    case unknown
}

public enum OnnxDimension: Sendable, Equatable {
    case constant(Int)
    case named(String)
    case unknown
}

/// A model-local function.
public struct OnnxFunction: Sendable {
    public var name = ""
    public var domain = ""
    public var overload = ""
    public var inputs: [String] = []
    public var outputs: [String] = []
    /// Attributes without a default.
    public var attributes: [String] = []
    /// Attributes with a default.
    public var defaults: [OnnxAttribute] = []
    public var nodes: [OnnxNode] = []
    public var opsets: [String: Int64] = [:]
}

/// A value of a test case or a recorded input.
public indirect enum OnnxValue: Sendable {
    case tensor(OnnxTensor)
    case sparseTensor(OnnxSparseTensor)
    case sequence([OnnxValue])
    /// nil is an optional without a value.
    case optional(OnnxValue?)
}

/// The element types of the format, by their number in it.
public enum OnnxElement: Int32, Sendable, CaseIterable {
    case undefined = 0
    case float = 1, uint8, int8, uint16, int16, int32, int64, string, bool, float16, double, uint32, uint64
    case complex64, complex128, bfloat16
    case float8e4m3fn, float8e4m3fnuz, float8e5m2, float8e5m2fnuz
    case uint4, int4, float4e2m1, float8e8m0, uint2, int2, float6e2m3, float6e3m2

    /// Bits of one element in `raw_data`; 0 for strings and the undefined type.
    public var bits: Int {
        switch self {
        case .undefined, .string: 0
        case .uint2, .int2: 2
        case .uint4, .int4, .float4e2m1: 4
        case .uint8, .int8, .bool, .float8e4m3fn, .float8e4m3fnuz, .float8e5m2, .float8e5m2fnuz, .float8e8m0: 8
        case .float6e2m3, .float6e3m2: 6
        case .uint16, .int16, .float16, .bfloat16: 16
        case .float, .int32, .uint32: 32
        case .double, .int64, .uint64, .complex64: 64
        case .complex128: 128
        }
    }
}
