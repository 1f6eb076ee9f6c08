import GlmcIR

/// A state of an entry point, [sequences, heads, rows, d], and its new value.
typealias StateUpdate = (state: ValueID, value: ValueID)

/// What the states of a cache are: room for sequences of keys and values.
struct CacheForm {
    /// How many tokens one sequence has room for.
    var capacity: Int
    /// How many sequences there are.
    var sequences = 1
    /// f32, f16 or bf16, to which keys and values are rounded.
    var element: ElementType
    /// Rows that a ring has beyond its window: by so many tokens a text may be taken back.
    var slack = 256

    /// How many rows the states of a layer have. Where queries see the keys of a window only, the row of position p is number p modulo this (a ring), if that is
    /// less than the capacity.
    func rows(window: Int?) -> Int { window.map { min(capacity, $0 + slack) } ?? capacity }
}

extension ModelGraph {
    /// Adds the state `name` of so many rows per sequence, each like those of `rows` [n, heads, m, d].
    mutating func state(_ name: String, _ count: Int, for rows: ValueID, _ form: CacheForm) -> ValueID {
        var type = self.type(rows)
        (type.shape[0], type.shape[2]) = (Extent(form.sequences), Extent(count))
        return rewriter.addArgument(.tensor(type), name: name)
    }

    /// Adds the state `name` of an entry point and writes rows [1, heads, m, d] to one of its sequences, behind each other from `start` on.
    mutating func written(_ rows: ValueID, to name: String, _ form: CacheForm, sequence: Extent = 0, from start: Extent) throws -> StateUpdate {
        let rows = try cast(rows, form.element), state = state(name, form.capacity, for: rows, form)
        return (state, try emit(InsertSlice(starts: [sequence, 0, start, 0]), [state, rows]))
    }

    /// A state with rows written over it, each to a place of its own.
    /// - Parameters:
    ///   - rows: [n, heads, m, d].
    ///   - sequences: to which of the state's sequences, i64 [n].
    ///   - places: to which of its rows, i64 [n, m]; one outside of the state fails when it runs.
    mutating func scattered(_ rows: ValueID, over state: ValueID, sequences: ValueID, places: ValueID) throws -> ValueID {
        let outer = Array(shape(rows)[..<3]) + [1]
        let coordinates = [try unsqueeze(sequences, [1, 2, 3]), try iota(outer[1], axis: 1, rank: 4), try unsqueeze(places, [1, 3])]
        return try emit(ScatterND(), [state, try concat(try coordinates.map { try expand($0, outer) }, axis: 3), rows])
    }

    /// The positions whose rows `count` rows of a ring hold, i64 [n, count], where position `last` i64 [n, 1] was the last that was written; for rows behind it, which
    /// hold nothing, numbers above it.
    mutating func ringPositions(_ count: Extent, of rows: Int, last: ValueID) throws -> ValueID {
        let distance = try sub(last, try iota(count, axis: 1, rank: 2))
        return try sub(last, try binary(.remainder, distance, try scalar(Double(rows), .i64)))
    }

    /// Which keys queries see through a window: those up to `window` − 1 before them, bool [n, 1, m, count].
    /// - Parameters:
    ///   - queries: positions i64 [n, m].
    ///   - keys: positions i64 [n or 1, count].
    mutating func windowMask(_ window: Int, queries: ValueID, keys: ValueID) throws -> ValueID {
        let (query, key) = (try unsqueeze(queries, [1, 3]), try unsqueeze(keys, [1, 2]))
        return try binary(.and, try binary(.lessOrEqual, key, query), try binary(.greater, key, try sub(query, Double(window))))
    }

    /// Sets the results of an entry point: values by name, then the states.
    mutating func setResults(_ results: [(name: String, value: ValueID)], _ updates: [StateUpdate]) {
        let states = updates.map { rewriter.function[$0.state].name }
        for (name, value) in results { rewriter.setName(name, of: value) }
        rewriter.setResults(results.map(\.value) + updates.map(\.value), names: results.map(\.name) + states)
        for (i, update) in updates.enumerated() { rewriter.addState(update.state, output: results.count + i) }
    }
}
