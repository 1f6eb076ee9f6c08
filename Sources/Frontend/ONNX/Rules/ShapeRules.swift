import GlmcIR

extension OnnxRules {
    /// Operators on shapes, and those that only rearrange elements.
    static let shapes: [OnnxRule] = [
        OnnxRule("Shape") { g, c in
            let shape = g.shape(try c[0]), rank = shape.count
            func bound(_ value: Int) -> Int { min(max(value < 0 ? value + rank : value, 0), rank) }
            let (start, end) = (bound(try c.int("start", 0)), bound(try c.int("end", rank)))
            return try g.sizes(start < end ? Array(shape[start..<end]) : [])
        },
        OnnxRule("Size") { g, c in try g.size(g.type(try c[0]).elementCount, .i64) },
        OnnxRule("Reshape", since: 5) { g, c in try g.reshapeRule(c) },
        OnnxRule("Flatten") { g, c in
            let x = try c[0], shape = g.shape(x)
            let axis = try c.int("axis", 1), split = axis < 0 ? axis + shape.count : axis
            guard (0...shape.count).contains(split) else { throw Diagnostic(.invalid, "axis \(axis) is outside \(g.type(x))") }
            return try g.reshape(x, [Array(shape[..<split]).product, Array(shape[split...]).product])
        },
        OnnxRule("Squeeze") { g, c in try g.squeezeRule(c, try c.ints("axes")) },
        OnnxRule("Squeeze", since: 13) { g, c in
            try g.squeezeRule(c, try c.optional(1).map { try g.requiredInts($0, "the axes") })
        },
        OnnxRule("Unsqueeze") { g, c in try g.unsqueeze(c[0], try c.ints("axes") ?? []) },
        OnnxRule("Unsqueeze", since: 13) { g, c in try g.unsqueeze(c[0], try g.requiredInts(c[1], "the axes")) },
        OnnxRule("Transpose") { g, c in
            let x = try c[0]
            let permutation = try c.ints("perm") ?? Array((0..<g.rank(x)).reversed())
            guard permutation.sorted() == Array(0..<g.rank(x)) else { throw Diagnostic(.invalid, "perm \(permutation) is no permutation of the axes of \(g.type(x))") }
            return try g.transpose(x, permutation)
        },
        OnnxRule("Expand", since: 8) { g, c in
            let x = try c[0]
            let wanted = try g.extents(c[1], "the shape"), common = try TensorType.broadcast(g.shape(x), wanted)
            return common == g.shape(x) && wanted.allSatisfy(\.isConstant) ? x : try g.emit(Expand(common, wanted: wanted), [x])
        },
        OnnxRule("Concat", since: 4) { g, c in
            guard let axis = try c.int("axis") else { throw Diagnostic(.invalid, "the attribute 'axis' is missing") }
            let parts = try c.tensors()
            guard let first = parts.first else { throw Diagnostic(.invalid, "takes at least one input") }
            return try g.concat(parts, axis: try g.normalized(axis, rank: g.rank(first)))
        },
        OnnxRule(tensors: "Split", since: 2) { g, c in try g.split(c, try c.ints("split")?.map { Extent($0) }) },
        OnnxRule(tensors: "Split", since: 13) { g, c in
            try g.split(c, try c.optional(1).map { try g.extents($0, "the split") })
        },
        OnnxRule("Slice") { g, c in
            let rank = g.rank(try c[0])
            let starts = try c.ints("starts") ?? [], ends = try c.ints("ends") ?? []
            let axes = try c.ints("axes") ?? Array(0..<min(starts.count, rank))
            return try g.slice(try c[0], starts.map { Extent($0) }, ends.map { Extent($0) }, axes, nil)
        },
        OnnxRule("Slice", since: 10) { g, c in
            let starts = try g.extents(c[1], "the starts"), ends = try g.extents(c[2], "the ends")
            let axes = try c.optional(3).map { try g.requiredInts($0, "the axes") } ?? Array(starts.indices)
            return try g.slice(try c[0], starts, ends, axes, try c.optional(4).map { try g.requiredInts($0, "the steps") })
        },
        OnnxRule("Pad", since: 2) { g, c in
            try g.padRule(try c[0], try c.ints("pads") ?? [], nil, try c.float("value", 0), try c.string("mode", "constant"))
        },
        OnnxRule("Pad", since: 11) { g, c in
            let value = try c.optional(2).map { try g.requiredScalar($0, "the padding value") } ?? 0
            let axes = try c.optional(3).map { try g.requiredInts($0, "the axes") }
            return try g.padRule(try c[0], try g.requiredInts(c[1], "the padding"), axes, value, try c.string("mode", "constant"))
        },
        OnnxRule("Tile", since: 6) { g, c in try g.tile(try c[0], try g.extents(c[1], "the repeats")) },
        OnnxRule("DepthToSpace") { g, c in try g.depthToSpace(c) },
        OnnxRule("SpaceToDepth") { g, c in try g.spaceToDepth(c) },
        OnnxRule("CenterCropPad", since: 18) { g, c in try g.centerCropPad(c) },
    ]
}

