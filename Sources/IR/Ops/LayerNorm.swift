/// Layer normalisation over the axes from `axis` to the last: (x − mean) / √(variance + epsilon) · scale + bias. `scale` and
/// `bias` broadcast to `x`.
public struct LayerNorm: LoopOp {
    public static let mnemonic = "layer_norm"
    public static let summary = "Normalises to zero mean and unit variance over the trailing axes"
    public static var attributes: [Attribute<Self>] { [Attribute("axis", \.axis), Attribute("epsilon", \.epsilon)] }

    /// The first normalised axis; negative values count from the back.
    public var axis: Int
    @Bitwise public var epsilon: Double

    public init() { self.init(axis: -1) }
    public init(axis: Int, epsilon: Double = 1e-5) {
        self.axis = axis
        self.epsilon = epsilon
    }

    public var runsInVectors: Bool { true }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        try inferNorm(context, operands: 3, axis: axis)
    }

    public func equalSizes(in context: InferenceContext) -> [SizeEquation] {
        normEquations(context.shapes)
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        try evaluateNorm(operands, axis: axis) { row, count in
            var mean = 0.0, variance = 0.0
            for i in 0..<count { mean += row[i] }
            mean /= Double(count)
            for i in 0..<count { variance += (row[i] - mean) * (row[i] - mean) }
            return (mean, 1 / (variance / Double(count) + epsilon).squareRoot())
        }
    }

    public func lower(_ operands: [TensorView], to results: [TensorView], in builder: inout KernelBuilder) throws {
        let (x, y) = (operands[0], results[0])
        let type = y.element.computeType
        let first = try normalizedAxis(axis, rank: y.shape.count)
        let split = RowSplit(y, rowAxes: Set(first..<y.shape.count))
        let count = Expr.cast(Expr(split.rowShape.product), type)
        builder.parallelRows(of: y.shape, over: split.outerAxes) { builder, row in
            func value(_ i: [Expr]) -> Expr { x.load(split.index(row, i)).converted(to: type) }
            let sum = builder.reduce(.add, over: split.rowShape, initial: .float(0, type)) { _, i in value(i) }
            let mean = builder.bind(.binary(.divide, sum, count), "mean")
            let squares = builder.reduce(.add, over: split.rowShape, initial: .float(0, type)) { builder, i in
                let centred = builder.bind(value(i) - mean, "d")
                return centred * centred
            }
            let factor = builder.bind(.unary(.reciprocalSqrt, .binary(.divide, squares, count) + .float(epsilon, type)), "r")
            builder.simdLoops(over: split.rowShape) { builder, i in
                let index = split.index(row, i)
                let scale = loadBroadcast(operands[1], at: index, of: y.shape, type), bias = loadBroadcast(operands[2], at: index, of: y.shape, type)
                builder.emit(y.store((value(i) - mean) * factor * scale + bias, index))
            }
        }
    }
}

/// Root-mean-square normalisation over the axes from `axis` to the last: x / √(mean(x²) + epsilon) · scale.
public struct RMSNorm: LoopOp {
    public static let mnemonic = "rms_norm"
    public static let summary = "Normalises to unit mean square over the trailing axes"
    public static var attributes: [Attribute<Self>] { [Attribute("axis", \.axis), Attribute("epsilon", \.epsilon)] }

    /// The first normalised axis; negative values count from the back.
    public var axis: Int
    @Bitwise public var epsilon: Double

    public init() { self.init(axis: -1) }
    public init(axis: Int, epsilon: Double = 1e-5) {
        self.axis = axis
        self.epsilon = epsilon
    }

