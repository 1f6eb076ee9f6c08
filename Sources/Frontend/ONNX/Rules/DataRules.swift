import GlmcIR

extension OnnxRules {
    /// Constants, conversions, generated and selected data.
    static let data: [OnnxRule] = [
        OnnxRule(values: "Constant") { g, c in [try g.constantRule(c)] },
        OnnxRule("ConstantOfShape", since: 9) { g, c in
            let shape = try g.extents(c[0], "the shape")
            guard let value = try c.tensor(attribute: "value") else { return try g.filled(0, .f32, shape) }
            return try g.expand(try g.constant(try g.reshaped(value.irTensor(), [])), shape)
        },
        OnnxRule("Cast", since: 6) { g, c in
            guard let to = try c.element("to") else { throw Diagnostic(.invalid, "the attribute 'to' is missing") }
            if let text = try g.castFromStrings(c, to) { return text }
            return try g.castRule(try c[0], to, c)
        },
        OnnxRule("CastLike", since: 15) { g, c in
            let to = g.element(try c[1])
            if let text = try g.castFromStrings(c, to) { return text }
            return try g.castRule(try c[0], to, c)
        },
        OnnxRule("BitCast") { g, c in
            guard let to = try c.element("to") else { throw Diagnostic(.invalid, "the attribute 'to' is missing") }
            let x = try c[0]
            // A bool is stored as a byte of 0 or 1, which is what its bits mean.
            if g.element(x) == .bool || to == .bool { return try g.cast(x, to) }
            return try g.emit(Bitcast(to: to), [x])
        },
        OnnxRule("Range", since: 11) { g, c in try g.range(c) },
        OnnxRule("EyeLike", since: 9) { g, c in
            let x = try c[0], shape = g.shape(x)
            guard shape.count == 2 else { throw Diagnostic(.invalid, "takes a matrix, not \(g.type(x))") }
            let to = try c.element("dtype") ?? g.element(x)
            let rows = try g.add(try g.iota(shape[0], axis: 0, rank: 2), Double(try c.int("k", 0)))
            return try g.cast(try g.binary(.equal, rows, try g.iota(shape[1], axis: 1, rank: 2)), to)
        },
        OnnxRule("Trilu", since: 14) { g, c in
            let x = try c[0], shape = g.shape(x), rank = shape.count
            guard rank >= 2 else { throw Diagnostic(.invalid, "takes a matrix, not \(g.type(x))") }
            let diagonal = try c.optional(1) ?? g.scalar(0, .i64)
            let rows = try g.add(try g.iota(shape[rank - 2], axis: 0, rank: 2), try g.reshape(diagonal, []))
            let columns = try g.iota(shape[rank - 1], axis: 1, rank: 2)
            let keep = try g.binary(try c.flag("upper", true) ? .greaterOrEqual : .lessOrEqual, columns, rows)
            return try g.select(keep, x, try g.scalar(0, like: x))
        },
        OnnxRule("OneHot", since: 9) { g, c in try g.oneHot(c) },
        OnnxRule("Gather") { g, c in try g.gather(c[0], c[1], axis: try c.int("axis", 0)) },
        OnnxRule("GatherElements", since: 11) { g, c in
            let x = try c[0]
            return try g.emit(GatherElements(axis: try g.normalized(try c.int("axis", 0), rank: g.rank(x))), [x, c[1]])
        },
        OnnxRule("GatherND", since: 11) { g, c in
            _ = g.known(g.shape(try c[1]).suffix(1))
            return try g.emit(GatherND(batchDims: try c.int("batch_dims", 0)), [c[0], c[1]])
        },
        OnnxRule("Scatter", since: 9) { g, c in try g.scatterElements(c) },
        OnnxRule("ScatterElements", since: 11) { g, c in try g.scatterElements(c) },
        OnnxRule("ScatterND", since: 11) { g, c in
            _ = g.known(g.shape(try c[1]).suffix(1))
            return try g.emit(ScatterND(reduction: try g.scatterReduction(c)), [c[0], c[1], c[2]])
        },
        OnnxRule("TensorScatter", since: 24) { g, c in try g.tensorScatter(c) },
        OnnxRule("ReverseSequence", since: 10) { g, c in
            try g.emit(ReverseSequence(batchAxis: try c.int("batch_axis", 1), timeAxis: try c.int("time_axis", 0)), [c[0], try g.cast(c[1], .i64)])
        },
        OnnxRule("Compress", since: 9) { g, c in try g.compress(c) },
        OnnxRule("NonZero", since: 9) { g, c in
            let x = try c[0]
            let count = g.dataDependentDimension("nonzero", bound: g.type(x).elementCount)
            return try g.emitMany(NonZero(count: count), [x], 1)[0]
        },
        OnnxRule(tensors: "Dropout") { g, c in
            let x = try c[0]
            if c.version >= 12, let training = try c.optional(2), try g.requiredConstant(training, "training_mode").splat != 0,
               try c.optional(1).map({ try g.requiredScalar($0, "the ratio") }) ?? 0.5 != 0 {
                throw Diagnostic.unsupported("training mode is not supported")
            }
            return [x] + (c.outputCount > 1 ? [try g.filled(1, c.version >= 10 ? .bool : g.element(x), g.shape(x))] : [])
        },
    ]
}

