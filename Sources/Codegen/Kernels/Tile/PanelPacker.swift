import GlmcIR

/// Emits code that packs a computed matrix into panels at run time, in the order of `PanelFormat` with one batch after another.
struct PanelPacker {
    let source: TensorView
    /// The source axes of the reduction and of the columns; the others are batches.
    let axes: (depth: Int, column: Int)
    /// A buffer of f32.
    let target: BufferID
    /// Target elements per batch.
    let batchStride: Extent
    let columns: Extent
    let depth: Extent
    let panels: AxisCut
    let lanes: Int

    /// One parallel loop over all batches and vectors of columns.
    func emit(into builder: inout KernelBuilder, kind: LoopKind = .parallel) {
        let batches = source.shape.indices.filter { $0 != axes.depth && $0 != axes.column }
        let vectors = columns.ceilDivided(by: Extent(lanes))
        let units = batches.map { source.shape[$0] }.product * vectors
        builder.loop("u", to: Expr(units), kind: kind) { builder, unit in
            let batchCount = batches.map { source.shape[$0] }.product
            let position = builder.split(unit, over: [batchCount, vectors])
            let (batch, vector) = (position[0], position[1])
            var from = Expr(source.offset)
            for (axis, index) in zip(batches, builder.split(batch, over: batches.map { source.shape[$0] })) { from = from + index * Expr(source.strides[axis]) }
            emitVector(vector, from: builder.bind(from, "f"), to: builder.bind(batch * Expr(batchStride), "t"), into: &builder)
        }
    }

    /// One vector of columns over the whole depth. The panel that holds it starts at `first` and is `width` vectors wide.
    func emitVector(_ vector: Expr, from: Expr, to: Expr, into builder: inout KernelBuilder) {
        let first: Expr, width: Expr
        if panels.runs.isEmpty {
            let full = panels.freeSizes[0], vectors = columns.ceilDivided(by: Extent(lanes))
            let whole = builder.bind(Expr(vectors) / .int(full) * .int(full), "f")
            let inFull = vector < whole
            first = builder.bind(.select(inFull, vector / .int(full) * .int(full), vector), "p")
            width = builder.bind(.select(inFull, .int(full), .int(1)), "z")
        } else if panels.runs.count == 2 {
            let (large, small) = (panels.runs[0], panels.runs[1]), border = large.size * large.count
            let isLarge = vector < .int(border)
            first = builder.bind(.select(isLarge, vector / .int(large.size) * .int(large.size), .int(border) + (vector - .int(border)) / .int(small.size) * .int(small.size)), "p")
            width = builder.bind(.select(isLarge, .int(large.size), .int(small.size)), "z")
        } else {
            first = builder.bind(vector / .int(panels.runs[0].size) * .int(panels.runs[0].size), "p")
            width = .int(panels.runs[0].size)
        }
        let origin = builder.bind(to + first * .int(lanes) * Expr(depth) + (vector - first) * .int(lanes), "t")
        let valid = builder.bind(Expr.min(.int(lanes), Expr(columns) - vector * .int(lanes)), "m")
        let step = builder.bind(width * .int(lanes), "z")
        let start = builder.bind(from + vector * .int(lanes) * Expr(source.strides[axes.column]), "f")
        builder.loop("k", to: Expr(depth)) { builder, k in
            builder.loop("j", to: valid) { builder, j in
                let value = Expr.load(Access(source.buffer, start + k * Expr(source.strides[axes.depth]) + j * Expr(source.strides[axes.column]), KernelType(source.element)))
                builder.emit(.store(Access(target, origin + k * step + j, KernelType(.f32)), value.converted(to: .f32)))
            }
        }
    }
}