extension GraphImporter {
    mutating func reshapeRule(_ c: OnnxCall) throws -> ValueID {
        let x = try c[0], own = shape(x)
        var target = try extents(c[1], "the shape")
        let zeroCopies = !(try c.flag("allowzero"))
        var inferred: Int?
        for (axis, extent) in target.enumerated() {
            if extent == 0, zeroCopies {
                guard own.indices.contains(axis) else { throw Diagnostic(.invalid, "the shape copies axis \(axis), which \(type(x)) has not") }
                target[axis] = own[axis]
            } else if extent == -1 {
                guard inferred == nil else { throw Diagnostic(.invalid, "the shape \(target) leaves two sizes open") }
                inferred = axis
            } else if let size = extent.constant, size < 0 {
                throw Diagnostic(.invalid, "the shape \(target) has a negative size")
            } else if zeroCopies, isHeldByInput(extent) {
                // A caller's 0 would mean the size of the axis.
                rewriter.assume(extent - 1, for: "the shape of a Reshape, where 0 means the size that the axis has")
            }
        }
        if let inferred {
            target[inferred] = 1
            target[inferred] = try quotient(own, target)
        }
        return try reshape(x, target)
    }

    /// The product of `whole` divided by the product of `part`; equal factors are cancelled first, which keeps it exact.
    private func quotient(_ whole: [Extent], _ part: [Extent]) throws -> Extent {
        var (whole, part) = (whole, part.filter { $0 != 1 })
        for extent in part {
            guard let i = whole.firstIndex(of: extent), extent != 0 else { continue }
            whole.remove(at: i)
            part.remove(at: part.firstIndex(of: extent) ?? 0)
        }
        let (total, divisor) = (whole.product, part.product)
        if let exact = total.exactQuotient(by: divisor) { return exact }
        if divisor == 0 { return 0 }
        if let a = total.constant, divisor.isConstant { throw Diagnostic(.invalid, "\(a) elements do not fill the shape \(part)") }
        return total.floorDivided(by: divisor)
    }

    mutating func squeezeRule(_ c: OnnxCall, _ axes: [Int]?) throws -> ValueID {
        let x = try c[0]
        if let axes { return try squeeze(x, axes) }
        if let open = shape(x).first(where: { !$0.isConstant }) {
            _ = known(shape(x))
            throw Diagnostic.unsupported("without axes, the rank of the result depends on whether the size \(open) is 1", hint: "fix the shapes with --shape")
        }
        return try squeeze(x, shape(x).indices.filter { shape(x)[$0] == 1 })
    }

    mutating func split(_ c: OnnxCall, _ sizes: [Extent]?) throws -> [ValueID] {
        let x = try c[0]
        let axis = try normalized(try c.int("axis", 0), rank: rank(x)), whole = shape(x)[axis]
        let parts: [Extent]
        if let sizes {
            parts = sizes
        } else {
            let count = try c.int("num_outputs", c.node.outputs.count)
            guard count == c.node.outputs.count, count > 0 else { throw Diagnostic(.invalid, "num_outputs is \(count), and the node has \(c.node.outputs.count) outputs") }
            // From opset 18 on the last part may be smaller.
            let each = c.version < 18 ? whole.floorDivided(by: Extent(count)) : whole.ceilDivided(by: Extent(count))
            parts = (0..<count).map { $0 < count - 1 || c.version < 18 ? each : whole - each * Extent(count - 1) }
        }
        return try cut(x, axis: axis, into: parts)
    }

