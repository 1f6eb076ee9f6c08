import GlmcIR

extension KernelFamily {
    /// Dense 3×3 convolutions of stride 1 by Winograd's F(4×4, 3×3): a quarter of the products, for sums that round a little
    /// differently. An infinity or NaN in the image reaches the whole 4×4 tile of outputs that reads it.
    static let winogradConvolution = KernelFamily("conv-winograd") { query in
        guard let op = query.op(Convolution.self), let filter = query.constant(1), filter.rank == 4, query.target.vectorBits > 0 else { return nil }
        let image = query.operandType(0), result = query.resultType, lanes = query.target.lanes(ofBytes: 4)
        guard image.element == .f32, filter.element == .f32, image.layout == .channelsLast, result.layout == .channelsLast,
              op.groups == 1, op.strides == [1, 1], op.dilations == [1, 1], Array(filter.shape[2...]) == [3, 3], filter.shape[1] % lanes == 0,
              let height = result.shape[2].constant, let width = result.shape[3].constant else { return nil }
        let tiling = WinogradTiling(height: height, width: width)
        guard tiling.gain(depth: filter.shape[1], columns: filter.shape[0]) > 1.2 else { return nil }
        return KernelPlan { site in try WinogradConvolution(filter, try site.operand(0, along: 1), batch: result.shape[0], tiling, site.target).emit(&site) }
    }
}

/// The 4×4 tiles that cover one image of outputs.
struct WinogradTiling {
    let height: Int
    let width: Int
    var rows: Int { (height + WinogradTransform.outputs - 1) / WinogradTransform.outputs }
    var columns: Int { (width + WinogradTransform.outputs - 1) / WinogradTransform.outputs }
    var count: Int { rows * columns }
    /// Tiles that meet one transformation of the filter, few enough that their products stay in the second-level cache.
    var blocks: AxisCut { AxisCut(extent: count, limit: 56) }

    /// The time of the direct convolution by the time of this one, in multiply-adds of whole vectors. A vector of a tile is
    /// taken to cost 200 and 250 to transform, which counts its instructions; a vector of filters 250, fitted to ResNet-50 on AVX-512: 14²×256
    /// gains 2.1 there, 7²×512 nothing.
    func gain(depth: Int, columns: Int) -> Double {
        let direct = 9 * Double(height * width)
        let products = 36 * Double(count), filters = 250 * Double(blocks.tileCount)
        let images = Double(count) * (200 / Double(columns) + 250 / Double(depth))
        return direct / (products + filters + images)
    }
}

/// Image tiles are transformed to 6×6 matrices of `depth` channels. A unit of work is a block of tiles times a panel of output channels:
/// for each of the six rows of the transformed filter, the filter's panel is transformed (so the weights stay as small as they are) and
/// multiplied with the block by six matrix products; at last the products are transformed back, through the epilogue.
struct WinogradConvolution {
    private let filter: Tensor
    private let image: TensorView
    private let batch: Extent
    private let tiling: WinogradTiling
    private let model: RegisterModel
    private let plan: TilePlan
    private let blocks: AxisCut

    init(_ filter: Tensor, _ image: TensorView, batch: Extent, _ tiling: WinogradTiling, _ target: Target) {
        (self.filter, self.image, self.batch, self.tiling) = (filter, image, batch, tiling)
        model = RegisterModel(target)
        blocks = tiling.blocks
        plan = TilePlan(y: blocks.largest, x: 1, columns: filter.shape[0], depth: filter.shape[1], rowBytes: 0, elementBytes: 4, model: model)
    }

    private var lanes: Int { model.lanes }
    private var vectorType: KernelType { KernelType(.f32, lanes: lanes) }
    private var depth: Int { filter.shape[1] }
    private var columns: Int { filter.shape[0] }
    /// Points along one axis.
    private var points: Int { WinogradTransform.inputs }
    private var panelWidth: Int { plan.panels.largest * lanes }
    /// Elements from one transformed tile to the next; the gap keeps rows out of one cache set.
    private var tileStride: Int { depth + lanes }

    /// Where the kernel keeps what.
    private struct Areas {
        /// The filter in panels: [panel][tap][depth][panel width]; the rows of G.
        var weights: BufferID
        var rows: BufferID
        /// Transformed tiles [point][tile][depth + gap], and how many tiles there are per point.
        var tiles: BufferID
        var tileCount: Extent
        /// One row of the transformed filter [point][depth][panel width], and products [point][tile][panel width].
        var filter: BufferID
        var products: BufferID
    }

