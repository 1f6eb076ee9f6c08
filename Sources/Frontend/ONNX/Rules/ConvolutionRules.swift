import GlmcIR

extension OnnxRules {
    /// Sliding windows: convolution and pooling.
    static let convolutions: [OnnxRule] = [
        OnnxRule("Conv") { g, c in
            let x = try c[0], w = try c[1]
            return try g.biased(try g.convolution(c, x, w, padding: 0), try c.optional(2))
        },
        OnnxRule("ConvInteger", since: 10) { g, c in
            let x = try c[0], w = try c[1]
            return try g.integerConvolution(c, x, w, try c.optional(2), try c.optional(3))
        },
        OnnxRule("QLinearConv", since: 10) { g, c in
            let sum = try g.integerConvolution(c, c[0], c[3], c[2], c[5])
            let biased = try g.biased(sum, try c.optional(8))
            let scale = try g.mul(try g.perChannel(c[1], rank: g.rank(biased)), try g.perChannel(c[4], rank: g.rank(biased)))
            let real = try g.mul(try g.cast(biased, .f32), scale)
            return try g.emit(Quantize(element: g.element(try c[7])), [real, g.scalarShape(c[6]), g.scalarShape(c[7])])
        },
        OnnxRule("ConvTranspose") { g, c in try g.transposedConvolution(c) },
        OnnxRule(tensors: "CausalConvWithState", since: 27) { g, c in try g.causalConvolution(c) },
        OnnxRule(tensors: "MaxPool") { g, c in
            let geometry = try g.windowGeometry(c, size: try c.ints("kernel_shape") ?? [], x: c[0])
            let op = Pool(.max, window: geometry.size, strides: geometry.strides, dilations: geometry.dilations,
                padBefore: geometry.before, padAfter: geometry.after, ceilMode: try c.flag("ceil_mode"),
                indices: c.outputCount > 1, columnMajorIndices: try c.flag("storage_order"))
            return try g.emitMany(op, [c[0]], c.outputCount > 1 ? 2 : 1)
        },
        OnnxRule("AveragePool") { g, c in
            let geometry = try g.windowGeometry(c, size: try c.ints("kernel_shape") ?? [], x: c[0])
            return try g.emit(Pool(.average, window: geometry.size, strides: geometry.strides, dilations: geometry.dilations,
                padBefore: geometry.before, padAfter: geometry.after, ceilMode: try c.flag("ceil_mode"),
                countIncludePad: try c.flag("count_include_pad")), [c[0]])
        },
        OnnxRule("LpPool", since: 2) { g, c in
            let geometry = try g.windowGeometry(c, size: try c.ints("kernel_shape") ?? [], x: c[0])
            return try g.emit(Pool(.lp, window: geometry.size, strides: geometry.strides, dilations: geometry.dilations,
                padBefore: geometry.before, padAfter: geometry.after, ceilMode: try c.flag("ceil_mode"), p: try c.int("p", 2)), [c[0]])
        },
        OnnxRule("MaxUnpool", since: 9) { g, c in try g.maxUnpool(c) },
        OnnxRule("Col2Im", since: 18) { g, c in try g.columnsToImage(c) },
    ]
}

/// The attributes of a sliding window with their defaults, one entry per spatial axis.
struct WindowGeometry {
    var size: [Int]
    var strides: [Int]
    var dilations: [Int]
    var before: [Int]
    var after: [Int]
}

extension GraphImporter {
    mutating func windowGeometry(_ c: OnnxCall, size: [Int], x: ValueID) throws -> WindowGeometry {
        let spatial = rank(x) - 2
        guard spatial > 0 else { throw Diagnostic(.invalid, "takes an image of rank 3 or more, not \(type(x))") }
        let strides = try c.ints("strides") ?? size.map { _ in 1 }, dilations = try c.ints("dilations") ?? size.map { _ in 1 }
        let pads = try c.ints("pads") ?? [Int](repeating: 0, count: 2 * spatial)
        for (name, values, count) in [("kernel_shape", size, spatial), ("strides", strides, spatial), ("dilations", dilations, spatial), ("pads", pads, 2 * spatial)] {
            guard values.count == count else { throw Diagnostic(.invalid, "\(name) has \(values.count) entries for \(spatial) spatial axes") }
            guard values.allSatisfy({ $0 > (name == "pads" ? -1 << 20 : 0) && $0 < 1 << 20 }) else { throw Diagnostic(.invalid, "\(name) \(values) is out of range") }
        }
        var geometry = WindowGeometry(size: size, strides: strides, dilations: dilations, before: Array(pads[..<spatial]), after: Array(pads[spatial...]))
        switch try c.string("auto_pad", "NOTSET") {
        case "SAME_UPPER", "SAME_LOWER":
            for axis in 0..<spatial {
                guard let extent = strides[axis] == 1 ? shape(x)[axis + 2].constant : known(shape(x)[axis + 2]) else {
                    guard strides[axis] == 1 else { throw Diagnostic.unsupported("auto_pad with strides needs a size known at compile time", hint: "fix it with --shape") }
                    (geometry.before[axis], geometry.after[axis]) = Self.halves((size[axis] - 1) * dilations[axis], upper: try c.string("auto_pad") == "SAME_UPPER")
                    continue
                }
                let reach = (size[axis] - 1) * dilations[axis] + 1, outputs = (extent + strides[axis] - 1) / strides[axis]
                let total = max(0, (outputs - 1) * strides[axis] + reach - extent)
                (geometry.before[axis], geometry.after[axis]) = Self.halves(total, upper: try c.string("auto_pad") == "SAME_UPPER")
            }
        case "VALID":
            geometry.before = [Int](repeating: 0, count: spatial)
            geometry.after = geometry.before
        case "NOTSET", "": break
        case let other: throw Diagnostic(.invalid, "auto_pad '\(other)' is not known")
        }
        return geometry
    }

