// Loop shapes shared by the ops that work row by row.

extension KernelBuilder {
    /// One parallel loop over all positions of `axes` of a tensor of shape `shape`, flattened so that short outer axes still give
    /// every thread work. `axes` run from the slowest to the fastest; `body` gets an index of full rank with 0 elsewhere.
    public mutating func parallelRows(of shape: [Extent], over axes: [Int], _ body: (inout KernelBuilder, [Expr]) throws -> Void) rethrows {
        let count = axes.map { shape[$0] }.product
        try loop("row", to: Expr(count), kind: .parallel) { builder, row in
            var index = [Expr](repeating: .int(0), count: shape.count)
            var rest = row
            for (position, axis) in axes.enumerated().reversed() {
                if position == 0 {
                    index[axis] = rest
                } else {
                    index[axis] = builder.bind(rest % Expr(shape[axis]), "i")
                    rest = builder.bind(rest / Expr(shape[axis]), "q")
                }
            }
            try body(&builder, index)
        }
    }

    /// Nested loops over all indices of `shape`; the innermost may be vectorised.
    public mutating func simdLoops(over shape: [Extent], _ body: (inout KernelBuilder, [Expr]) throws -> Void) rethrows {
        guard let last = shape.last else { return try body(&self, []) }
        try loops(over: Array(shape.dropLast())) { builder, outer in
            try builder.loop("v", to: Expr(last), kind: .simd(reductions: [])) { builder, inner in
                try body(&builder, outer + [inner])
            }
        }
    }
}

/// The axes of a tensor split into those of a row, which a kernel passes over, and the rest, which number the rows.
struct RowSplit {
    let shape: [Extent]
    /// Slowest to fastest in memory; axes of size 1 are left out.
    let rowAxes: [Int]
    let outerAxes: [Int]

    init(_ view: TensorView, rowAxes: Set<Int>) {
        let order = view.physicalOrder
        shape = view.shape
        self.rowAxes = order.filter { rowAxes.contains($0) }
        outerAxes = order.filter { !rowAxes.contains($0) }
    }

    var rowShape: [Extent] { rowAxes.map { shape[$0] } }

    /// The full index of position `inner` (along `rowAxes`) of the row at `outer`.
    func index(_ outer: [Expr], _ inner: [Expr]) -> [Expr] {
        var index = outer
        for (axis, position) in zip(rowAxes, inner) { index[axis] = position }
        return index
    }
}

/// An axis given from the front or, if negative, from the back.
/// - Throws: `Diagnostic` where it is out of range.
func normalizedAxis(_ axis: Int, rank: Int) throws -> Int {
    guard axis >= -rank, axis < rank else { throw Diagnostic(.invalid, "axis \(axis) is out of range for rank \(rank)") }
    return axis < 0 ? axis + rank : axis
}
