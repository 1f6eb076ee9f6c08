import GlmcIR

/// What differs between the entry points of a decoder: where its tokens stand, and which keys and values their queries meet.
protocol DecoderContext {
    /// The tokens' positions in their sequences, i64 [batch, n]; batch may be 1 for all.
    var positions: ValueID { get }

    /// Causal attention of one layer.
    ///
    /// - Parameters:
    ///   - q: queries of the new tokens, [batch, heads, n, d].
    ///   - k: their keys, [batch, key heads, n, d], rotated already.
    ///   - v: their values, [batch, key heads, n, e].
    ///   - window: a query at position i meets only keys at positions above i − window; nil: all up to i.
    ///   - scale: what scores are multiplied with.
    ///   - softcap: scores s become c·tanh(s/c); 0 for none.
    /// - Returns: [batch, heads, n, e].
    mutating func attend(layer: Int, _ q: ValueID, _ k: ValueID, _ v: ValueID, window: Int?, scale: Double, softcap: Double, in g: inout ModelGraph) throws -> ValueID
}

/// Whole sequences, from their first token on; nothing is kept.
struct WholeSequences: DecoderContext {
    let positions: ValueID
    private let count: Extent
    private let isCausal: Bool
    private let present: ValueID?
    private var masks: [Int: ValueID] = [:]

    /// - Parameters:
    ///   - tokens: [batch, n], or [batch, n, width].
    ///   - isCausal: queries meet the keys up to their own; otherwise those behind it too.
    ///   - present: which tokens are keys at all, bool [batch, n]; nil: all.
    init(_ tokens: ValueID, isCausal: Bool = true, present: ValueID? = nil, in g: inout ModelGraph) throws {
        count = g.shape(tokens)[1]
        self.isCausal = isCausal
        self.present = try present.map { try g.unsqueeze($0, [1, 2]) }
        positions = try g.iota(count, axis: 1, rank: 2)
    }

    mutating func attend(layer: Int, _ q: ValueID, _ k: ValueID, _ v: ValueID, window: Int?, scale: Double, softcap: Double, in g: inout ModelGraph) throws -> ValueID {
        let allowed = [present, try window.map { try self.mask($0, in: &g) }].compactMap { $0 }
        let mask = try allowed.count < 2 ? allowed : [g.combined(allowed[0], allowed[1])]
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
