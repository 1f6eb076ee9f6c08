import GlmcIR

/// Branches and loops. What is decided at compile time leaves no trace: a known branch is inlined, a short loop is written out.
extension GraphImporter {
    /// Loops of at most this many rounds, known at compile time, are written out.
    static let unrollLimit = 64

    mutating func branch(_ c: OnnxCall) throws -> [Imported] {
        guard type(try c[0]).elementCount.constant ?? 1 == 1 else { throw Diagnostic(.invalid, "the condition is \(type(try c[0])), not one bool") }
        let condition = try reshape(c[0], [])
        let graphs = [try c.graph("then_branch"), try c.graph("else_branch")]
        if let known = knownConstantUnlessBound(condition)?.splat { return try importSubgraph(graphs[known != 0 ? 0 : 1], inputs: []) }
        if let squeezing = graphs.indices.first(where: { Self.isSqueeze(graphs[$0], orIdentity: graphs[1 - $0]) }) {
            let reason = "squeezes an axis where its size is 1, which is not known at compile time; the result is NaN where it is not"
            return try assumed(squeezing, condition, graphs, reason)
        }
        let outer = blockers
        var regions: [(block: BlockID, results: [ValueID])?] = []
        var problems: [[Diagnostic]] = []
        for graph in graphs {
            blockers = []
            do {
                regions.append(try importRegion(graph, arguments: []))
            } catch let error as Diagnostic {
                regions.append(nil)
                blockers.append(error)
            }
            problems.append(blockers)
        }
        blockers = outer
        if let then = regions[0], let otherwise = regions[1] {
            let results = zip(then.results, otherwise.results).map { (type($0), type($1)) }
            if results.allSatisfy({ $0.element == $1.element && $0.rank == $1.rank }) {
                let joined = results.flatMap { a, b in
                    zip(a.shape, b.shape).filter { $0 != $1 }.map { runtimeDimension("branch", bound: .maximum($0, $1)) }
                }
                return try emitMany(If(joined: joined), [condition], results.count, regions: [then.block, otherwise.block]).map { .tensor($0) }
            }
        }
        // A branch whose shapes do not fit cannot run with these inputs at all.
        for (i, region) in regions.enumerated() where region != nil && regions[1 - i] == nil && problems[1 - i].allSatisfy({ $0.kind == .invalid }) {
            let reason = "the \(i == 0 ? "else" : "then") branch cannot run at these shapes (\(problems[1 - i].first?.message ?? "")); the result is NaN where it would be taken"
            return try assumed(i, condition, graphs, reason)
        }
        // Branches that do not come together as tensors can only be chosen at compile time.
        if let chosen = knownConstant(condition)?.splat { return try importSubgraph(graphs[chosen != 0 ? 0 : 1], inputs: []) }
        blockers += problems.joined()
        if blockers.count > outer.count { return [.failed] }
        throw Diagnostic.unsupported(
            "the branches give values of different rank or kind, and the condition is not known at compile time", hint: "fix the shapes with --shape")
    }

    /// Takes branch `i` always, with a warning; floating-point results are NaN where the condition says otherwise.
    private mutating func assumed(_ i: Int, _ condition: ValueID, _ graphs: [OnnxGraph], _ reason: String) throws -> [Imported] {
        warnings.append(Diagnostic(.unsupported, reason, at: ["node '\(provenance.first ?? "")' (If)"]))
        let holds = i == 0 ? condition : try unary(.not, condition)
        return try importSubgraph(graphs[i], inputs: []).map { result in
            guard case .tensor(let id) = result, element(id).isFloat else { return result }
            return .tensor(try select(holds, id, try scalar(.nan, like: id)))
        }
    }

