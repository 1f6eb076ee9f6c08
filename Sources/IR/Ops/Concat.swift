/// Joins tensors along one axis.
public struct Concat: DestinationOp {
    public static let mnemonic = "concat"
    public static let summary = "Joins tensors along one axis"
    public static var attributes: [Attribute<Self>] { [Attribute("axis", \.axis)] }

    public var axis: Int

    public init() { axis = 0 }
    public init(axis: Int) { self.axis = axis }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        guard !context.operands.isEmpty else { throw Diagnostic(.invalid, "takes at least one operand") }
        let types = try context.tensors(context.operands.count)
        var result = types[0]
        try checkAxis(axis, of: result)
        for type in types.dropFirst() {
            guard type.element == result.element, type.rank == result.rank else {
                throw Diagnostic(.invalid, "\(types[0]) and \(type) cannot be joined")
            }
            for other in 0..<result.rank where other != axis && type.shape[other] != result.shape[other] {
                guard !(type.shape[other] - result.shape[other]).isConstant else {
                    throw Diagnostic(.invalid, "\(types[0]) and \(type) differ on axis \(other) and cannot be joined along axis \(axis)")
                }
                if type.shape[other].isConstant { result.shape[other] = type.shape[other] }
            }
            result.shape[axis] = result.shape[axis] + type.shape[axis]
        }
        result.layout = types.first { $0.layout != .rowMajor }?.layout ?? .rowMajor
        return [.tensor(result)]
    }

    public func equalSizes(in context: InferenceContext) -> [SizeEquation] {
        let shapes = context.shapes
        return shapes.dropFirst().flatMap { shape in
            SizeEquation.pairs(shape, shapes[0]).enumerated().filter { $0.offset != axis }.map(\.element)
        }
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        var shape = operands[0].shape
        shape[axis] = operands.reduce(0) { $0 + $1.shape[axis] }
        let whole = AxisSplit(shape, axis: axis)
        for operand in operands {
            var expected = shape
            expected[axis] = operand.shape[axis]
            guard operand.shape == expected else { throw Diagnostic(.invalid, "shapes \(operands.map(\.shape)) cannot be joined along axis \(axis)") }
        }
        return [Tensor(operands[0].element, shape) { bytes in
            var start = 0
            for operand in operands {
                let row = operand.shape[axis] * whole.inner
                if let copier = ElementCopier(operand.element, from: operand.bytes, to: bytes) {
                    for outer in 0..<whole.outer { copier.copy(outer * row, to: outer * whole.count * whole.inner + start, count: row) }
                }
                start += row
            }
        }]
    }

    public func symbolicContents(_ operands: [[Extent]?], in context: InferenceContext) -> [[Extent]?] {
        var joined: [[Extent]] = []
        for (operand, type) in zip(operands, context.operands) {
            guard let operand, let shape = type.tensor?.shape.constants, shape.indices.contains(axis) else { return [nil] }
            let split = AxisSplit(shape, axis: axis), row = split.count * split.inner
            if joined.isEmpty { joined = [[Extent]](repeating: [], count: split.outer) }
            guard joined.count == split.outer, operand.count == split.outer * row else { return [nil] }
            for outer in 0..<split.outer { joined[outer] += operand[outer * row..<(outer + 1) * row] }
        }
        return [joined.flatMap { $0 }]
    }

    public var layoutBehavior: LayoutBehavior { .uniform }

    public func placements(ofOperands operandTypes: [TensorType], in result: TensorView) -> [TensorView]? {
        var start = Extent(0)
        return operandTypes.map { type in
            var view = result
            view.shape[axis] = type.shape[axis]
            view.offset = result.offset + start * result.strides[axis]
            start = start + type.shape[axis]
            return view
        }
    }

    public func fill(_ result: TensorView, operandTypes: [TensorType], in builder: inout KernelBuilder) throws {}

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        let candidates = operands.types.indices.filter { operands.types[$0].shape[axis] != 0 }
        guard let last = candidates.last else { return .constant(0, operands.types[0].element.computeType) }
        var starts: [Extent] = [0]
        for type in operands.types { starts.append(starts[starts.count - 1] + type.shape[axis]) }
        func load(_ i: Int, in builder: inout KernelBuilder) throws -> Expr {
            var source = index
            source[axis] = index[axis] - Expr(starts[i])
            return try operands.load(i, at: source, in: &builder)
        }
        if let position = index[axis].constantInteger,
           let i = candidates.first(where: { i in starts[i + 1].constant.map { position < $0 } ?? false }),
           starts[i].isConstant {
            return try load(i, in: &builder)
        }
        if candidates.count == 1 { return try load(last, in: &builder) }
        let value = builder.declare(.constant(0, operands.types[0].element.computeType), "joined")
        func choose(_ rest: ArraySlice<Int>, in builder: inout KernelBuilder) throws {
            guard let i = rest.first else { return }
            func assign(_ builder: inout KernelBuilder) throws {
                let loaded = try load(i, in: &builder)
                builder.emit(.assign(value, loaded))
            }
            if i == last { return try assign(&builder) }
            try builder.when(index[axis] < Expr(starts[i + 1]), assign, else: { try choose(rest.dropFirst(), in: &$0) })
        }
        try choose(candidates[...], in: &builder)
        return .variable(value)
    }
}
