import GlmcIR

/// Tokens behind what a cache holds: their keys and values are written to states, and queries meet all that stands there by then.
///
/// One sequence. States, in order of layers, f32 or narrower: `key.N` [sequences, key heads, rows, d] and `value.N` [sequences, key heads, rows, e]; how many rows, says
/// `CacheForm`. The input `past`, an i64, says how many tokens they hold; what lies behind those is never read. Of several sequences, the input `slot`, an i64,
/// says which one.
struct CachedSequence: DecoderContext {
    let positions: ValueID
    let rotary: ValueID
    var keys: Extent { past + count }
    private let past: Extent
    private let slot: Extent
    private let count: Extent
    private let form: CacheForm
    private var masks: [Int: ValueID] = [:]
    /// Every state and its new value.
    private(set) var updates: [StateUpdate] = []

    /// Adds the input `past`, and, where the cache holds several sequences, `slot`.
    /// - Parameters:
    ///   - tokens: i64 [1, n].
    ///   - rotary: positions on several axes, i64 [axes, 1, n]; nil: past, past + 1, … on one.
    init(_ tokens: ValueID, _ form: CacheForm, rotary: ValueID? = nil, in g: inout ModelGraph) throws {
        past = g.rewriter.addSizeInput("past")
        slot = form.sequences > 1 ? g.rewriter.addSizeInput("slot") : 0
        count = g.shape(tokens)[1]
        self.form = form
        // Rings have room for every token, but no model has more positions.
        g.rewriter.assume(Extent(form.capacity) - past - count, for: "the cache, which has room for \(form.capacity) tokens")
        positions = try g.add(try g.iota(count, axis: 1, rank: 2), try g.size(past, .i64))
        self.rotary = rotary ?? positions
    }

    mutating func attend(
        layer: Int, _ q: ValueID, _ k: ValueID, _ v: ValueID, window: Int?, bias: ValueID?, scale: Double, softcap: Double, in g: inout ModelGraph
    ) throws -> ValueID {
        if let window, form.rows(window: window) < form.capacity {
            guard bias == nil else { throw Diagnostic.unsupported("relative positions in layers with a window") }
            return try attendRing(layer: layer, q, k, v, window: window, scale: scale, softcap: softcap, in: &g)
        }
        let seen = try zip(["key", "value"], [k, v]).map { name, rows in
            let update = try g.written(rows, to: "\(name).\(layer)", form, sequence: slot, from: past)
            updates.append(update)
            return try own(update.value, keys, in: &g)
        }
        let mask = try g.joined(bias, try window.map { try self.mask($0, in: &g) })
        return try g.emit(Attention(scale: scale, causal: true, causalOffset: past, softcap: softcap), [q] + seen + mask)
    }

    /// Attention to a ring. Of several tokens, what the ring held before is met beside their own keys, of which the last may take the place of some of those.
    private mutating func attendRing(
        layer: Int, _ q: ValueID, _ k: ValueID, _ v: ValueID, window: Int, scale: Double, softcap: Double, in g: inout ModelGraph
    ) throws -> ValueID {
        let rows = form.rows(window: window), held = self.held(rows), kept = Extent.minimum(count, Extent(rows))
        let last = try g.slice(positions, axis: 1, start: count - kept, size: kept)
        let places = try g.binary(.remainder, last, try g.scalar(Double(rows), .i64))
        let sequences = try g.reshape(try g.size(slot, .i64), [1])
        let seen = try zip(["key", "value"], [k, v]).map { name, fresh in
            let fresh = try g.cast(fresh, form.element), state = g.state("\(name).\(layer)", rows, for: fresh, form)
            let before = try isStep ? nil : g.concat([own(state, held, in: &g), fresh], axis: 2)
            let value = try g.scattered(try g.slice(fresh, axis: 2, start: count - kept, size: kept), over: state, sequences: sequences, places: places)
            updates.append((state, value))
            return try before ?? own(value, held, in: &g)
        }
        return try g.emit(Attention(scale: scale, softcap: softcap), [q] + seen + [try mask(window, in: &g)])
    }

    /// The first rows of this sequence's part of a state, [1, heads, count, d].
    private func own(_ state: ValueID, _ count: Extent, in g: inout ModelGraph) throws -> ValueID {
        try g.slice(try g.slice(state, axis: 0, start: slot, size: 1), axis: 2, start: 0, size: count)
    }

    /// One token, which is met in the states once it is there.
    private var isStep: Bool { count == 1 }

    /// How many rows of a ring are met.
    private func held(_ rows: Int) -> Extent { Extent.minimum(isStep ? past + 1 : past, Extent(rows)) }

    /// Which keys the queries see through a window, the same for all its layers.
    private mutating func mask(_ window: Int, in g: inout ModelGraph) throws -> ValueID {
        if let mask = masks[window] { return mask }
        let rows = form.rows(window: window)
        var keys: ValueID
        if rows == form.capacity {
            keys = try g.iota(self.keys, axis: 1, rank: 2)
        } else {
            let newest = try g.reshape(try g.size(isStep ? past : past - 1, .i64), [1, 1])
            keys = try g.ringPositions(held(rows), of: rows, last: newest)
            if !isStep { keys = try g.concat([keys, positions], axis: 1) }
        }
        let mask = try g.windowMask(window, queries: positions, keys: keys)
        masks[window] = mask
        return mask
    }
}
