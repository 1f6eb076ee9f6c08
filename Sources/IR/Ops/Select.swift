/// Chooses between two tensors element by element, with numpy broadcasting of all three operands.
public struct Select: PointwiseOp {
    public static let mnemonic = "select"
    public static let summary = "Elements of the second operand where the first is true, else of the third"

    public init() {}

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let types = try context.tensors(3)
        guard types[0].element == .bool else { throw Diagnostic(.invalid, "the condition has type \(types[0]), not bool") }
        guard types[1].element == types[2].element else {
            throw Diagnostic(.invalid, "the choices have different types \(types[1]) and \(types[2])")
        }
        let shape = try TensorType.broadcast(types[0].shape, TensorType.broadcast(types[1].shape, types[2].shape))
        let layout = types.first { $0.rank == shape.count && $0.layout != .rowMajor }?.layout ?? .rowMajor
        return [.tensor(TensorType(types[1].element, shape, layout: layout))]
    }

    public func equalSizes(in context: InferenceContext) -> [SizeEquation] {
        SizeEquation.commonBroadcast(context.shapes)
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let shapes = operands.map(\.type.shape)
        let shape = try TensorType.broadcast(shapes[0], TensorType.broadcast(shapes[1], shapes[2])).constants ?? []
        let maps = operands.map { BroadcastIndex($0.shape, to: shape) }
        let condition = operands[0].bytes
        return [Tensor(operands[1].element, shape) { bytes in
            guard let yes = ElementCopier(operands[1].element, from: operands[1].bytes, to: bytes),
                  let no = ElementCopier(operands[2].element, from: operands[2].bytes, to: bytes) else { return }
            for i in 0..<shape.reduce(1, *) {
                if condition[maps[0][i]] != 0 { yes.copy(maps[1][i], to: i) } else { no.copy(maps[2][i], to: i) }
            }
        }]
    }

    public func symbolicContents(_ operands: [[Extent]?], in context: InferenceContext) -> [[Extent]?] {
        guard let condition = operands[0], context.operands.allSatisfy({ ($0.tensor?.rank ?? 9) <= 1 }) else { return [nil] }
        let count = operands.compactMap { $0?.count }.max() ?? 0
        var values: [Extent] = []
        for i in 0..<count {
            func pick(_ contents: [Extent]?) -> Extent? {
                guard let contents, contents.count == count || contents.count == 1 else { return nil }
                return contents[contents.count == 1 ? 0 : i]
            }
            guard let chosen = pick(condition)?.constant, let value = pick(operands[chosen != 0 ? 1 : 2]) else { return [nil] }
            values.append(value)
        }
        return [values]
    }

    public var layoutBehavior: LayoutBehavior { .uniform }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        .select(
            try operands.broadcast(0, at: index, in: &builder), try operands.broadcast(1, at: index, in: &builder),
            try operands.broadcast(2, at: index, in: &builder))
    }
}