    /// Padding on both sides; an odd total puts the extra one at the end (`upper`) or at the front.
    static func halves(_ total: Int, upper: Bool) -> (Int, Int) { upper ? (total / 2, total - total / 2) : (total - total / 2, total / 2) }

    private mutating func filterSize(_ c: OnnxCall, _ w: ValueID) throws -> [Int] {
        let extents = Array(shape(w).dropFirst(2)), declared = try c.ints("kernel_shape") ?? []
        expect(SizeEquation.pairs(extents, declared.map { Extent($0) }))
        if let size = extents.constants, !declared.isEmpty, declared != size {
            throw Diagnostic(.invalid, "kernel_shape \(declared) contradicts the filter, which is \(type(w))")
        }
        guard rank(w) >= 3, let size = known(extents) else { throw Diagnostic.unsupported("the filter must have a size known at compile time, not \(type(w))") }
        return size
    }

    mutating func convolution(_ c: OnnxCall, _ x: ValueID, _ w: ValueID, padding: Double) throws -> ValueID {
        let geometry = try windowGeometry(c, size: try filterSize(c, w), x: x)
        let padded = try pad(x, before: [0, 0] + geometry.before, after: [0, 0] + geometry.after, value: padding)
        return try product(Convolution(strides: geometry.strides, dilations: geometry.dilations, groups: try c.int("group", 1)), padded, w)
    }

    /// Adds one number per channel (axis 1).
    mutating func biased(_ x: ValueID, _ bias: ValueID?) throws -> ValueID {
        guard let bias else { return x }
        return try add(x, try perChannel(bias, rank: rank(x)))
    }

    /// A vector as a tensor that broadcasts along axis 1; scalars and one-element vectors stay scalars.
    mutating func perChannel(_ v: ValueID, rank: Int) throws -> ValueID {
        if self.rank(v) == 0 || shape(v) == [1] { return try reshape(v, []) }
        guard self.rank(v) == 1 else { throw Diagnostic(.invalid, "a vector is expected, not \(type(v))") }
        return try reshape(v, shape(v) + [Extent](repeating: 1, count: max(rank - 2, 0)))
    }

    /// A one-element tensor as a scalar; others unchanged.
    mutating func scalarShape(_ v: ValueID) throws -> ValueID { shape(v) == [1] ? try reshape(v, []) : v }

    /// A convolution of quantised operands in exact integers. The image is padded with its zero point and the zero points are
    /// taken out afterwards: Σ(x−a)(w−b) = Σxw − a·Σw − b·Σx + n·a·b, where Σw and the last term are constants of the filter.
    mutating func integerConvolution(_ c: OnnxCall, _ x: ValueID, _ w: ValueID, _ xZero: ValueID?, _ wZero: ValueID?) throws -> ValueID {
        let a = try xZero.map { try scalarShape($0) }
        let padding = try a.map { try requiredScalar($0, "the zero point of the image") } ?? 0
        var sum = try convolution(c, x, w, padding: padding)
        let outputRank = rank(sum)
        if let a, padding != 0 {
            let filterSum = try reduce(.add, try cast(w, .i32), Array(1..<rank(w)), keep: false)
            sum = try sub(sum, try mul(try perChannel(filterSum, rank: outputRank), try cast(a, .i32)))
        }
        if let b = wZero, knownConstantUnlessBound(b)?.splat != 0 {
            let depth = try constantShape(w, "the filter")
            // Σx over the window of every group: a convolution with ones, of one output channel per group.
            let groups = try c.int("group", 1)
            guard groups > 0, depth[0] % groups == 0 else { throw Diagnostic(.invalid, "\(groups) groups") }
            let ones = try filled(1, element(w), [Extent(groups)] + Array(shape(w)[1...]))
            var windowSum = try convolution(c, x, ones, padding: padding)
            if groups > 1 {
                let s = shape(windowSum), each = depth[0] / groups
                let spread = try expand(try unsqueeze(windowSum, [2]), [s[0], s[1], Extent(each)] + Array(s[2...]))
                windowSum = try reshape(spread, [s[0], Extent(depth[0])] + Array(s[2...]))
            }
            let zero = try perChannel(try cast(b, .i32), rank: outputRank)
            sum = try sub(sum, try mul(windowSum, zero))
            if padding != 0 { sum = try add(sum, try mul(zero, Double(depth[1...].reduce(1, *)) * padding)) }
        }
        return sum
    }

