/// The coordinates of all elements that are not zero, in row-major order, as i64 `[rank, count]`. `count` is a named dimension that
/// the op defines while the model runs.
public struct NonZero: LoopOp {
    public static let mnemonic = "non_zero"
    public static let summary = "The coordinates of all elements that are not zero"
    public static var attributes: [Attribute<Self>] { [Attribute("count", \.count)] }

    public var count: Extent

    public init() { count = 0 }
    public init(count: Extent) { self.count = count }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let type = try context.tensors(1)[0]
        guard !type.element.isComplex, type.element != .string else { throw Diagnostic(.unsupported, "non_zero of \(type)") }
        try checkDataDependentExtent(count)
        return [.tensor(TensorType(.i64, [Extent(type.rank), count]))]
    }

    public var foundSizes: [Extent] { [count] }
    public func mostFound(_ node: Node, in function: Function) -> [Extent?] { [function.tensorType(node.operands[0]).elementCount] }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let x = operands[0], reader = x.reader
        let found = zip(0..., IndexSequence(x.shape)).filter { i, _ in
            x.element.isFloat ? reader.load(at: i) != 0 : reader.loadInteger(at: i) != 0
        }.map(\.1)
        return [Tensor(.i64, [x.rank, found.count], integers: { found[$0 % found.count][$0 / found.count] })]
    }

    public var layoutBehavior: LayoutBehavior { .any }

    /// Counts first: the result's strides depend on the count.
    public func lower(_ operands: [TensorView], to results: [TensorView], in builder: inout KernelBuilder) throws {
        let (x, result) = (operands[0], results[0])
        let zero = Expr.constant(0, x.element.computeType)
        func whenNonZero(_ body: (inout KernelBuilder, [Expr]) -> Void, in builder: inout KernelBuilder) {
            builder.loops(over: x.shape) { builder, index in
                builder.when(.binary(.notEqual, x.load(index).converted(to: x.element.computeType), zero)) { body(&$0, index) }
            }
        }
        builder.single { builder in
            let total = builder.declare(.int(0), "total")
            whenNonZero({ builder, _ in builder.emit(.assign(total, .variable(total) + .int(1))) }, in: &builder)
            if let name = count.dimensionName { builder.emit(.setDimension(name, .variable(total))) }
            let position = builder.declare(.int(0), "position")
            whenNonZero({ builder, index in
                for (axis, coordinate) in index.enumerated() {
                    builder.emit(result.store(coordinate, [.int(axis), .variable(position)], where: count.dimensionName, is: .variable(total)))
                }
                builder.emit(.assign(position, .variable(position) + .int(1)))
            }, in: &builder)
        }
    }
}

/// Checks the attribute that names a size found while the model runs: a dimension of its own, or a constant known in advance.
/// - Throws: `Diagnostic` for other expressions.
func checkDataDependentExtent(_ extent: Extent) throws {
    guard extent.isConstant || extent.dimensionName != nil else {
        throw Diagnostic(.invalid, "a size found while the model runs is one named dimension, not \(extent)")
    }
}
