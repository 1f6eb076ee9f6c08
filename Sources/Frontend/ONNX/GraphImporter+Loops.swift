import GlmcIR

/// Loops. Short ones with a known number of iterations are unrolled, which lets every iteration be optimised for itself; the others stay
/// loops. What no loop of the IR can hold (sequences, values that change their shape) is unrolled however long it is.
extension GraphImporter {
    /// Loops of at most this many iterations are unrolled where they need not be.
    static let shortLoop = 16
    /// Loops of more iterations are never unrolled.
    static let unrollLimit = 256

    /// The first of `attempts` that succeeds, or `[.failed]` where all need what has failed before. A failed attempt leaves nothing behind.
    /// - Throws: what the last one throws, with the reasons of the others as a hint.
    mutating func firstSuccess(_ attempts: [(inout Self) throws -> [Imported]]) throws -> [Imported] {
        var reasons: [Diagnostic] = [], missing: Set<String> = []
        for attempt in attempts {
            var trial = trial()
            // What was tried counts too, lest nested loops take for ever.
            defer {
                (unrolledIterations, equations) = (trial.unrolledIterations, trial.equations)
                // What an attempt needs is taken from given inputs only where no other attempt does without.
                missing.formUnion(trial.neededSizes)
            }
            do {
                let results = try attempt(&trial)
                let new = trial.errors.dropFirst(errors.count)
                if new.isEmpty && !results.contains(where: \.isFailed) {
                    self = trial
                    return results
                }
                reasons += new.prefix(1)
            } catch let error as Diagnostic {
                reasons.append(error)
            } catch let error as Diagnostics {
                reasons += error.all.prefix(1)
            }
        }
        neededSizes.formUnion(missing)
        // What an attempt reads of the surroundings has failed, and that is recorded where it did.
        guard var last = reasons.popLast() else { return [.failed] }
        // A model that is wrong is wrong in every form.
        if let wrong = reasons.first(where: { $0.kind == .invalid }), last.kind != .invalid { last = wrong }
        var others: [String] = []
        for reason in reasons where reason.message != last.message && !others.contains(reason.message) { others.append(reason.message) }
        if !others.isEmpty, last.hint == nil { last.hint = "nor otherwise: " + others.joined(separator: "; ") }
        throw last
    }

    /// Runs `attempt` without the values of bound inputs.
    private mutating func unbound(_ attempt: (inout Self) throws -> [Imported]) throws -> [Imported] {
        let saved = (bound, knownConstants)
        // What is known now may follow from bound inputs; what is found unknown then may be known with them.
        (bound, knownConstants) = ([:], [:])
        defer { (bound, knownConstants) = saved }
        return try attempt(&self)
    }

    /// Every import of a body counts: loops in loops multiply.
    private mutating func countRound() throws {
        unrolledIterations += 1
        guard unrolledIterations <= Self.unrollLimit * 16 else {
            throw Diagnostic.unsupported("the loops of the model would have more than \(Self.unrollLimit * 16) iterations together if unrolled")
        }
    }

    /// The values as tensors, which is all that regions pass on.
    func tensors(_ values: [Imported]) throws -> [ValueID] {
        try values.map {
            guard case .tensor(let id) = $0 else { throw Diagnostic.unsupported("a region passes tensors only") }
            return id
        }
    }

    /// The parts of `body`'s outputs: tensors, none of which failed; nil where one did.
    private mutating func importBody(_ body: OnnxGraph, _ inputs: [Imported]) throws -> [Imported]? {
        try countRound()
        let results = try importSubgraph(body, inputs: inputs)
        return results.contains(where: \.isFailed) ? nil : results
    }

    /// What must hold of a value that goes from iteration to iteration.
    private mutating func checkState(_ name: String, _ argument: ValueID, _ next: ValueID) throws {
        expect(SizeEquation.pairs(shape(argument), shape(next)))
        guard type(argument) == type(next) else {
            throw Diagnostic.unsupported("'\(name)' is \(type(argument)) in one iteration and \(type(next)) in the next")
        }
    }

    /// What is stacked has one size in all iterations: not one that an iteration finds.
    private func checkStacked(_ name: String, _ part: ValueID, _ known: Set<String>) throws {
        for extent in shape(part) where !extent.dimensions.isSubset(of: known) {
            throw Diagnostic.unsupported("'\(name)' is stacked, but each iteration finds its size \(extent) anew")
        }
    }

    private var dimensionNames: Set<String> { Set(rewriter.function.dimensions.map(\.name)) }

    // MARK: Loop

    /// ONNX's Loop: iterations until the trip count is reached or the condition fails; carried values, then stacked ones.
    mutating func loop(_ c: OnnxCall) throws -> [Imported] {
        let body = try c.graph("body")
        let carriedCount = c.inputCount - 2
        guard carriedCount >= 0, body.inputs.count == carriedCount + 2, body.outputs.count > carriedCount else {
            throw Diagnostic(.invalid, "the body does not fit \(c.inputCount) inputs")
        }
        return try firstSuccess([
            { g in try g.unbound { try $0.unroll(loop: c, body, atMost: Self.shortLoop) } },
            { g in try g.iterate(c, body) },
            { g in try g.unroll(loop: c, body, atMost: Self.unrollLimit) },
        ])
    }

