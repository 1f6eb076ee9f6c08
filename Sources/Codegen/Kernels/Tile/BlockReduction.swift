import GlmcIR

/// Packed weights of four bits (`BlockCodes`): panels of bytes that hold two steps of the reduction each, and panels of scales and minimums, one step per
/// block. Where the input is quantised too, four bytes of a column lie together.
public struct WeightBlocks: Hashable, Sendable {
    public var codes: BufferID
    public var scales: BufferID
    /// Absent where codes are centred at 8.
    public var minimums: BufferID?
    public var scaleElement: ElementType
    /// Steps of the reduction that share a scale; a multiple of 8.
    public var size: Int
}

/// The reduction of a register tile where the weights, the input or both are quantised in blocks along it.
struct BlockReduction {
    private let problem: Contraction
    private let tile: ContractionEmitter.Tile
    private let lanes: Int
    private let accumulators: [[Variable]]
    private let rowOffsets: [Expr]
    private let depth: Extent

    init(_ problem: Contraction, _ tile: ContractionEmitter.Tile, lanes: Int, accumulators: [[Variable]], rowOffsets: [Expr]) {
        (self.problem, self.tile, self.lanes, self.accumulators, self.rowOffsets) = (problem, tile, lanes, accumulators, rowOffsets)
        depth = problem.reduction[0].count
    }

    /// - Parameters:
    ///   - base: the input element of step 0 in the tile's first row, which is row `y`.
    /// - Returns: whether the reduction is of this kind; nothing is emitted otherwise.
    func emit(_ base: Expr, y: Expr, into builder: inout KernelBuilder) -> Bool {
        switch (problem.weights, problem.inputBlocks) {
        case (.blocks(let blocks), nil): widenWeights(blocks, base, into: &builder)
        case (.blocks(let blocks), let input?): multiplyNibbles(blocks, input, base, y, into: &builder)
        case (.packed(let weights), let input?): multiplyBytes(weights, input, base, y, into: &builder)
        default: return false
        }
        return true
    }

    /// Columns of a panel.
    private var width: Int { tile.panelVectors * lanes }

    /// How far vector `v` lies behind the tile's first, in panels of `rows` rows of `group` elements per column.
    private func offset(_ v: Int, _ rows: Extent, group: Int = 1) -> Expr {
        let (panel, place) = v.quotientAndRemainder(dividingBy: tile.panelVectors)
        return Expr(Extent(panel * width * group) * rows + Extent(place * lanes * group))
    }

    private func splat(_ value: Expr) -> Expr { lanes == 1 ? value : .broadcast(value, lanes) }

    private func everyLane(_ access: Access) -> Expr { lanes == 1 ? .load(access) : .loadBroadcast(access, lanes) }

    /// The loop over the blocks; `body` gets a block's number, and its scales and minimums for every vector of the tile.
    private func loop(_ blocks: WeightBlocks, into builder: inout KernelBuilder, _ body: (inout KernelBuilder, _ g: Expr, _ scales: [Expr], _ minimums: [Expr]) -> Void) {
        let count = depth.floorDivided(by: Extent(blocks.size))
        // A tile starts at as many columns times the blocks.
        let start = builder.bind(tile.column * Expr(count), "s")
        builder.loop("g", to: Expr(count)) { builder, g in
            func parameters(_ buffer: BufferID) -> [Expr] {
                (0..<tile.vectors).map { v in
                    let access = Access(buffer, start + offset(v, count) + g * .int(width), KernelType(blocks.scaleElement, lanes: lanes))
                    return builder.bind(Expr.load(access).converted(to: .f32), "s")
                }
            }
            let scales = parameters(blocks.scales)
            body(&builder, g, scales, blocks.minimums.map { parameters($0) } ?? scales.map { builder.bind($0 * splat(.float(-8, .f32)), "m") })
        }
    }

    // MARK: Floats

    /// A weight is widened once per tile, `code · scale + minimum`, and then used by every row.
    private func widenWeights(_ blocks: WeightBlocks, _ base: Expr, into builder: inout KernelBuilder) {
        let bytes = depth.floorDivided(by: 2), stride = problem.reduction[0].stride
        let start = builder.bind(tile.column * Expr(bytes), "w")
        loop(blocks, into: &builder) { builder, g, scales, minimums in
            let input = builder.bind(base + g * Expr(stride * Extent(blocks.size)), "a"), codes = builder.bind(start + g * .int(blocks.size / 2 * width), "w")
            // Eight steps of the reduction, which four bytes hold.
            builder.loop("k", to: .int(blocks.size / 8)) { builder, eight in
                for i in 0..<4 {
                    let pairs = (0..<tile.vectors).map { v in
                        let place = codes + offset(v, bytes) + (eight * .int(4) + .int(i)) * .int(width)
                        return builder.bind(.cast(.load(Access(blocks.codes, place, KernelType(.u8, lanes: lanes))), .f32), "b")
                    }
                    // In floats, where every step is exact: the upper code is what is left of a sixteenth, and the lower one what is left without it.
                    let upper = pairs.map { builder.bind(.unary(.floor, $0 * splat(.float(0.0625, .f32))), "u") }
                    let lower = zip(pairs, upper).map { builder.bind(.fma($1, splat(.float(-16, .f32)), $0), "l") }
                    for (half, codes) in [lower, upper].enumerated() {
                        let weights = codes.enumerated().map { v, code in builder.bind(.fma(code, scales[v], minimums[v]), "q") }
                        for (row, offset) in rowOffsets.enumerated() {
                            let place = input + (eight * .int(8) + .int(4 * half + i)) * Expr(stride) + offset
                            let x = builder.bind(everyLane(Access(problem.input, place, KernelType(.f32))), "x")
                            for v in 0..<tile.vectors {
                                let sum = accumulators[row][v]
                                builder.emit(.assign(sum, .fma(x, weights[v], .variable(sum))))
                            }
                        }
                    }
                }
            }
        }
    }

