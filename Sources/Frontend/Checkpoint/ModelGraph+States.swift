import GlmcIR

/// A state of an entry point, [1, heads, capacity, d], and its new value.
typealias StateUpdate = (state: ValueID, value: ValueID)

extension ModelGraph {
    /// Adds the state `name` and writes rows to it.
    /// - Parameters:
    ///   - rows: [1, heads, n, d].
    ///   - start: where the first row goes.
    ///   - capacity: how many rows the state has room for.
    ///   - element: to which they are rounded.
    mutating func written(_ rows: ValueID, to name: String, from start: Extent, capacity: Int, element: ElementType) throws -> StateUpdate {
        let rows = try cast(rows, element)
        var type = self.type(rows)
        type.shape[2] = Extent(capacity)
        let state = rewriter.addArgument(.tensor(type), name: name)
        return (state, try emit(WriteRows(axis: 2, start: start), [state, rows]))
    }

    /// Sets the results of an entry point: values by name, then the states.
    mutating func setResults(_ results: [(name: String, value: ValueID)], _ updates: [StateUpdate]) {
        let states = updates.map { rewriter.function[$0.state].name }
        for (name, value) in results { rewriter.setName(name, of: value) }
        rewriter.setResults(results.map(\.value) + updates.map(\.value), names: results.map(\.name) + states)
        for (i, update) in updates.enumerated() { rewriter.addState(update.state, output: results.count + i) }
    }
}
