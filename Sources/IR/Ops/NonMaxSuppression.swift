/// Picks, for every batch element and class, the best-scored boxes that do not overlap a better one much.
///
/// Operands: boxes f32 `[batches, boxes, 4]`, scores f32 `[batches, classes, boxes]`, and one i64 and two f32 scalars (or vectors of
/// one element): the largest number of boxes per class, the overlap (intersection over union) above which a box is suppressed, and
/// the score that a box must exceed. Result: i64 `[count, 3]` of batch, class and box. `count` is a named dimension that the op
/// defines.
public struct NonMaxSuppression: LoopOp {
    public static let mnemonic = "non_max_suppression"
    public static let summary = "The best boxes of each class that do not overlap"
    public static var attributes: [Attribute<Self>] { [Attribute("center_point_box", \.centerPointBox), Attribute("count", \.count)] }

    /// Boxes are (x centre, y centre, width, height) rather than two opposite corners (y, x, y, x).
    public var centerPointBox: Bool
    public var count: Extent

    public init() { self.init(count: 0) }
    public init(centerPointBox: Bool = false, count: Extent) {
        self.centerPointBox = centerPointBox
        self.count = count
    }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let types = try context.tensors(5)
        let (boxes, scores) = (types[0], types[1])
        guard boxes.element == .f32, scores.element == .f32, boxes.rank == 3, scores.rank == 3, boxes.shape[2] == 4,
              boxes.shape[0] == scores.shape[0], boxes.shape[1] == scores.shape[2] else {
            throw Diagnostic(.invalid, "boxes \(boxes) and scores \(scores) do not fit: takes f32[batches, boxes, 4] and f32[batches, classes, boxes]")
        }
        for (type, element) in zip(types[2...], [ElementType.i64, .f32, .f32]) where type.element != element || type.elementCount != 1 {
            throw Diagnostic(.invalid, "the limits should be one i64 and two f32 numbers, not \(types[2]), \(types[3]) and \(types[4])")
        }
        try checkDataDependentExtent(count)
        return [.tensor(TensorType(.i64, [count, 3]))]
    }

    /// A box as (low y, low x, high y, high x).
    private struct Corners {
        var low: (Float, Float)
        var high: (Float, Float)
        var area: Float { (high.0 - low.0) * (high.1 - low.1) }

        func overlaps(_ other: Corners, beyond limit: Float) -> Bool {
            let height = min(high.0, other.high.0) - max(low.0, other.low.0), width = min(high.1, other.high.1) - max(low.1, other.low.1)
            guard height > 0, width > 0 else { return false }
            let shared = height * width
            return shared / (area + other.area - shared) > limit
        }
    }

    private func corners(_ box: [Float]) -> Corners {
        if centerPointBox {
            return Corners(low: (box[1] - box[3] * 0.5, box[0] - box[2] * 0.5), high: (box[1] + box[3] * 0.5, box[0] + box[2] * 0.5))
        }
        return Corners(low: (min(box[0], box[2]), min(box[1], box[3])), high: (max(box[0], box[2]), max(box[1], box[3])))
    }

    public var foundSizes: [Extent] { [count] }
    public func mostFound(_ node: Node, in function: Function) -> [Extent?] {
        let scores = function.tensorType(node.operands[1]).shape
        let limit = function.definingOp(node.operands[2], as: Constant.self).map { Extent(Swift.max($0.value.reader.loadInteger(at: 0), 0)) }
        return [scores[0] * scores[1] * (limit.map { Extent.minimum($0, scores[2]) } ?? scores[2])]
    }

    public func equalSizes(in context: InferenceContext) -> [SizeEquation] {
        let shapes = context.shapes
        guard shapes.count == 5, shapes[0].count == 3, shapes[1].count == 3 else { return [] }
        let (boxes, scores) = (shapes[0], shapes[1])
        return [SizeEquation(boxes[2], 4), SizeEquation(scores[0], boxes[0]), SizeEquation(scores[2], boxes[1])]
            + shapes[2...].map { SizeEquation($0.product, 1) }
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let boxes = operands[0].reader, scores = operands[1].reader
        let (batches, classes, n) = (operands[1].shape[0], operands[1].shape[1], operands[1].shape[2])
        let limit = operands[2].reader.loadInteger(at: 0)
        let overlap = Float(operands[3].reader.load(at: 0)), threshold = Float(operands[4].reader.load(at: 0))
        var rows: [Int] = []
        for batch in 0..<batches {
            let all = (0..<n).map { i in corners((0..<4).map { Float(boxes.load(at: (batch * n + i) * 4 + $0)) }) }
            for label in 0..<classes {
                let own = (0..<n).map { Float(scores.load(at: (batch * classes + label) * n + $0)) }
                let candidates = (0..<n).filter { own[$0] > threshold }.sorted { own[$0] == own[$1] ? $0 < $1 : own[$0] > own[$1] }
                var kept: [Int] = []
                for candidate in candidates where kept.count < limit && !kept.contains(where: { all[$0].overlaps(all[candidate], beyond: overlap) }) {
                    kept.append(candidate)
                }
                for box in kept { rows += [batch, label, box] }
            }
        }
        return [Tensor(rows, shape: [rows.count / 3, 3])]
    }

    public var layoutBehavior: LayoutBehavior { .any }

    /// Classes run in parallel, each in its own row of a scratch area: a heap of the candidates, from which the best are taken until
    /// there are enough, and behind it the boxes kept so far. Then one thread lists what was kept.
    public func lower(_ operands: [TensorView], to results: [TensorView], in builder: inout KernelBuilder) throws {
        let (boxes, scores, result) = (operands[0], operands[1], results[0])
        let (batches, classes, n) = (scores.shape[0], scores.shape[1], scores.shape[2])
        let heaps = builder.scratch("heap", .i64, count: batches * classes * n, perThread: false)
        let counts = builder.scratch("kept", .i64, count: batches * classes, perThread: false)
        func scalar(_ i: Int) -> Expr { operands[i].load([Expr](repeating: .int(0), count: operands[i].shape.count)) }
        /// low y, low x, high y, high x, area
        func load(_ batch: Expr, _ box: Expr, _ builder: inout KernelBuilder) -> [Expr] {
            let v = (0..<4).map { builder.bind(boxes.load([batch, box, .int($0)]), "b") }
            let half = Expr.float(0.5, .f32)
            let corners = centerPointBox
                ? [v[1] - v[3] * half, v[0] - v[2] * half, v[1] + v[3] * half, v[0] + v[2] * half]
                : [Expr.min(v[0], v[2]), .min(v[1], v[3]), .max(v[0], v[2]), .max(v[1], v[3])]
            let c = corners.map { builder.bind($0, "c") }
            return c + [builder.bind((c[2] - c[0]) * (c[3] - c[1]), "area")]
        }
        try builder.parallelLoops(over: [batches, classes]) { builder, row in
            let base = builder.bind((row[0] * Expr(classes) + row[1]) * Expr(n), "base")
            func at(_ i: Expr) -> Access { Access(heaps, base + i, .index) }
            func score(_ box: Expr) -> Expr { scores.load([row[0], row[1], box]) }
            let total = builder.declare(.int(0), "total")
            builder.loop(to: Expr(n)) { builder, i in
                builder.when(.binary(.greater, score(i), scalar(4))) { builder in
                    builder.emit(.store(at(.variable(total)), i))
                    builder.emit(.assign(total, .variable(total) + .int(1)))
                }
            }
            // The heap has the item that comes last on top, so the worst comes first here.
            let items = SortableItems(precedes: { i, j, builder in
                let p = builder.bind(.load(at(i)), "p"), q = builder.bind(.load(at(j)), "q")
                let a = builder.bind(score(p), "a"), b = builder.bind(score(q), "b")
                return a < b || (.binary(.equal, a, b) && q < p)
            }, swap: { i, j, builder in
                let p = builder.bind(.load(at(i)), "p"), q = builder.bind(.load(at(j)), "q")
                builder.emit(.store(at(i), q))
                builder.emit(.store(at(j), p))
            })
            try builder.heapify(items, count: .variable(total))
            let left = builder.declare(.variable(total), "left"), kept = builder.declare(.int(0), "kept")
            let limit = builder.bind(scalar(2), "limit")
            try builder.repeatWhile(.int(0) < .variable(left) && .variable(kept) < limit) { builder in
                let best = builder.bind(.load(at(.int(0))), "best")
                builder.emit(.assign(left, .variable(left) - .int(1)))
                builder.emit(.store(at(.int(0)), .load(at(.variable(left)))))
                try builder.siftDown(items, from: .int(0), count: .variable(left))
                let box = load(row[0], best, &builder)
                let suppressed = builder.declare(.integer(0, .bool), "suppressed"), i = builder.declare(.int(0), "i")
                builder.repeatWhile(.unary(.not, .variable(suppressed)) && .variable(i) < .variable(kept)) { builder in
                    let other = load(row[0], builder.bind(.load(at(Expr(n) - .int(1) - .variable(i))), "other"), &builder)
                    let height = builder.bind(.min(box[2], other[2]) - .max(box[0], other[0]), "height")
                    let width = builder.bind(.min(box[3], other[3]) - .max(box[1], other[1]), "width")
                    let zero = Expr.float(0, .f32)
                    builder.when(zero < height && zero < width) { builder in
                        let shared = builder.bind(height * width, "shared")
                        let overlap = Expr.binary(.divide, shared, .binary(.add, box[4], other[4]) - shared)
                        builder.emit(.assign(suppressed, .binary(.greater, overlap, scalar(3))))
                    }
                    builder.emit(.assign(i, .variable(i) + .int(1)))
                }
                builder.when(.unary(.not, .variable(suppressed))) { builder in
                    builder.emit(.store(at(Expr(n) - .int(1) - .variable(kept)), best))
                    builder.emit(.assign(kept, .variable(kept) + .int(1)))
                }
            }
            builder.emit(.store(Access(counts, row[0] * Expr(classes) + row[1], .index), .variable(kept)))
        }
        builder.emit(.barrier)
        builder.single { builder in
            let position = builder.declare(.int(0), "position")
            builder.loops(over: [batches, classes]) { builder, row in
                let number = builder.bind(row[0] * Expr(classes) + row[1], "row")
                builder.loop(to: .load(Access(counts, number, .index))) { builder, i in
                    let box = Expr.load(Access(heaps, number * Expr(n) + Expr(n) - .int(1) - i, .index))
                    for (column, value) in [row[0], row[1], box].enumerated() {
                        builder.emit(result.store(value, [.variable(position), .int(column)]))
                    }
                    builder.emit(.assign(position, .variable(position) + .int(1)))
                }
            }
            if let name = count.dimensionName { builder.emit(.setDimension(name, .variable(position))) }
        }
    }
}