extension GraphImporter {
    func reshaped(_ tensor: Tensor, _ shape: [Int]) throws -> Tensor {
        guard let result = tensor.reshaped(shape) else { throw Diagnostic(.invalid, "a tensor of shape \(tensor.shape) where \(shape) is expected") }
        return result
    }

    mutating func constantRule(_ c: OnnxCall) throws -> Imported {
        if let tensor = try c.tensor(attribute: "value") { return try constant(tensor) }
        if let sparse = try c.sparse(attribute: "sparse_value") { return .tensor(try constant(try dense(sparse))) }
        if let value = try c.int("value_int") { return .tensor(try constant(Tensor(.i64, [], integers: { _ in value }))) }
        if let value = try c.float("value_float") { return .tensor(try scalar(value, .f32)) }
        if let values = try c.ints("value_ints") { return .tensor(try ints(values)) }
        if let values = try c.floats("value_floats") { return .tensor(try constant(Tensor(values.map { Float($0) }))) }
        if let value = try c.string("value_string") { return .strings(StringTensor(shape: [], values: [Array(value.utf8)])) }
        if let values = try c.strings("value_strings") { return .strings(StringTensor(shape: [values.count], values: values.map { Array($0.utf8) })) }
        throw Diagnostic(.invalid, "has no value")
    }

    mutating func castRule(_ x: ValueID, _ to: ElementType, _ c: OnnxCall) throws -> ValueID {
        guard to != .string else { throw Diagnostic.unsupported("numbers are not turned into strings") }
        if to == .f8e8m0, element(x) != to {
            guard let rounding = ScaleRounding(rawValue: try c.string("round_mode", "up")) else { throw Diagnostic(.invalid, "round_mode is not known") }
            return try emit(Cast(to: to, saturate: try c.flag("saturate", true), rounding: rounding), [x])
        }
        return try cast(x, to, saturate: try c.flag("saturate", true))
    }

    /// The numbers that a constant string tensor spells, or nil where the input is none.
    mutating func castFromStrings(_ c: OnnxCall, _ to: ElementType) throws -> ValueID? {
        guard case .strings(let text) = try c.value(0) else { return nil }
        guard to.isFloat || to.isInteger else { throw Diagnostic.unsupported("strings are turned into numbers only, not \(to.rawValue)") }
        let values = try text.values.map { bytes in
            let string = String(decoding: bytes, as: UTF8.self)
            guard let value = Double(string) else { throw Diagnostic(.invalid, "the string '\(string)' is no number") }
            return value
        }
        return try constant(Tensor(to, text.shape, values: { values[$0] }))
    }

