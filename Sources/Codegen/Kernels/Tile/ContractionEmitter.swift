import GlmcIR

/// Emits the loops of a `Contraction` under a `TilePlan`.
///
/// Accumulators are named scalars (never arrays: compilers keep those in registers reliably), constants of the epilogue are
/// loaded after the reduction, and no reduction loop contains a mask: packed panels are padded to whole vectors.
public struct ContractionEmitter {
    let problem: Contraction
    let plan: TilePlan
    let lanes: Int

    public init(_ problem: Contraction, plan: TilePlan, lanes: Int) {
        self.problem = problem
        self.plan = plan
        self.lanes = lanes
    }

    private var columnVectors: Extent { problem.columns.ceilDivided(by: Extent(lanes)) }
    private var columnTiles: Extent {
        plan.span == 1 ? plan.panels.tileCount(of: columnVectors) : Extent(plan.columnRuns.reduce(0) { $0 + $1.count })
    }
    /// Whether the last vector of columns may be partial.
    private var hasPartialVector: Bool { problem.columns.exactQuotient(by: Extent(lanes)) == nil && (problem.columns - Extent(plan.lastLanes)).exactQuotient(by: Extent(lanes)) == nil }
    /// Reduction steps in total.
    private var depth: Extent { Contraction.packedCounts(problem.reduction, kind: problem.kind).product }

    /// The number of rows of tiles along y.
    private var tileRows: Extent {
        plan.y.tileCount(of: problem.y)
    }

    /// Emits the whole problem as one loop over units of work (an outer position, a block of rows, the panels of a tile).
    /// - Parameter kind: `.parallel` at the outermost level of a kernel, `.serial` inside another loop.
    public func emit(into builder: inout KernelBuilder, kind: LoopKind = .parallel) throws {
        let blocks = tileRows.ceilDivided(by: Extent(plan.blockRows))
        let units = problem.outer.product * blocks * columnTiles
        try builder.loop("u", to: Expr(units), kind: kind) { builder, unit in
            // Panel-major order keeps a thread on few panels; block-major order keeps it on few rows.
            let isPanelMajor = plan.isPanelMajor && problem.outer.product == 1
            var outer = builder.split(unit, over: problem.outer + (isPanelMajor ? [columnTiles, blocks] : [blocks, columnTiles]))
            let last = outer.removeLast(), middle = outer.removeLast()
            let (tile, block) = isPanelMajor ? (middle, last) : (last, middle)
            try emitUnit(outer: outer, block: block, columns: tile, into: &builder)
        }
    }

    /// One block of rows times the panels of one tile.
    private func emitUnit(outer: [Expr], block: Expr, columns: Expr, into builder: inout KernelBuilder) throws {
        let inputBase = builder.bind(problem.inputBase(outer), "a")
        let weightBase = problem.weightBase(outer)
        guard plan.span > 1 else {
            return try plan.panels.emit(tile: columns, of: columnVectors, into: &builder) { builder, firstVector, vectors in
                try emitPanels(outer, inputBase, weightBase, block, firstVector: firstVector, panelVectors: vectors, span: 1, into: &builder)
            }
        }
        func emit(_ runs: ArraySlice<TilePlan.ColumnRun>, firstTile: Int, firstVector: Int, _ builder: inout KernelBuilder) throws {
            guard let run = runs.first else { return }
            let vectors = run.vectors * run.span
            func body(_ builder: inout KernelBuilder) throws {
                let start = builder.bind(.int(firstVector) + (columns - .int(firstTile)) * .int(vectors), "s")
                try emitPanels(outer, inputBase, weightBase, block, firstVector: start, panelVectors: run.vectors, span: run.span, into: &builder)
            }
            if runs.count == 1 { return try body(&builder) }
            try builder.when(columns < .int(firstTile + run.count), body, else: { builder in
                try emit(runs.dropFirst(), firstTile: firstTile + run.count, firstVector: firstVector + run.count * vectors, &builder)
            })
        }
        try emit(plan.columnRuns[...], firstTile: 0, firstVector: 0, &builder)
    }

    private func emitPanels(
        _ outer: [Expr], _ inputBase: Expr, _ weightBase: Expr, _ block: Expr, firstVector: Expr, panelVectors: Int, span: Int, into builder: inout KernelBuilder
    ) throws {
        let vectors = panelVectors * span
        let column = builder.bind(firstVector * .int(lanes), "n")
        let weights = builder.bind(weightBase + (isPacked ? firstVector * .int(lanes * problem.kind.stepDepth) * Expr(depth) : column), "w")
        var partial: Expr?
        if hasPartialVector {
            partial = builder.bind(Expr.min(.int(plan.lastLanes), Expr(problem.columns) - (column + .int((vectors - 1) * lanes))), "m")
        }
        let tile = Tile(outer: outer, inputBase: inputBase, weights: weights, column: column, vectors: vectors, panelVectors: panelVectors, partial: partial)
        let first = builder.bind(block * .int(plan.blockRows), "r")
        let last = plan.blockRows == 1 ? first + .int(1) : Expr.min(first + .int(plan.blockRows), Expr(tileRows))
        if tileRows == 1 || plan.blockRows == 1 { return try emitRow(tileRows == 1 ? .int(0) : first, tile, into: &builder) }
        try builder.loop("r", from: first, to: last) { builder, row in try emitRow(row, tile, into: &builder) }
    }

