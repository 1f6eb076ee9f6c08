import GlmcIR

extension OnnxRules {
    /// Reductions, searches and running sums.
    static let reductions: [OnnxRule] = reductionTable.flatMap { op, function, since in
        [
            OnnxRule(op) { g, c in try g.reduceRule(function, c, try c.ints("axes")) },
            OnnxRule(op, since: since) { g, c in
                try g.reduceRule(function, c, try c.optional(1).map { try g.requiredInts($0, "the axes") })
            },
        ]
    } + [
        OnnxRule("ArgMax") { g, c in try g.argReduce(.maximum, c) },
        OnnxRule("ArgMin") { g, c in try g.argReduce(.minimum, c) },
        OnnxRule("CumSum", since: 11) { g, c in try g.cumulative(.add, c) },
        OnnxRule("CumProd") { g, c in try g.cumulative(.multiply, c) },
        OnnxRule(tensors: "TopK", since: 10) { g, c in try g.topK(c) },
        OnnxRule(tensors: "Unique", since: 11) { g, c in
            let x = try c[0], axis = try c.int("axis").map { try g.normalized($0, rank: g.rank(x)) }
            let count = g.dataDependentDimension("unique", bound: axis.map { g.shape(x)[$0] } ?? g.type(x).elementCount)
            return try g.emitMany(Unique(axis: axis, sorted: try c.flag("sorted", true), count: count), [x], 4)
        },
        OnnxRule("GlobalAveragePool") { g, c in try g.reduce(.mean, c[0], Array(2..<max(2, g.rank(try c[0])))) },
        OnnxRule("GlobalMaxPool") { g, c in try g.reduce(.maximum, c[0], Array(2..<max(2, g.rank(try c[0])))) },
        OnnxRule("GlobalLpPool", since: 2) { g, c in try g.norm(try c[0], Array(2..<max(2, g.rank(try c[0]))), p: try c.int("p", 2)) },
        OnnxRule("LpNormalization") { g, c in
            let x = try c[0], axis = try g.normalized(try c.int("axis", -1), rank: g.rank(x))
            let norm = try g.norm(x, [axis], p: try c.int("p", 2))
            // A zero vector stays zero instead of becoming NaN.
            return try g.select(try g.binary(.equal, norm, 0), try g.scalar(0, like: x), try g.div(x, norm))
        },
        OnnxRule("MeanVarianceNormalization", since: 9) { g, c in
            let x = try c[0], axes = try c.ints("axes") ?? [0, 2, 3]
            let centred = try g.sub(x, try g.reduce(.mean, x, axes))
            let variance = try g.reduce(.mean, try g.mul(centred, centred), axes)
            return try g.div(centred, try g.add(try g.unary(.sqrt, variance), 1e-9))
        },
        OnnxRule("Hardmax") { g, c in try g.hardmax(c) },
        OnnxRule("Softmax") { g, c in try g.softmax(c, log: false) },
        OnnxRule("LogSoftmax") { g, c in try g.softmax(c, log: true) },
        OnnxRule("Det", since: 11) { g, c in try g.determinant(c[0]) },
    ]

    /// Operator, function, and the version from which on the axes are an input.
    private static let reductionTable: [(String, ReduceFunction, Int)] = [
        ("ReduceSum", .add, 13), ("ReduceMean", .mean, 18), ("ReduceMax", .maximum, 18), ("ReduceMin", .minimum, 18),
        ("ReduceProd", .multiply, 18), ("ReduceL1", .l1, 18), ("ReduceL2", .l2, 18), ("ReduceLogSum", .logSum, 18),
        ("ReduceLogSumExp", .logSumExp, 18), ("ReduceSumSquare", .sumSquares, 18),
    ]
}

extension GraphImporter {
    mutating func reduceRule(_ function: ReduceFunction, _ c: OnnxCall, _ axes: [Int]?) throws -> ValueID {
        let x = try c[0], keep = try c.flag("keepdims", true)
        var axes = axes ?? []
        if axes.isEmpty {
            if try c.flag("noop_with_empty_axes") {
                // Nothing is combined, but the function still applies to each element on its own.
                return try reduce(function, try unsqueeze(x, [rank(x)]), [rank(x)], keep: false)
            }
            axes = Array(0..<rank(x))
        }
        if element(x) == .bool, function == .maximum || function == .minimum {
            return try reduce(function == .maximum ? .or : .and, x, axes, keep: keep)
        }
        return try reduce(function, x, axes, keep: keep)
    }

    mutating func norm(_ x: ValueID, _ axes: [Int], p: Int) throws -> ValueID {
        switch p {
        case 1: return try reduce(.l1, x, axes)
        case 2: return try reduce(.l2, x, axes)
        default:
            guard p > 0 else { throw Diagnostic(.invalid, "the norm p = \(p)") }
            let sum = try reduce(.add, try binary(.power, try unary(.absolute, x), Double(p)), axes)
            return try binary(.power, sum, 1 / Double(p))
        }
    }

