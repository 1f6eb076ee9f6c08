import GlmcIR

/// What differs between the entry points of a decoder: where its tokens stand, and which keys and values their queries meet.
protocol DecoderContext {
    /// The tokens' positions in their sequences, i64 [batch, n]; batch may be 1 for all.
    var positions: ValueID { get }
    /// The positions by which queries and keys are rotated: the same, or, where positions have several axes, i64 [axes, batch, n].
    var rotary: ValueID { get }
    /// How many keys queries meet at most, from position 0 on.
    var keys: Extent { get }

    /// Attention of one layer.
    ///
    /// - Parameters:
    ///   - q: queries of the new tokens, [batch, heads, n, d].
    ///   - k: their keys, [batch, key heads, n, d], rotated already.
    ///   - v: their values, [batch, key heads, n, e].
    ///   - window: a query at position i meets only keys at positions above i − window; nil: all up to i.
    ///   - bias: what is added to scores, f32, broadcastable to [batch, heads, n, keys]; nil: nothing.
    ///   - scale: what scores are multiplied with.
    ///   - softcap: scores s become c·tanh(s/c); 0 for none.
    /// - Returns: [batch, heads, n, e].
    mutating func attend(
        layer: Int, _ q: ValueID, _ k: ValueID, _ v: ValueID, window: Int?, bias: ValueID?, scale: Double, softcap: Double, in g: inout ModelGraph
    ) throws -> ValueID
}

/// Whole sequences, from their first token on; nothing is kept.
struct WholeSequences: DecoderContext {
    let positions: ValueID
    let rotary: ValueID
    var keys: Extent { count }
    private let count: Extent
    private let isCausal: Bool
    private let present: ValueID?
    private var masks: [Int: ValueID] = [:]

    /// - Parameters:
    ///   - tokens: [batch, n], or [batch, n, width].
    ///   - isCausal: queries meet the keys up to their own; otherwise those behind it too.
    ///   - present: which tokens are keys at all, bool [batch, n]; nil: all.
    ///   - rotary: positions on several axes, i64 [axes, batch, n]; nil: 0, 1, … on one.
    init(_ tokens: ValueID, isCausal: Bool = true, present: ValueID? = nil, rotary: ValueID? = nil, in g: inout ModelGraph) throws {
        count = g.shape(tokens)[1]
        self.isCausal = isCausal
        self.present = try present.map { try g.unsqueeze($0, [1, 2]) }
        positions = try g.iota(count, axis: 1, rank: 2)
        self.rotary = rotary ?? positions
    }

    mutating func attend(
        layer: Int, _ q: ValueID, _ k: ValueID, _ v: ValueID, window: Int?, bias: ValueID?, scale: Double, softcap: Double, in g: inout ModelGraph
    ) throws -> ValueID {
        let mask = try g.joined(bias, present, try window.map { try self.mask($0, in: &g) })
        return try g.emit(Attention(scale: scale, causal: isCausal, softcap: softcap), [q, k, v] + mask)
    }

    /// True where key j > query i − window, the same for all layers.
    private mutating func mask(_ window: Int, in g: inout ModelGraph) throws -> ValueID {
        if let mask = masks[window] { return mask }
        let first = try g.sub(try g.iota(count, axis: 2, rank: 4), Double(window))
        let mask = try g.binary(.greater, try g.iota(count, axis: 3, rank: 4), first)
        masks[window] = mask
        return mask
    }
}
