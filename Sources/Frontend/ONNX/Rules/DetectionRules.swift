import GlmcIR

extension OnnxRules {
    /// Sampling at computed places, and box selection.
    static let detection: [OnnxRule] = [
        OnnxRule("GridSample", since: 16) { g, c in
            let x = try c[0]
            let modes: [String: ResizeMode] = ["bilinear": .linear, "linear": .linear, "nearest": .nearest, "bicubic": .cubic, "cubic": .cubic]
            guard let mode = modes[try c.string("mode", "linear")], let padding = GridPadding(rawValue: try c.string("padding_mode", "zeros")) else {
                throw Diagnostic(.invalid, "a mode is not known")
            }
            let grid = try g.cast(c[1], g.element(x))
            return try g.emit(GridSample(mode: mode, padding: padding, alignCorners: try c.flag("align_corners")), [x, grid])
        },
        OnnxRule("RoiAlign", since: 10) { g, c in
            let standard = c.version >= 16 ? "half_pixel" : "output_half_pixel"
            let op = RoiAlign(
                height: try c.int("output_height", 1), width: try c.int("output_width", 1), isMax: try c.string("mode", "avg") == "max",
                samplingRatio: try c.int("sampling_ratio", 0), spatialScale: try c.float("spatial_scale", 1),
                halfPixel: try c.string("coordinate_transformation_mode", standard) == "half_pixel")
            return try g.emit(op, [c[0], c[1], g.cast(c[2], .i64)])
        },
        OnnxRule("NonMaxSuppression", since: 10) { g, c in
            let boxes = try c[0], scores = try c[1]
            guard g.rank(scores) == 3 else { throw Diagnostic(.invalid, "takes scores of rank 3, not \(g.type(scores))") }
            let most = try c.optional(2) ?? g.scalar(0, .i64)
            let overlap = try c.optional(3) ?? g.scalar(0, .f32), score = try c.optional(4) ?? g.scalar(-.infinity, .f32)
            let shape = g.shape(scores)
            let perClass = g.rewriter.function.symbolicContents(most)?.first.map { Extent.minimum($0, shape[2]) } ?? shape[2]
            let count = g.dataDependentDimension("boxes", bound: shape[0] * shape[1] * perClass)
            return try g.emitMany(NonMaxSuppression(centerPointBox: try c.flag("center_point_box"), count: count), [boxes, scores, most, overlap, score], 1)[0]
        },
        OnnxRule("DeformConv", since: 19) { g, c in try g.deformableConvolution(c) },
    ]
}

extension GraphImporter {
    /// A convolution that reads its taps at learnt offsets: the taps are sampled bilinearly as an image of columns, which a plain
    /// matrix product then combines.
    mutating func deformableConvolution(_ c: OnnxCall) throws -> ValueID {
        let x = try c[0], w = try c[1], offset = try c[2]
        guard rank(x) == 4, let filter = known(shape(w)), let image = known(Array(shape(x)[2...])), filter.count == 4 else {
            throw Diagnostic.unsupported("takes images of rank 4 and known size")
        }
        try require(offset, rank: 4, "the offset")
        let geometry = try windowGeometry(c, size: Array(filter[2...]), x: x)
        let groups = try c.int("group", 1), sets = try c.int("offset_group", 1)
        guard let channels = known(shape(x)[1]), groups > 0, sets > 0, channels % sets == 0, channels % groups == 0 else { throw Diagnostic(.invalid, "the groups do not divide the channels") }
        let output = Array(shape(offset)[2...]), own = element(x), taps = filter[2] * filter[3], batch = shape(x)[0]
        // Offsets [N, sets, taps, (y, x), oh, ow]; positions [N·sets, taps·oh, ow] in elements of the image.
        let parts = try reshape(offset, [batch, Extent(sets), Extent(taps), 2] + output)
        // Zeros around the image change nothing; with extents of 2ᵏ + 1 whole positions survive normalisation exactly.
        let padded = image.map { extent in
            var steps = 1
            while steps < extent - 1 { steps *= 2 }
            return steps + 1
        }
        var normalized: [ValueID] = []
        for axis in [1, 0] {
            let shift = try squeeze(try slice(parts, axis: 3, start: Extent(axis), size: 1), [3])  // [N, sets, taps, oh, ow]
            let line = try mul(try cast(try iota(output[axis], axis: 3 + axis, rank: 5), own), Double(geometry.strides[axis]))
            let tap = Tensor(own, [1, 1, taps, 1, 1], values: { t in
                Double((axis == 0 ? t / filter[3] : t % filter[3]) * geometry.dilations[axis] - geometry.before[axis])
            })
            let position = try add(try add(shift, line), try constant(tap))
            // The inverse of grid sampling's (g + 1)·(extent − 1)/2.
            let unit = try sub(try mul(position, 2 / Double(padded[axis] - 1)), 1)
            normalized.append(try reshape(unit, [batch * Extent(sets), Extent(taps) * output[0], output[1], 1]))
        }
        let grid = try concat(normalized, axis: 3)
        let each = channels / sets
        let after = [0, 0] + zip(padded, image).map { $0 - $1 }
        let source = try pad(try reshape(x, [batch * Extent(sets), Extent(each)] + Array(shape(x)[2...])), before: [0, 0, 0, 0], after: after)
        var columns = try emit(GridSample(mode: .linear, padding: .zeros, alignCorners: true), [source, grid])
        columns = try reshape(columns, [batch, Extent(sets), Extent(each), Extent(taps)] + output)
        if let mask = try c.optional(4) {
            columns = try mul(columns, try reshape(mask, [batch, Extent(sets), 1, Extent(taps)] + output))
        }
        // [N, groups, C/groups·taps, oh·ow]
        let area = output.product, depth = channels / groups * taps
        let stacked = try reshape(columns, [batch, Extent(groups), Extent(depth), area])
        let matrix = try reshape(w, [1, Extent(groups), Extent(filter[0] / groups), Extent(depth)])
        let y = try reshape(try matmul(matrix, stacked), [batch, Extent(filter[0])] + output)
        return try biased(y, try c.optional(3))
    }
}
