/// An arithmetic sequence: `start + i * step` for `i` in `0..<count`.
public struct Iota: PointwiseOp {
    public static let mnemonic = "iota"
    public static let summary = "An arithmetic sequence"
    public static var attributes: [Attribute<Self>] {
        [Attribute("element", \.element), Attribute("start", \.start), Attribute("step", \.step), Attribute("count", \.count)]
    }

    public var element: ElementType
    @Bitwise public var start: Double
    @Bitwise public var step: Double
    public var count: Extent

    public init() { self.init(.i64, count: 0) }
    public init(_ element: ElementType, start: Double = 0, step: Double = 1, count: Extent) {
        self.element = element
        self.start = start
        self.step = step
        self.count = count
    }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        _ = try context.tensors(0)
        guard element.isFloat || element.isInteger else { throw Diagnostic(.invalid, "there is no sequence of \(element.rawValue)") }
        guard element.isFloat || (Int(exactly: start) != nil && Int(exactly: step) != nil) else {
            throw Diagnostic(.invalid, "start \(start) and step \(step) are no integers")
        }
        return [.tensor(TensorType(element, [count]))]
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let n = try context.value(count)
        guard Tensor.byteCount(element, [n]) != nil else { throw Diagnostic(.invalid, "a sequence of \(n) elements") }
        if element.isFloat { return [Tensor(element, [n], values: { start + Double($0) * step })] }
        let first = Int(start), stride = Int(step)
        return [Tensor(element, [n], integers: { first &+ $0 &* stride })]
    }

    public func symbolicContents(_ operands: [[Extent]?], in context: InferenceContext) -> [[Extent]?] {
        guard let n = count.constant, n <= Function.symbolicContentsLimit, let first = Int(exactly: start), let stride = Int(exactly: step) else { return [nil] }
        return [(0..<Swift.max(n, 0)).map { Extent(first) + Extent($0) * Extent(stride) }]
    }

    public var layoutBehavior: LayoutBehavior { .any }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        let target = element.computeType
        guard element.isFloat else {
            let value = Expr.int(Int(exactly: start) ?? 0) + index[0] * .int(Int(exactly: step) ?? 0)
            return value.converted(to: element).converted(to: target)
        }
        // In f64, so that long f32 sequences are rounded once.
        return (.float(start, .f64) + index[0].converted(to: .f64) * .float(step, .f64)).converted(to: element).converted(to: target)
    }
}
