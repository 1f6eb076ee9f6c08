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
    /// The static extent that is cut; 0 for a free one.
    public var extent: Int { runs.reduce(0) { $0 + $1.size * $1.count } }
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

    // MARK: Code

    /// The number of tiles of `extent`, which is the one that the cut was made for.
    public func tileCount(of extent: Extent) -> Extent {
        runs.isEmpty ? extent.ceilDivided(by: Extent(freeSizes[0])) : Extent(tileCount)
    }

    /// Emits `body` once for every tile size, so that tile `index` (a run-time number) is covered: it receives the position of
    /// the first element and the size. The last tile of a free extent is finished by several smaller ones.
    public func emit(
        tile index: Expr, of extent: Extent, into builder: inout KernelBuilder, _ body: (inout KernelBuilder, _ start: Expr, _ size: Int) throws -> Void
    ) rethrows {
        if runs.isEmpty { return try emitFree(tile: index, of: extent, into: &builder, body) }
        let start = builder.bind(self.start(ofTile: index), "s")
        guard runs.count == 2 else { return try body(&builder, start, runs[0].size) }
        if let constant = index.constantInteger { return try body(&builder, start, runs[constant < runs[0].count ? 0 : 1].size) }
        try builder.when(index < .int(runs[0].count), { try body(&$0, start, runs[0].size) }, else: { try body(&$0, start, runs[1].size) })
    }

    private func emitFree(
        tile index: Expr, of extent: Extent, into builder: inout KernelBuilder, _ body: (inout KernelBuilder, Expr, Int) throws -> Void
    ) rethrows {
        let full = freeSizes[0]
        let start = builder.bind(index * .int(full), "s")
        if full == 1 { return try body(&builder, start, 1) }
        try builder.when(.binary(.lessOrEqual, start + .int(full), Expr(extent)), { builder in
            try body(&builder, start, full)
        }, else: { builder in
            try emitRest(from: start, freeSizes.dropFirst(), of: extent, into: &builder, body)
        })
    }

    private func emitRest(
        from start: Expr, _ sizes: ArraySlice<Int>, of extent: Extent, into builder: inout KernelBuilder, _ body: (inout KernelBuilder, Expr, Int) throws -> Void
    ) rethrows {
        let position = builder.declare(start, "s")
        for size in sizes {
            try builder.repeatWhile(.binary(.lessOrEqual, .variable(position) + .int(size), Expr(extent))) { builder in
                // A name of its own, because `position` changes.
                let here = builder.declare(.variable(position), "s")
                try body(&builder, .variable(here), size)
                builder.emit(.assign(position, .variable(position) + .int(size)))
            }
        }
    }

    /// Emits loops over all tiles.
    public func emitAll(of extent: Extent, into builder: inout KernelBuilder, _ body: (inout KernelBuilder, _ start: Expr, _ size: Int) throws -> Void) rethrows {
        if runs.isEmpty { return try emitRest(from: .int(0), freeSizes[...], of: extent, into: &builder, body) }
        var start = 0
        for run in runs {
            let end = start + run.size * run.count
            try builder.loop("x", from: .int(start), to: .int(end), step: run.size) { builder, x in try body(&builder, x, run.size) }
            start = end
        }
    }
}
