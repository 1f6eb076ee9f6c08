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
    private var panelCount: Extent {
        plan.panels.runs.isEmpty ? columnVectors.ceilDivided(by: Extent(plan.panels.freeSizes[0])) : Extent(plan.panels.tileCount)
    }
    /// Whether the last vector of columns may be partial.
    private var hasPartialVector: Bool { problem.columns.exactQuotient(by: Extent(lanes)) == nil }
    /// Reduction steps in total.
    private var depth: Extent { Contraction.packedCounts(problem.reduction, kind: problem.kind).product }
    private var accumulatorType: KernelType { KernelType(problem.kind.accumulator, lanes: lanes) }

    /// The number of rows of tiles along y.
    private var tileRows: Extent {
        plan.y.runs.isEmpty ? problem.y.ceilDivided(by: Extent(plan.y.freeSizes[0])) : Extent(plan.y.tileCount)
    }

    /// Emits the whole problem as one loop over units of work (an outer position, a block of rows, a panel).
    /// - Parameter kind: `.parallel` at the outermost level of a kernel, `.serial` inside another loop.
    public func emit(into builder: inout KernelBuilder, kind: LoopKind = .parallel) throws {
        let blocks = tileRows.ceilDivided(by: Extent(plan.blockRows))
        let units = problem.outer.product * blocks * panelCount
        try builder.loop("u", to: Expr(units), kind: kind) { builder, unit in
            // Panel-major order keeps a thread on few panels; block-major order keeps it on few rows.
            var rest = unit, panel: Expr, block: Expr
            if plan.isPanelMajor && problem.outer.product == 1 {
                panel = builder.bind(rest / Expr(blocks), "p")
                block = builder.bind(rest % Expr(blocks), "b")
                rest = .int(0)
            } else {
                panel = builder.bind(rest % Expr(panelCount), "p")
                rest = rest / Expr(panelCount)
                if panelCount != 1 { rest = builder.bind(rest, "q") }
                block = builder.bind(rest % Expr(blocks), "b")
                rest = rest / Expr(blocks)
            }
            if panelCount == 1 { panel = .int(0) }
            if blocks == 1 { block = .int(0) }
            var outer: [Expr] = []
            for (i, extent) in problem.outer.enumerated().reversed() {
                outer.insert(extent == 1 ? .int(0) : builder.bind(i == 0 ? rest : rest % Expr(extent), "o"), at: 0)
                if i > 0 { rest = extent == 1 ? rest : builder.bind(rest / Expr(extent), "q") }
            }
            try emitUnit(outer: outer, block: block, panel: panel, into: &builder)
        }
    }

    /// One block of rows times one panel.
    private func emitUnit(outer: [Expr], block: Expr, panel: Expr, into builder: inout KernelBuilder) throws {
        let inputBase = builder.bind(problem.inputBase(outer), "a")
        let weightBase = problem.weightBase(outer)
        if plan.panels.runs.isEmpty {
            try emitFree(columnVectors, plan.panels.freeSizes, tile: panel, into: &builder) { builder, firstVector, vectors in
                try emitPanel(outer, inputBase, weightBase, block, firstVector: firstVector, vectors: vectors, into: &builder)
            }
        } else {
            try choose(plan.panels, panel, into: &builder) { builder, vectors in
                let firstVector = builder.bind(plan.panels.start(ofTile: panel), "v")
                try emitPanel(outer, inputBase, weightBase, block, firstVector: firstVector, vectors: vectors, into: &builder)
            }
        }
    }

    private func emitPanel(
        _ outer: [Expr], _ inputBase: Expr, _ weightBase: Expr, _ block: Expr, firstVector: Expr, vectors: Int, into builder: inout KernelBuilder
    ) throws {
        let column = builder.bind(firstVector * .int(lanes), "n")
        let weights = builder.bind(weightBase + (isPacked ? firstVector * .int(lanes * problem.kind.stepDepth) * Expr(depth) : column), "w")
        var partial: Expr?
        if hasPartialVector {
            partial = builder.bind(Expr.min(.int(lanes), Expr(problem.columns) - (column + .int((vectors - 1) * lanes))), "m")
        }
        let tile = Tile(outer: outer, inputBase: inputBase, weights: weights, column: column, vectors: vectors, partial: partial)
        let first = builder.bind(block * .int(plan.blockRows), "r")
        let last = plan.blockRows == 1 ? first + .int(1) : Expr.min(first + .int(plan.blockRows), Expr(tileRows))
        if tileRows == 1 || plan.blockRows == 1 { return try emitRow(tileRows == 1 ? .int(0) : first, tile, into: &builder) }
        try builder.loop("r", from: first, to: last) { builder, row in try emitRow(row, tile, into: &builder) }
    }

    private var isPacked: Bool {
        if case .packed = problem.weights { true } else { false }
    }

    /// Emits `body` for the tile size that a run-time tile index has.
    private func choose(_ cut: AxisCut, _ index: Expr, into builder: inout KernelBuilder, _ body: (inout KernelBuilder, Int) throws -> Void) throws {
        if cut.runs.count == 2 {
            if let constant = index.constantInteger { return try body(&builder, cut.runs[constant < cut.runs[0].count ? 0 : 1].size) }
            try builder.when(index < .int(cut.runs[0].count), { try body(&$0, cut.runs[0].size) }, else: { try body(&$0, cut.runs[1].size) })
        } else {
            try body(&builder, cut.runs[0].size)
        }
    }

    /// One row of tiles: all of x.
    private func emitRow(_ row: Expr, _ tile: Tile, into builder: inout KernelBuilder) throws {
        if plan.y.runs.isEmpty {
            try emitFree(problem.y, plan.y.freeSizes, tile: row, into: &builder) { builder, y, height in
                try emitColumnsOfTiles(y: y, height: height, tile, into: &builder)
            }
        } else {
            try choose(plan.y, row, into: &builder) { builder, height in
                let y = builder.bind(plan.y.start(ofTile: row), "y")
                try emitColumnsOfTiles(y: y, height: height, tile, into: &builder)
            }
        }
    }

    private func emitColumnsOfTiles(y: Expr, height: Int, _ tile: Tile, into builder: inout KernelBuilder) throws {
        if plan.x.runs.isEmpty {
            let full = plan.x.freeSizes[0]
            try builder.loop("c", to: Expr(problem.x.ceilDivided(by: Extent(full)))) { builder, index in
                try emitFree(problem.x, plan.x.freeSizes, tile: index, into: &builder) { builder, x, width in
                    try emitTile(y: y, height: height, x: x, width: width, tile, into: &builder)
                }
            }
            return
        }
        var start = 0
        for run in plan.x.runs {
            let end = start + run.size * run.count
            try builder.loop("x", from: .int(start), to: .int(end), step: run.size) { builder, x in
                try emitTile(y: y, height: height, x: x, width: run.size, tile, into: &builder)
            }
            start = end
        }
    }

    /// Tile `tile` of a free extent: a full one, or the remainder in smaller pieces.
    private func emitFree(
        _ extent: Extent, _ sizes: [Int], tile: Expr, into builder: inout KernelBuilder, _ body: (inout KernelBuilder, Expr, Int) throws -> Void
    ) throws {
        let full = sizes[0]
        let start = builder.bind(tile * .int(full), "s")
        if full == 1 { return try body(&builder, start, 1) }
        try builder.when(.binary(.lessOrEqual, start + .int(full), Expr(extent)), { builder in
            try body(&builder, start, full)
        }, else: { builder in
            let position = builder.declare(start, "s")
            for size in sizes.dropFirst() {
                try builder.repeatWhile(.binary(.lessOrEqual, .variable(position) + .int(size), Expr(extent))) { builder in
                    let here = builder.bind(.variable(position) + .int(0), "y")
                    try body(&builder, here, size)
                    builder.emit(.assign(position, .variable(position) + .int(size)))
                }
            }
        })
    }

    // MARK: One register tile

    private struct Tile {
        var outer: [Expr]
        var inputBase: Expr
        var weights: Expr
        var column: Expr
        var vectors: Int
        /// Lanes of the last vector that exist, where that may be fewer than all.
        var partial: Expr?
    }

    private func emitTile(y: Expr, height: Int, x: Expr, width: Int, _ tile: Tile, into builder: inout KernelBuilder) throws {
        let statements = try builder.block { builder in
            let base = builder.bind(tile.inputBase + y * Expr(problem.inputStrideY) + x * Expr(problem.inputStrideX), "a")
            let zero: Expr = lanes == 1 ? .constant(0, problem.kind.accumulator) : .broadcast(.constant(0, problem.kind.accumulator), lanes)
            let accumulators = (0..<height * width).map { _ in
                (0..<tile.vectors).map { _ in builder.declare(zero, "c") }
            }
            let rowOffsets = (0..<height * width).map {
                Expr(Extent($0 / width) * problem.inputStrideY + Extent($0 % width) * problem.inputStrideX)
            }
            try emitReduction(base, tile, accumulators, rowOffsets, into: &builder)
            for row in 0..<height * width {
                for v in 0..<tile.vectors {
                    let column = tile.column + .int(v * lanes)
                    let count = v == tile.vectors - 1 ? tile.partial : nil
                    try problem.store(&builder, tile.outer, y + .int(row / width), x + .int(row % width), column, .variable(accumulators[row][v]), count)
                }
            }
        }
        // A scope of its own, so that one tile's names do not meet the next one's.
        builder.emit(statements)
    }

    private func emitReduction(
        _ base: Expr, _ tile: Tile, _ accumulators: [[Variable]], _ rowOffsets: [Expr], into builder: inout KernelBuilder
    ) throws {
        let counts = Contraction.packedCounts(problem.reduction, kind: problem.kind)
        let weights = tile.weights
        let stepWidth = tile.vectors * lanes * problem.kind.stepDepth

        func nest(_ axis: Int, _ input: Expr, _ step: Expr, _ builder: inout KernelBuilder) throws {
            try builder.loop("k", to: Expr(counts[axis])) { builder, k in
                let flat = step * Expr(counts[axis]) + k
                let stride = problem.reduction[axis].stride * Extent(axis == counts.count - 1 ? problem.kind.stepDepth : 1)
                if axis < counts.count - 1 {
                    return try nest(axis + 1, builder.bind(input + k * Expr(stride), "a"), builder.bind(flat, "k"), &builder)
                }
                let position = input + k * Expr(stride)
                let weight: Expr
                switch problem.weights {
                case .packed: weight = weights + flat * .int(stepWidth)
                case .rows(_, let stride): weight = weights + flat * Expr(stride)
                }
                emitStep(position, weight, tile, accumulators, rowOffsets, into: &builder)
            }
        }
        // The start of the innermost runs is named once per run, so that the loop body only adds constants.
        try nest(0, base, .int(0), &builder)
    }

    private func emitStep(_ input: Expr, _ weight: Expr, _ tile: Tile, _ accumulators: [[Variable]], _ rowOffsets: [Expr], into builder: inout KernelBuilder) {
        let vectors = tile.vectors
        let buffer: BufferID
        var partial: Expr?
        switch problem.weights {
        case .packed(let id): buffer = id
        case .rows(let id, _): (buffer, partial) = (id, tile.partial)
        }
        let bytes = problem.kind.stepDepth
        var columns: [Expr] = []
        for v in 0..<vectors {
            let mask = v == vectors - 1 ? partial : nil
            let access = Access(buffer, weight + .int(v * lanes * bytes), KernelType(problem.kind.weightElement, lanes: lanes * bytes), mask: mask)
            columns.append(builder.bind(widen(.load(access)), "b"))
        }
        for (row, offset) in rowOffsets.enumerated() {
            let scalar = builder.bind(broadcast(input + offset), "x")
            for v in 0..<vectors {
                let c = accumulators[row][v]
                builder.emit(.assign(c, multiplyAdd(scalar, columns[v], .variable(c))))
            }
        }
        if problem.kind == .dot4 { builder.emit(.pin(accumulators.flatMap { $0 })) }
    }

    /// One input element (four for `dot4`) in every lane.
    private func broadcast(_ index: Expr) -> Expr {
        switch problem.kind {
        case .float:
            let access = Access(problem.input, index, KernelType(.f32))
            return lanes == 1 ? .load(access) : .loadBroadcast(access, lanes)
        case .dot4:
            let access = Access(problem.input, index, KernelType(.i32))
            return .bitcast(.loadBroadcast(access, lanes), KernelType(.u8, lanes: lanes * 4))
        case .widened(let element, _):
            let value = Expr.cast(.load(Access(problem.input, index, KernelType(element))), .i32)
            return lanes == 1 ? value : .broadcast(value, lanes)
        }
    }

    private func widen(_ weights: Expr) -> Expr {
        if case .widened = problem.kind { .cast(weights, .i32) } else { weights }
    }

    private func multiplyAdd(_ a: Expr, _ b: Expr, _ c: Expr) -> Expr {
        switch problem.kind {
        case .float: .fma(a, b, c)
        case .dot4: .dot4(a, b, c)
        case .widened: .binary(.add, c, .binary(.multiply, a, b))
        }
    }
}