    private var isPacked: Bool {
        if case .rows = problem.weights { false } else { true }
    }

    /// One row of tiles: all of x.
    private func emitRow(_ row: Expr, _ tile: Tile, into builder: inout KernelBuilder) throws {
        try plan.y.emit(tile: row, of: problem.y, into: &builder) { builder, y, height in
            try emitColumnsOfTiles(y: y, height: height, tile, into: &builder)
        }
    }

    private func emitColumnsOfTiles(y: Expr, height: Int, _ tile: Tile, into builder: inout KernelBuilder) throws {
        try plan.x.emitAll(of: problem.x, into: &builder) { builder, x, width in
            try emitTile(y: y, height: height, x: x, width: width, tile, into: &builder)
        }
    }

    // MARK: One register tile

    struct Tile {
        var outer: [Expr]
        var inputBase: Expr
        var weights: Expr
        var column: Expr
        var vectors: Int
        /// Those of one panel.
        var panelVectors: Int
        /// Lanes of the last vector that exist, where that may be fewer than all.
        var partial: Expr?
    }

    /// Lanes of vector `v` of a tile.
    private func lanes(of v: Int, _ tile: Tile) -> Int { v == tile.vectors - 1 ? plan.lastLanes : lanes }

    private func emitTile(y: Expr, height: Int, x: Expr, width: Int, _ tile: Tile, into builder: inout KernelBuilder) throws {
        let statements = try builder.block { builder in
            let base = builder.bind(tile.inputBase + y * Expr(problem.inputStrideY) + x * Expr(problem.inputStrideX), "a")
            let zero = Expr.constant(0, problem.sumElement)
            let accumulators = (0..<height * width).map { _ in
                (0..<tile.vectors).map { v in builder.declare(lanes == 1 ? zero : .broadcast(zero, lanes(of: v, tile)), "c") }
            }
            let rowOffsets = (0..<height * width).map {
                Expr(Extent($0 / width) * problem.inputStrideY + Extent($0 % width) * problem.inputStrideX)
            }
            let stores = try (0..<height * width).map { row in
                try builder.block { builder in
                    for v in 0..<tile.vectors {
                        let column = tile.column + .int(v * lanes)
                        let count = v == tile.vectors - 1 ? tile.partial : nil
                        try problem.store(&builder, tile.outer, y + .int(row / width), x + .int(row % width), column, .variable(accumulators[row][v]), count)
                    }
                }
            }
            builder.emit(TilePrefetch.statements(for: stores))
            let isBlocked = BlockReduction(problem, tile, lanes: lanes, accumulators: accumulators, rowOffsets: rowOffsets).emit(base, y: y, into: &builder)
            if !isBlocked { try emitReduction(base, tile, accumulators, rowOffsets, into: &builder) }
            builder.emit(Array(stores.joined()))
        }
        // A scope of its own, so that one tile's names do not meet the next one's.
        builder.emit(statements)
    }

    private func emitReduction(
        _ base: Expr, _ tile: Tile, _ accumulators: [[Variable]], _ rowOffsets: [Expr], into builder: inout KernelBuilder
    ) throws {
        let counts = Contraction.packedCounts(problem.reduction, kind: problem.kind)
        let weights = tile.weights
        let stepWidth = tile.panelVectors * lanes * problem.kind.stepDepth

        let run = try wholeSteps(counts[counts.count - 1])

        func nest(_ axis: Int, _ input: Expr, _ step: Expr, _ builder: inout KernelBuilder) throws {
            let stride = problem.reduction[axis].stride
            guard axis == counts.count - 1 else {
                return try builder.loop("k", to: Expr(counts[axis])) { builder, k in
                    try nest(axis + 1, builder.bind(input + k * Expr(stride), "a"), builder.bind(step * Expr(counts[axis]) + k, "k"), &builder)
                }
            }
            func emit(_ k: Expr, elements: Int, _ builder: inout KernelBuilder) {
                let flat = step * Expr(counts[axis]) + k
                let weight: Expr = switch problem.weights {
                case .packed, .blocks: weights + flat * .int(stepWidth)
                case .rows(_, let stride): weights + flat * Expr(stride)
                }
                emitStep(input + k * Expr(stride * Extent(problem.kind.stepDepth)), elements: elements, weight, tile, accumulators, rowOffsets, into: &builder)
            }
            if run.steps != 0 { builder.loop("k", to: problem.steps?(&builder, tile.outer) ?? Expr(run.steps)) { emit($1, elements: problem.kind.stepDepth, &$0) } }
            if run.rest > 0 {
                let tail = builder.block { emit(Expr(run.steps), elements: run.rest, &$0) }
                builder.emit(tail)
            }
        }
        // The start of the innermost runs is named once per run, so that the loop body only adds constants.
        try nest(0, base, .int(0), &builder)
    }

