/// The `k` largest or smallest elements along an axis, in order, and their positions as i64. Of equal elements, the one with the
/// lower position comes first; NaNs come last.
public struct TopK: LoopOp {
    public static let mnemonic = "top_k"
    public static let summary = "The k largest or smallest elements along an axis, and their positions"
    public static var attributes: [Attribute<Self>] {
        [Attribute("k", \.k), Attribute("axis", \.axis), Attribute("largest", \.largest), Attribute("sorted", \.sorted)]
    }

    public var k: Extent
    public var axis: Int
    public var largest: Bool
    /// Whether the caller needs the results in order. They always are.
    public var sorted: Bool

    public init() { self.init(k: 1, axis: 0) }
    public init(k: Extent, axis: Int, largest: Bool = true, sorted: Bool = true) {
        self.k = k
        self.axis = axis
        self.largest = largest
        self.sorted = sorted
    }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let type = try context.tensors(1)[0]
        try checkAxis(axis, of: type)
        guard type.element.isFloat || type.element.isInteger else {
            throw Diagnostic(.invalid, "elements of type \(type.element.rawValue) have no order")
        }
        guard k.constant.map({ $0 >= 0 }) ?? true, (type.shape[axis] - k).constant.map({ $0 >= 0 }) ?? true else {
            throw Diagnostic(.invalid, "\(k) elements are asked for from axis \(axis) of \(type)")
        }
        var shape = type.shape
        shape[axis] = k
        return [.tensor(TensorType(type.element, shape)), .tensor(TensorType(.i64, shape))]
    }

    public func nonNegativeSizes(in context: InferenceContext) -> [Extent] {
        guard let shape = context.shapes.first, shape.indices.contains(axis) else { return [] }
        return [shape[axis] - k]
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let x = operands[0], reader = x.reader, split = AxisSplit(x.shape, axis: axis), k = try context.value(k)
        guard 0...split.count ~= k else { throw Diagnostic(.invalid, "\(k) elements are asked for from an axis of \(split.count)") }
        func comesFirst(_ a: Int, _ b: Int) -> Bool {
            if x.element.isFloat {
                let (p, q) = (reader.load(at: a), reader.load(at: b))
                return precedes(p, q, descending: largest) || (!precedes(q, p, descending: largest) && a < b)
            }
            let (p, q) = (reader.loadInteger(at: a), reader.loadInteger(at: b))
            if p == q { return a < b }
            return (x.element == .u64 ? UInt(bitPattern: p) > UInt(bitPattern: q) : p > q) == largest
        }
        var chosen = [Int](repeating: 0, count: split.outer * k * split.inner)
        for outer in 0..<split.outer {
            for inner in 0..<split.inner {
                let row = (0..<split.count).map { (outer * split.count + $0) * split.inner + inner }
                for (i, flat) in row.sorted(by: comesFirst).prefix(k).enumerated() { chosen[(outer * k + i) * split.inner + inner] = flat }
            }
        }
        var shape = x.shape
        shape[axis] = k
        return [
            try x.picking(shape, source: { chosen[$0] }),
            Tensor(.i64, shape, integers: { chosen[$0] / split.inner % split.count }),
        ]
    }

    public var layoutBehavior: LayoutBehavior { .any }

    /// Each row keeps its best `k` elements as a heap in the results' memory, the worst on top, and sorts it at the end.
    public func lower(_ operands: [TensorView], to results: [TensorView], in builder: inout KernelBuilder) throws {
        let (x, values, positions) = (operands[0], results[0], results[1])
        let element = x.element.computeType, count = Expr(k)
        let rows = x.shape.indices.filter { $0 != axis && x.shape[$0] != 1 }
        try builder.parallelRows(of: x.shape, over: rows) { builder, row in
            func at(_ i: Expr) -> [Expr] {
                var index = row
                index[axis] = i
                return index
            }
            func value(_ i: Expr) -> Expr { values.load(at(i)).converted(to: element) }
            func put(_ x: Expr, _ position: Expr, at i: Expr, _ builder: inout KernelBuilder) {
                builder.emit(values.store(x, at(i)))
                builder.emit(positions.store(position, at(i)))
            }
            let items = SortableItems(precedes: { i, j, builder in
                let a = builder.bind(value(i), "a"), b = builder.bind(value(j), "b")
                let isTie = Expr.unary(.not, .precedes(b, a, descending: largest))
                return .precedes(a, b, descending: largest) || (isTie && positions.load(at(i)) < positions.load(at(j)))
            }, swap: { i, j, builder in
                let a = builder.bind(value(i), "a"), p = builder.bind(positions.load(at(i)), "p")
                let b = builder.bind(value(j), "b"), q = builder.bind(positions.load(at(j)), "q")
                put(b, q, at: i, &builder)
                put(a, p, at: j, &builder)
            })
            builder.loop("i", to: count) { builder, i in put(x.load(at(i)).converted(to: element), i, at: i, &builder) }
            try builder.heapify(items, count: count)
            try builder.when(count >= .int(1)) { builder in
                try builder.loop("i", from: count, to: Expr(x.shape[axis])) { builder, i in
                    let candidate = builder.bind(x.load(at(i)).converted(to: element), "candidate")
                    try builder.when(.precedes(candidate, value(.int(0)), descending: largest)) { builder in
                        put(candidate, i, at: .int(0), &builder)
                        try builder.siftDown(items, from: .int(0), count: count)
                    }
                }
            }
            try builder.sortHeap(items, count: count)
        }
    }
}
