/// Repeats axes of size 1, and adds axes in front, until the operand has the given shape (numpy's `broadcast_to`).
public struct Expand: ViewOp {
    public static let mnemonic = "expand"
    public static let summary = "Broadcasts to a shape"
    public static var attributes: [Attribute<Self>] { [Attribute("shape", \.shape), Attribute("wanted", \.wanted)] }

    public var shape: [Extent]
    /// A shape of which `shape` is the common one with the operand's, as ONNX has it; empty where that is `shape` itself.
    public var wanted: [Extent]

    public init() { self.init([]) }
    public init(_ shape: [Extent], wanted: [Extent] = []) {
        self.shape = shape
        self.wanted = wanted == shape ? [] : wanted
    }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let type = try context.tensors(1)[0]
        let aligned = shape.suffix(type.rank)
        guard type.rank <= shape.count, zip(type.shape, aligned).allSatisfy({ Self.fits($0, $1) }) else {
            throw Diagnostic(.invalid, "\(type) does not broadcast to the shape \(shape)")
        }
        return [.tensor(TensorType(type.element, shape, layout: type.rank == shape.count ? type.layout : .rowMajor))]
    }

    /// Extents that depend on dimensions are trusted to be equal, or 1, when the model runs.
    private static func fits(_ from: Extent, _ to: Extent) -> Bool {
        from == 1 || from == to || !(from - to).isConstant
    }

    public func equalSizes(in context: InferenceContext) -> [SizeEquation] {
        context.shapes.prefix(1).flatMap { SizeEquation.broadcast($0, to: shape) } + SizeEquation.broadcast(wanted, to: shape)
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let x = operands[0], target = try shape.map(context.value)
        let lead = target.count - x.rank
        guard lead >= 0, zip(x.shape, target.suffix(x.rank)).allSatisfy({ $0 == 1 || $0 == $1 }) else {
            throw Diagnostic(.invalid, "a tensor of shape \(x.shape) does not broadcast to \(target)")
        }
        let strides = zip(rowMajorStrides(x.shape), x.shape).map { $1 == 1 ? 0 : $0 }
        return [try x.strided(target, strides: [Int](repeating: 0, count: lead) + strides)]
    }

    public func symbolicContents(_ operands: [[Extent]?], in context: InferenceContext) -> [[Extent]?] {
        // Sizes that became known may not fit, which is refused when the node's turn comes.
        guard let values = operands[0], let from = context.operands[0].tensor?.shape.constants, let to = shape.constants, from.count <= to.count,
              zip(from, to.suffix(from.count)).allSatisfy({ $0 == 1 || $0 == $1 }) else { return [nil] }
        let strides = zip(rowMajorStrides(from), from).map { $1 == 1 ? 0 : $0 }
        return [flatOffsets(to, strides: [Int](repeating: 0, count: to.count - from.count) + strides).map { values[$0] }]
    }

    public var layoutBehavior: LayoutBehavior { .any }

    public func view(of operand: TensorView, resultType: TensorType) -> TensorView? {
        let lead = shape.count - operand.shape.count
        var view = operand
        view.shape = shape
        view.strides = [Extent](repeating: 0, count: lead)
        for (axis, extent) in operand.shape.enumerated() {
            // Whether an axis of unknown size is repeated is not known before the model runs.
            guard extent == 1 || extent == shape[lead + axis] || extent.isConstant else { return nil }
            view.strides.append(extent == 1 ? 0 : operand.strides[axis])
        }
        return view
    }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        try operands.broadcast(0, at: index, in: &builder)
    }
}
