/// Quantises to u8 by the range of the data, as ONNX's DynamicQuantizeLinear: the range is extended to include 0, scale =
/// (max − min)/255, zero point = saturate(roundHalfToEven(−min/scale)). Results: y (u8), scale (f32 scalar), zero point (u8
/// scalar).
public struct DynamicQuantize: LoopOp {
    public static let mnemonic = "dynamic_quantize"
    public static let summary = "Quantises to u8 by the range of the data"

    public init() {}

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let x = try context.tensors(1)[0]
        guard x.element == .f32 else { throw Diagnostic(.invalid, "takes f32, not \(x.element.rawValue)") }
        return [.tensor(x.with(element: .u8)), .tensor(TensorType(.f32, [])), .tensor(TensorType(.u8, []))]
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let x = operands[0], reader = x.reader
        var low: Float = 0, high: Float = 0
        for i in 0..<x.count {
            let value = Float(reader.load(at: i))
            low = Swift.min(low, value)
            high = Swift.max(high, value)
        }
        let scale = (high - low) / 255
        let zero = scale == 0 ? 0 : Swift.min(Swift.max((-low / scale).rounded(.toNearestOrEven), 0), 255)
        let y = Tensor(.u8, x.shape, integers: { i in
            guard scale != 0 else { return 0 }
            let value = (Float(reader.load(at: i)) / scale).rounded(.toNearestOrEven) + zero
            return value.isNaN ? 0 : Int(Swift.min(Swift.max(value, 0), 255))
        })
        return [y, .scalar(Double(scale), .f32), .scalar(Double(zero), .u8)]
    }

    public func lower(_ operands: [TensorView], to results: [TensorView], in builder: inout KernelBuilder) throws {
        let (x, y) = (operands[0], results[0])
        let split = RowSplit(x, rowAxes: Set(x.physicalOrder.suffix(1)))
        let rows = split.outerAxes.map { x.shape[$0] }.product
        func c(_ value: Double) -> Expr { .float(value, .f32) }
        let lows = builder.scratch("lows", .f32, count: rows, perThread: false)
        let highs = builder.scratch("highs", .f32, count: rows, perThread: false)
        let range = builder.scratch("range", .f32, count: 2, perThread: false)
        func at(_ buffer: BufferID, _ i: Expr) -> Access { Access(buffer, i, KernelType(.f32)) }
        func flat(_ row: [Expr]) -> Expr {
            split.outerAxes.reduce(.int(0)) { $0 * Expr(x.shape[$1]) + row[$1] }
        }
        builder.parallelRows(of: x.shape, over: split.outerAxes) { builder, row in
            for (buffer, op) in [(lows, ReductionOperator.minimum), (highs, .maximum)] {
                let extreme = builder.reduce(op, over: split.rowShape, initial: c(0)) { _, i in x.load(split.index(row, i)) }
                builder.emit(.store(at(buffer, flat(row)), extreme))
            }
        }
        builder.emit(.barrier)
        builder.single { builder in
            let low = builder.reduce(.minimum, over: [rows], initial: c(0)) { _, i in .load(at(lows, i[0])) }
            let high = builder.reduce(.maximum, over: [rows], initial: c(0)) { _, i in .load(at(highs, i[0])) }
            let scale = builder.bind(.binary(.divide, high - low, c(255)), "scale")
            let zero = Expr.max(c(0), .min(c(255), .unary(.round, .binary(.divide, .unary(.negate, low), scale))))
            let safe = builder.bind(.select(.binary(.equal, scale, c(0)), c(0), zero), "zero")
            builder.emit(.store(at(range, .int(0)), scale))
            builder.emit(.store(at(range, .int(1)), safe))
            builder.emit(results[1].store(scale, []))
            builder.emit(results[2].store(safe, []))
        }
        builder.emit(.barrier)
        builder.parallelRows(of: x.shape, over: split.outerAxes) { builder, row in
            let scale = builder.bind(.load(at(range, .int(0))), "scale"), zero = builder.bind(.load(at(range, .int(1))), "zero")
            // A range of zero means that every element is zero.
            let divisor = builder.bind(.select(.binary(.equal, scale, c(0)), c(1), scale), "divisor")
            builder.simdLoops(over: split.rowShape) { builder, i in
                let index = split.index(row, i)
                let value = Expr.unary(.round, .binary(.divide, x.load(index), divisor)) + zero
                builder.emit(y.store(.cast(.max(c(0), .min(c(255), value)), .u8), index))
            }
        }
    }
}
