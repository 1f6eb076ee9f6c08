import GlmcIR

/// One token behind each of several sequences in a cache, which are as long as they are: sequence b of the tokens is sequence b of the states.
///
/// States as of `CachedSequence`. The input `past`, i64 [batch], says how many tokens each sequence holds.
struct CachedBatch: DecoderContext {
    let positions: ValueID
    var rotary: ValueID { positions }
    var keys: Extent { Extent(form.capacity) }
    private let past: ValueID
    private let count: Extent
    private let form: CacheForm
    private var masks: [Int: ValueID] = [:]
    /// Every state and its new value.
    private(set) var updates: [StateUpdate] = []

    /// Adds the input `past`.
    /// - Parameter tokens: i64 [batch, 1].
    init(_ tokens: ValueID, _ form: CacheForm, in g: inout ModelGraph) throws {
        count = g.shape(tokens)[0]
        g.provenance = ["past"]
        let given = g.rewriter.addArgument(.tensor(TensorType(.i64, [count])), name: "past")
        past = try g.gather(try g.iota(Extent(form.capacity)), given, axis: 0, countsBackwards: false)
        self.form = form
        positions = try g.unsqueeze(past, [1])
    }

    mutating func attend(
        layer: Int, _ q: ValueID, _ k: ValueID, _ v: ValueID, window: Int?, bias: ValueID?, scale: Double, softcap: Double, in g: inout ModelGraph
    ) throws -> ValueID {
        let rows = form.rows(window: window), isRing = rows < form.capacity, size = try g.scalar(Double(rows), .i64)
        let places = isRing ? try g.binary(.remainder, positions, size) : positions
        let sequences = try g.iota(count)
        let seen = try zip(["key", "value"], [k, v]).map { name, fresh in
            let fresh = try g.cast(fresh, form.element), state = g.state("\(name).\(layer)", rows, for: fresh, form)
            updates.append((state, try g.scattered(fresh, over: state, sequences: sequences, places: places)))
            return try g.slice(updates[updates.count - 1].value, axis: 0, start: 0, size: count)
        }
        let mask = try g.joined(bias, try window.map { try self.mask($0, rows, in: &g) })
        // A ring's rows behind these are no keys yet.
        let lengths = try g.binary(.minimum, try g.add(past, 1), size)
        return try g.emit(Attention(scale: scale, softcap: softcap, hasLengths: true), [q] + seen + mask + [lengths])
    }

    /// Which rows of a state its queries see, the same for all layers of a window.
    private mutating func mask(_ window: Int, _ rows: Int, in g: inout ModelGraph) throws -> ValueID {
        if let mask = masks[window] { return mask }
        let isRing = rows < form.capacity
        let keys = try isRing ? g.ringPositions(Extent(rows), of: rows, last: positions) : g.iota(Extent(rows), axis: 1, rank: 2)
        let mask = try g.windowMask(window, queries: positions, keys: keys)
        masks[window] = mask
        return mask
    }
}
