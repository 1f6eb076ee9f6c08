/// What `reduce` computes over its axes.
public enum ReduceFunction: String, Hashable, Sendable, CaseIterable, EnumAttribute {
    case add, multiply, minimum, maximum, and, or
    /// The arithmetic mean; integers divide with truncation.
    case mean
    /// `Σ x²`, `Σ |x|`, `sqrt(Σ x²)`.
    case sumSquares, l1, l2
    /// `log Σ x` and `log Σ exp x`, the latter without overflow.
    case logSum, logSumExp

    /// How partial results combine.
    public var combiner: ReductionOperator {
        switch self {
        case .multiply: .multiply
        case .minimum: .minimum
        case .maximum: .maximum
        case .and: .and
        case .or: .or
        default: .add
        }
    }

    var needsFloat: Bool { self == .logSum || self == .logSumExp }
}

/// Reduces over some axes.
///
/// Narrow floats accumulate in f32; integers wrap. An empty reduction gives the neutral element (minus infinity for `maximum` of
/// floats, the least value for integers).
public struct Reduce: PointwiseOp {
    public static let mnemonic = "reduce"
    public static let summary = "Reduces over some axes"
    public static var attributes: [Attribute<Self>] {
        [Attribute("fn", \.function), Attribute("axes", \.axes), Attribute("keep_dims", \.keepDims)]
    }

    public var function: ReduceFunction
    /// Non-negative, without repetition.
    public var axes: [Int]
    /// Whether reduced axes stay, with size 1.
    public var keepDims: Bool

