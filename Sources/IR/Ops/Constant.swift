/// A tensor known at compile time.
public struct Constant: PointwiseOp {
    public static let mnemonic = "constant"
    public static let summary = "A tensor known at compile time"
    public static var attributes: [Attribute<Self>] { [Attribute("value", \.value)] }

    public var value: Tensor

    public init() { value = .scalar(0, .f32) }
    public init(_ value: Tensor) { self.value = value }

    public func infer(_ context: InferenceContext) throws -> [ValueType] { [.tensor(value.type)] }
    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] { [value] }

    public var layoutBehavior: LayoutBehavior { .any }

    /// Inlines a constant whose elements are all equal; others are read from the weights.
    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        guard let splat = value.splat else { throw Diagnostic(.internal, "a constant with different elements is read from memory, not computed") }
        return value.element.isFloat
            ? .float(splat, value.element.computeType)
            : .integer(value.reader.loadInteger(at: 0), value.element.computeType)
    }
}
