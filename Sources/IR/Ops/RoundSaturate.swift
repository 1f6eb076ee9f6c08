/// Rounds floats half to even to the integers of a type, saturating: the last step of a requantisation whose scale and zero
/// point are folded into the arithmetic before it. NaN gives the least integer of the type.
public struct RoundSaturate: PointwiseOp {
    public static let mnemonic = "round_saturate"
    public static let summary = "Rounds half to even to an integer type, saturating"
    public static var attributes: [Attribute<Self>] { [Attribute("to", \.to)] }

    public var to: ElementType

    public init() { self.init(.u8) }
    public init(_ to: ElementType) { self.to = to }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let x = try context.tensors(1)[0]
        guard x.element.isFloat, [.u8, .i8, .u16, .i16, .i32].contains(to) else {
            throw Diagnostic(.invalid, "cannot round \(x.element.rawValue) to \(to.rawValue)")
        }
        return [.tensor(x.with(element: to))]
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let x = operands[0], reader = x.reader
        return [Tensor(to, x.shape, integers: { ElementWriter.roundSaturated(reader.load(at: $0), to: to) })]
    }

    public var layoutBehavior: LayoutBehavior { .uniform }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        .roundSaturate(try operands.load(0, at: index, in: &builder), to)
    }
}
