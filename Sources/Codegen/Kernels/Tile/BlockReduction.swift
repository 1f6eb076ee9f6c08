import GlmcIR

/// Packed weights in blocks (`BlockCodes`): panels of codes, and panels of scales and minimums, one step per block. Where the input is quantised too, four
/// bytes of a column lie together.
public struct WeightBlocks: Hashable, Sendable {
    public var codes: BufferID
    /// Codes in a byte: four or two of u8, or one of i8.
    public var perByte: Int
    public var scales: BufferID
    /// Absent where codes are centred: those of four bits at 8, of two bits at 2, of eight bits at 0.
    public var minimums: BufferID?
    public var scaleElement: ElementType
    /// Steps of the reduction that share a scale; a multiple of four times `perByte`.
    public var size: Int

    /// Bits of a code.
    var bits: Int { 8 / perByte }
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
        case (.blocks(let blocks), let input?): multiplyIntegers(blocks.codes, perByte: blocks.perByte, blocks, input, base, y, into: &builder)
        case (.packed(let weights), let input?): multiplyIntegers(weights, perByte: 1, nil, input, base, y, into: &builder)
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

    /// The scales and minimums of the tile's columns.
    private struct Parameters {
        /// One for every vector; empty where weights have no scales.
        var scales: [Expr] = []
        /// One for every vector; empty where they are 0.
        var minimums: [Expr] = []
    }

    /// The loop over the blocks of `size` steps; `body` gets a block's number, and its parameters.
    private func loop(_ blocks: WeightBlocks?, size: Int, into builder: inout KernelBuilder, _ body: (inout KernelBuilder, _ g: Expr, _ parameters: Parameters) -> Void) {
        let count = depth.floorDivided(by: Extent(size))
        // A tile starts at as many columns times the blocks.
        let start = blocks.map { _ in builder.bind(tile.column * Expr(count), "s") }
        builder.loop("g", to: Expr(count)) { builder, g in
            guard let blocks, let start else { return body(&builder, g, Parameters()) }
            func load(_ buffer: BufferID) -> [Expr] {
                (0..<tile.vectors).map { v in
                    let access = Access(buffer, start + offset(v, count) + g * .int(width), KernelType(blocks.scaleElement, lanes: lanes))
                    return builder.bind(Expr.load(access).converted(to: .f32), "s")
                }
            }
            var parameters = Parameters(scales: load(blocks.scales))
            if let minimums = blocks.minimums {
                parameters.minimums = load(minimums)
            } else if blocks.perByte > 1 {
                parameters.minimums = parameters.scales.map { builder.bind($0 * splat(.float(-Double(1 << (blocks.bits - 1)), .f32)), "m") }
            }
            body(&builder, g, parameters)
        }
    }

    // MARK: Floats

