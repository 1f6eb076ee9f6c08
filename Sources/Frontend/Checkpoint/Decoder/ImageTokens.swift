import GlmcIR

/// Embeddings of pictures, which stand in place of tokens.
struct ImageTokens {
    /// The token that every embedding takes the place of.
    let token: Int
    /// In the order of the tokens, sequence after sequence, f32 [m, width].
    let embeddings: ValueID

    /// What the first layer takes: embedding k of pictures in place of the k-th such token.
    /// - Parameters:
    ///   - x: embeddings of all tokens, f32 [batch, n, width].
    ///   - tokens: i64 [batch, n]. With more such tokens than embeddings, an index is out of range when the model runs.
    func placed(in x: ValueID, of tokens: ValueID, in g: inout ModelGraph) throws -> ValueID {
        g.provenance = ["image_embeds"]
        let shape = g.shape(x), count = shape[0] * shape[1]
        let isImage = try g.reshape(try g.binary(.equal, tokens, Double(token)), [count])
        let number = try g.emit(Cumulative(.add, axis: 0, exclusive: true), [try g.cast(isImage, .i64)])
        // Rows of the text, and behind them those of the pictures.
        let rows = try g.concat([try g.reshape(x, [count, shape[2]]), embeddings], axis: 0)
        let places = try g.select(isImage, try g.add(number, try g.size(count, .i64)), try g.iota(count))
        return try g.reshape(try g.gather(rows, places, axis: 0), shape)
    }
}
