/// Permutes the axes: axis `i` of the result is axis `permutation[i]` of the operand.
public struct Transpose: ViewOp {
    public static let mnemonic = "transpose"
    public static let summary = "Permutes the axes"
    public static var attributes: [Attribute<Self>] { [Attribute("permutation", \.permutation)] }

    public var permutation: [Int]

    public init() { permutation = [] }
    public init(_ permutation: [Int]) { self.permutation = permutation }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let type = try context.tensors(1)[0]
        guard permutation.sorted() == Array(0..<type.rank) else {
            throw Diagnostic(.invalid, "\(permutation) is not a permutation of the axes of \(type)")
        }
        return [.tensor(TensorType(type.element, permutation.map { type.shape[$0] }))]
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        [operands[0].transposed(permutation)]
    }

    public func symbolicContents(_ operands: [[Extent]?], in context: InferenceContext) -> [[Extent]?] {
        guard let values = operands[0], let shape = context.operands[0].tensor?.shape.constants else { return [nil] }
        let strides = rowMajorStrides(shape)
        return [flatOffsets(permutation.map { shape[$0] }, strides: permutation.map { strides[$0] }).map { values[$0] }]
    }

    public var layoutBehavior: LayoutBehavior { .any }

    public func view(of operand: TensorView, resultType: TensorType) -> TensorView? {
        var view = operand
        view.shape = permutation.map { operand.shape[$0] }
        view.strides = permutation.map { operand.strides[$0] }
        return view
    }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        var source = index
        for (position, axis) in permutation.enumerated() { source[axis] = index[position] }
        return try operands.load(0, at: source, in: &builder)
    }
}
