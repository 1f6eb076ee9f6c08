/// A strided window onto a buffer: element `index` (one expression per logical axis) lies at
/// `offset + Σ index[axis] * strides[axis]`, counted in elements. Along the axis of `panels`, strides count panels.
public struct TensorView: Hashable, Sendable {
    /// An axis whose elements lie in groups of `width` neighbours, and one behind it of which `depth` elements lie together within those.
    public struct Panels: Hashable, Sendable {
        public var axis: Int
        public var width: Int
        public var depthAxis: Int
        public var depth: Int
        public init(axis: Int, width: Int, depthAxis: Int, depth: Int) {
            self.axis = axis
            self.width = width
            self.depthAxis = depthAxis
            self.depth = depth
        }
    }

    public var buffer: BufferID
    public var element: ElementType
    public var shape: [Extent]
    public var strides: [Extent]
    public var offset: Extent
    /// Who looks at the strides of a view with panels must know of them; only `address` does.
    public var panels: Panels?

    public init(_ buffer: BufferID, _ element: ElementType, shape: [Extent], strides: [Extent], offset: Extent = 0, panels: Panels? = nil) {
        self.buffer = buffer
        self.element = element
        self.shape = shape
        self.strides = strides
        self.offset = offset
        self.panels = panels
    }

    /// The flat element index of a logical index.
    public func address(_ index: [Expr]) -> Expr {
        var sum = Expr(offset)
        for (axis, (i, stride)) in zip(index, strides).enumerated() {
            if let panels, panels.axis == axis {
                sum = sum + i / .int(panels.width) * Expr(stride) + i % .int(panels.width) * .int(panels.depth)
            } else if let panels, panels.depthAxis == axis, panels.depth > 1 {
                sum = sum + i / .int(panels.depth) * Expr(stride * Extent(panels.depth)) + i % .int(panels.depth)
            } else {
                sum = sum + i * Expr(stride)
            }
        }
        return sum
    }

    /// A scalar load.
    public func load(_ index: [Expr]) -> Expr { .load(Access(buffer, address(index), KernelType(element))) }

    /// A scalar store; `value` is converted to the element type.
    public func store(_ value: Expr, _ index: [Expr]) -> Statement {
        .store(Access(buffer, address(index), KernelType(element)), value.converted(to: element))
    }

    /// The axes with more than one element, or a symbolic size, from the slowest to the fastest varying in memory.
    public var physicalOrder: [Int] {
        let axes = shape.indices.filter { shape[$0] != 1 }
        // Strides that cannot be compared keep their logical order; sorting is stable by index.
        return axes.sorted { a, b in
            if let difference = (strides[a] - strides[b]).constant, difference != 0 { return difference > 0 }
            if strides[b] == 1 { return strides[a] != 1 || a < b }
            if strides[a] == 1 { return false }
            if strides[a].exactQuotient(by: strides[b]) != nil, strides[a] != strides[b] { return true }
            if strides[b].exactQuotient(by: strides[a]) != nil, strides[a] != strides[b] { return false }
            return a < b
        }
    }

    /// Whether elements share memory with others, as those of an axis that broadcasting made: then writing one changes the others.
    public var repeatsElements: Bool { zip(shape, strides).contains { $0 != 1 && $1 == 0 } }

    /// Whether the elements lie without gaps in row-major order of the logical axes.
    public var isContiguous: Bool { strides(matchDenseOf: .rowMajor) }

    /// Whether the strides are the dense ones of `layout` (axes of size 1 may have any stride).
    public func strides(matchDenseOf layout: Layout) -> Bool {
        panels == nil && zip(zip(strides, layout.strides(of: shape)), shape).allSatisfy { $0.0 == $0.1 || $1 == 1 }
    }
}