    public init() { self.init(.add, axes: [], keepDims: false) }
    public init(_ function: ReduceFunction, axes: [Int], keepDims: Bool) {
        self.function = function
        self.axes = axes
        self.keepDims = keepDims
    }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let type = try context.tensors(1)[0]
        for axis in axes { try checkAxis(axis, of: type) }
        guard Set(axes).count == axes.count else { throw Diagnostic(.invalid, "the axes \(axes) repeat") }
        let isLogical = function == .and || function == .or
        let works = switch type.element {
        case .bool: isLogical || function == .minimum || function == .maximum
        case _ where type.element.isFloat: !isLogical
        case _ where type.element.isInteger: !function.needsFloat
        default: false
        }
        guard works else { throw Diagnostic(.invalid, "\(function.rawValue) is not defined on \(type.element.rawValue)") }
        let layout = keepDims ? type.layout : .rowMajor
        return [.tensor(TensorType(type.element, resultShape(type.shape, one: 1), layout: layout))]
    }

    private func resultShape<T>(_ shape: [T], one: T) -> [T] {
        shape.indices.filter { keepDims || !axes.contains($0) }.map { axes.contains($0) ? one : shape[$0] }
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let x = operands[0], reader = x.reader
        let kept = x.shape.indices.map { axes.contains($0) ? 1 : x.shape[$0] }
        let shape = resultShape(x.shape, one: 1), count = kept.reduce(1, *)
        let target = BroadcastIndex(kept, to: x.shape)
        let size = axes.reduce(1) { $0 * x.shape[$1] }
        let op = combiner(on: x.element)
        if x.element.isFloat {
            var shift = [Double](repeating: 0, count: count)
            if function == .logSumExp {
                var largest = [Double](repeating: -.infinity, count: count)
                for i in 0..<x.count { largest[target[i]] = BinaryOperator.maximum.evaluate(largest[target[i]], reader.load(at: i)) }
                shift = largest.map { $0.isFinite ? $0 : 0 }
            }
            let start: Double = switch op {
            case .multiply: 1
            case .minimum: .infinity
            case .maximum: -.infinity
            default: 0
            }
            var sums = [Double](repeating: start, count: count)
            for i in 0..<x.count {
                let j = target[i], value = reader.load(at: i)
                let term: Double = switch function {
                case .sumSquares, .l2: value * value
                case .l1: abs(value)
                case .logSumExp: UnaryOperator.exp.evaluate(value - shift[j])
                default: value
                }
                sums[j] = op.binary.evaluate(sums[j], term)
            }
            return [Tensor(x.element, shape, values: { i in
                switch function {
                case .mean: sums[i] / Double(size)
                case .l2: sums[i].squareRoot()
                case .logSum, .logSumExp: UnaryOperator.log.evaluate(sums[i]) + shift[i]
                default: sums[i]
                }
            })]
        }
        var sums = [Int](repeating: Self.identity(op, x.element), count: count)
        for i in 0..<x.count {
            let j = target[i], value = reader.loadInteger(at: i)
            let term: Int = switch function {
            case .sumSquares, .l2: value &* value
            case .l1: try UnaryOperator.absolute.evaluate(value, x.element)
            default: value
            }
            sums[j] = try op.binary.evaluate(sums[j], term, x.element)
        }
        // Sums wrap to the width of the compute type before they are divided.
        let totals = Tensor(x.element.computeType, [count], integers: { sums[$0] }).integers
        return [try Tensor(x.element, shape, integers: { i in
            switch function {
            case .mean: try BinaryOperator.divide.evaluate(totals[i], Swift.max(size, 1), x.element)
            case .l2: ElementWriter.truncate(Double(totals[i]).squareRoot())
            default: totals[i]
            }
        })]
    }

    /// On bool, the minimum is `and` and the maximum `or`.
    private func combiner(on element: ElementType) -> ReductionOperator {
        switch function {
        case .minimum where element == .bool: .and
        case .maximum where element == .bool: .or
        default: function.combiner
        }
    }

    /// The neutral element of an integer type or bool, as its bit pattern.
    static func identity(_ op: ReductionOperator, _ element: ElementType) -> Int {
        switch op {
        case .add, .or: 0
        case .multiply: 1
        case .and: element == .bool ? 1 : -1
        case .minimum: element == .u64 ? -1 : element.integerRange?.upperBound ?? 0
        case .maximum: element.integerRange?.lowerBound ?? 0
        }
    }

    /// The neutral element as an expression of a compute type.
    static func identity(_ op: ReductionOperator, _ element: ElementType) -> Expr {
        guard element.isFloat else { return .integer(identity(op, element), element) }
        return switch op {
        case .multiply: .float(1, element)
        case .minimum: .float(.infinity, element)
        case .maximum: .float(-.infinity, element)
        default: .float(0, element)
        }
    }

    public func symbolicContents(_ operands: [[Extent]?], in context: InferenceContext) -> [[Extent]?] {
        guard let values = operands[0], let shape = context.operands[0].tensor?.shape.constants else { return [nil] }
        let kept = shape.indices.map { axes.contains($0) ? 1 : shape[$0] }
        let target = BroadcastIndex(kept, to: shape)
        var results = [Extent?](repeating: nil, count: kept.reduce(1, *))
        guard values.count == shape.reduce(1, *), !values.isEmpty else { return [nil] }
        for (i, value) in values.enumerated() {
            guard let known = results[target[i]] else { results[target[i]] = value; continue }
            switch function {
            case .add: results[target[i]] = known + value
            case .multiply: results[target[i]] = known * value
            case .minimum: results[target[i]] = .minimum(known, value)
            case .maximum: results[target[i]] = .maximum(known, value)
            default: return [nil]
            }
        }
        let supported: [ReduceFunction] = [.add, .multiply, .minimum, .maximum]
        let complete = results.compactMap { $0 }
        return [supported.contains(function) && complete.count == results.count ? complete : nil]
    }

    public var layoutBehavior: LayoutBehavior { .any }
    public var elementCost: ElementCost { .many }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        let type = operands.types[0], element = type.element.computeType
        let reduced = axes.sorted(), extents = reduced.map { type.shape[$0] }
        let kept = type.shape.indices.filter { !reduced.contains($0) }
        let op = combiner(on: type.element)
        let first: Expr = Self.identity(op, element)
        func reduce(_ op: ReductionOperator, _ initial: Expr, _ builder: inout KernelBuilder, _ term: (Expr, inout KernelBuilder) throws -> Expr) throws -> Expr {
            try builder.reduce(op, over: extents, initial: initial) { builder, inner in
                var source = [Expr](repeating: .int(0), count: type.rank)
                for (position, axis) in kept.enumerated() { source[axis] = index[keepDims ? axis : position] }
                for (axis, i) in zip(reduced, inner) { source[axis] = i }
                return try term(try operands.load(0, at: source, in: &builder), &builder)
            }
        }
        if function == .logSumExp {
            let largest = try reduce(.maximum, .float(-.infinity, element), &builder) { x, _ in x }
            let isFinite = Expr.unary(.absolute, largest) < .float(.infinity, element)
            let shift = builder.bind(.select(isFinite, largest, .float(0, element)), "shift")
            let sum = try reduce(.add, .float(0, element), &builder) { x, _ in .unary(.exp, x - shift) }
            return .binary(.add, .unary(.log, sum), shift)
        }
        let sum = try reduce(op, first, &builder) { x, builder in
            switch function {
            case .sumSquares, .l2:
                let value = builder.bind(x, "x")
                return .binary(.multiply, value, value)
            case .l1: return type.element.isUnsignedInteger ? x : .unary(.absolute, x)
            default: return x
            }
        }
        switch function {
        case .mean:
            let count = Expr(element.isFloat ? extents.product : .maximum(extents.product, 1))
            if let n = count.constantInteger { return .binary(.divide, sum, .constant(Double(n), element)) }
            return .binary(.divide, sum, count.converted(to: element))
        case .l2: return element.isFloat ? .unary(.sqrt, sum) : Expr.unary(.sqrt, sum.converted(to: .f64)).converted(to: element)
        case .logSum: return .unary(.log, sum)
        default: return sum
        }
    }
}