    func emit(_ site: inout KernelSite) throws {
        // With few blocks, threads divide the panels and share the tiles; with many, every block's tiles stay in one thread's cache.
        let isLocal = batch.constant.map { $0 * blocks.tileCount >= 4 * site.threads } ?? false
        let areas = try areas(&site, isLocal: isLocal)
        let blockCount = Extent(blocks.tileCount), panelCount = Extent(plan.panels.tileCount)
        try site.generate { builder, store in
            if isLocal {
                try builder.loop("u", to: Expr(batch * blockCount), kind: .parallel) { builder, unit in
                    let place = builder.split(unit, over: [batch, blockCount])
                    try blocks.emit(tile: place[1], of: Extent(tiling.count), into: &builder) { builder, first, count in
                        builder.loop("t", to: .int(count)) { builder, t in emitTile(place[0], first + t, row: t, areas, into: &builder) }
                        try builder.loop("p", to: Expr(panelCount)) { builder, panel in
                            try emitPanel(panel, Block(image: place[0], first: first, row: .int(0), count: count), areas, store, into: &builder)
                        }
                    }
                }
            } else {
                builder.loop("t", to: Expr(areas.tileCount), kind: .parallel) { builder, row in
                    let place = builder.split(row, over: [batch, Extent(tiling.count)])
                    emitTile(place[0], place[1], row: row, areas, into: &builder)
                }
                builder.emit(.barrier)
                try builder.loop("u", to: Expr(panelCount * batch * blockCount), kind: .parallel) { builder, unit in
                    let place = builder.split(unit, over: [panelCount, batch, blockCount])
                    try blocks.emit(tile: place[2], of: Extent(tiling.count), into: &builder) { builder, first, count in
                        let row = builder.bind(place[1] * .int(tiling.count) + first, "r")
                        try emitPanel(place[0], Block(image: place[1], first: first, row: row, count: count), areas, store, into: &builder)
                    }
                }
            }
        }
    }

    private func areas(_ site: inout KernelSite, isLocal: Bool) throws -> Areas {
        let strides = rowMajorStrides(filter.shape)
        let axes = [(2, image.strides[2]), (3, image.strides[3]), (1, 1)].map { axis, stride in
            (axis: ReductionAxis(Extent(filter.shape[axis]), stride: stride), sourceStride: strides[axis])
        }
        let packing = PanelFormat(kind: .float, axes: axes, columns: columns, columnStride: strides[0], lanes: lanes, panels: plan.panels)
        let tileCount = isLocal ? Extent(blocks.largest) : batch * Extent(tiling.count)
        return Areas(
            weights: try site.weight(.f32, [filter], as: packing), rows: try site.weight(.f32, [WinogradTransform.filterMatrix], as: DenseFormat(), name: "g"),
            tiles: site.scratch("tiles", .f32, count: Extent(points * points * tileStride) * tileCount, perThread: isLocal), tileCount: tileCount,
            filter: site.scratch("filter", .f32, count: Extent(points * depth * panelWidth), perThread: true),
            products: site.scratch("products", .f32, count: Extent(points * points * blocks.largest * panelWidth), perThread: true))
    }

    // MARK: Image

    /// Transforms tile `tile` of an image into row `row` of every point. Where the last tiles reach beyond the image, its last row and
    /// column stand in: their values meet outputs that nobody stores.
    private func emitTile(_ n: Expr, _ tile: Expr, row: Expr, _ areas: Areas, into builder: inout KernelBuilder) {
        let place = builder.split(tile, over: [Extent(tiling.rows), Extent(tiling.columns)])
        let base = builder.bind(Expr(image.offset) + n * Expr(image.strides[0]), "a")
        func offsets(_ axis: Int, _ position: Expr, tiles: Int, extent: Int) -> [Expr] {
            (0..<points).map { i in
                let first = position * .int(WinogradTransform.outputs) + .int(i)
                let reachesBeyond = (tiles - 1) * WinogradTransform.outputs + i > extent + 1
                return builder.bind((reachesBeyond ? Expr.min(first, .int(extent + 1)) : first) * Expr(image.strides[axis]), "o")
            }
        }
        let ys = offsets(2, place[0], tiles: tiling.rows, extent: tiling.height).map { builder.bind(base + $0, "a") }
        let xs = offsets(3, place[1], tiles: tiling.columns, extent: tiling.width)
        builder.loop("c", to: .int(depth), step: lanes) { builder, c in
            let values = ys.map { y in xs.map { x in builder.bind(.load(Access(image.buffer, y + x + c, vectorType)), "d") } }
            let transformed = WinogradTransform.square(values, into: &builder) { WinogradTransform.input($0, into: &$1) }
            for (point, value) in transformed.joined().enumerated() {
                let index = (Expr(areas.tileCount * Extent(point)) + row) * .int(tileStride) + c
                builder.emit(.store(Access(areas.tiles, index, vectorType), value))
            }
        }
    }

    // MARK: Products

    /// Some tiles of an image: the first one's number and its row among the transformed tiles.
    private struct Block {
        var image: Expr
        var first: Expr
        var row: Expr
        var count: Int
    }

