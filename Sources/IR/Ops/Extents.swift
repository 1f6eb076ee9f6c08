/// A vector (or scalar) of sizes as data: what ONNX's Shape leaves after symbolic propagation.
public struct Extents: PointwiseOp {
    public static let mnemonic = "extents"
    public static let summary = "Symbolic sizes as an i64 tensor"
    public static var attributes: [Attribute<Self>] { [Attribute("values", \.values), Attribute("shape", \.shape)] }

    public var values: [Extent]
    public var shape: [Int]

    public init() { self.init([]) }
    /// A vector of sizes.
    public init(_ values: [Extent]) { self.init(values, shape: [values.count]) }
    public init(_ values: [Extent], shape: [Int]) {
        self.values = values
        self.shape = shape
    }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        guard Tensor.byteCount(.u8, shape) == values.count else { throw Diagnostic(.invalid, "\(values.count) values do not fill the shape \(shape)") }
        return [.tensor(TensorType(.i64, shape.map { Extent($0) }))]
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        [try Tensor(.i64, shape, integers: { try context.value(values[$0]) })]
    }

    public func symbolicContents(_ operands: [[Extent]?], in context: InferenceContext) -> [[Extent]?] { [values] }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        var flat: Expr = .int(0)
        for (i, extent) in zip(index, shape) { flat = flat * .int(extent) + i }
        var value = values.last.map { Expr($0) } ?? .int(0)
        for (position, extent) in values.enumerated().dropLast().reversed() {
            value = .select(.binary(.equal, flat, .int(position)), Expr(extent), value)
        }
        return value
    }
}