    mutating func range(_ c: OnnxCall) throws -> ValueID {
        let (start, limit, delta) = (try c[0], try c[1], try c[2])
        let own = element(start)
        // Sizes often arrive as floats; as long as they are whole, the count is exact.
        let contents = [start, limit, delta].map { rewriter.function.symbolicContents($0)?.first }
        if let first = contents[0], let last = contents[1], let step = contents[2]?.constant {
            guard step != 0, step != Int.min else { throw Diagnostic(.invalid, "the step is \(step)") }
            let distance = step > 0 ? last - first : first - last
            let count = clamped(distance.ceilDivided(by: Extent(abs(step))))
            if let origin = first.constant { return try emit(Iota(own, start: Double(origin), step: Double(step), count: count), []) }
            let line = try emit(Iota(own, start: 0, step: Double(step), count: count), [])
            return try add(line, try reshape(start, []))
        }
        let (first, last, step) = (try requiredScalar(start, "the start"), try requiredScalar(limit, "the limit"), try requiredScalar(delta, "the step"))
        let count = max(((last - first) / step).rounded(.up), 0)
        guard step != 0, count.isFinite, count < 1e12 else { throw Diagnostic(.invalid, "the step \(step) never reaches \(last) from \(first)") }
        return try emit(Iota(own, start: first, step: step, count: Extent(Int(count))), [])
    }

    mutating func oneHot(_ c: OnnxCall) throws -> ValueID {
        let indices = try cast(c[0], .i64), values = try c[2]
        try require(values, rank: 1, "the values")
        try require(shape(values)[0], equals: 2, "the elements of the values, off and on")
        let depthID = try c[1]
        let depth: Extent
        if element(depthID).isInteger, let first = try extents(depthID, "the depth").first {
            depth = first
        } else {
            depth = Extent(try wholeNumber(try requiredScalar(depthID, "the depth"), "the depth"))
        }
        let axis = try normalized(try c.int("axis", -1), rank: rank(indices) + 1)
        // A negative index counts from the end; one that is out of range gives no hot element.
        let count = try size(depth, .i64)
        let positive = try select(try binary(.less, indices, 0), try add(indices, count), indices)
        let line = try iota(depth, axis: axis, rank: rank(indices) + 1)
        let hot = try binary(.equal, try unsqueeze(positive, [axis]), line)
        let off = try reshape(try slice(values, axis: 0, start: 0, size: 1), [])
        let on = try reshape(try slice(values, axis: 0, start: 1, size: 1), [])
        return try select(hot, on, off)
    }

    func scatterReduction(_ c: OnnxCall) throws -> ScatterReduction {
        let name = try c.string("reduction", "none")
        let table: [String: ScatterReduction] = ["none": .none, "add": .add, "mul": .multiply, "max": .maximum, "min": .minimum]
        guard let reduction = table[name] else { throw Diagnostic(.invalid, "the reduction '\(name)' is not known") }
        return reduction
    }

    mutating func scatterElements(_ c: OnnxCall) throws -> ValueID {
        let x = try c[0], axis = try normalized(try c.int("axis", 0), rank: rank(x))
        return try emit(ScatterElements(axis: axis, reduction: try scatterReduction(c)), [x, c[1], c[2]])
    }

    /// Writes rows of an update into a cache, each sample at its own place.
    mutating func tensorScatter(_ c: OnnxCall) throws -> ValueID {
        let cache = try c[0], update = try c[1]
        let axis = try normalized(try c.int("axis", -2), rank: rank(cache))
        try require(update, rank: rank(cache), "the update")
        guard axis > 0 else { throw Diagnostic(.invalid, "the axis cannot be the batch axis") }
        var positions = try iota(shape(update)[axis], axis: axis, rank: rank(cache))
        if let starts = try c.optional(2) {
            positions = try add(positions, try reshape(try cast(starts, .i64), shape(starts) + (1..<rank(cache)).map { _ in 1 }))
        }
        if try c.string("mode", "linear") == "circular" {
            positions = try binary(.remainder, positions, try size(shape(cache)[axis], .i64))
        }
        return try emit(ScatterElements(axis: axis, reduction: .none), [cache, try expand(positions, shape(update)), update])
    }

    mutating func compress(_ c: OnnxCall) throws -> ValueID {
        var x = try c[0]
        let axis = try c.int("axis")
        if axis == nil { x = try reshape(x, [type(x).elementCount]) }
        let along = try normalized(axis ?? 0, rank: rank(x))
        if let keep = knownConstant(try c[1]) {
            let chosen = keep.integers.enumerated().filter { $0.element != 0 }.map(\.offset)
            return try gather(x, try ints(chosen), axis: along)
        }
        let count = dataDependentDimension("compressed", bound: shape(x)[along])
        return try emitMany(Compress(axis: along, count: count), [x, c[1]], 1)[0]
    }
}