    private func emitPanel(_ panel: Expr, _ block: Block, _ areas: Areas, _ store: @escaping SiteStore, into builder: inout KernelBuilder) throws {
        let vectors = Extent((columns + lanes - 1) / lanes)
        try plan.panels.emit(tile: panel, of: vectors, into: &builder) { builder, firstVector, vectors in
            let column = builder.bind(firstVector * .int(lanes), "n")
            try builder.loop("i", to: .int(points)) { builder, i in
                emitFilter(i, column, vectors, areas, into: &builder)
                try emitProducts(i, block, vectors, areas, into: &builder)
            }
            try builder.loop("t", to: .int(block.count)) { builder, t in
                for v in 0..<vectors { try emitOutputs(t, block, column, v, of: vectors, areas, store, into: &builder) }
            }
        }
    }

    /// Row `i` of the transformed filter for one panel.
    private func emitFilter(_ i: Expr, _ column: Expr, _ vectors: Int, _ areas: Areas, into builder: inout KernelBuilder) {
        let width = vectors * lanes
        let factors = (0..<3).map { builder.bind(.loadBroadcast(Access(areas.rows, i * .int(3) + .int($0), KernelType(.f32)), lanes), "g") }
        let panel = builder.bind(column * .int(9 * depth), "w")
        builder.loop("c", to: .int(depth * width), step: lanes) { builder, c in
            let taps = (0..<3).map { x in
                let column = (0..<3).map { y in Expr.load(Access(areas.weights, panel + c + .int((y * 3 + x) * depth * width), vectorType)) }
                return builder.bind(.fma(column[2], factors[2], .fma(column[1], factors[1], column[0] * factors[0])), "r")
            }
            for (j, value) in WinogradTransform.filter(taps, into: &builder).enumerated() {
                builder.emit(.store(Access(areas.filter, c + .int(j * depth * width), vectorType), value))
            }
        }
    }

    /// The products of row `i`: six matrices of `count` tiles by one panel.
    private func emitProducts(_ i: Expr, _ block: Block, _ vectors: Int, _ areas: Areas, into builder: inout KernelBuilder) throws {
        let width = vectors * lanes
        let firstPoint = builder.bind(i * .int(points), "f")
        let problem = Contraction(
            kind: .float, outer: [Extent(points)], y: Extent(block.count), x: 1, columns: Extent(width), input: areas.tiles,
            inputBase: { outer in ((firstPoint + outer[0]) * Expr(areas.tileCount) + block.row) * .int(tileStride) },
            inputStrideY: Extent(tileStride), inputStrideX: 0, reduction: [ReductionAxis(Extent(depth), stride: 1)],
            weights: .packed(areas.filter), weightBase: { outer in outer[0] * .int(depth * width) }
        ) { builder, outer, y, _, column, value, _ in
            let row = (firstPoint + outer[0]) * .int(blocks.largest) + y
            builder.emit(.store(Access(areas.products, row * .int(panelWidth) + column, vectorType), value))
        }
        var plan = plan
        plan.y = AxisCut(extent: block.count, limit: plan.y.largest)
        plan.panels = AxisCut(extent: vectors, limit: vectors)
        plan.blockRows = plan.y.tileCount
        try ContractionEmitter(problem, plan: plan, lanes: lanes).emit(into: &builder, kind: .serial)
    }

    // MARK: Outputs

    /// Transforms one vector of channels of tile `t` back and stores its 4×4 outputs.
    private func emitOutputs(
        _ t: Expr, _ block: Block, _ column: Expr, _ v: Int, of vectors: Int, _ areas: Areas, _ store: SiteStore, into builder: inout KernelBuilder
    ) throws {
        let size = WinogradTransform.outputs
        let place = builder.split(builder.bind(block.first + t, "t"), over: [Extent(tiling.rows), Extent(tiling.columns)])
        let first = builder.bind(column + .int(v * lanes), "n")
        let count = columns % lanes == 0 || v < vectors - 1 ? nil : builder.bind(Expr.min(.int(lanes), .int(columns) - first), "m")
        let products = (0..<points).map { i in
            (0..<points).map { j in
                let row = t + .int((i * points + j) * blocks.largest)
                return builder.bind(.load(Access(areas.products, row * .int(panelWidth) + .int(v * lanes), vectorType)), "p")
            }
        }
        let outputs = WinogradTransform.square(products, into: &builder) { WinogradTransform.output($0, into: &$1) }
        for (i, row) in outputs.enumerated() {
            let y = builder.bind(place[0] * .int(size) + .int(i), "y")
            try onlyBelow(tiling.height, y, i, into: &builder) { builder in
                for (j, value) in row.enumerated() {
                    let x = builder.bind(place[1] * .int(size) + .int(j), "x")
                    try onlyBelow(tiling.width, x, j, into: &builder) { try store(&$0, value, [block.image, first, y, x], 1, count) }
                }
            }
        }
    }

    /// Emits `body` for positions that exist; `i` is the position within the tile.
    private func onlyBelow(
        _ extent: Int, _ position: Expr, _ i: Int, into builder: inout KernelBuilder, _ body: (inout KernelBuilder) throws -> Void
    ) throws {
        let rest = extent % WinogradTransform.outputs
        if rest == 0 || i < rest { try body(&builder) } else { try builder.when(position < .int(extent), body) }
    }
}
