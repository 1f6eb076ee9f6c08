import GlmcIR

extension OnnxRules {
    /// Sequences and optionals. Both exist at import only: a sequence is a list of values of known length.
    static let sequences: [OnnxRule] = [
        OnnxRule(values: "SequenceConstruct", since: 11) { g, c in [.sequence(try c.tensors().map { .tensor($0) })] },
        OnnxRule(values: "SequenceEmpty", since: 11) { g, c in [.sequence([])] },
        OnnxRule("SequenceLength", since: 11) { g, c in
            let count = try g.items(c, 0).count
            return try g.constant(Tensor(.i64, [], integers: { _ in count }))
        },
        OnnxRule(values: "SequenceAt", since: 11) { g, c in
            let items = try g.items(c, 0)
            return [items[try g.position(c, 1, items.count)]]
        },
        OnnxRule(values: "SequenceInsert", since: 11) { g, c in
            var items = try g.items(c, 0)
            items.insert(.tensor(try c[1]), at: c.has(2) ? try g.position(c, 2, items.count + 1, wrap: items.count) : items.count)
            return [.sequence(items)]
        },
        OnnxRule(values: "SequenceErase", since: 11) { g, c in
            var items = try g.items(c, 0)
            items.remove(at: c.has(1) ? try g.position(c, 1, items.count) : try g.last(items))
            return [.sequence(items)]
        },
        OnnxRule(values: "SplitToSequence", since: 11) { g, c in [.sequence(try g.splitToSequence(c))] },
        OnnxRule("ConcatFromSequence", since: 11) { g, c in
            let parts = try g.items(c, 0).map { item -> ValueID in
                guard case .tensor(let id) = item else { throw Diagnostic(.invalid, "the sequence holds no tensors") }
                return id
            }
            guard let first = parts.first else { throw Diagnostic(.invalid, "the sequence is empty") }
            let isNew = try c.flag("new_axis"), axis = try g.normalized(try c.int("axis", 0), rank: g.rank(first) + (isNew ? 1 : 0))
            return try g.concat(isNew ? parts.map { try g.unsqueeze($0, [axis]) } : parts, axis: axis)
        },
        OnnxRule(values: "SequenceMap", since: 17) { g, c in
            let items = try g.items(c, 0)
            let others: [[Imported]] = try (1..<max(c.inputCount, 1)).map { i in
                guard case .sequence(let list) = try c.value(i) else { return try items.map { _ in try c.value(i) } }
                guard list.count == items.count else { throw Diagnostic(.invalid, "the sequences differ in length") }
                return list
            }
            let body = try c.graph("body")
            let results = try items.indices.map { i in try g.importSubgraph(body, inputs: [items[i]] + others.map { $0[i] }) }
            return body.outputs.indices.map { output in .sequence(results.map { $0[output] }) }
        },
        OnnxRule(values: "Optional", since: 15) { g, c in
            guard c.has(0) else { return [.optional(nil)] }
            if case .optional = try c.value(0) { throw Diagnostic(.invalid, "an optional holds a tensor or a sequence, not an optional") }
            return [.optional(try c.value(0))]
        },
        OnnxRule("OptionalHasElement", since: 15) { g, c in
            var isPresent = c.has(0)
            if isPresent, case .optional(nil) = try c.value(0) { isPresent = false }
            return try g.constant(Tensor(.bool, [], integers: { _ in isPresent ? 1 : 0 }))
        },
        OnnxRule(values: "OptionalGetElement", since: 15) { g, c in
            guard case .optional(let inner) = try c.value(0) else { return [try c.value(0)] }
            guard let inner else { throw Diagnostic(.invalid, "the optional is empty") }
            return [inner]
        },
    ]
}

extension GraphImporter {
    func items(_ c: OnnxCall, _ i: Int) throws -> [Imported] {
        switch try c.value(i) {
        case .sequence(let items), .optional(.some(.sequence(let items))): return items
        default: throw Diagnostic(.invalid, "input \(i) is not a sequence")
        }
    }

    func last(_ items: [Imported]) throws -> Int {
        guard !items.isEmpty else { throw Diagnostic(.invalid, "the sequence is empty") }
        return items.count - 1
    }

    /// A position that must be known at compile time; negative ones count from the back of `wrap` items.
    mutating func position(_ c: OnnxCall, _ i: Int, _ count: Int, wrap: Int? = nil) throws -> Int {
        let given = try requiredInt(c[i], "the position")
        let position = given < 0 ? given + (wrap ?? count) : given
        guard (0..<count).contains(position) else { throw Diagnostic(.invalid, "position \(given) is outside a sequence of \(count)") }
        return position
    }

    mutating func splitToSequence(_ c: OnnxCall) throws -> [Imported] {
        let x = try c[0], axis = try normalized(try c.int("axis", 0), rank: rank(x))
        var parts: [Extent]
        var isDropped = false
        if let split = try c.optional(1) {
            let given = try requiredInts(split, "the split")
            if rank(split) == 0 {
                guard let whole = known(shape(x)[axis]), let each = given.first, each > 0, whole / each <= 4096 else { throw Diagnostic.unsupported("the size must be known at compile time") }
                parts = stride(from: 0, to: whole, by: each).map { Extent(min(each, whole - $0)) }
            } else {
                parts = given.map { Extent($0) }
            }
        } else {
            guard let whole = known(shape(x)[axis]), whole <= 4096 else { throw Diagnostic.unsupported("the size must be known at compile time") }
            parts = [Extent](repeating: 1, count: whole)
            isDropped = !(try c.flag("keepdims", true))
        }
        return try cut(x, axis: axis, into: parts).map { .tensor(isDropped ? try squeeze($0, [axis]) : $0) }
    }
}