    mutating func argReduce(_ function: Extreme, _ c: OnnxCall) throws -> ValueID {
        let x = try c[0], axis = try normalized(try c.int("axis", 0), rank: rank(x))
        let op = ArgReduce(function, axis: axis, keepDims: try c.flag("keepdims", true), selectLast: try c.flag("select_last_index"))
        return try emit(op, [x])
    }

    mutating func cumulative(_ function: ReductionOperator, _ c: OnnxCall) throws -> ValueID {
        let x = try c[0], axis = try normalized(try requiredInt(c[1], "the axis"), rank: rank(x))
        return try emit(Cumulative(function, axis: axis, exclusive: try c.flag("exclusive"), reverse: try c.flag("reverse")), [x])
    }

    mutating func topK(_ c: OnnxCall) throws -> [ValueID] {
        let x = try c[0], axis = try normalized(try c.int("axis", -1), rank: rank(x))
        guard let k = try extents(c[1], "k").first else { throw Diagnostic(.invalid, "k is empty") }
        let op = TopK(k: k, axis: axis, largest: try c.flag("largest", true), sorted: try c.flag("sorted", true))
        return try emitMany(op, [x], 2)
    }

    /// Before version 13, everything from the axis on is one row; from then on the axis alone is.
    mutating func softmax(_ c: OnnxCall, log: Bool) throws -> ValueID {
        let x = try c[0], axis = try normalized(try c.int("axis", c.version < 13 ? 1 : -1), rank: rank(x))
        if c.version >= 13 || axis == rank(x) - 1 { return try emit(Softmax(axis: axis, log: log), [x]) }
        let rows = try reshape(x, Array(shape(x)[..<axis]) + [Array(shape(x)[axis...]).product])
        return try reshape(try emit(Softmax(axis: axis, log: log), [rows]), shape(x))
    }

    mutating func hardmax(_ c: OnnxCall) throws -> ValueID {
        let x = try c[0], axis = try normalized(try c.int("axis", c.version < 13 ? 1 : -1), rank: rank(x))
        let isRow = c.version >= 13 || axis == rank(x) - 1
        let rows = isRow ? x : try reshape(x, Array(shape(x)[..<axis]) + [Array(shape(x)[axis...]).product])
        if shape(rows)[axis] == 0 { return x }
        let best = try emit(ArgReduce(.maximum, axis: axis, keepDims: true, selectLast: false), [rows])
        let line = try iota(shape(rows)[axis], axis: axis, rank: rank(rows))
        return try reshape(try cast(try binary(.equal, line, best), element(x)), shape(x))
    }

    /// Gaussian elimination with row pivoting, unrolled; for small matrices of known size.
    mutating func determinant(_ x: ValueID) throws -> ValueID {
        guard rank(x) >= 2, let n = known(shape(x)[rank(x) - 1]), known(shape(x)[rank(x) - 2]) == n, (1...16).contains(n) else {
            throw Diagnostic.unsupported("takes square matrices of known size up to 16, not \(type(x))")
        }
        let r = rank(x)
        var rest = x
        var result: ValueID?
        for size in stride(from: n, through: 1, by: -1) {
            let column = try slice(rest, axis: r - 1, start: 0, size: 1)
            // The pivot row is picked by its one-hot row; the others keep their order with the first row in the pivot's place.
            let best = try emit(ArgReduce(.maximum, axis: r - 2, keepDims: true, selectLast: false), [try unary(.absolute, column)])
            let rows = try iota(Extent(size), axis: r - 2, rank: r)
            let isPivot = try binary(.equal, rows, best)
            let zero = try scalar(0, like: x)
            let pivotRow = try reduce(.add, try select(isPivot, rest, zero), [r - 2])
            let pivot = try slice(pivotRow, axis: r - 1, start: 0, size: 1)
            let sign = try select(try binary(.equal, best, 0), try scalar(1, like: x), try scalar(-1, like: x))
            let factor = try mul(pivot, sign)
            result = try result.map { try mul($0, factor) } ?? factor
            if size == 1 { break }
            let first = try slice(rest, axis: r - 2, start: 0, size: 1)
            let swapped = try select(isPivot, first, rest)
            let others = try slice(swapped, axis: r - 2, start: 1, size: Extent(size - 1))
            // A zero pivot makes the whole determinant zero; dividing by one instead keeps NaN out.
            let divisor = try select(try binary(.equal, pivot, 0), try scalar(1, like: x), pivot)
            let scale = try div(try slice(others, axis: r - 1, start: 0, size: 1), divisor)
            let reduced = try sub(others, try mul(scale, pivotRow))
            rest = try slice(reduced, axis: r - 1, start: 1, size: Extent(size - 1))
        }
        guard let result else { throw Diagnostic(.invalid, "takes square matrices") }
        return try squeeze(result, [r - 2, r - 1])
    }
}
