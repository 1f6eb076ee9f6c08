import GlmcIR

extension OnnxRules {
    /// Normalisation layers.
    static let normalizations: [OnnxRule] = [
        OnnxRule(tensors: "BatchNormalization", since: 7) { g, c in try g.batchNorm(c) },
        OnnxRule("InstanceNormalization") { g, c in
            let x = try c[0]
            guard g.rank(x) >= 2 else { throw Diagnostic(.invalid, "takes an image, not \(g.type(x))") }
            for i in 1...2 { try g.requireParameter(c[i], of: x) }
            return try g.normalized(x, axes: Array(2..<g.rank(x)), epsilon: try c.float("epsilon", 1e-5),
                scale: try g.perChannel(c[1], rank: g.rank(x)), bias: try g.perChannel(c[2], rank: g.rank(x)))
        },
        OnnxRule("GroupNormalization", since: 18) { g, c in try g.groupNorm(c) },
        OnnxRule(tensors: "LayerNormalization", since: 17) { g, c in try g.layerNorm(c) },
        OnnxRule("RMSNormalization", since: 23) { g, c in
            let x = try c[0], axis = try g.normalized(try c.int("axis", -1), rank: g.rank(x))
            return try g.emit(RMSNorm(axis: axis, epsilon: try c.float("epsilon", 1e-5)), [x, c[1]])
        },
        OnnxRule("LRN") { g, c in
            let x = try c[0], size = try c.int("size", 1)
            guard g.rank(x) >= 2, size > 0 else { throw Diagnostic(.invalid, "takes a positive size and an image, not \(g.type(x))") }
            // The sum over neighbouring channels, as a pooling along the channel axis.
            let shape = g.shape(x), channels = shape[1]
            let squares = try g.reshape(try g.mul(x, x), [shape[0], 1, channels, Array(shape[2...]).product])
            let window = Pool(.average, window: [size, 1], padBefore: [(size - 1) / 2, 0], padAfter: [size - 1 - (size - 1) / 2, 0], countIncludePad: true)
            let mean = try g.reshape(try g.emit(window, [squares]), shape)
            let base = try g.add(try g.mul(mean, try c.float("alpha", 1e-4)), try c.float("bias", 1))
            return try g.div(x, try g.binary(.power, base, try c.float("beta", 0.75)))
        },
    ]
}

extension GraphImporter {
    mutating func batchNorm(_ c: OnnxCall) throws -> [ValueID] {
        let x = try c[0], epsilon = try c.float("epsilon", 1e-5)
        guard rank(x) >= 2 else { throw Diagnostic(.invalid, "takes an image, not \(type(x))") }
        for i in 1...4 { try requireParameter(c[i], of: x) }
        let own = element(x)
        var (mean, variance) = (try c[3], try c[4])
        var running: [ValueID] = []
        if c.version >= 14, try c.flag("training_mode") {
            let axes = [0] + Array(2..<rank(x)), momentum = try c.float("momentum", 0.9)
            let batchMean = try reduce(.mean, x, axes)
            let centred = try sub(x, batchMean)
            let batch = (try reshape(batchMean, shape(mean)), try reshape(try reduce(.mean, try mul(centred, centred), axes), shape(variance)))
            for (old, new) in [(mean, batch.0), (variance, batch.1)] {
                let now = try cast(new, element(old))
                running.append(try add(try mul(old, momentum), try mul(now, 1 - momentum)))
            }
            (mean, variance) = batch
        } else if c.outputCount > 1 {
            throw Diagnostic.unsupported("training outputs are not supported")
        }
        // Products and sums that nearly cancel need more than 16 bits.
        if element(variance).byteCount == 2 { (mean, variance) = (try cast(mean, .f32), try cast(variance, .f32)) }
        let width = rank(x)
        let factor = try div(try perChannel(try cast(c[1], element(variance)), rank: width), try unary(.sqrt, try add(try perChannel(variance, rank: width), epsilon)))
        let offset = try sub(try perChannel(try cast(c[2], element(mean)), rank: width), try mul(try perChannel(mean, rank: width), factor))
        // Parameters may be wider than the data.
        let wide = element(factor)
        return [try cast(try add(try mul(try cast(x, wide), factor), offset), own)] + running
    }

    /// - Throws: where `v` does not hold one number for each channel of `x`; a single one does not stand for all.
    mutating func requireParameter(_ v: ValueID, of x: ValueID) throws {
        try require(v, rank: 1, "a parameter")
        try require(shape(v)[0], equals: shape(x)[1], "a parameter's elements and the channels")
    }

    /// (x − mean) / √(variance + ε) · scale + bias over `axes`; scale and bias broadcast.
    mutating func normalized(_ x: ValueID, axes: [Int], epsilon: Double, scale: ValueID, bias: ValueID) throws -> ValueID {
        let centred = try sub(x, try reduce(.mean, x, axes))
        let variance = try reduce(.mean, try mul(centred, centred), axes)
        let unit = try div(centred, try unary(.sqrt, try add(variance, epsilon)))
        return try add(try mul(unit, scale), bias)
    }

    mutating func groupNorm(_ c: OnnxCall) throws -> ValueID {
        let x = try c[0], groups = try c.int("num_groups", 0)
        guard rank(x) >= 2, groups > 0 else { throw Diagnostic(.invalid, "takes an image and a positive num_groups") }
        let own = shape(x), each = own[1].floorDivided(by: Extent(groups))
        let wide: ElementType = element(x) == .f64 ? .f64 : .f32
        let rows = try reshape(try cast(x, wide), [own[0], Extent(groups), each] + Array(own[2...]))
        let axes = Array(2..<rank(rows))
        func parameter(_ v: ValueID, _ g: inout GraphImporter) throws -> ValueID {
            // Per group before version 21, per channel since.
            let ones = [Extent](repeating: 1, count: own.count - 2)
            let wideV = try g.cast(v, wide)
            return c.version < 21 ? try g.reshape(wideV, [Extent(groups), 1] + ones) : try g.reshape(wideV, [Extent(groups), each] + ones)
        }
        let result = try normalized(rows, axes: axes, epsilon: try c.float("epsilon", 1e-5), scale: try parameter(c[1], &self), bias: try parameter(c[2], &self))
        return try cast(try reshape(result, own), element(x))
    }

    mutating func layerNorm(_ c: OnnxCall) throws -> [ValueID] {
        let x = try c[0], scale = try c[1], own = element(x), epsilon = try c.float("epsilon", 1e-5)
        let axis = try normalized(try c.int("axis", -1), rank: rank(x))
        let bias = try c.optional(2) ?? filled(0, own, shape(scale))
        let y = try emit(LayerNorm(axis: axis, epsilon: epsilon), [x, scale, bias])
        guard c.outputCount > 1 else { return [y] }
        let statistics = try c.element("stash_type") ?? .f32
        let wide = own == .f64 ? ElementType.f64 : .f32
        let axes = Array(axis..<rank(x)), stashed = try cast(x, wide)
        let mean = try reduce(.mean, stashed, axes)
        let centred = try sub(stashed, mean)
        let variance = try reduce(.mean, try mul(centred, centred), axes)
        let deviation = try unary(.reciprocal, try unary(.sqrt, try add(variance, epsilon)))
        return [y, try cast(mean, statistics), try cast(deviation, statistics)]
    }
}