    /// The steps of an innermost run that consume `stepDepth` elements each, and the elements left over for one step more.
    private func wholeSteps(_ count: Extent) throws -> (steps: Extent, rest: Int) {
        let depth = problem.kind.stepDepth
        if depth == 1 { return (count, 0) }
        guard let elements = problem.reduction[problem.reduction.count - 1].count.constant else {
            throw Diagnostic(.internal, "a reduction in steps of \(depth) has no known length")
        }
        return (Extent(elements / depth), elements % depth)
    }

    /// - Parameter elements: how many input elements exist for this step; `stepDepth`, or fewer at the end of a run.
    private func emitStep(_ input: Expr, elements: Int, _ weight: Expr, _ tile: Tile, _ accumulators: [[Variable]], _ rowOffsets: [Expr], into builder: inout KernelBuilder) {
        let vectors = tile.vectors
        let buffer: BufferID
        var partial: Expr?
        switch problem.weights {
        case .packed(let id): buffer = id
        case .rows(let id, _): (buffer, partial) = (id, tile.partial)
        case .blocks(let blocks): buffer = blocks.codes
        }
        let depth = problem.kind.stepDepth
        var columns: [Expr] = []
        for v in 0..<vectors {
            let mask = v == vectors - 1 ? partial : nil
            let access = Access(buffer, weight + weightOffset(ofVector: v, tile), KernelType(problem.kind.weightElement, lanes: lanes(of: v, tile) * depth), mask: mask)
            columns.append(builder.bind(widened(.load(access)), "b"))
        }
        for (row, offset) in rowOffsets.enumerated() {
            let scalar = builder.bind(broadcast(input + offset, elements), "x")
            for v in 0..<vectors {
                let c = accumulators[row][v]
                let factor = c.type.lanes < lanes ? .bitcast(scalar, KernelType(scalar.type.element, lanes: c.type.lanes * depth)) : scalar
                builder.emit(.assign(c, multiplyAdd(factor, columns[v], .variable(c))))
            }
        }
        if problem.kind.isDot { builder.emit(.pin(accumulators.flatMap { $0 })) }
    }

    /// How far vector `v` of a tile lies behind its first, at one step of the reduction.
    private func weightOffset(ofVector v: Int, _ tile: Tile) -> Expr {
        let width = lanes * problem.kind.stepDepth
        guard isPacked, tile.panelVectors < tile.vectors else { return .int(v * width) }
        let (panel, place) = v.quotientAndRemainder(dividingBy: tile.panelVectors)
        return Expr(Extent(panel * tile.panelVectors * width) * depth + Extent(place * width))
    }

    /// One input element in every lane, or the neighbours that one step consumes, of which only the first `elements` are read.
    private func broadcast(_ index: Expr, _ elements: Int) -> Expr {
        let element = problem.kind.inputElement
        func access(_ i: Int, _ type: ElementType) -> Access { Access(problem.input, index + .int(i), KernelType(type)) }
        if case .multiplyAdd = problem.kind {
            if element == problem.kind.accumulator && lanes > 1 { return .loadBroadcast(access(0, element), lanes) }
            let value = widened(.load(access(0, element)))
            return lanes == 1 ? value : .broadcast(value, lanes)
        }
        let group = KernelType(element, lanes: lanes * problem.kind.stepDepth)
        if elements == problem.kind.stepDepth { return .bitcast(.loadBroadcast(access(0, .i32), lanes), group) }
        let bits: ElementType = element.byteCount == 1 ? .u8 : .u16
        let parts = (0..<elements).map { i -> Expr in
            let part = Expr.cast(.bitcast(.load(access(i, element)), KernelType(bits)), .i32)
            return i == 0 ? part : .binary(.shiftLeft, part, .integer(8 * element.byteCount * i, .i32))
        }
        return .bitcast(.broadcast(parts.dropFirst().reduce(parts[0]) { .binary(.or, $0, $1) }, lanes), group)
    }

    /// A factor as `multiplyAdd` takes it.
    private func widened(_ factor: Expr) -> Expr { problem.kind.isDot ? factor : factor.converted(to: problem.kind.accumulator) }

    private func multiplyAdd(_ a: Expr, _ b: Expr, _ c: Expr) -> Expr {
        if problem.kind.isDot { return .dot(a, b, c) }
        return c.type.element.isFloat ? .fma(a, b, c) : .binary(.add, c, .binary(.multiply, a, b))
    }
}

extension KernelBuilder {
    /// The multi-index of a flat, row-major position; axes of one element take no code.
    mutating func split(_ flat: Expr, over axes: [Extent]) -> [Expr] {
        var index = [Expr](repeating: .int(0), count: axes.count)
        var rest = flat
        let wide = axes.indices.filter { axes[$0] != 1 }
        for (position, axis) in wide.enumerated().reversed() {
            if position == 0 {
                index[axis] = rest
            } else {
                index[axis] = bind(rest % Expr(axes[axis]), "i")
                rest = bind(rest / Expr(axes[axis]), "q")
            }
        }
        return index
    }
}