    /// Whether one branch is a Squeeze and the other hands the same value on: how exporters write a squeeze of one axis.
    private static func isSqueeze(_ graph: OnnxGraph, orIdentity other: OnnxGraph) -> Bool {
        func only(_ graph: OnnxGraph) -> OnnxNode? {
            let nodes = graph.nodes.filter { $0.op != "Constant" }
            return nodes.count == 1 ? nodes[0] : nil
        }
        guard let squeeze = only(graph), let identity = only(other) else { return false }
        return squeeze.op == "Squeeze" && squeeze.domain.isEmpty && identity.op == "Identity" && squeeze.inputs.first == identity.inputs.first
    }

    /// ONNX's Loop: rounds until the trip count is reached or the condition fails; carried values, then stacked ones.
    mutating func loop(_ c: OnnxCall) throws -> [Imported] {
        let body = try c.graph("body")
        let carriedCount = c.inputCount - 2
        guard carriedCount >= 0, body.inputs.count == carriedCount + 2, body.outputs.count > carriedCount else {
            throw Diagnostic(.invalid, "the body does not fit \(c.inputCount) inputs")
        }
        let limit = try c.optional(0).map { try requiredInt($0, "the number of rounds") }
        var carried = try (0..<carriedCount).map { try c.value($0 + 2) }
        var isRunning = try c.optional(1).map { try requiredScalar($0, "the first condition") != 0 } ?? true
        var stacked = [[ValueID]](repeating: [], count: body.outputs.count - 1 - carriedCount)
        var round = 0
        while isRunning, round < limit ?? Int.max {
            try countRound()
            guard round < Self.unrollLimit else { throw Diagnostic.unsupported("loops of more than \(Self.unrollLimit) rounds are not supported") }
            let index = try constant(Tensor(.i64, [], integers: { _ in round }))
            let results = try importSubgraph(body, inputs: [.tensor(index), .tensor(try scalar(1, .bool))] + carried)
            if results.contains(where: \.isFailed) { return [.failed] }
            guard case .tensor(let again) = results[0] else { throw Diagnostic(.invalid, "the body's condition is not a tensor") }
            carried = Array(results[1...carriedCount])
            for (i, result) in results[(carriedCount + 1)...].enumerated() {
                guard case .tensor(let id) = result else { throw Diagnostic.unsupported("a stacked output is not a tensor") }
                stacked[i].append(id)
            }
            guard let next = knownConstant(again)?.splat else {
                throw Diagnostic.unsupported("the condition must be known at compile time")
            }
            isRunning = next != 0
            round += 1
        }
        return carried + (try zip(stacked, body.outputs[(carriedCount + 1)...]).map { parts, info in
            guard !parts.isEmpty else { return .tensor(try emptyStack(info)) }
            return .tensor(try concat(try parts.map { try unsqueeze($0, [0]) }, axis: 0))
        })
    }

    /// Loops in loops multiply; together they may not exceed a bound either.
    private mutating func countRound() throws {
        writtenRounds += 1
        guard writtenRounds <= Self.unrollLimit * Self.unrollLimit else {
            throw Diagnostic.unsupported("the loops of the model have more than \(Self.unrollLimit * Self.unrollLimit) rounds together")
        }
    }

    /// What a loop without rounds stacks up: nothing, in the declared type.
    private mutating func emptyStack(_ info: OnnxValueInfo) throws -> ValueID {
        guard case .tensor(let element, let shape?)? = info.type else { throw Diagnostic.unsupported("the type of '\(info.name)' is not known") }
        let extents = try shape.map { dim -> Extent in
            guard case .constant(let size) = dim else { throw Diagnostic.unsupported("the shape of '\(info.name)' is not known") }
            return Extent(size)
        }
        return try filled(0, try element.irType(), [0] + extents)
    }

