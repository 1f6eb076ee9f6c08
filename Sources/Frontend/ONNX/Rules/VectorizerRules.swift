import GlmcIR

extension OnnxRules {
    /// Counting n-grams.
    static let vectorizers: [OnnxRule] = [
        OnnxRule("TfIdfVectorizer", since: 9) { g, c in try g.countGrams(c) },
    ]
}

extension GraphImporter {
    /// Counts of the pool's n-grams of integers, with up to `max_skip_count` elements left out between two of a gram.
    mutating func countGrams(_ c: OnnxCall) throws -> ValueID {
        guard let pool = try c.ints("pool_int64s") else { throw Diagnostic.unsupported("n-grams of strings are not supported") }
        guard let starts = try c.ints("ngram_counts"), let places = try c.ints("ngram_indexes"), let shortest = try c.int("min_gram_length"),
            let longest = try c.int("max_gram_length"), let skips = try c.int("max_skip_count"), 0..<1 << 20 ~= skips, shortest > 0, longest > 0, longest <= starts.count,
            places.allSatisfy({ (0..<1 << 24).contains($0) })
        else { throw Diagnostic(.invalid, "the attributes do not fit together") }
        let x = try c[0]
        let rows = rank(x) == 2 ? x : try reshape(x, [1, type(x).elementCount])
        guard let width = known(shape(rows)[1]) else { throw Diagnostic.unsupported("the number of elements must be known at compile time") }
        let count = (places.max() ?? -1) + 1
        let mode = try c.string("mode", "TF"), weights = try c.floats("weights")
        var total = try filled(0, .f32, [shape(rows)[0], Extent(count)])
        var gram = 0  // Position of a length's first gram among all grams.
        for length in 1...max(longest, 1) {
            let end = length < starts.count ? starts[length] : pool.count
            guard starts[length - 1] >= 0, end >= starts[length - 1], end <= pool.count, (end - starts[length - 1]) % length == 0 else {
                throw Diagnostic(.invalid, "ngram_counts \(starts) do not divide the pool")
            }
            let items = (end - starts[length - 1]) / length, first = starts[length - 1]
            guard gram + items <= places.count else { throw Diagnostic(.invalid, "ngram_indexes has \(places.count) entries") }
            defer { gram += items }
            if length < shortest || items == 0 { continue }
            var found: ValueID?
            for skip in 0...(length == 1 ? 0 : skips) {
                let positions = width - (length - 1) * (skip + 1)
                if positions <= 0 { break }
                // [N, positions, items]: whether item p stands at a position.
                var isHit: ValueID?
                for k in 0..<length {
                    let part = try unsqueeze(try slice(rows, axis: 1, start: Extent(k * (skip + 1)), size: Extent(positions)), [2])
                    let wanted = Tensor(element(x), [1, 1, items], integers: { pool[first + $0 * length + k] })
                    let same = try binary(.equal, part, try constant(wanted))
                    isHit = try isHit.map { try binary(.and, $0, same) } ?? same
                }
                guard let isHit else { continue }
                let hits = try reduce(.add, try cast(isHit, .f32), [1], keep: false)
                found = try found.map { try add($0, hits) } ?? hits
            }
            guard let found else { continue }
            // A column per output place: several grams may share one.
            let from = gram
            try requireTable(items, count)
            let spread = Tensor(.f32, [items, count], values: { places[from + $0 / count] == $0 % count ? 1 : 0 })
            total = try add(total, try matmul(found, try constant(spread)))
        }
        if mode == "IDF" { total = try binary(.minimum, total, 1) }
        if mode != "TF", let weights {
            var byPlace = [Double](repeating: 1, count: count)
            for (place, weight) in zip(places, weights) { byPlace[place] = weight }
            total = try mul(total, try constant(Tensor(byPlace.map { Float($0) })))
        }
        return rank(x) == 2 ? total : try reshape(total, [Extent(count)])
    }
}
