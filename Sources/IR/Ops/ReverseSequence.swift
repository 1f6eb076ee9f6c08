/// Reverses the first `lengths[b]` elements along the time axis, for each position `b` of the batch axis; the rest stays.
public struct ReverseSequence: PointwiseOp {
    public static let mnemonic = "reverse_sequence"
    public static let summary = "Reverses a prefix of each sequence of a batch"
    public static var attributes: [Attribute<Self>] { [Attribute("batch_axis", \.batchAxis), Attribute("time_axis", \.timeAxis)] }

    public var batchAxis: Int
    public var timeAxis: Int

    public init() { self.init(batchAxis: 1, timeAxis: 0) }
    public init(batchAxis: Int, timeAxis: Int) {
        self.batchAxis = batchAxis
        self.timeAxis = timeAxis
    }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let types = try context.tensors(2)
        try checkAxis(batchAxis, of: types[0], "batch axis")
        try checkAxis(timeAxis, of: types[0], "time axis")
        try checkIndices(types[1])
        guard batchAxis != timeAxis, types[1].rank == 1,
              types[1].shape[0] == types[0].shape[batchAxis] || !(types[1].shape[0] - types[0].shape[batchAxis]).isConstant else {
            throw Diagnostic(.invalid, "the lengths \(types[1]) do not fit axis \(batchAxis) of \(types[0])")
        }
        return [.tensor(types[0])]
    }

    public func equalSizes(in context: InferenceContext) -> [SizeEquation] {
        let shapes = context.shapes
        guard shapes.count == 2, shapes[0].indices.contains(batchAxis) else { return [] }
        return SizeEquation.pairs(shapes[1], [shapes[0][batchAxis]])
    }

    public func checkConstants(_ constants: [Tensor?], types: [TensorType]) throws {
        try checkValues(constants[1], "length", upTo: types[0].shape[timeAxis])
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let x = operands[0], lengths = operands[1].integers, strides = rowMajorStrides(x.shape)
        guard lengths.allSatisfy({ 0...x.shape[timeAxis] ~= $0 }) else {
            throw Diagnostic(.invalid, "the lengths \(lengths) exceed the \(x.shape[timeAxis]) elements of axis \(timeAxis)")
        }
        var sequence = IndexSequence(x.shape)
        return [try x.picking(x.shape) { _ in
            var index = sequence.next() ?? []
            let length = lengths[index[batchAxis]]
            if index[timeAxis] < length { index[timeAxis] = length - 1 - index[timeAxis] }
            return flatIndex(index, strides)
        }]
    }

    public var layoutBehavior: LayoutBehavior { .any }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        let given = try operands.load(1, at: [index[batchAxis]], in: &builder).converted(to: .i64)
        let room = operands.types[0].shape[timeAxis], named = builder.bind(given, "given")
        builder.require(named, from: 0, through: room)
        let length = builder.bind(.min(named, Expr(room)), "length")
        var source = index
        let time = index[timeAxis]
        source[timeAxis] = .select(time < length, length - .int(1) - time, time)
        return try operands.load(0, at: source, in: &builder)
    }
}
