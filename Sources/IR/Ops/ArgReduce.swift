/// Which extreme value an op looks for.
public enum Extreme: String, Hashable, Sendable, CaseIterable, EnumAttribute {
    case minimum = "min"
    case maximum = "max"
}

/// The position, as i64, of the smallest or largest element along an axis. NaNs are passed over, except at position 0.
public struct ArgReduce: PointwiseOp {
    public static let mnemonic = "arg_reduce"
    public static let summary = "The position of the smallest or largest element along an axis"
    public static var attributes: [Attribute<Self>] {
        [Attribute("fn", \.function), Attribute("axis", \.axis), Attribute("keep_dims", \.keepDims), Attribute("select_last", \.selectLast)]
    }

    public var function: Extreme
    public var axis: Int
    public var keepDims: Bool
    /// Among equal elements, the last one counts rather than the first.
    public var selectLast: Bool

    public init() { self.init(.maximum, axis: 0) }
    public init(_ function: Extreme, axis: Int, keepDims: Bool = true, selectLast: Bool = false) {
        self.function = function
        self.axis = axis
        self.keepDims = keepDims
        self.selectLast = selectLast
    }

    /// Whether a candidate replaces the best element so far.
    private var replaces: BinaryOperator {
        switch (function, selectLast) {
        case (.minimum, false): .less
        case (.minimum, true): .lessOrEqual
        case (.maximum, false): .greater
        case (.maximum, true): .greaterOrEqual
        }
    }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let type = try context.tensors(1)[0]
        try checkAxis(axis, of: type)
        guard type.element.isFloat || type.element.isInteger else {
            throw Diagnostic(.invalid, "elements of type \(type.element.rawValue) have no order")
        }
        guard type.shape[axis] != 0 else { throw Diagnostic(.invalid, "axis \(axis) of \(type) has no elements to choose from") }
        var shape = type.shape
        if keepDims { shape[axis] = 1 } else { shape.remove(at: axis) }
        return [.tensor(TensorType(.i64, shape, layout: keepDims ? type.layout : .rowMajor))]
    }

    public func nonNegativeSizes(in context: InferenceContext) -> [Extent] {
        guard let shape = context.shapes.first, shape.indices.contains(axis) else { return [] }
        return [shape[axis] - 1]
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let x = operands[0], reader = x.reader, split = AxisSplit(x.shape, axis: axis)
        var shape = x.shape
        if keepDims { shape[axis] = 1 } else { shape.remove(at: axis) }
        guard split.count > 0 else { throw Diagnostic(.invalid, "axis \(axis) has no elements to choose from") }
        return [try Tensor(.i64, shape, integers: { flat in
            let start = flat / split.inner * split.count * split.inner + flat % split.inner
            var best = 0
            for i in 1..<max(split.count, 1) {
                let a = start + i * split.inner, b = start + best * split.inner
                let wins = x.element.isFloat
                    ? replaces.evaluate(reader.load(at: a), reader.load(at: b)) != 0
                    : try replaces.evaluate(reader.loadInteger(at: a), reader.loadInteger(at: b), x.element) != 0
                if wins { best = i }
            }
            return best
        })]
    }

    public var layoutBehavior: LayoutBehavior { .any }
    public var elementCost: ElementCost { .many }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        let type = operands.types[0]
        func source(_ i: Expr) -> [Expr] {
            var source = keepDims ? index : Array(index[..<axis]) + [.int(0)] + Array(index[axis...])
            source[axis] = i
            return source
        }
        let best = builder.declare(try operands.load(0, at: source(.int(0)), in: &builder), "best")
        let position = builder.declare(.int(0), "position")
        try builder.loop(from: .int(1), to: Expr(type.shape[axis])) { builder, i in
            let candidate = builder.bind(try operands.load(0, at: source(i), in: &builder), "candidate")
            builder.when(.binary(replaces, candidate, .variable(best))) { builder in
                builder.emit(.assign(best, candidate))
                builder.emit(.assign(position, i))
            }
        }
        return .variable(position)
    }
}
