/// Quantises to u8 by the range of the data, as ONNX's DynamicQuantizeLinear: the range is extended to include 0, scale =
/// (max − min)/255, zero point = saturate(roundHalfToEven(−min/scale)). Results: y (u8), scale (f32) and zero point (u8): scalars for
/// the whole tensor, or one per row along the last axis with `perRow`, which keep that axis with size 1.
public struct DynamicQuantize: LoopOp {
    public static let mnemonic = "dynamic_quantize"
    public static let summary = "Quantises to u8 by the range of the data"
    public static var attributes: [Attribute<Self>] { [Attribute("per_row", \.perRow)] }

    public var perRow: Bool

    public init() { self.init(perRow: false) }
    public init(perRow: Bool) { self.perRow = perRow }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let x = try context.tensors(1)[0]
        guard x.element == .f32 else { throw Diagnostic(.invalid, "takes f32, not \(x.element.rawValue)") }
        guard !perRow || x.rank > 0 else { throw Diagnostic(.invalid, "a scalar has no rows") }
        let range = perRow ? x.shape.dropLast() + [1] : []
        return [.tensor(x.with(element: .u8)), .tensor(TensorType(.f32, range)), .tensor(TensorType(.u8, range))]
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let x = operands[0], reader = x.reader
        let width = perRow ? x.shape[x.rank - 1] : x.count
        let ranges = (0..<(perRow ? x.shape.dropLast().reduce(1, *) : 1)).map { row -> (scale: Float, zero: Float) in
            var low: Float = 0, high: Float = 0
            for i in row * width..<(row + 1) * width {
                let value = Float(reader.load(at: i))
                low = value.isNaN ? .nan : Swift.min(low, value)
                high = value.isNaN ? .nan : Swift.max(high, value)
            }
            let span = high - low, scale = span.isInfinite ? high / 255 - low / 255 : span / 255
            return (scale, scale == 0 ? 0 : Swift.min(Swift.max((-low / scale).rounded(.toNearestOrEven), 0), 255))
        }
        let y = Tensor(.u8, x.shape, integers: { i in
            let (scale, zero) = ranges[perRow ? i / width : 0]
            guard scale != 0 else { return 0 }
            let value = (Float(reader.load(at: i)) / scale).rounded(.toNearestOrEven) + zero
            return value.isNaN ? 0 : Int(Swift.min(Swift.max(value, 0), 255))
        })
        let shape = perRow ? x.shape.dropLast() + [1] : []
        return [y, Tensor(.f32, shape, values: { Double(ranges[$0].scale) }), Tensor(.u8, shape, integers: { ranges[$0].zero.isNaN ? 0 : Int(ranges[$0].zero) })]
    }

    public func lower(_ operands: [TensorView], to results: [TensorView], in builder: inout KernelBuilder) throws {
        let (x, y) = (operands[0], results[0])
        let last = perRow ? x.shape.count - 1 : x.physicalOrder.last
        let split = RowSplit(x, rowAxes: Set(last.map { [$0] } ?? []))

        func extreme(_ op: ReductionOperator, _ row: [Expr], _ builder: inout KernelBuilder) -> Expr {
            builder.reduce(op, over: split.rowShape, initial: .float(0, .f32)) { _, i in x.load(split.index(row, i)) }
        }
        func quantise(_ row: [Expr], _ range: Range, _ builder: inout KernelBuilder) {
            builder.simdLoops(over: split.rowShape) { builder, i in
                let index = split.index(row, i)
                builder.emit(y.store(range.quantised(x.load(index)), index))
            }
        }
        if perRow {
            return builder.parallelRows(of: x.shape, over: split.outerAxes) { builder, row in
                let range = Range(low: extreme(.minimum, row, &builder), high: extreme(.maximum, row, &builder), in: &builder)
                for (result, value) in zip(results.dropFirst(), [range.scale, range.zero]) { builder.emit(result.store(value, row)) }
                quantise(row, range, &builder)
            }
        }

        let rows = split.outerAxes.map { x.shape[$0] }.product
        let lows = builder.scratch("lows", .f32, count: rows, perThread: false)
        let highs = builder.scratch("highs", .f32, count: rows, perThread: false)
        let shared = builder.scratch("range", .f32, count: 2, perThread: false)
        func at(_ buffer: BufferID, _ i: Expr) -> Access { Access(buffer, i, KernelType(.f32)) }
        func flat(_ row: [Expr]) -> Expr {
            split.outerAxes.reduce(.int(0)) { $0 * Expr(x.shape[$1]) + row[$1] }
        }
        builder.parallelRows(of: x.shape, over: split.outerAxes) { builder, row in
            for (buffer, op) in [(lows, ReductionOperator.minimum), (highs, .maximum)] {
                let value = extreme(op, row, &builder)
                builder.emit(.store(at(buffer, flat(row)), value))
            }
        }
        builder.emit(.barrier)
        builder.single { builder in
            let low = builder.reduce(.minimum, over: [rows], initial: .float(0, .f32)) { _, i in .load(at(lows, i[0])) }
            let high = builder.reduce(.maximum, over: [rows], initial: .float(0, .f32)) { _, i in .load(at(highs, i[0])) }
            let range = Range(low: low, high: high, in: &builder)
            for (i, value) in [range.scale, range.zero].enumerated() {
                builder.emit(.store(at(shared, .int(i)), value))
                builder.emit(results[1 + i].store(value, []))
            }
        }
        builder.emit(.barrier)
        builder.parallelRows(of: x.shape, over: split.outerAxes) { builder, row in
            quantise(row, Range(scale: .load(at(shared, .int(0))), zero: .load(at(shared, .int(1))), in: &builder), &builder)
        }
    }

    /// A range of values and what stands for it.
    private struct Range {
        let scale: Expr
        let zero: Expr
        /// A range of zero means that every element is zero.
        let divisor: Expr

        init(low: Expr, high: Expr, in builder: inout KernelBuilder) {
            // Only what lies between the ends may exceed f32.
            func step(_ x: Expr) -> Expr { .binary(.divide, x, .float(255, .f32)) }
            let span = builder.bind(high - low, "span")
            let scale = builder.bind(.select(.binary(.equal, span, .float(.infinity, .f32)), step(high) - step(low), step(span)), "scale")
            let zero = Expr.max(.float(0, .f32), .min(.float(255, .f32), .unary(.round, .binary(.divide, .unary(.negate, low), scale))))
            self.init(scale: scale, zero: .select(.binary(.equal, scale, .float(0, .f32)), .float(0, .f32), zero), in: &builder)
        }

        init(scale: Expr, zero: Expr, in builder: inout KernelBuilder) {
            self.scale = builder.bind(scale, "scale")
            self.zero = builder.bind(zero, "zero")
            divisor = builder.bind(.select(.binary(.equal, self.scale, .float(0, .f32)), .float(1, .f32), self.scale), "divisor")
        }

        func quantised(_ value: Expr) -> Expr {
            let code = Expr.unary(.round, .binary(.divide, value, divisor)) + zero
            return .cast(.max(.float(0, .f32), .min(.float(255, .f32), code)), .u8)
        }
    }
}
