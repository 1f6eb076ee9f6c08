import GlmcIR

/// Tokens behind what a cache holds: their keys and values are written to states, and queries meet all that stands there by then.
///
/// One sequence. States, in order of layers, f32 or narrower: `key.N` [1, key heads, capacity, d] and `value.N` [1, key heads, capacity, e]. The input `past`, an i64, says how many
/// tokens they hold; what lies behind those is never read.
struct CachedSequences: DecoderContext {
    let positions: ValueID
    let rotary: ValueID
    var keys: Extent { past + count }
    private let past: Extent
    private let count: Extent
    private let capacity: Int
    private let element: ElementType
    private var masks: [Int: ValueID] = [:]
    /// Every state and its new value.
    private(set) var updates: [StateUpdate] = []

    /// Adds the input `past`.
    /// - Parameters:
    ///   - tokens: i64 [1, n].
    ///   - capacity: how many tokens the states have room for.
    ///   - element: f32, f16 or bf16, to which keys and values are rounded.
    ///   - rotary: positions on several axes, i64 [axes, 1, n]; nil: past, past + 1, … on one.
    init(_ tokens: ValueID, capacity: Int, element: ElementType, rotary: ValueID? = nil, in g: inout ModelGraph) throws {
        past = g.rewriter.addSizeInput("past")
        count = g.shape(tokens)[1]
        self.capacity = capacity
        self.element = element
        positions = try g.add(try g.iota(count, axis: 1, rank: 2), try g.size(past, .i64))
        self.rotary = rotary ?? positions
    }

    mutating func attend(
        layer: Int, _ q: ValueID, _ k: ValueID, _ v: ValueID, window: Int?, bias: ValueID?, scale: Double, softcap: Double, in g: inout ModelGraph
    ) throws -> ValueID {
        let seen = try zip(["key", "value"], [k, v]).map { name, rows in
            let update = try g.written(rows, to: "\(name).\(layer)", from: past, capacity: capacity, element: element)
            updates.append(update)
            return try g.slice(update.value, axis: 2, start: 0, size: keys)
        }
        let mask = try g.joined(bias, try window.map { try self.mask($0, in: &g) })
        return try g.emit(Attention(scale: scale, causal: true, causalOffset: past, softcap: softcap), [q] + seen + mask)
    }

    /// True where key j > past + i − window, the same for all layers.
    private mutating func mask(_ window: Int, in g: inout ModelGraph) throws -> ValueID {
        if let mask = masks[window] { return mask }
        let first = try g.sub(try g.add(try g.iota(count, axis: 2, rank: 4), try g.size(past, .i64)), Double(window))
        let mask = try g.binary(.greater, try g.iota(keys, axis: 3, rank: 4), first)
        masks[window] = mask
        return mask
    }
}
