/// The distinct elements of the flattened tensor, or the distinct slices along an axis.
///
/// Results: the distinct ones; for each, the position of its first occurrence; for each operand element or slice, the position of
/// its equal in result 0; for each distinct one, how often it occurs. All positions are i64. `count` is a named dimension that the
/// op defines. NaNs are equal to each other and come last.
public struct Unique: LoopOp {
    public static let mnemonic = "unique"
    public static let summary = "The distinct elements or slices, where they occur first, and how often"
    public static var attributes: [Attribute<Self>] {
        [Attribute("axis", \.axis), Attribute("sorted", \.sorted), Attribute("count", \.count)]
    }

    /// -1 for the flattened tensor.
    public var axis: Int
    /// Ascending order, slices lexicographically; else in order of first occurrence.
    public var sorted: Bool
    public var count: Extent

    public init() { self.init(axis: nil, count: 0) }
    public init(axis: Int?, sorted: Bool = true, count: Extent) {
        self.axis = axis ?? -1
        self.sorted = sorted
        self.count = count
    }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let type = try context.tensors(1)[0]
        if axis != -1 { try checkAxis(axis, of: type) }
        guard type.element.isFloat || type.element.isInteger || type.element == .bool else {
            throw Diagnostic(.unsupported, "elements of type \(type.element.rawValue) have no order")
        }
        try checkDataDependentExtent(count)
        var shape = axis == -1 ? [count] : type.shape
        if axis != -1 { shape[axis] = count }
        let positions = ValueType.tensor(TensorType(.i64, [count]))
        return [.tensor(TensorType(type.element, shape)), positions, .tensor(TensorType(.i64, [items(type.shape)])), positions]
    }

    /// How many elements or slices are compared.
    private func items(_ shape: [Extent]) -> Extent { axis == -1 ? shape.product : shape[axis] }

    public var foundSizes: [Extent] { [count] }
    public func mostFound(_ node: Node, in function: Function) -> [Extent?] { [items(function.tensorType(node.operands[0]).shape)] }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let x = operands[0], reader = x.reader
        let split = axis == -1 ? AxisSplit([x.count], axis: 0) : AxisSplit(x.shape, axis: axis)
        /// -1, 0 or 1 as item `a` comes before, equals or comes after item `b`.
        func order(_ a: Int, _ b: Int) -> Int {
            for outer in 0..<split.outer {
                for inner in 0..<split.inner {
                    let i = (outer * split.count + a) * split.inner + inner, j = (outer * split.count + b) * split.inner + inner
                    if x.element.isFloat {
                        let (p, q) = (reader.load(at: i), reader.load(at: j))
                        if precedes(p, q, descending: false) { return -1 }
                        if precedes(q, p, descending: false) { return 1 }
                    } else {
                        let (p, q) = (reader.loadInteger(at: i), reader.loadInteger(at: j))
                        if p != q { return (x.element == .u64 ? UInt(bitPattern: p) < UInt(bitPattern: q) : p < q) ? -1 : 1 }
                    }
                }
            }
            return 0
        }
        let ordered = (0..<split.count).sorted { a, b in
            let relation = order(a, b)
            return relation == 0 ? a < b : relation < 0
        }
        var groups: [[Int]] = []
        for item in ordered {
            if let last = groups.last?.first, order(last, item) == 0 { groups[groups.count - 1].append(item) } else { groups.append([item]) }
        }
        if !sorted { groups.sort { $0[0] < $1[0] } }
        var inverse = [Int](repeating: 0, count: split.count)
        for (position, group) in groups.enumerated() { for item in group { inverse[item] = position } }
        var shape = axis == -1 ? [0] : x.shape
        shape[max(axis, 0)] = groups.count
        let distinct = try x.picking(shape) { i in
            let inner = i % split.inner, rest = i / split.inner
            return (rest / groups.count * split.count + groups[rest % groups.count][0]) * split.inner + inner
        }
        return [distinct, Tensor(groups.map { $0[0] }), Tensor(inverse), Tensor(groups.map(\.count))]
    }

    public var layoutBehavior: LayoutBehavior { .any }

    /// Sorts positions, walks the sorted ones to number the groups, and orders those by first occurrence if they are not wanted
    /// sorted.
    public func lower(_ operands: [TensorView], to results: [TensorView], in builder: inout KernelBuilder) throws {
        let x = operands[0], element = x.element.computeType
        let total = items(x.shape), n = Expr(total)
        let order = builder.scratch("order", .i64, count: total, perThread: false)
        let firsts = builder.scratch("firsts", .i64, count: total, perThread: false)
        let ranks = builder.scratch("ranks", .i64, count: total, perThread: false)
        func at(_ buffer: BufferID, _ i: Expr) -> Access { Access(buffer, i, .index) }
        var slice = axis == -1 ? [] : x.shape
        if axis != -1 { slice[axis] = 1 }
        func item(_ i: Expr, _ inner: [Expr], _ builder: inout KernelBuilder) -> [Expr] {
            if axis == -1 { return builder.unflatten(i, x.shape) }
            var index = inner
            index[axis] = i
            return index
        }
        /// -1, 0 or 1 as item `a` comes before, equals or comes after item `b`.
        func compare(_ a: Expr, _ b: Expr, _ builder: inout KernelBuilder) -> Expr {
            let relation = builder.declare(.int(0), "relation")
            builder.loops(over: slice) { builder, inner in
                builder.when(.binary(.equal, .variable(relation), .int(0))) { builder in
                    let p = builder.bind(x.load(item(a, inner, &builder)).converted(to: element), "p")
                    let q = builder.bind(x.load(item(b, inner, &builder)).converted(to: element), "q")
                    builder.when(.precedes(p, q, descending: false)) { $0.emit(.assign(relation, .int(-1))) }
                    builder.when(.precedes(q, p, descending: false)) { $0.emit(.assign(relation, .int(1))) }
                }
            }
            return .variable(relation)
        }
        func swapping(_ buffer: BufferID) -> (Expr, Expr, inout KernelBuilder) -> Void {
            { i, j, builder in
                let a = builder.bind(.load(at(buffer, i)), "a"), b = builder.bind(.load(at(buffer, j)), "b")
                builder.emit(.store(at(buffer, i), b))
                builder.emit(.store(at(buffer, j), a))
            }
        }
        try builder.single { builder in
            builder.loop(to: n) { builder, i in builder.emit(.store(at(order, i), i)) }
            try builder.sort(SortableItems(precedes: { i, j, builder in
                let a = builder.bind(.load(at(order, i)), "a"), b = builder.bind(.load(at(order, j)), "b")
                let relation = compare(a, b, &builder)
                return relation < .int(0) || (.binary(.equal, relation, .int(0)) && a < b)
            }, swap: swapping(order)), count: n)
            // Number the groups of equal items in sorted order; the first item of each is its first occurrence.
            let groups = builder.declare(.int(0), "groups"), current = builder.declare(.int(0), "current")
            builder.loop(to: n) { builder, i in
                let candidate = builder.bind(.load(at(order, i)), "candidate")
                let isNew = builder.declare(.binary(.equal, i, .int(0)), "isNew")
                builder.when(.unary(.not, .variable(isNew))) { builder in
                    let relation = compare(.variable(current), candidate, &builder)
                    builder.emit(.assign(isNew, .binary(.notEqual, relation, .int(0))))
                }
                builder.when(.variable(isNew)) { builder in
                    builder.emit(.assign(current, candidate))
                    builder.emit(.store(at(firsts, .variable(groups)), candidate))
                    builder.emit(.assign(groups, .variable(groups) + .int(1)))
                }
                builder.emit(results[2].store(.variable(groups) - .int(1), [candidate]))
            }
            let size = Expr.variable(groups)
            if let name = count.dimensionName { builder.emit(.setDimension(name, size)) }
            builder.loop(to: size) { builder, i in builder.emit(.store(at(order, i), i)) }
            if !sorted {
                try builder.sort(SortableItems(precedes: { i, j, _ in
                    .load(at(firsts, .load(at(order, i)))) < .load(at(firsts, .load(at(order, j))))
                }, swap: swapping(order)), count: size)
            }
            builder.loop(to: size) { builder, i in
                let group = builder.bind(.load(at(order, i)), "group"), first = builder.bind(.load(at(firsts, group)), "first")
                builder.emit(.store(at(ranks, group), i))
                builder.emit(results[1].store(first, [i]))
                builder.emit(results[3].store(.int(0), [i]))
                builder.loops(over: slice) { builder, inner in
                    let source = x.load(item(first, inner, &builder))
                    var target = inner
                    if axis == -1 { target = [i] } else { target[axis] = i }
                    builder.emit(results[0].store(source, target, where: count.dimensionName, is: size))
                }
            }
            builder.loop(to: n) { builder, i in
                let rank = builder.bind(.load(at(ranks, results[2].load([i]))), "rank")
                builder.emit(results[2].store(rank, [i]))
                builder.emit(results[3].store(results[3].load([rank]) + .int(1), [rank]))
            }
        }
    }
}
