import GlmcIR

/// How one axis of a static or free extent is cut into tiles.
///
/// A static extent is balanced: 49 with a limit of 14 becomes 13+12+12+12, not 14+14+14+7. A free extent is cut into full tiles
/// and a remainder that smaller tiles finish.
public struct AxisCut: Hashable, Sendable {
    public struct Run: Hashable, Sendable {
        /// Elements per tile, and how many tiles of that size follow each other.
        public var size: Int
        public var count: Int
    }

    /// The tiles of a static extent in order; empty for a free one.
    public var runs: [Run]
    /// For a free extent: the full tile first, then the sizes that cut the remainder.
    public var freeSizes: [Int]

    /// Balanced tiles of at most `limit` elements.
    public init(extent: Int, limit: Int) {
        let tiles = Swift.max(1, (extent + limit - 1) / limit)
        let large = (extent + tiles - 1) / tiles
        let largeCount = extent - tiles * (large - 1)
        runs = [Run(size: large, count: largeCount), Run(size: large - 1, count: tiles - largeCount)].filter { $0.count > 0 && $0.size > 0 }
        freeSizes = []
    }

    /// Tiles of `limit` elements, then of 4, then of 1.
    public init(freeWithLimit limit: Int) {
        self.init(freeSizes: [limit] + [4, 1].filter { $0 < limit })
    }

    init(freeSizes: [Int]) {
        runs = []
        self.freeSizes = freeSizes
    }

    /// The number of tiles of a static extent.
    public var tileCount: Int { runs.reduce(0) { $0 + $1.count } }
    /// The different tile sizes that code is emitted for.
    public var sizes: [Int] { runs.isEmpty ? freeSizes : runs.map(\.size) }
    /// The largest tile.
    public var largest: Int { sizes.first ?? 1 }

    /// Where static tile `index` starts.
    public func start(ofTile index: Int) -> Int {
        var rest = index, start = 0
        for run in runs {
            let tiles = Swift.min(rest, run.count)
            start += tiles * run.size
            rest -= tiles
        }
        return start
    }

    /// The same as an expression of a run-time tile index.
    func start(ofTile index: Expr) -> Expr {
        guard runs.count == 2 else { return index * .int(runs.first?.size ?? freeSizes[0]) }
        let (first, second) = (runs[0], runs[1])
        if let constant = index.constantInteger { return .int(start(ofTile: constant)) }
        return index * .int(second.size) + Expr.min(index, .int(first.count)) * .int(first.size - second.size)
    }

    /// How many tiles of each size there are, by their share; a free extent counts as one full tile.
    var shares: [(size: Int, count: Double)] {
        runs.isEmpty ? [(freeSizes[0], 1)] : runs.map { ($0.size, Double($0.count)) }
    }
}

/// The register tile and the order of the loops around it, chosen by a small cost model.
///
/// A tile holds `rows × columns` accumulators: `y × x` output positions times `vectors` vectors of output channels. One step of
/// the reduction loads one vector per column, broadcasts one scalar per row and does one multiply-add per accumulator.
public struct TilePlan: Hashable, Sendable {
    public var y: AxisCut
    public var x: AxisCut
    /// Vectors of output channels per panel; the panels of a static width are balanced like tiles.
    public var panels: AxisCut
    /// Rows of tiles (along y) that one unit of work covers before it moves on to the next panel.
    public var blockRows: Int
    /// Units run panel by panel over all rows, so that each panel's weights are read from memory once; otherwise block by
    /// block over all panels, so that the input is.
    public var isPanelMajor: Bool

    /// - Parameters:
    ///   - y: output rows (nil: free); `x`: output positions per row (nil: free). `columns`: output channels (nil: free).
    ///   - depth: the length of the reduction in elements (0: free). `rowBytes`: bytes of input that one row along y adds.
    ///   - elementBytes: bytes per weight.
    public init(y: Int?, x: Int?, columns: Int?, depth: Int, rowBytes: Int, elementBytes: Int, model: RegisterModel, maximumVectors: Int = 8) {
        let vectors = columns.map { ($0 + model.lanes - 1) / model.lanes }
        var best: (cost: Double, y: AxisCut, x: AxisCut, panels: AxisCut)?
        for width in 1...Swift.max(1, Swift.min(maximumVectors, vectors ?? 4)) {
            let panels = vectors.map { AxisCut(extent: $0, limit: width) } ?? AxisCut(freeSizes: width == 1 ? [1] : [width, 1])
            if panels.largest != width { continue }
            let rows = (model.registers - 1 - width) / width
            if rows < 1 { continue }
            for tileY in 1...Swift.min(rows, y ?? rows) {
                // Free extents tile along one axis only: y where x is a single position.
                if tileY > 1 && (x == nil || y == nil && x != 1) { break }
                let cutY = y.map { AxisCut(extent: $0, limit: tileY) } ?? AxisCut(freeWithLimit: tileY)
                for tileX in 1...Swift.min(rows / tileY, x ?? rows) {
                    let cutX = x.map { AxisCut(extent: $0, limit: tileX) } ?? AxisCut(freeWithLimit: tileX)
                    let cost = TilePlan.cost(cutY, cutX, panels, model)
                    if best.map({ cost < $0.cost }) ?? true { best = (cost, cutY, cutX, panels) }
                }
            }
        }
        // One row and one vector always fit.
        let chosen = best ?? (0, AxisCut(extent: y ?? 1, limit: 1), AxisCut(extent: x ?? 1, limit: 1), AxisCut(extent: vectors ?? 1, limit: 1))
        (self.y, self.x, panels) = (chosen.y, chosen.x, chosen.panels)
        let weightBytes = (vectors ?? 0) * model.lanes * depth * elementBytes
        let budget = model.cacheBytes / 2
        let tileRows = self.y.runs.isEmpty ? 1 : self.y.tileCount
        isPanelMajor = false
        blockRows = 1
        if depth > 0, weightBytes > budget, let y {
            // Large weights: a block of input rows stays in the cache while all panels pass by; the whole input if it fits.
            let perTileRow = Swift.max(1, rowBytes * self.y.largest)
            blockRows = Swift.max(1, Swift.min(tileRows, budget * 3 / 4 / perTileRow))
            if blockRows * 4 >= tileRows * 3 || rowBytes * y <= budget { blockRows = tileRows }
            isPanelMajor = blockRows == tileRows
        }
    }

    /// Cycles per step of the reduction, summed over all tiles; a small charge per emitted body breaks ties towards less code.
    private static func cost(_ y: AxisCut, _ x: AxisCut, _ panels: AxisCut, _ model: RegisterModel) -> Double {
        var total = 0.0, work = 0.0, bodies = 0.0
        for (height, countY) in y.shares {
            for (width, countX) in x.shares {
                for (vectors, countV) in panels.shares {
                    let rows = Double(height * width), columns = Double(vectors)
                    let arithmetic = rows * columns / model.multiplyAddsPerCycle
                    let loads = (rows + columns) / model.loadsPerCycle
                    // Weights stream from the second-level cache at about 21 bytes per cycle.
                    let stream = columns * Double(model.lanes) * 0.19
                    let cycles = Swift.max(arithmetic, loads, model.latency, stream) + 0.02 * (loads + stream)
                    total += cycles * countY * countX * countV
                    work += rows * columns * countY * countX * countV
                    bodies += 1
                }
            }
        }
        // Free extents compare per unit of work.
        let scale = y.runs.isEmpty || x.runs.isEmpty || panels.runs.isEmpty ? 1 / work : 1
        return total * scale * (1 + 0.004 * bodies)
    }
}