    private mutating func iterate(_ c: OnnxCall, _ body: OnnxGraph) throws -> [Imported] {
        let carried = try (2..<c.inputCount).map { try c.value($0) }, growing = GrowingState.all(in: body)
        let results = try iterate(c, GrowingState.stacked(growing, in: body), carried.indices.filter { i in !growing.contains { $0.position == i } }.map { carried[$0] })
        return growing.isEmpty || results.contains(where: \.isFailed) ? results : try grown(growing, from: carried, results)
    }

    private mutating func iterate(_ c: OnnxCall, _ body: OnnxGraph, _ initial: [Imported]) throws -> [Imported] {
        let carried = try tensors(initial)
        let limit = try c.optional(0).map { try reshape($0, []) } ?? constant(Tensor([Int.max], shape: []))
        let condition = try c.optional(1).map { try reshape($0, []) } ?? scalar(1, .bool)
        let known = dimensionNames
        let types = [.tensor(TensorType(.i64, [])), .tensor(TensorType(.bool, []))] + carried.map { rewriter.function.type($0) }
        var isUnconditional = knownConstantUnlessBound(condition)?.splat == 1
        let region = try importRegion(types, names: body.inputs.map(\.name), mayNotRun: true) { g, arguments in
            // An iteration that runs was allowed to.
            let inputs = [arguments[0], try g.scalar(1, .bool)] + arguments[2...]
            guard let results = try g.importBody(body, inputs.map { .tensor($0) }) else { return nil }
            var yielded = try g.tensors(results)
            yielded[0] = try g.reshape(yielded[0], [])
            for i in carried.indices { try g.checkState(body.inputs[i + 2].name, arguments[i + 2], yielded[i + 1]) }
            for i in yielded.indices.dropFirst(carried.count + 1) { try g.checkStacked(body.outputs[i].name, yielded[i], known) }
            isUnconditional = isUnconditional && g.rewriter.function.definingOp(yielded[0], as: Constant.self)?.value.splat == 1
            return yielded
        }
        guard let region else { return [.failed] }
        let stacks = body.outputs.count - 1 - carried.count
        let iterations = stacks == 0 ? 0 : try iterations(limit, isUnconditional)
        return try emitMany(Iterate(iterations: iterations), [limit, condition] + carried, carried.count + stacks, regions: [region]).map { .tensor($0) }
    }

    /// How many iterations a loop has whose trip count is `limit`.
    private mutating func iterations(_ limit: ValueID, _ isUnconditional: Bool) throws -> Extent {
        guard var bound = rewriter.function.symbolicContents(limit)?.first, bound.constant ?? 0 <= 1 << 24 else {
            throw Diagnostic.unsupported("what the loop stacks has no bound that is known at compile time")
        }
        bound = clamped(bound)
        return isUnconditional ? bound : dataDependentDimension("iterations", bound: bound)
    }

    private mutating func unroll(loop c: OnnxCall, _ body: OnnxGraph, atMost most: Int) throws -> [Imported] {
        let limit = try c.optional(0).map { try requiredInt($0, "the number of iterations") } ?? Int.max
        var carried = try (2..<c.inputCount).map { try c.value($0) }
        var isRunning = try c.optional(1).map { try requiredScalar($0, "the first condition") != 0 } ?? true
        var stacked = [[ValueID]](repeating: [], count: body.outputs.count - 1 - carried.count)
        var iteration = 0
        while isRunning, iteration < limit {
            guard iteration < most else { throw Diagnostic.unsupported("a loop of more than \(most) iterations is not unrolled") }
            let index = try constant(Tensor(.i64, [], integers: { _ in iteration }))
            guard let results = try importBody(body, [.tensor(index), .tensor(try scalar(1, .bool))] + carried) else { return [.failed] }
            guard case .tensor(let again) = results[0] else { throw Diagnostic(.invalid, "the body's condition is not a tensor") }
            for (i, part) in try tensors(Array(results[(carried.count + 1)...])).enumerated() { stacked[i].append(part) }
            carried = Array(results[1..<carried.count + 1])
            guard let next = knownConstant(again)?.splat else { throw Diagnostic.unsupported("the condition must be known at compile time") }
            isRunning = next != 0
            iteration += 1
        }
        return carried + (try zip(stacked, body.outputs[(carried.count + 1)...]).map { parts, info in
            guard !parts.isEmpty else { return .tensor(try emptyStack(info)) }
            return .tensor(try concat(try parts.map { try unsqueeze($0, [0]) }, axis: 0))
        })
    }

