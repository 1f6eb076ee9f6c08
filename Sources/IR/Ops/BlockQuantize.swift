/// Quantises f32 […, K] to i8 in blocks along the last axis, each by its largest magnitude: `scale = max|x| / 127`, `y = roundHalfToEven(x / scale)` in −127…127.
///
/// Results: y, i8 […, K]; the scales, f32 […, K/block]; and the sums of what stands for the elements, `scale · Σy`, f32 […, K/block]. A block of zeros has
/// scale 0. A block with an element that is not finite has a scale that is not, and the sum NaN; elements that are NaN then are 0.
public struct BlockQuantize: LoopOp {
    public static let mnemonic = "block_quantize"
    public static let summary = "Quantises rows to i8 in blocks by the range of the data"
    public static var attributes: [Attribute<Self>] { [Attribute("block", \.block)] }

    public var block: Int

    public init() { self.init(block: 32) }
    public init(block: Int) { self.block = block }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let x = try context.tensors(1)[0]
        guard block > 0, block <= 1 << 16 else { throw Diagnostic(.invalid, "a block of \(block): must be positive, at most 65536") }
        guard x.element == .f32, x.rank > 0 else { throw Diagnostic(.invalid, "takes rows of f32, not \(x)") }
        let count = x.shape[x.rank - 1]
        guard count.exactQuotient(by: Extent(block)) != nil || !count.isConstant else { throw Diagnostic(.invalid, "rows of \(count) are not whole blocks of \(block)") }
        let parameters = ValueType.tensor(TensorType(.f32, x.shape.dropLast() + [count.floorDivided(by: Extent(block))]))
        return [.tensor(x.with(element: .i8)), parameters, parameters]
    }

    public func equalSizes(in context: InferenceContext) -> [SizeEquation] {
        guard let count = context.shapes.first?.last, block > 0 else { return [] }
        return [SizeEquation(count, count.floorDivided(by: Extent(block)) * Extent(block))]
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let x = operands[0], reader = x.reader, shape = Array(x.shape.dropLast()) + [x.shape[x.rank - 1] / block]
        let scales = (0..<shape.reduce(1, *)).map { b in
            (b * block..<(b + 1) * block).reduce(Float(0)) { largest, i in
                let value = abs(Float(reader.load(at: i)))
                return largest.isNaN || value.isNaN ? .nan : Swift.max(largest, value)
            } / 127
        }
        func code(_ i: Int) -> Float {
            let scale = scales[i / block], value = (Float(reader.load(at: i)) / (scale == 0 ? 1 : scale)).rounded(.toNearestOrEven)
            return value.isNaN ? .nan : Swift.min(Swift.max(value, -127), 127)
        }
        let sums = scales.indices.map { b in scales[b] * (b * block..<(b + 1) * block).reduce(0) { $0 + code($1) } }
        return [
            Tensor(.i8, x.shape, integers: { i in
                let code = code(i)
                return code.isNaN ? 0 : Int(code)
            }), Tensor(.f32, shape, values: { Double(scales[$0]) }), Tensor(.f32, shape, values: { Double(sums[$0]) }),
        ]
    }

    public func lower(_ operands: [TensorView], to results: [TensorView], in builder: inout KernelBuilder) throws {
        let (x, y) = (blocked(operands[0]), blocked(results[0])), rank = x.shape.count, inner = Extent(block)
        builder.parallelRows(of: x.shape, over: Array(0..<rank - 1)) { builder, row in
            func at(_ i: [Expr]) -> [Expr] { row.dropLast() + i }
            let largest = builder.reduce(.maximum, over: [inner], initial: .float(0, .f32)) { _, i in .unary(.absolute, x.load(at(i))) }
            let scale = builder.bind(.binary(.divide, largest, .float(127, .f32)), "scale")
            let divisor = builder.bind(.select(.binary(.equal, scale, .float(0, .f32)), .float(1, .f32), scale), "divisor")
            func code(_ i: [Expr]) -> Expr {
                .max(.float(-127, .f32), .min(.float(127, .f32), .unary(.round, .binary(.divide, x.load(at(i)), divisor))))
            }
            let sum = builder.reduce(.add, over: [inner], initial: .float(0, .f32)) { _, i in code(i) }
            let parameter = Array(row.dropLast())
            for (result, value) in zip(results.dropFirst(), [scale, scale * sum]) { builder.emit(result.store(value, parameter)) }
            builder.simdLoops(over: [inner]) { builder, i in
                let code = code(i), number = Expr.select(.binary(.equal, code, code), code, .float(0, .f32))
                builder.emit(y.store(.roundSaturate(number, .i8), at(i)))
            }
        }
    }

    /// A view with its last axis in blocks.
    private func blocked(_ view: TensorView) -> TensorView {
        let (count, stride) = (view.shape[view.shape.count - 1], view.strides[view.shape.count - 1])
        var result = view
        result.shape = view.shape.dropLast() + [count.floorDivided(by: Extent(block)), Extent(block)]
        result.strides = view.strides.dropLast() + [stride * Extent(block), stride]
        return result
    }
}
