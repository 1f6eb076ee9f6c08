/// Rounds floats half to even to the integers of a type, saturating: the last step of a requantisation whose scale and zero
/// point are folded into the arithmetic before it. NaN gives 0.
public struct RoundSaturate: PointwiseOp {
    public static let mnemonic = "round_saturate"
    public static let summary = "Rounds half to even to an integer type, saturating"
    public static var attributes: [Attribute<Self>] { [Attribute("to", \.to)] }

    public var to: ElementType

    public init() { self.init(.u8) }
    public init(_ to: ElementType) { self.to = to }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let x = try context.tensors(1)[0]
        guard x.element.isFloat, to.isInteger, to.computeType == to, to.byteCount <= 4 else {
            throw Diagnostic(.invalid, "cannot round \(x.element.rawValue) to \(to.rawValue)")
        }
        return [.tensor(x.with(element: to))]
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let x = operands[0], reader = x.reader
        guard let range = to.integerRange else { throw Diagnostic(.invalid, "cannot round to \(to.rawValue)") }
        return [Tensor(to, x.shape, integers: { i in
            Swift.min(Swift.max(ElementWriter.truncate(reader.load(at: i).rounded(.toNearestOrEven)), range.lowerBound), range.upperBound)
        })]
    }

    public var layoutBehavior: LayoutBehavior { .uniform }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        .roundSaturate(try operands.load(0, at: index, in: &builder), to)
    }
}
