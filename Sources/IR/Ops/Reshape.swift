/// The same elements, in row-major order, in another shape. Also what ONNX calls Squeeze, Unsqueeze and Flatten.
public struct Reshape: ViewOp {
    public static let mnemonic = "reshape"
    public static let summary = "The same elements in another shape"
    public static var attributes: [Attribute<Self>] { [Attribute("shape", \.shape)] }

    public var shape: [Extent]

    public init() { shape = [] }
    public init(_ shape: [Extent]) { self.shape = shape }

    /// Symbolic element counts are only refused where they are known to differ.
    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let type = try context.tensors(1)[0]
        if let difference = (type.elementCount - shape.product).constant, difference != 0 {
            throw Diagnostic(.invalid, "\(type) has \(type.elementCount) elements, the shape \(shape) has \(shape.product)")
        }
        return [.tensor(TensorType(type.element, shape))]
    }

    public func equalSizes(in context: InferenceContext) -> [SizeEquation] {
        context.shapes.first.map { [SizeEquation($0.product, shape.product)] } ?? []
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let target = try shape.map(context.value)
        guard target.allSatisfy({ $0 >= 0 }), let result = operands[0].reshaped(target) else {
            throw Diagnostic(.invalid, "a tensor of shape \(operands[0].shape) has another number of elements than \(target)")
        }
        return [result]
    }

    public func symbolicContents(_ operands: [[Extent]?], in context: InferenceContext) -> [[Extent]?] { [operands[0]] }

    public var layoutBehavior: LayoutBehavior { .any }

    public func view(of operand: TensorView, resultType: TensorType) -> TensorView? {
        guard let strides = AxisGroups.strides(of: operand, reshapedTo: shape) else { return nil }
        var view = operand
        view.shape = shape
        view.strides = strides
        return view
    }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        let from = operands.types[0].shape
        var source = [Expr](repeating: .int(0), count: from.count)
        for group in AxisGroups.match(from, shape) ?? [AxisGroups.Group(from: Array(from.indices), to: Array(shape.indices))] {
            var flat: Expr = .int(0)
            for axis in group.to { flat = flat * Expr(shape[axis]) + index[axis] }
            let parts = builder.unflatten(flat, group.from.map { from[$0] })
            for (axis, part) in zip(group.from, parts) { source[axis] = part }
        }
        return try operands.load(0, at: source, in: &builder)
    }
}

/// Runs of axes of two shapes with equal products: where a reshape splits and merges axes.
enum AxisGroups {
    struct Group: Equatable {
        var from: [Int]
        var to: [Int]
    }

    /// The finest grouping that can be proved for all values of the dimensions; nil where the products cannot be compared. Axes
    /// of size 1 belong to no group.
    static func match(_ from: [Extent], _ to: [Extent]) -> [Group]? {
        let sources = from.indices.filter { from[$0] != 1 }, targets = to.indices.filter { to[$0] != 1 }
        var groups: [Group] = []
        var i = 0, j = 0
        while i < sources.count, j < targets.count {
            var group = Group(from: [sources[i]], to: [targets[j]])
            var left = from[sources[i]], right = to[targets[j]]
            i += 1
            j += 1
            while left != right {
                if isMultiple(left, of: right) {
                    guard j < targets.count else { return nil }
                    right = right * to[targets[j]]
                    group.to.append(targets[j])
                    j += 1
                } else if isMultiple(right, of: left) {
                    guard i < sources.count else { return nil }
                    left = left * from[sources[i]]
                    group.from.append(sources[i])
                    i += 1
                } else {
                    return nil
                }
            }
            groups.append(group)
        }
        return i == sources.count && j == targets.count ? groups : nil
    }

    /// Whether more axes must follow `b` to reach `a`. For constants any order of magnitude will do.
    private static func isMultiple(_ a: Extent, of b: Extent) -> Bool {
        if let x = a.constant, let y = b.constant { return x > y }
        return a.exactQuotient(by: b) != nil
    }

    /// The strides under which `view`'s memory shows its elements in the shape `to`; nil where that needs a copy.
    static func strides(of view: TensorView, reshapedTo to: [Extent]) -> [Extent]? {
        if view.isContiguous { return Layout.rowMajor.strides(of: to) }
        if view.shape.contains(0) || to.contains(0) { return Layout.rowMajor.strides(of: to) }
        guard let groups = match(view.shape, to) else { return nil }
        var strides = [Extent](repeating: 1, count: to.count)
        for group in groups {
            for (outer, inner) in zip(group.from, group.from.dropFirst()) {
                guard view.strides[outer] == view.strides[inner] * view.shape[inner] else { return nil }
            }
            guard let last = group.from.last else { continue }
            var stride = view.strides[last]
            for axis in group.to.reversed() {
                strides[axis] = stride
                stride = stride * to[axis]
            }
        }
        return strides
    }
}