    /// What a loop without iterations stacks up: nothing, in the declared type.
    private mutating func emptyStack(_ info: OnnxValueInfo) throws -> ValueID {
        guard case .tensor(let element, let shape?)? = info.type else { throw Diagnostic.unsupported("the type of '\(info.name)' is not known") }
        let extents = try shape.map { dim -> Extent in
            guard case .constant(let size) = dim else { throw Diagnostic.unsupported("the shape of '\(info.name)' is not known") }
            return Extent(size)
        }
        return try filled(0, try element.irType(), [0] + extents)
    }

    // MARK: Scan

    /// The parts of a Scan node.
    private struct ScanCall {
        let body: OnnxGraph
        let states: [Imported]
        let sequences: [ValueID]
        let length: Extent
        var op: Scan
    }

    /// ONNX's Scan over slices of its inputs.
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
        let sequences = try (0..<scanned).map { try c[states + $0] }
        let axes = try zip(try list("scan_input_axes", scanned), sequences).map { try normalized($0, rank: rank($1)) }
        let lengths = zip(sequences, axes).map { shape($0)[$1] }
        expect(lengths.map { SizeEquation($0, lengths[0]) })
        guard lengths.allSatisfy({ $0 == lengths[0] }) else { throw Diagnostic(.invalid, "the sequences have different lengths \(lengths)") }
        let call = ScanCall(
            body: body, states: try (0..<states).map { try c.value($0) }, sequences: sequences, length: lengths[0],
            op: Scan(
                inputAxes: axes, inputReversed: try list("scan_input_directions", scanned),
                outputAxes: try list("scan_output_axes", outputs), outputReversed: try list("scan_output_directions", outputs)))
        return try firstSuccess([
            { g in try g.unroll(call, atMost: Self.shortLoop) },
            { g in try g.scanRegion(call) },
            { g in try g.unroll(call, atMost: Self.unrollLimit) },
        ])
    }

    private mutating func scanRegion(_ call: ScanCall) throws -> [Imported] {
        let states = try tensors(call.states), known = dimensionNames
        let slices = zip(call.sequences, call.op.inputAxes).map { sequence, axis -> ValueType in
            var shape = shape(sequence)
            shape.remove(at: axis)
            return .tensor(TensorType(element(sequence), shape))
        }
        var op = call.op
        let types = states.map { rewriter.function.type($0) } + slices
        let region = try importRegion(types, names: call.body.inputs.map(\.name), mayNotRun: false) { g, arguments in
            guard let results = try g.importBody(call.body, arguments.map { .tensor($0) }) else { return nil }
            let yielded = try g.tensors(results)
            for i in states.indices { try g.checkState(call.body.inputs[i].name, arguments[i], yielded[i]) }
            for i in op.outputAxes.indices {
                try g.checkStacked(call.body.outputs[states.count + i].name, yielded[states.count + i], known)
                op.outputAxes[i] = try g.normalized(op.outputAxes[i], rank: g.rank(yielded[states.count + i]) + 1)
            }
            return yielded
        }
        guard let region else { return [.failed] }
        return try emitMany(op, states + call.sequences, states.count + op.outputAxes.count, regions: [region]).map { .tensor($0) }
    }

    private mutating func unroll(_ call: ScanCall, atMost most: Int) throws -> [Imported] {
        guard let length = known(call.length), length <= most else {
            throw Diagnostic.unsupported("a scan of \(call.length) iterations is not unrolled, as they are not known to be at most \(most)")
        }
        var carried = call.states
        var stacked = [[ValueID]](repeating: [], count: call.op.outputAxes.count)
        for iteration in 0..<length {
            let slices = try call.sequences.indices.map { i -> Imported in
                let position = call.op.inputReversed[i] == 1 ? length - 1 - iteration : iteration, axis = call.op.inputAxes[i]
                return .tensor(try squeeze(try slice(call.sequences[i], axis: axis, start: Extent(position), size: 1), [axis]))
            }
            guard let results = try importBody(call.body, carried + slices) else { return [.failed] }
            carried = Array(results[..<carried.count])
            for (i, part) in try tensors(Array(results[carried.count...])).enumerated() { stacked[i].append(part) }
        }
        return carried + (try stacked.enumerated().map { i, parts in
            guard let first = parts.first else { return .tensor(try emptyStack(call.body.outputs[carried.count + i])) }
            let axis = try normalized(call.op.outputAxes[i], rank: rank(first) + 1)
            let ordered = call.op.outputReversed[i] == 1 ? parts.reversed() : parts
            return .tensor(try concat(try ordered.map { try unsqueeze($0, [axis]) }, axis: axis))
        })
    }

    /// Version 8: `[B, …]` states and `[B, T, …]` sequences, all of one length. Each sample is scanned on its own.
    mutating func batchedScan(_ c: OnnxCall) throws -> [Imported] {
        guard !c.has(0) else { throw Diagnostic.unsupported("sequence lengths are not supported") }
        let values = try (1..<c.inputCount).map { try c[$0] }
        guard let first = values.first, let batch = shape(first).first.flatMap({ known($0) }), batch > 0, batch <= 64 else {
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
