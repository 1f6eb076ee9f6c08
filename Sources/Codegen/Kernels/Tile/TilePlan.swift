import GlmcIR

/// The register tile and the order of the loops around it, chosen by a small cost model.
///
/// A tile holds `rows × columns` accumulators: `y × x` output positions times `vectors` vectors of output channels. One step of
/// the reduction loads one vector per column, broadcasts one scalar per row and does one multiply-add per accumulator.
public struct TilePlan: Hashable, Sendable {
    public var y: AxisCut
    public var x: AxisCut
    /// Vectors of output channels per panel; the panels of a static width are balanced like tiles.
    public var panels: AxisCut
    /// Panels that one tile spans: several where the rows of a tile and one panel leave arithmetic units waiting for each other, as with a single row.
    public private(set) var span = 1
    /// Lanes of a panel's last vector: fewer than all where there is one panel and half a register holds its last columns.
    public var lastLanes: Int
    /// Rows of tiles (along y) that one unit of work covers before it moves on to the next panel.
    public var blockRows: Int
    /// Units run panel by panel over all rows, so that each panel's weights are read from memory once; otherwise block by
    /// block over all panels, so that the input is.
    public var isPanelMajor: Bool

    /// - Parameters:
    ///   - y: output rows (nil: free); `x`: output positions per row (nil: free). `columns`: output channels (nil: free).
    ///   - depth: the length of the reduction in elements (0: free). `rowBytes`: bytes of input that one row along y adds.
    ///   - panels: how the weights lie already; nil: as suits these tiles best.
    ///   - elementBytes: bytes per weight. `storesAnyWidth`: whether results may be stored by less than a whole register.
    public init(
        y: Int?, x: Int?, columns: Int?, depth: Int, rowBytes: Int, elementBytes: Int, model: RegisterModel, panels given: AxisCut? = nil, maximumVectors: Int = 8,
        storesAnyWidth: Bool = false
    ) {
        let vectors = columns.map { ($0 + model.lanes - 1) / model.lanes }
        // Half a register can hold the last columns of a single panel.
        func lanesSaved(_ panels: AxisCut) -> Int {
            guard let columns, storesAnyWidth, panels.tileCount == 1, (1...model.narrowLanes).contains(columns % model.lanes) else { return 0 }
            return model.lanes - model.narrowLanes
        }
        var best: (cost: Double, y: AxisCut, x: AxisCut, panels: AxisCut)?
        for width in 1...Swift.max(1, Swift.min(maximumVectors, vectors ?? 4)) {
            let panels = given ?? vectors.map { AxisCut(extent: $0, limit: width) } ?? AxisCut(freeSizes: width == 1 ? [1] : [width, 1])
            if panels.largest != width { continue }
            let rows = (model.registers - 1 - width) / width
            if rows < 1 { continue }
            for tileY in 1...Swift.min(rows, y ?? rows) {
                // Free extents tile along one axis only: y where x is a single position.
                if tileY > 1 && (x == nil || y == nil && x != 1) { break }
                let cutY = y.map { AxisCut(extent: $0, limit: tileY) } ?? AxisCut(freeWithLimit: tileY)
                for tileX in 1...Swift.min(rows / tileY, x ?? rows) {
                    let cutX = x.map { AxisCut(extent: $0, limit: tileX) } ?? AxisCut(freeWithLimit: tileX)
                    let cost = TilePlan.cost(cutY, cutX, panels, model, saved: lanesSaved(panels))
                    if best.map({ cost < $0.cost }) ?? true { best = (cost, cutY, cutX, panels) }
                }
            }
        }
        // One row and one vector always fit.
        let chosen = best ?? (0, AxisCut(extent: y ?? 1, limit: 1), AxisCut(extent: x ?? 1, limit: 1), given ?? AxisCut(extent: vectors ?? 1, limit: 1))
        (self.y, self.x, panels) = (chosen.y, chosen.x, chosen.panels)
        lastLanes = model.lanes - lanesSaved(chosen.panels)
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

    /// As many panels as it takes to have an independent sum for every multiply-add that is under way, and as fit into the registers.
    /// - Parameter held: registers that a vector of weights takes while the tile runs.
    public mutating func spanPanels(_ model: RegisterModel, held: Int = 1) {
        guard !y.runs.isEmpty, !x.runs.isEmpty, panels.tileCount > 1 else { return }
        let rows = y.largest * x.largest, width = panels.largest, needed = Int(model.latency * model.multiplyAddsPerCycle)
        let fitting = (model.registers - 1) / (width * (rows + held))
        span = Swift.max(1, Swift.min((needed + rows * width - 1) / (rows * width), fitting, panels.tileCount))
    }

    /// Tiles along the columns: of how many vectors their panels are, how many of these they span, and how many such tiles follow each other.
    struct ColumnRun: Hashable {
        var vectors: Int
        var span: Int
        var count: Int
    }

    /// The tiles along static columns in order; empty for free ones.
    var columnRuns: [ColumnRun] {
        panels.runs.flatMap { run in
            AxisCut(extent: run.count, limit: span).runs.map { ColumnRun(vectors: run.size, span: $0.size, count: $0.count) }
        }
    }

    /// Cycles per step of the reduction, summed over all tiles; a small charge per emitted body breaks ties towards less code.
    private static func cost(_ y: AxisCut, _ x: AxisCut, _ panels: AxisCut, _ model: RegisterModel, saved: Int) -> Double {
        var total = 0.0, work = 0.0, bodies = 0.0
        for (height, countY) in y.shares {
            for (width, countX) in x.shares {
                for (vectors, countV) in panels.shares {
                    let rows = Double(height * width), columns = Double(vectors) - Double(saved) / Double(model.lanes)
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
