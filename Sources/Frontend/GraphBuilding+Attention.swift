import GlmcIR

/// What every transformer is made of, whichever format it comes from. Heads are [B, H, S, d]: batch, head, position, element.
extension GraphBuilding {
    // MARK: Heads

    /// [B, S, H·d] as [B, H, S, d].
    mutating func splitHeads(_ x: ValueID, _ heads: Int) throws -> ValueID {
        let s = shape(x)
        try require(x, rank: 3, "a tensor of packed heads")
        guard heads > 0 else { throw Diagnostic(.invalid, "the number of heads is missing") }
        return try transpose(try reshape(x, [s[0], s[1], Extent(heads), s[2].floorDivided(by: Extent(heads))]), [0, 2, 1, 3])
    }

    /// [B, H, S, d] as [B, S, H·d].
    mutating func mergeHeads(_ x: ValueID) throws -> ValueID {
        let s = shape(x)
        return try reshape(try transpose(x, [0, 2, 1, 3]), [s[0], s[2], s[1] * s[3]])
    }

    /// [B, H, S, d] with every head `group` times in a row.
    mutating func repeatHeads(_ x: ValueID, _ group: Extent) throws -> ValueID {
        let s = shape(x)
        return try reshape(try expand(try unsqueeze(x, [2]), [s[0], s[1], group, s[2], s[3]]), [s[0], s[1] * group, s[2], s[3]])
    }

    // MARK: Masks

    /// True where key j ≤ i + offset, as [1, 1, queries, keys]; `offset` broadcasts to that.
    mutating func causalMask(_ queries: Extent, _ keys: Extent, offset: ValueID) throws -> ValueID {
        let last = try add(try iota(queries, axis: 2, rank: 4), offset)
        return try binary(.lessOrEqual, try iota(keys, axis: 3, rank: 4), last)
    }

    /// A mask (bool or additive) that also respects a second, bool one.
    mutating func combined(_ mask: ValueID, _ allowed: ValueID) throws -> ValueID {
        if element(mask) == .bool { return try binary(.and, mask, allowed) }
        return try select(allowed, mask, try scalar(-.infinity, like: mask))
    }

    /// Several masks, of which only the first may be additive, as one; none where there is none.
    mutating func joined(_ masks: ValueID?...) throws -> [ValueID] {
        let given = masks.compactMap { $0 }
        guard var all = given.first else { return [] }
        for mask in given.dropFirst() { all = try combined(all, mask) }
        return [all]
    }

    /// A bool mask as numbers to add to scores: 0 and −∞.
    mutating func additive(_ mask: ValueID, _ element: ElementType) throws -> ValueID {
        try select(mask, try scalar(0, element), try scalar(-.infinity, element))
    }

    // MARK: Rotary positions

    /// Rotates pairs of the first `width` elements of every head by angles whose cosines and sines broadcast to [B, H, S, width/2] (Su et al. 2021);
    /// the other elements stay. Pair i is elements i and i + width/2, or 2i and 2i + 1 where the pairs are interleaved.
    mutating func rotated(_ x: ValueID, _ cosine: ValueID, _ sine: ValueID, width: Int, isInterleaved: Bool) throws -> ValueID {
        let half = Extent(width / 2), step = isInterleaved ? 2 : 1
        let a = try slice(x, axis: 3, start: 0, size: half, step: step)
        let b = try slice(x, axis: 3, start: isInterleaved ? 1 : half, size: half, step: step)
        let real = try sub(try mul(cosine, a), try mul(sine, b)), imaginary = try add(try mul(sine, a), try mul(cosine, b))
        var y: ValueID
        if isInterleaved {
            let pairs = try concat([try unsqueeze(real, [4]), try unsqueeze(imaginary, [4])], axis: 4)
            y = try reshape(pairs, Array(shape(real)[..<3]) + [Extent(width)])
        } else {
            y = try concat([real, imaginary], axis: 3)
        }
        let rest = shape(x)[3] - Extent(width)
        if rest != 0 { y = try concat([y, try slice(x, axis: 3, start: Extent(width), size: rest)], axis: 3) }
        return y
    }
}
