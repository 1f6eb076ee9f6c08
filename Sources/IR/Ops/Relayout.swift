/// Copies a tensor into another physical layout. Shape and values stay as they are.
public struct Relayout: PointwiseOp {
    public static let mnemonic = "relayout"
    public static let summary = "Copies into another physical layout"
    public static var attributes: [Attribute<Self>] { [Attribute("layout", \.layout)] }

    public var layout: Layout

    public init() { layout = .rowMajor }
    public init(_ layout: Layout) { self.layout = layout }

    public func infer(_ context: InferenceContext) throws -> [ValueType] { [.tensor(try context.tensors(1)[0].with(layout: layout))] }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] { [operands[0]] }
    public func symbolicContents(_ operands: [[Extent]?], in context: InferenceContext) -> [[Extent]?] { [operands[0]] }

    public var layoutBehavior: LayoutBehavior { .any }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        try operands.load(0, at: index, in: &builder)
    }
}
