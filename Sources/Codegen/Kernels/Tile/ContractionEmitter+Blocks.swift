import GlmcIR

/// Packed weights of four bits: panels of bytes that hold two steps of the reduction each, and panels of scales and minimums, one step per block.
public struct WeightBlocks: Hashable, Sendable {
    public var codes: BufferID
    public var scales: BufferID
    /// Absent where codes are centred at 8.
    public var minimums: BufferID?
    public var scaleElement: ElementType
    /// Steps of the reduction that share a scale; even.
    public var size: Int
}

extension ContractionEmitter {
    /// The reduction of a register tile over weights in blocks. A weight is widened once per tile, `code · scale + minimum`, and then used by every row.
    func emitBlocks(
        _ blocks: WeightBlocks, _ base: Expr, _ tile: Tile, _ accumulators: [[Variable]], _ rowOffsets: [Expr], into builder: inout KernelBuilder
    ) {
        let depth = problem.reduction[0].count, stride = problem.reduction[0].stride
        let count = depth.floorDivided(by: Extent(blocks.size)), width = tile.panelVectors * lanes
        // A tile starts at as many columns times its depth in codes, and in scales.
        let codeBase = builder.bind(tile.column * Expr(depth.floorDivided(by: 2)), "w"), scaleBase = builder.bind(tile.column * Expr(count), "s")
        /// How far vector `v` lies behind the tile's first, in panels of `rows` rows.
        func offset(_ v: Int, _ rows: Extent) -> Expr {
            let (panel, place) = v.quotientAndRemainder(dividingBy: tile.panelVectors)
            return Expr(Extent(panel * width) * rows + Extent(place * lanes))
        }
        func splat(_ value: Expr) -> Expr { lanes == 1 ? value : .broadcast(value, lanes) }
        builder.loop("g", to: Expr(count)) { builder, g in
            func parameters(_ buffer: BufferID) -> [Expr] {
                (0..<tile.vectors).map { v in
                    let access = Access(buffer, scaleBase + offset(v, count) + g * .int(width), KernelType(blocks.scaleElement, lanes: lanes))
                    return builder.bind(Expr.load(access).converted(to: .f32), "s")
                }
            }
            let scales = parameters(blocks.scales)
            let minimums = blocks.minimums.map { parameters($0) } ?? scales.map { builder.bind($0 * splat(.float(-8, .f32)), "m") }
            let input = builder.bind(base + g * Expr(stride * Extent(blocks.size)), "a")
            let codes = builder.bind(codeBase + g * .int(blocks.size / 2 * width), "w")
            builder.loop("k", to: .int(blocks.size / 2)) { builder, k in
                let bytes = (0..<tile.vectors).map { v in
                    let access = Access(blocks.codes, codes + offset(v, depth.floorDivided(by: 2)) + k * .int(width), KernelType(.u8, lanes: lanes))
                    return builder.bind(.cast(.load(access), .f32), "b")
                }
                // In floats, where every step is exact: the upper code is what is left of a sixteenth, and the lower one what is left without it.
                let upper = bytes.map { builder.bind(.unary(.floor, $0 * splat(.float(0.0625, .f32))), "u") }
                let lower = zip(bytes, upper).map { builder.bind(.fma($1, splat(.float(-16, .f32)), $0), "l") }
                for (half, codes) in [lower, upper].enumerated() {
                    let weights = codes.enumerated().map { v, code in builder.bind(.fma(code, scales[v], minimums[v]), "q") }
                    for (row, offset) in rowOffsets.enumerated() {
                        let place = input + (k * .int(2) + .int(half)) * Expr(stride) + offset
                        let access = Access(problem.input, place, KernelType(.f32))
                        let x = builder.bind(lanes == 1 ? .load(access) : .loadBroadcast(access, lanes), "x")
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