    public var runsInVectors: Bool { true }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        try inferNorm(context, operands: 2, axis: axis)
    }

    public func equalSizes(in context: InferenceContext) -> [SizeEquation] {
        normEquations(context.shapes)
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        try evaluateNorm(operands, axis: axis) { row, count in
            var squares = 0.0
            for i in 0..<count { squares += row[i] * row[i] }
            return (0, 1 / (squares / Double(count) + epsilon).squareRoot())
        }
    }

    public func lower(_ operands: [TensorView], to results: [TensorView], in builder: inout KernelBuilder) throws {
        let (x, y) = (operands[0], results[0])
        let type = y.element.computeType
        let first = try normalizedAxis(axis, rank: y.shape.count)
        let split = RowSplit(y, rowAxes: Set(first..<y.shape.count))
        let count = Expr.cast(Expr(split.rowShape.product), type)
        builder.parallelRows(of: y.shape, over: split.outerAxes) { builder, row in
            func value(_ i: [Expr]) -> Expr { x.load(split.index(row, i)).converted(to: type) }
            let squares = builder.reduce(.add, over: split.rowShape, initial: .float(0, type)) { builder, i in
                let v = builder.bind(value(i), "x")
                return v * v
            }
            let factor = builder.bind(.unary(.reciprocalSqrt, .binary(.divide, squares, count) + .float(epsilon, type)), "r")
            builder.simdLoops(over: split.rowShape) { builder, i in
                let index = split.index(row, i)
                builder.emit(y.store(value(i) * factor * loadBroadcast(operands[1], at: index, of: y.shape, type), index))
            }
        }
    }
}

/// Checks the operands of a normalisation: `x`, and parameters that broadcast to it without changing its shape.
private func inferNorm(_ context: InferenceContext, operands: Int, axis: Int) throws -> [ValueType] {
    let types = try context.tensors(operands), x = types[0]
    guard x.element.isFloat else { throw Diagnostic(.invalid, "takes floats, not \(x.element.rawValue)") }
    _ = try normalizedAxis(axis, rank: x.rank)
    for parameter in types.dropFirst() {
        guard parameter.element == x.element else { throw Diagnostic(.invalid, "a parameter is \(parameter.element.rawValue), the input \(x.element.rawValue)") }
        let misfit = "a parameter of shape \(parameter.shape) does not broadcast to \(x.shape)"
        guard parameter.rank <= x.rank else { throw Diagnostic(.invalid, misfit) }
        for (size, axis) in zip(parameter.shape.reversed(), x.shape.reversed()) where !isParameterSize(size, beside: axis) {
            throw Diagnostic(.invalid, "\(misfit): \(axis) against \(size)")
        }
    }
    return [.tensor(x)]
}

/// Whether a parameter of size `size` may stand beside an axis of `axis` elements; what only a run can tell is an equation.
private func isParameterSize(_ size: Extent, beside axis: Extent) -> Bool {
    size == 1 || size == axis || size.constant == nil || axis.constant == nil
}

/// Parameters are as large as the input, or 1 by their type.
private func normEquations(_ shapes: [[Extent]]) -> [SizeEquation] {
    shapes.dropFirst().flatMap { SizeEquation.pairs($0.reversed(), shapes[0].reversed()) }.filter { $0.left != 1 }
}

/// `(x − shift) · factor · scale + bias`, with shift and factor computed per row by `statistics`.
private func evaluateNorm(
    _ operands: [Tensor], axis: Int, statistics: (UnsafePointer<Double>, Int) -> (shift: Double, factor: Double)
) throws -> [Tensor] {
    let x = operands[0], first = try normalizedAxis(axis, rank: x.rank)
    let length = x.shape[first...].reduce(1, *)
    let scale = operands[1].reader, scaleIndex = BroadcastIndex(operands[1].shape, to: x.shape)
    let bias = operands.count > 2 ? operands[2] : nil
    let biasReader = bias?.reader, biasIndex = bias.map { BroadcastIndex($0.shape, to: x.shape) }
    return [x.withValues(as: Double.self) { values in
        Tensor.computed(x.element, x.shape, in: Double.self) { y in
            guard length > 0 else { return }
            for row in 0..<x.count / length {
                let (shift, factor) = statistics(values + row * length, length)
                for i in row * length..<(row + 1) * length {
                    y[i] = (values[i] - shift) * factor * scale.load(at: scaleIndex[i])
                    if let biasReader, let biasIndex { y[i] += biasReader.load(at: biasIndex[i]) }
                }
            }
        }
    }]
}

/// The element of `view` that broadcasting pairs with `index` of a tensor of shape `shape`, as `type`.
func loadBroadcast(_ view: TensorView, at index: [Expr], of shape: [Extent], _ type: ElementType) -> Expr {
    view.load(broadcastIndex(index, of: shape, to: view.shape)).converted(to: type)
}