    /// ONNX's Scan over slices of its inputs. Version 8 has a batch axis in front.
    mutating func scan(_ c: OnnxCall) throws -> [Imported] {
        let body = try c.graph("body")
        let scanned = try c.int("num_scan_inputs", 0)
        let states = c.inputCount - scanned, outputs = body.outputs.count - states
        guard scanned > 0, states >= 0, body.inputs.count == c.inputCount, outputs >= 0 else {
            throw Diagnostic(.invalid, "the body does not fit \(c.inputCount) inputs")
        }
        func list(_ name: String, _ count: Int) throws -> [Int] {
            let values = try c.ints(name) ?? [Int](repeating: 0, count: count)
            guard values.count == count else { throw Diagnostic(.invalid, "\(name) has \(values.count) entries, not \(count)") }
            return values
        }
        let (axes, directions) = (try list("scan_input_axes", scanned), try list("scan_input_directions", scanned))
        let (outputAxes, outputDirections) = (try list("scan_output_axes", outputs), try list("scan_output_directions", outputs))
        let sequences = try (0..<scanned).map { try c[states + $0] }
        let inputAxes = try zip(axes, sequences).map { try normalized($0, rank: rank($1)) }
        let lengths = zip(sequences, inputAxes).map { shape($0)[$1] }
        guard let length = lengths[0].constant, lengths.allSatisfy({ $0 == lengths[0] }), length <= Self.unrollLimit * 4 else {
            throw Diagnostic.unsupported("the sequences must have one length that is known at compile time and at most \(Self.unrollLimit * 4), not \(lengths)")
        }
        var carried = try (0..<states).map { try c.value($0) }
        var stacked = [[ValueID]](repeating: [], count: outputs)
        for round in 0..<length {
            try countRound()
            let slices = try sequences.indices.map { i -> Imported in
                let position = directions[i] == 1 ? length - 1 - round : round
                return .tensor(try squeeze(try slice(sequences[i], axis: inputAxes[i], start: Extent(position), size: 1), [inputAxes[i]]))
            }
            let results = try importSubgraph(body, inputs: carried + slices)
            if results.contains(where: \.isFailed) { return [.failed] }
            carried = Array(results[..<states])
            for (i, result) in results[states...].enumerated() {
                guard case .tensor(let id) = result else { throw Diagnostic.unsupported("a stacked output is not a tensor") }
                stacked[i].append(id)
            }
        }
        return carried + (try stacked.enumerated().map { i, parts in
            guard let first = parts.first else { return .tensor(try emptyStack(body.outputs[states + i])) }
            let axis = try normalized(outputAxes[i], rank: rank(first) + 1)
            let ordered = outputDirections[i] == 1 ? parts.reversed() : parts
            return .tensor(try concat(try ordered.map { try unsqueeze($0, [axis]) }, axis: axis))
        })
    }

    /// Version 8: `[B, …]` states and `[B, T, …]` sequences, all of one length. Each sample is scanned on its own.
    mutating func batchedScan(_ c: OnnxCall) throws -> [Imported] {
        guard !c.has(0) else { throw Diagnostic.unsupported("sequence lengths are not supported") }
        let values = try (1..<c.inputCount).map { try c[$0] }
        guard let first = values.first, let batch = shape(first).first?.constant, batch > 0, batch <= Self.unrollLimit else {
            throw Diagnostic.unsupported("the batch size must be known at compile time")
        }
        var node = c.node
        if let directions = try c.ints("directions") {
            node.attributes.append(OnnxAttribute(name: "scan_input_directions", value: .ints(directions.map { Int64($0) })))
        }
        var samples: [[ValueID]] = []
        for sample in 0..<batch {
            let inputs = try values.map { Imported.tensor(try squeeze(try slice($0, axis: 0, start: Extent(sample), size: 1), [0])) }
            let results = try scan(OnnxCall(node: node, inputs: inputs, version: c.version, outputCount: c.outputCount))
            samples.append(try results.map { result in
                guard case .tensor(let id) = result else { throw Diagnostic.unsupported("an output is not a tensor") }
                return try unsqueeze(id, [0])
            })
        }
        return try (samples.first ?? []).indices.map { i in .tensor(try concat(samples.map { $0[i] }, axis: 0)) }
    }
}
