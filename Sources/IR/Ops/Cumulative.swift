/// Running sums (or products, …) along one axis: each result element combines all operand elements up to its position.
///
/// Narrow floats accumulate in f32. With `exclusive`, the element at the position itself is left out, so that the first result is
/// the neutral element; with `reverse`, positions are counted from the end.
public struct Cumulative: LoopOp {
    public static let mnemonic = "cumulative"
    public static let summary = "Running sums or products along one axis"
    public static var attributes: [Attribute<Self>] {
        [Attribute("fn", \.function), Attribute("axis", \.axis), Attribute("exclusive", \.exclusive), Attribute("reverse", \.reverse)]
    }

    public var function: ReductionOperator
    public var axis: Int
    public var exclusive: Bool
    public var reverse: Bool

    public init() { self.init(.add, axis: 0) }
    public init(_ function: ReductionOperator, axis: Int, exclusive: Bool = false, reverse: Bool = false) {
        self.function = function
        self.axis = axis
        self.exclusive = exclusive
        self.reverse = reverse
    }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let type = try context.tensors(1)[0]
        try checkAxis(axis, of: type)
        let isLogical = function == .and || function == .or
        guard type.element.isInteger || (type.element.isFloat && !isLogical) || (type.element == .bool && isLogical) else {
            throw Diagnostic(.invalid, "\(function.rawValue) is not defined on \(type.element.rawValue)")
        }
        return [.tensor(type)]
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let x = operands[0], reader = x.reader, split = AxisSplit(x.shape, axis: axis)
        return [try Tensor(x.element, x.shape) { bytes in
            let writer = ElementWriter(x.element, bytes)
            func scan<T>(_ start: T, _ load: (Int) -> T, _ store: (T, Int) -> Void, _ combine: (T, T) throws -> T) rethrows {
                for outer in 0..<split.outer {
                    for inner in 0..<split.inner {
                        var sum = start
                        for step in 0..<split.count {
                            let i = (outer * split.count + (reverse ? split.count - 1 - step : step)) * split.inner + inner
                            let next = try combine(sum, load(i))
                            store(exclusive ? sum : next, i)
                            sum = next
                        }
                    }
                }
            }
            if x.element.isFloat {
                let start: Double = switch function {
                case .multiply: 1
                case .minimum: .infinity
                case .maximum: -.infinity
                default: 0
                }
                scan(start, { reader.load(at: $0) }, { writer.store($0, at: $1) }, { function.binary.evaluate($0, $1) })
            } else {
                try scan(
                    Reduce.identity(function, x.element), { reader.loadInteger(at: $0) }, { writer.store(integer: $0, at: $1) },
                    { try function.binary.evaluate($0, $1, x.element) })
            }
        }]
    }

    public var layoutBehavior: LayoutBehavior { .uniform }

    public func lower(_ operands: [TensorView], to results: [TensorView], in builder: inout KernelBuilder) throws {
        let (x, y) = (operands[0], results[0])
        let element = y.element.computeType
        let split = RowSplit(y, rowAxes: [axis])
        builder.parallelRows(of: y.shape, over: split.outerAxes) { builder, outer in
            let sum = builder.declare(Reduce.identity(function, element), "sum")
            builder.loop("s", to: Expr(y.shape[axis])) { builder, step in
                var index = outer
                index[axis] = reverse ? Expr(y.shape[axis]) - .int(1) - step : step
                let value = builder.bind(x.load(index).converted(to: element), "x")
                func advance(_ builder: inout KernelBuilder) {
                    builder.emit(.assign(sum, .binary(function.binary, .variable(sum), value)))
                }
                if !exclusive { advance(&builder) }
                builder.emit(y.store(.variable(sum), index))
                if exclusive { advance(&builder) }
            }
        }
    }
}