    // MARK: Integers

    /// One i32 sum per accumulator, of one block.
    private func blockSums(into builder: inout KernelBuilder) -> [[Variable]] {
        accumulators.map { $0.map { _ in builder.declare(.broadcast(.integer(0, .i32), lanes), "d") } }
    }

    /// Four elements of a row from `place` on, in every lane.
    private func four(_ place: Expr, into builder: inout KernelBuilder) -> Expr {
        builder.bind(.bitcast(.loadBroadcast(Access(problem.input, place, KernelType(.i32)), lanes), KernelType(.i8, lanes: 4 * lanes)), "x")
    }

    /// The parameter of every row of the tile as a function of the block, in every lane.
    private func parameters(_ parameter: InputBlocks.Parameter, _ y: Expr, into builder: inout KernelBuilder) -> (_ g: Expr, _ row: Int) -> Expr {
        let base = builder.bind(parameter.base(tile.outer) + y * Expr(parameter.rowStride), "p")
        return { g, row in
            .loadBroadcast(Access(parameter.buffer, base + g * Expr(parameter.blockStride) + Expr(Extent(row) * parameter.rowStride), KernelType(.f32)), lanes)
        }
    }

    /// Integers within a block, floats over the blocks.
    private func multiplyNibbles(_ blocks: WeightBlocks, _ input: InputBlocks, _ base: Expr, _ y: Expr, into builder: inout KernelBuilder) {
        // Four bytes of a column hold eight steps.
        let eights = depth.floorDivided(by: 8), start = builder.bind(tile.column * Expr(eights * 4), "w")
        let scale = parameters(input.scales, y, into: &builder), sum = input.sums.map { parameters($0, y, into: &builder) }
        loop(blocks, into: &builder) { builder, g, scales, minimums in
            let sums = blockSums(into: &builder)
            let row = builder.bind(base + g * .int(blocks.size), "a"), codes = builder.bind(start + g * .int(blocks.size / 2 * width), "w")
            builder.loop("k", to: .int(blocks.size / 8)) { builder, eight in
                let pairs = (0..<tile.vectors).map { v in
                    let place = codes + offset(v, eights, group: 4) + eight * .int(4 * width)
                    return builder.bind(.load(Access(blocks.codes, place, KernelType(.u8, lanes: 4 * lanes))), "b")
                }
                for (r, offset) in rowOffsets.enumerated() {
                    let x = (0..<2).map { four(row + eight * .int(8) + .int(4 * $0) + offset, into: &builder) }
                    for v in 0..<tile.vectors { builder.emit(.assign(sums[r][v], .dotNibbles(pairs[v], x[0], x[1], .variable(sums[r][v])))) }
                }
            }
            for r in rowOffsets.indices {
                let scale = builder.bind(scale(g, r), "x"), sum = sum.map { builder.bind($0(g, r), "x") }
                for v in 0..<tile.vectors {
                    let total = accumulators[r][v], product = Expr.fma(.cast(.variable(sums[r][v]), .f32) * scale, scales[v], .variable(total))
                    builder.emit(.assign(total, sum.map { .fma($0, minimums[v], product) } ?? product))
                }
            }
        }
    }

    /// As `multiplyNibbles`, with weights of i8 that have no blocks of their own.
    private func multiplyBytes(_ weights: BufferID, _ input: InputBlocks, _ base: Expr, _ y: Expr, into builder: inout KernelBuilder) {
        let fours = depth.ceilDivided(by: 4), start = builder.bind(tile.column * Expr(fours * 4), "w")
        let scale = parameters(input.scales, y, into: &builder)
        builder.loop("g", to: Expr(depth.floorDivided(by: Extent(input.size)))) { builder, g in
            let sums = blockSums(into: &builder)
            let row = builder.bind(base + g * .int(input.size), "a"), bytes = builder.bind(start + g * .int(input.size * width), "w")
            builder.loop("k", to: .int(input.size / 4)) { builder, step in
                let columns = (0..<tile.vectors).map { v in
                    let place = bytes + offset(v, fours, group: 4) + step * .int(4 * width)
                    return builder.bind(.load(Access(weights, place, KernelType(.i8, lanes: 4 * lanes))), "b")
                }
                for (r, offset) in rowOffsets.enumerated() {
                    let x = four(row + step * .int(4) + offset, into: &builder)
                    for v in 0..<tile.vectors { builder.emit(.assign(sums[r][v], .dot(columns[v], x, .variable(sums[r][v])))) }
                }
            }
            for r in rowOffsets.indices {
                let scale = builder.bind(scale(g, r), "x")
                for v in 0..<tile.vectors {
                    let total = accumulators[r][v]
                    builder.emit(.assign(total, .fma(.cast(.variable(sums[r][v]), .f32), scale, .variable(total))))
                }
            }
        }
    }
}