    mutating func transposedConvolution(_ c: OnnxCall) throws -> ValueID {
        let x = try c[0], w = try c[1], size = try filterSize(c, w), spatial = rank(x) - 2
        guard spatial == size.count else { throw Diagnostic(.invalid, "\(type(x)) and \(type(w)) differ in rank") }
        let strides = try c.ints("strides") ?? size.map { _ in 1 }, dilations = try c.ints("dilations") ?? size.map { _ in 1 }
        let outputPadding = try c.ints("output_padding") ?? size.map { _ in 0 }
        let pads = try c.ints("pads") ?? [Int](repeating: 0, count: 2 * spatial)
        for (name, values, count) in [("strides", strides, spatial), ("dilations", dilations, spatial), ("output_padding", outputPadding, spatial), ("pads", pads, 2 * spatial)] {
            guard values.count == count, values.allSatisfy({ $0 >= 0 && $0 < 1 << 20 }) else { throw Diagnostic(.invalid, "\(name) \(values) does not fit \(spatial) spatial axes") }
        }
        var (before, after) = (Array(pads[..<spatial]), Array(pads[spatial...]))
        let mode = try c.string("auto_pad", "NOTSET")
        if let wanted = try c.ints("output_shape") ?? (mode.hasPrefix("SAME") ? Array(try constantShape(x, "the image")[2...]).enumerated().map { saturatingProduct($1, strides[$0]) } : nil) {
            let extents = try constantShape(x, "the image")
            let target = Array(wanted.suffix(spatial))
            guard target.allSatisfy({ 0...1 << 40 ~= $0 }) else { throw Diagnostic(.invalid, "output_shape \(wanted) is out of range") }
            for axis in 0..<min(spatial, target.count) {
                let total = strides[axis] * (extents[axis + 2] - 1) + outputPadding[axis] + (size[axis] - 1) * dilations[axis] + 1 - target[axis]
                (before[axis], after[axis]) = Self.halves(max(0, total), upper: mode == "SAME_UPPER")
                if total < 0 { after[axis] = total }
            }
        }
        // What an output shape asks for beyond the natural size is padding at the end.
        let extra = after.map { max(0, -$0) }
        let op = TransposedConvolution(
            strides: strides, dilations: dilations, groups: try c.int("group", 1), cropBefore: before, cropAfter: after.map { max(0, $0) },
            outputPadding: zip(outputPadding, extra).map { $0 + $1 })
        return try biased(try product(op, x, w), try c.optional(2))
    }

    /// A depthwise convolution over the past and present; the last k − 1 positions are handed on.
    mutating func causalConvolution(_ c: OnnxCall) throws -> [ValueID] {
        let x = try c[0], w = try c[1]
        guard rank(x) == 3, rank(w) == 3, let k = known(shape(w)[2]), let channels = known(shape(w)[0]), k > 0 else {
            throw Diagnostic(.invalid, "takes a signal and a filter of rank 3, not \(type(x)) and \(type(w))")
        }
        let past = try c.optional(3) ?? filled(0, element(x), [shape(x)[0], shape(x)[1], Extent(k - 1)])
        let whole = k == 1 ? x : try concat([past, x], axis: 2)
        var y = try biased(try product(Convolution(strides: [1], dilations: [1], groups: channels), whole, w), try c.optional(2))
        if try c.string("activation", "none") != "none" { y = try activation(.silu, y) }
        let state = try slice(whole, axis: 2, start: shape(whole)[2] - Extent(k - 1), size: Extent(k - 1))
        return [y, state]
    }