    /// Slices of the given sizes, which must make up the axis.
    mutating func cut(_ x: ValueID, axis: Int, into parts: [Extent]) throws -> [ValueID] {
        let whole = shape(x)[axis], total = parts.reduce(0) { $0 + $1 }
        if let a = total.constant, let b = whole.constant, a != b { throw Diagnostic(.invalid, "parts of \(parts) do not make up \(b)") }
        // As a reshape, so that an artifact checks that the parts make up the whole.
        var divided = shape(x)
        divided[axis] = total
        let checked = total == whole ? x : try reshape(x, divided)
        var start: Extent = 0
        return try parts.map { size in
            defer { start = start + size }
            return try slice(checked, axis: axis, start: start, size: size)
        }
    }

    /// ONNX's slice: out-of-range bounds are clamped, negative ones count from the back.
    mutating func slice(_ x: ValueID, _ starts: [Extent], _ ends: [Extent], _ axes: [Int], _ steps: [Int]?) throws -> ValueID {
        let steps = steps ?? starts.map { _ in 1 }
        guard starts.count == ends.count, starts.count == axes.count, starts.count == steps.count else {
            throw Diagnostic(.invalid, "\(starts.count) starts, \(ends.count) ends, \(axes.count) axes and \(steps.count) steps")
        }
        let axes = try normalized(axes, rank: rank(x))
        var (from, size, by) = ([Extent](repeating: 0, count: rank(x)), shape(x), [Int](repeating: 1, count: rank(x)))
        for (i, axis) in axes.enumerated() {
            let extent = shape(x)[axis]
            guard steps[i] != 0 else { throw Diagnostic(.invalid, "a step of 0") }
            // A step beyond the axis picks the first element alone, however long it is.
            let longest = max(extent.constant ?? 1 << 24, 1), step = min(max(steps[i], -longest), longest)
            // Positions lie in 0...extent going up, in -1...extent-1 going down.
            let low: Extent = step > 0 ? 0 : -1, high = step > 0 ? extent : extent - 1
            var first = clamped(starts[i], extent, low, high)
            // Going down, a start in front of the axis is its first element, where numpy has none: so say the standard and ONNX Runtime.
            if step < 0, first != high { first = .minimum(.maximum(first, 0), high) }
            let last = clamped(ends[i], extent, low, high)
            let distance = step > 0 ? last - first : first - last
            from[axis] = first
            size[axis] = clamped(distance.ceilDivided(by: Extent(abs(step))))
            by[axis] = step
            if size[axis] == 0 { from[axis] = 0 }
        }
        return try slice(x, starts: from, sizes: size, steps: by)
    }

    private func clamped(_ bound: Extent, _ extent: Extent, _ low: Extent, _ high: Extent) -> Extent {
        // Exporters write "to the end" as a huge number.
        if let value = bound.constant {
            if value >= 1 << 29 && !extent.isConstant || value >= 1 << 62 { return high }
            if value <= -(1 << 29) && !extent.isConstant || value <= -(1 << 62) { return low }
        }
        let position = fromFront(bound, extent)
        if position == extent { return high }
        if position == 0, low == 0 { return 0 }
        return low == 0 ? clamped(.minimum(position, high)) : .maximum(low, .minimum(position, high))
    }

    /// `bound < 0 ? bound + extent : bound`, or what is the same once it is cut to the axis.
    private func fromFront(_ bound: Extent, _ extent: Extent) -> Extent {
        if let value = bound.constant { return value < 0 ? bound + extent : bound }
        // What is up to 2 less than the size, and negative, is at most 0 when the size is added.
        if bound.isNeverNegative || (extent - bound).constant.map({ 0...2 ~= $0 }) ?? false { return bound }
        // ⌊b / 2⁴¹⌋ is −1 for negative numbers and 0 for others; sizes are smaller than 2⁴⁰.
        let limit: Extent = 0x100_0000_0000
        let cut = Extent.maximum(-limit, .minimum(bound, limit))
        return cut - extent * cut.floorDivided(by: limit * 2)
    }