    /// A weight is widened once per tile, `code · scale + minimum`, and then used by every row.
    private func widenWeights(_ blocks: WeightBlocks, _ base: Expr, into builder: inout KernelBuilder) {
        let bytes = depth.floorDivided(by: Extent(blocks.perByte)), stride = problem.reduction[0].stride
        let start = builder.bind(tile.column * Expr(bytes), "w")
        loop(blocks, size: blocks.size, into: &builder) { builder, g, parameters in
            let input = builder.bind(base + g * Expr(stride * Extent(blocks.size)), "a")
            let codes = builder.bind(start + g * .int(blocks.size / blocks.perByte * width), "w")
            /// The bytes of row `place` of the block, as floats.
            func floats(_ place: Expr, _ element: ElementType, _ builder: inout KernelBuilder) -> [Expr] {
                (0..<tile.vectors).map { v in
                    builder.bind(.cast(.load(Access(blocks.codes, codes + offset(v, bytes) + place * .int(width), KernelType(element, lanes: lanes))), .f32), "b")
                }
            }
            /// The products of a step with every row.
            func multiply(_ codes: [Expr], step: Expr, _ builder: inout KernelBuilder) {
                let weights = codes.enumerated().map { v, code in
                    builder.bind(parameters.minimums.isEmpty ? code * parameters.scales[v] : .fma(code, parameters.scales[v], parameters.minimums[v]), "q")
                }
                for (row, offset) in rowOffsets.enumerated() {
                    let x = builder.bind(everyLane(Access(problem.input, input + step * Expr(stride) + offset, KernelType(.f32))), "x")
                    for v in 0..<tile.vectors {
                        let sum = accumulators[row][v]
                        builder.emit(.assign(sum, .fma(x, weights[v], .variable(sum))))
                    }
                }
            }
            guard blocks.perByte > 1 else {
                return builder.loop("k", to: .int(blocks.size)) { builder, k in multiply(floats(k, .i8, &builder), step: k, &builder) }
            }
            // The steps of the reduction that four bytes hold.
            let steps = 4 * blocks.perByte
            builder.loop("k", to: .int(blocks.size / steps)) { builder, group in
                for i in 0..<4 {
                    var rest = floats(group * .int(4) + .int(i), .u8, &builder), codes: [[Expr]] = []
                    // In floats, where every step is exact: the uppermost code is what a division leaves whole, and the others are what is left without it.
                    for place in (1..<blocks.perByte).reversed() {
                        let weight = Double(1 << (place * blocks.bits)), upper = rest.map { builder.bind(.unary(.floor, $0 * splat(.float(1 / weight, .f32))), "u") }
                        rest = zip(rest, upper).map { builder.bind(.fma($1, splat(.float(-weight, .f32)), $0), "l") }
                        codes.append(upper)
                    }
                    for (place, codes) in ([rest] + codes.reversed()).enumerated() { multiply(codes, step: group * .int(steps) + .int(4 * place + i), &builder) }
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

    /// Two bits of every byte of 32-bit lanes, from bit `2 · place` on.
    private func quarter(_ word: Expr, _ place: Int, into builder: inout KernelBuilder) -> Expr {
        func all(_ value: Int) -> Expr { .broadcast(.integer(value, .i32), lanes) }
        let shifted = place == 0 ? word : Expr.binary(.shiftRight, word, all(2 * place))
        return builder.bind(.bitcast(.binary(.and, shifted, all(0x0303_0303)), KernelType(.i8, lanes: 4 * lanes)), "q")
    }

    /// The parameter of every row of the tile as a function of the block, in every lane.
    private func parameters(_ parameter: InputBlocks.Parameter, _ y: Expr, into builder: inout KernelBuilder) -> (_ g: Expr, _ row: Int) -> Expr {
        let base = builder.bind(parameter.base(tile.outer) + y * Expr(parameter.rowStride), "p")
        return { g, row in
            .loadBroadcast(Access(parameter.buffer, base + g * Expr(parameter.blockStride) + Expr(Extent(row) * parameter.rowStride), KernelType(.f32)), lanes)
        }
    }

    /// Integers within a block, floats over the blocks.
    /// - Parameters:
    ///   - perByte: codes in a byte of the weights: four or two of u8, or one of i8.
    ///   - blocks: the blocks of the weights; nil where they have none.
    private func multiplyIntegers(
        _ weights: BufferID, perByte: Int, _ blocks: WeightBlocks?, _ input: InputBlocks, _ base: Expr, _ y: Expr, into builder: inout KernelBuilder
    ) {
        // Steps of the reduction in four bytes of a column.
        let steps = 4 * perByte, fours = depth.floorDivided(by: Extent(steps)), start = builder.bind(tile.column * Expr(fours * 4), "w")
        let scale = parameters(input.scales, y, into: &builder), sum = input.sums.map { parameters($0, y, into: &builder) }
        let type = perByte == 4 ? KernelType(.i32, lanes: lanes) : KernelType(perByte == 2 ? .u8 : .i8, lanes: 4 * lanes)
        loop(blocks, size: input.size, into: &builder) { builder, g, own in
            let sums = blockSums(into: &builder)
            let row = builder.bind(base + g * .int(input.size), "a"), codes = builder.bind(start + g * .int(input.size / perByte * width), "w")
            builder.loop("k", to: .int(input.size / steps)) { builder, step in
                let columns = (0..<tile.vectors).map { v in
                    builder.bind(.load(Access(weights, codes + offset(v, fours, group: 4) + step * .int(4 * width), type)), "b")
                }
                // Codes of two bits, one for every byte of the columns.
                let quarters = perByte == 4 ? columns.map { word in (0..<perByte).map { quarter(word, $0, into: &builder) } } : []
                for (r, offset) in rowOffsets.enumerated() {
                    let x = (0..<perByte).map { four(row + step * .int(steps) + .int(4 * $0) + offset, into: &builder) }
                    for v in 0..<tile.vectors {
                        let total = Expr.variable(sums[r][v])
                        let sum = switch perByte {
                        case 1: Expr.dot(columns[v], x[0], total)
                        case 2: Expr.dotNibbles(columns[v], x[0], x[1], total)
                        default: zip(quarters[v], x).reduce(total) { .dot($1.0, $1.1, $0) }
                        }
                        builder.emit(.assign(sums[r][v], sum))
                    }
                }
            }
            for r in rowOffsets.indices {
                let scale = builder.bind(scale(g, r), "x"), sum = own.minimums.isEmpty ? nil : sum.map { builder.bind($0(g, r), "x") }
                for v in 0..<tile.vectors {
                    let total = accumulators[r][v], product = Expr.cast(.variable(sums[r][v]), .f32)
                    let scaled = own.scales.isEmpty ? Expr.fma(product, scale, .variable(total)) : .fma(product * scale, own.scales[v], .variable(total))
                    builder.emit(.assign(total, sum.map { .fma($0, own.minimums[v], scaled) } ?? scaled))
                }
            }
        }
    }
}