    /// Puts the maxima back where a pooling found them.
    mutating func maxUnpool(_ c: OnnxCall) throws -> ValueID {
        let x = try c[0], indices = try c[1]
        let geometry = try windowGeometry(c, size: try c.ints("kernel_shape") ?? [], x: x)
        let natural = geometry.size.indices.map { axis in
            (shape(x)[axis + 2] - 1) * Extent(geometry.strides[axis]) + Extent(geometry.size[axis] - geometry.before[axis] - geometry.after[axis])
        }
        let naturalShape = Array(shape(x)[..<2]) + natural
        let target = try c.optional(2).map { try extents($0, "the output shape") } ?? naturalShape
        let image = try emit(MaxUnpool(shape: naturalShape), [x, indices])
        if target == naturalShape { return image }
        guard let from = known(naturalShape), let to = known(target), from.count == to.count, zip(from, to).allSatisfy({ $0 <= $1 }) else {
            throw Diagnostic.unsupported("the output shape \(target) must be known and not smaller than \(naturalShape)")
        }
        // The indices count in the smaller image; what is beyond it stays zero.
        return try pad(image, before: from.map { _ in 0 }, after: zip(from, to).map { $1 - $0 })
    }

    /// Adds up overlapping blocks: element i of a column belongs at place i of the column's block.
    mutating func columnsToImage(_ c: OnnxCall) throws -> ValueID {
        let x = try c[0], own = element(x), sums = own == .f16 || own == .bf16 ? ElementType.f32 : own
        let image = try requiredInts(c[1], "the image shape"), block = try requiredInts(c[2], "the block shape")
        let spatial = image.count
        guard rank(x) == 3, block.count == spatial, spatial > 0, (image + block).allSatisfy({ $0 > 0 && $0 < 1 << 20 }) else {
            throw Diagnostic(.invalid, "takes columns of rank 3 and shapes of one length")
        }
        let strides = try c.ints("strides") ?? block.map { _ in 1 }, dilations = try c.ints("dilations") ?? block.map { _ in 1 }
        let pads = try c.ints("pads") ?? [Int](repeating: 0, count: 2 * spatial)
        guard strides.count == spatial, dilations.count == spatial, pads.count == 2 * spatial, (strides + dilations).allSatisfy({ $0 > 0 && $0 < 1 << 20 }),
            pads.allSatisfy({ $0 >= 0 && $0 < 1 << 20 })
        else {
            throw Diagnostic(.invalid, "strides, dilations and pads do not fit \(spatial) axes")
        }
        let padded = (0..<spatial).map { image[$0] + pads[$0] + pads[spatial + $0] }, reach = (0..<spatial).map { (block[$0] - 1) * dilations[$0] + 1 }
        guard zip(padded, reach).allSatisfy({ $0 >= $1 }) else { throw Diagnostic(.invalid, "a block of \(block) elements does not fit into an image of \(padded)") }
        let columns = (0..<spatial).map { (padded[$0] - reach[$0]) / strides[$0] + 1 }
        func count(_ sizes: [Int]) -> Int { sizes.reduce(1) { min($0 * $1, Self.mostColumnElements + 1) } }
        guard count(block + columns) <= Self.mostColumnElements, count(padded) <= Self.mostColumnElements else {
            throw Diagnostic.unsupported("more than \(Self.mostColumnElements) elements of an image or its columns")
        }
        // Not a transposed convolution with a filter of ones and zeros: 0 times what is infinite is not 0.
        let steps = rowMajorStrides(padded)
        func offset(_ number: Int, _ sizes: [Int], _ scales: [Int]) -> Int {
            zip(rowMajorStrides(sizes), sizes).enumerated().reduce(0) { $0 + number / $1.element.0 % $1.element.1 * scales[$1.offset] * steps[$1.offset] }
        }
        let blocks = count(columns), places = Tensor(.i64, [count(block) * blocks, 1], integers: { offset($0 / blocks, block, dilations) + offset($0 % blocks, columns, strides) })
        let images = shape(x)[0] * shape(x)[1].floorDivided(by: Extent(count(block)))
        let rows = try transpose(try reshape(try cast(x, sums), [images, Extent(places.count)]), [1, 0])
        let sum = try emit(ScatterND(reduction: .add), [try filled(0, sums, [Extent(count(padded)), images]), try constant(places), rows])
        let whole = try reshape(try transpose(sum, [1, 0]), [images] + padded.map { Extent($0) })
        let inner = try slice(whole, starts: [0] + pads.prefix(spatial).map { Extent($0) }, sizes: [images] + image.map { Extent($0) })
        return try reshape(try cast(inner, own), [shape(x)[0], shape(x)[1].floorDivided(by: Extent(count(block)))] + image.map { Extent($0) })
    }

    /// What `columnsToImage` makes a table of.
    private static let mostColumnElements = 1 << 24
}