    mutating func padRule(_ x: ValueID, _ pads: [Int], _ axes: [Int]?, _ value: Double, _ mode: String) throws -> ValueID {
        let axes = try normalized(axes ?? Array(0..<rank(x)), rank: rank(x))
        guard pads.count == 2 * axes.count else { throw Diagnostic(.invalid, "\(pads.count) paddings for \(axes.count) axes") }
        guard let mode = PadMode(rawValue: mode) else { throw Diagnostic(.invalid, "the padding mode '\(mode)' is not known") }
        var (before, after) = ([Int](repeating: 0, count: rank(x)), [Int](repeating: 0, count: rank(x)))
        for (i, axis) in axes.enumerated() { (before[axis], after[axis]) = (pads[i], pads[axes.count + i]) }
        guard pads.allSatisfy({ -1 << 40 ..< 1 << 40 ~= $0 }) else { throw Diagnostic(.invalid, "the padding \(pads) is too large") }
        return try pad(x, before: before, after: after, value: value, mode: mode)
    }

    mutating func tile(_ x: ValueID, _ repeats: [Extent]) throws -> ValueID {
        let own = shape(x)
        guard repeats.count == own.count else { throw Diagnostic(.invalid, "\(repeats.count) repeats for \(type(x))") }
        // [a, b] → [1, a, 1, b] → [r, a, s, b] → [r·a, s·b]
        let spread = try reshape(x, own.flatMap { [1, $0] })
        return try reshape(try expand(spread, zip(repeats, own).flatMap { [$0, $1] }), zip(repeats, own).map { $0 * $1 })
    }

    mutating func depthToSpace(_ c: OnnxCall) throws -> ValueID {
        let x = try c[0], block = try c.int("blocksize", 0)
        guard rank(x) == 4, 1..<1 << 20 ~= block else { throw Diagnostic(.invalid, "takes an image of rank 4 and a positive blocksize") }
        let s = shape(x), b = Extent(block), depth = s[1].floorDivided(by: b * b)
        let isColumnFirst = try c.string("mode", "DCR") == "CRD"
        let split = try reshape(x, isColumnFirst ? [s[0], depth, b, b, s[2], s[3]] : [s[0], b, b, depth, s[2], s[3]])
        let moved = try transpose(split, isColumnFirst ? [0, 1, 4, 2, 5, 3] : [0, 3, 4, 1, 5, 2])
        return try reshape(moved, [s[0], depth, s[2] * b, s[3] * b])
    }

    mutating func spaceToDepth(_ c: OnnxCall) throws -> ValueID {
        let x = try c[0], block = try c.int("blocksize", 0)
        guard rank(x) == 4, 1..<1 << 20 ~= block else { throw Diagnostic(.invalid, "takes an image of rank 4 and a positive blocksize") }
        let s = shape(x), b = Extent(block), h = s[2].floorDivided(by: b), w = s[3].floorDivided(by: b)
        let split = try reshape(x, [s[0], s[1], h, b, w, b])
        let isColumnFirst = try c.string("mode", "DCR") == "CRD"
        return try reshape(try transpose(split, isColumnFirst ? [0, 1, 3, 5, 2, 4] : [0, 3, 5, 1, 2, 4]), [s[0], s[1] * b * b, h, w])
    }

    mutating func centerCropPad(_ c: OnnxCall) throws -> ValueID {
        var x = try c[0]
        let target = try requiredInts(c[1], "the shape")
        let axes = try normalized(try c.ints("axes") ?? Array(0..<rank(x)), rank: rank(x))
        guard axes.count == target.count else { throw Diagnostic(.invalid, "\(target.count) sizes for \(axes.count) axes") }
        guard target.allSatisfy({ 0..<1 << 40 ~= $0 }) else { throw Diagnostic(.invalid, "the shape \(target) is out of range") }
        for (axis, size) in zip(axes, target) {
            guard let own = known(shape(x)[axis]) else { throw Diagnostic.unsupported("axis \(axis) must have a size known at compile time") }
            if own > size {
                x = try slice(x, axis: axis, start: Extent((own - size) / 2), size: Extent(size))
            } else if own < size {
                var (before, after) = ([Int](repeating: 0, count: rank(x)), [Int](repeating: 0, count: rank(x)))
                before[axis] = (size - own) / 2
                after[axis] = size - own - before[axis]
                x = try pad(x, before: before, after: after)
            }
        }
        return x
    }
}
