/// Keeps the slices along one axis, or the elements of the flattened tensor, for which the condition is true. Operands: data,
/// condition (a bool vector, which may be shorter than the axis). `count` is a named dimension that the op defines.
public struct Compress: LoopOp {
    public static let mnemonic = "compress"
    public static let summary = "Keeps the slices for which a condition is true"
    public static var attributes: [Attribute<Self>] { [Attribute("axis", \.axis), Attribute("count", \.count)] }

    /// -1 for the flattened tensor.
    public var axis: Int
    public var count: Extent

    public init() { self.init(axis: -1, count: 0) }
    public init(axis: Int, count: Extent) {
        self.axis = axis
        self.count = count
    }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let types = try context.tensors(2)
        if axis != -1 { try checkAxis(axis, of: types[0]) }
        guard types[1].element == .bool, types[1].rank == 1 else { throw Diagnostic(.invalid, "the condition is \(types[1]), not a bool vector") }
        let room = axis == -1 ? types[0].elementCount : types[0].shape[axis]
        if let spare = (room - types[1].shape[0]).constant, spare < 0 {
            throw Diagnostic(.invalid, "the condition \(types[1]) is longer than the \(room) slices of \(types[0])")
        }
        try checkDataDependentExtent(count)
        var shape = axis == -1 ? [count] : types[0].shape
        if axis != -1 { shape[axis] = count }
        return [.tensor(TensorType(types[0].element, shape))]
    }

    public func nonNegativeSizes(in context: InferenceContext) -> [Extent] {
        let shapes = context.shapes
        guard shapes.count == 2, shapes[1].count == 1, axis == -1 || shapes[0].indices.contains(axis) else { return [] }
        return [(axis == -1 ? shapes[0].product : shapes[0][axis]) - shapes[1][0]]
    }

    public var foundSizes: [Extent] { [count] }
    public func mostFound(_ node: Node, in function: Function) -> [Extent?] { [function.tensorType(node.operands[1]).elementCount] }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let x = operands[0], condition = operands[1].integers
        let split = axis == -1 ? AxisSplit([x.count], axis: 0) : AxisSplit(x.shape, axis: axis)
        let kept = condition.indices.filter { condition[$0] != 0 }
        guard kept.last ?? -1 < split.count else { throw Diagnostic(.invalid, "the condition is longer than the axis of \(split.count) elements") }
        var shape = axis == -1 ? [0] : x.shape
        shape[max(axis, 0)] = kept.count
        return [try x.picking(shape) { i in
            let inner = i % split.inner, rest = i / split.inner
            return (rest / kept.count * split.count + kept[rest % kept.count]) * split.inner + inner
        }]
    }

    public var layoutBehavior: LayoutBehavior { .any }

    public func lower(_ operands: [TensorView], to results: [TensorView], in builder: inout KernelBuilder) throws {
        let (x, condition, result) = (operands[0], operands[1], results[0])
        func whenKept(_ body: (inout KernelBuilder, Expr) -> Void, in builder: inout KernelBuilder) {
            builder.loop(to: Expr(condition.shape[0])) { builder, i in builder.when(condition.load([i])) { body(&$0, i) } }
        }
        builder.single { builder in
            let total = builder.declare(.int(0), "total")
            whenKept({ builder, _ in builder.emit(.assign(total, .variable(total) + .int(1))) }, in: &builder)
            if let name = count.dimensionName { builder.emit(.setDimension(name, .variable(total))) }
            let position = builder.declare(.int(0), "position")
            whenKept({ builder, i in
                if axis == -1 {
                    let source = x.load(builder.unflatten(i, x.shape))
                    builder.emit(result.store(source, [.variable(position)], where: count.dimensionName, is: .variable(total)))
                } else {
                    var slice = x.shape
                    slice[axis] = 1
                    builder.loops(over: slice) { builder, index in
                        var source = index, target = index
                        source[axis] = i
                        target[axis] = .variable(position)
                        builder.emit(result.store(x.load(source), target, where: count.dimensionName, is: .variable(total)))
                    }
                }
                builder.emit(.assign(position, .variable(position) + .int(1)))
            }, in: &builder)
        }
    }
}
