/// Writes every element of `x` to the flat position that `indices` (i64, same shape) names in a result of zeros.
public struct MaxUnpool: LoopOp {
    public static let mnemonic = "max_unpool"
    public static let summary = "Scatters pooled maxima back to where they came from"
    public static var attributes: [Attribute<Self>] { [Attribute("shape", \.shape)] }

    public var shape: [Extent]

    public init() { self.init(shape: []) }
    public init(shape: [Extent]) { self.shape = shape }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let types = try context.tensors(2)
        guard types[0].shape == types[1].shape, types[1].element == .i64 else { throw Diagnostic(.invalid, "indices \(types[1]) do not match \(types[0])") }
        return [.tensor(TensorType(types[0].element, shape))]
    }

    public func equalSizes(in context: InferenceContext) -> [SizeEquation] {
        let shapes = context.shapes
        return shapes.count == 2 ? SizeEquation.pairs(shapes[1], shapes[0]) : []
    }

    public func checkConstants(_ constants: [Tensor?], types: [TensorType]) throws {
        try checkValues(constants[1], "index", upTo: shape.product - 1)
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let (x, indices) = (operands[0], operands[1].integers)
        let shape = try shape.map { try context.value($0) }
        guard let bytes = Tensor.byteCount(x.element, shape), indices.allSatisfy({ $0 >= 0 && $0 * x.element.byteCount < bytes }) else {
            throw Diagnostic(.invalid, "an index lies outside the result \(shape)")
        }
        let size = x.element.byteCount, source = x.bytes
        return [Tensor(x.element, shape) { target in
            for (i, position) in indices.enumerated() {
                for byte in 0..<size { target[position * size + byte] = source[i * size + byte] }
            }
        }]
    }

    public func lower(_ operands: [TensorView], to results: [TensorView], in builder: inout KernelBuilder) throws {
        let (x, indices, y) = (operands[0], operands[1], results[0])
        let axes = Array(y.shape.indices)
        let fill = RowSplit(y, rowAxes: Set(axes.suffix(1)))
        let type = y.element.computeType
        builder.parallelRows(of: y.shape, over: fill.outerAxes) { builder, row in
            builder.simdLoops(over: fill.rowShape) { builder, i in builder.emit(y.store(.constant(0, type), fill.index(row, i))) }
        }
        builder.emit(.barrier)
        // Windows may overlap and name one position twice, so this part is not shared between threads.
        builder.single { builder in
            builder.loops(over: x.shape) { builder, index in
                let flat = builder.bind(indices.load(index), "flat")
                builder.require(flat, from: 0, through: y.shape.product - 1)
                let inside = flat >= .int(0) && flat < Expr(y.shape.product)
                builder.when(inside) { builder in
                    var rest = flat, position: [Expr] = []
                    for axis in axes.reversed() {
                        let extent = Expr(y.shape[axis])
                        position.insert(axis == 0 ? rest : builder.bind(rest % extent, "i"), at: 0)
                        rest = builder.bind(rest / extent, "q")
                    }
                    builder.emit(y.store(x.load(index), position))
                }
            }
        }
    }
}
