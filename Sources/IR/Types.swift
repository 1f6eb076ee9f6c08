/// The physical order of a tensor's axes in memory. It changes addresses only; shapes and op semantics are always in logical
/// order.
public enum Layout: String, Hashable, Sendable, CaseIterable {
    /// The last logical axis is contiguous.
    case rowMajor = "row"
    /// Axis 1 (channels) is contiguous and the others keep their order: NCHW is stored as NHWC, NCW as NWC.
    case channelsLast = "nhwc"

    /// The logical axes from the slowest to the fastest varying one.
    public func axisOrder(rank: Int) -> [Int] {
        switch self {
        case .channelsLast where rank >= 3: [0] + Array(2..<rank) + [1]
        default: Array(0..<rank)
        }
    }

    /// Dense strides, in elements, by logical axis.
    public func strides(of shape: [Extent]) -> [Extent] {
        var strides = [Extent](repeating: 1, count: shape.count)
        var stride: Extent = 1
        for axis in axisOrder(rank: shape.count).reversed() {
            strides[axis] = stride
            stride = stride * shape[axis]
        }
        return strides
    }
}

/// A dense tensor: element type, logical shape, physical layout.
public struct TensorType: Hashable, Sendable {
    public var element: ElementType
    public var shape: [Extent]
    public var layout: Layout

    public init(_ element: ElementType, _ shape: [Extent], layout: Layout = .rowMajor) {
        self.element = element
        self.shape = shape
        self.layout = layout
    }

    public var rank: Int { shape.count }
    public var elementCount: Extent { shape.product }
    public var byteCount: Extent { elementCount * Extent(element.byteCount) }
    /// The product of all extents that are known and not 0: how much work it may be to walk along the axes, even where there are no elements.
    public var volume: Int { shape.reduce(1) { saturatingProduct($0, max($1.constant ?? 1, 1)) } }
    /// Whether artifacts take inputs and give outputs of this type.
    public var isPassable: Bool { element != .string && !element.isComplex && rank <= TensorType.largestPassableRank }
    /// The most axes of an input or output of an artifact.
    public static let largestPassableRank = 8
    public var isStatic: Bool { shape.allSatisfy(\.isConstant) }

    public func with(element: ElementType) -> TensorType { TensorType(element, shape, layout: layout) }
    public func with(shape: [Extent]) -> TensorType { TensorType(element, shape, layout: layout) }
    public func with(layout: Layout) -> TensorType { TensorType(element, shape, layout: layout) }
}

/// The type of an SSA value.
public indirect enum ValueType: Hashable, Sendable {
    case tensor(TensorType)
    case sequence(ValueType)
    case optional(ValueType)

    public var tensor: TensorType? {
        if case .tensor(let type) = self { type } else { nil }
    }
}

extension TensorType: CustomStringConvertible {
    public var description: String {
        let suffix = layout == .rowMajor ? "" : "|\(layout.rawValue)"
        return "\(element.rawValue)[\(shape.map(\.description).joined(separator: ", "))\(suffix)]"
    }
}

extension ValueType: CustomStringConvertible {
    public var description: String {
        switch self {
        case .tensor(let type): type.description
        case .sequence(let type): "sequence<\(type)>"
        case .optional(let type): "optional<\(type)>"
        }
    }
}
