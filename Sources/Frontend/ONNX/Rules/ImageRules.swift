import GlmcIR

extension OnnxRules {
    /// Sampling of images.
    static let images: [OnnxRule] = [
        OnnxRule("Resize", since: 10) { g, c in
            let x = try c[0]
            let scales = try g.requiredConstant(c[1], "the scales").doubles
            guard let mode = ResizeMode(rawValue: try c.string("mode", "nearest")) else { throw Diagnostic(.invalid, "the mode is not known") }
            return try g.resize(Resize(
                sizes: try g.scaled(x, scales), scales: scales, mode: mode, coordinateTransform: .asymmetric, nearestMode: .floor), x)
        },
        OnnxRule("Resize", since: 11) { g, c in try g.resizeRule(c) },
        OnnxRule("Upsample", since: 7) { g, c in
            let x = try c[0]
            let scales = try c.floats("scales") ?? g.requiredConstant(c[1], "the scales").doubles
            guard let mode = ResizeMode(rawValue: try c.string("mode", "nearest")) else { throw Diagnostic(.invalid, "the mode is not known") }
            return try g.resize(Resize(
                sizes: try g.scaled(x, scales), scales: scales, mode: mode, coordinateTransform: .asymmetric, nearestMode: .floor), x)
        },
        OnnxRule("AffineGrid", since: 20) { g, c in try g.affineGrid(c) },
    ]
}

extension GraphImporter {
    /// The shape of `x` after scaling: ⌊extent · scale⌋, multiplied in f32 as ONNX's shape inference does.
    mutating func scaled(_ x: ValueID, _ scales: [Double]) throws -> [Extent] {
        guard scales.count == rank(x), scales.allSatisfy({ $0 > 0 && $0 < 1e6 }) else { throw Diagnostic(.invalid, "scales \(scales) do not fit \(type(x))") }
        return try zip(shape(x), scales).map { extent, scale in
            let inverse = 1 / scale
            if !extent.isConstant {
                if scale == scale.rounded() { return extent * Extent(Int(scale)) }
                if inverse < 1e6, abs(inverse - inverse.rounded()) < 1e-6 { return extent.floorDivided(by: Extent(Int(inverse.rounded()))) }
            }
            guard let size = known(extent) else { throw Diagnostic.unsupported("a scale of \(scale) needs a size known at compile time", hint: "fix it with --shape") }
            return Extent(Int((Float(size) * Float(scale)).rounded(.down)))
        }
    }

    /// A resize whose size ratios equal its scales does not need them.
    mutating func resize(_ op: Resize, _ x: ValueID) throws -> ValueID {
        if op.sizes == shape(x), op.scales.allSatisfy({ $0 == 1 }), op.coordinateTransform != .tfCropAndResize { return x }
        // Filters are tables of known size.
        if op.antialias, op.mode != .nearest { _ = known(shape(x) + op.sizes) }
        return try emit(op, [x])
    }

    mutating func resizeRule(_ c: OnnxCall) throws -> ValueID {
        let x = try c[0], r = rank(x)
        let axes = try normalized(try c.ints("axes") ?? Array(0..<r), rank: r)
        guard let mode = ResizeMode(rawValue: try c.string("mode", "nearest")),
            let transform = CoordinateTransform(rawValue: try c.string("coordinate_transformation_mode", "half_pixel")),
            let nearest = NearestMode(rawValue: try c.string("nearest_mode", "round_prefer_floor"))
        else { throw Diagnostic(.invalid, "a mode is not known") }
        func spread<T>(_ values: [T], _ standard: (Int) -> T) throws -> [T] {
            guard values.count == axes.count else { throw Diagnostic(.invalid, "\(values.count) values for \(axes.count) axes") }
            return (0..<r).map { axis in axes.firstIndex(of: axis).map { values[$0] } ?? standard(axis) }
        }
        var roi: [Double] = []
        if transform == .tfCropAndResize, let region = try c.optional(1) {
            let values = try requiredConstant(region, "the region").doubles
            guard values.count == 2 * axes.count else { throw Diagnostic(.invalid, "the region has \(values.count) values") }
            roi = try spread(Array(values[..<axes.count]), { _ in 0 }) + spread(Array(values[axes.count...]), { _ in 1 })
        }
        var scales: [Double] = []
        var sizes: [Extent]
        let own = shape(x)
        if let given = try c.optional(2), shape(given) != [0] {
            scales = try spread(try requiredConstant(given, "the scales").doubles, { _ in 1 })
            sizes = transform == .tfCropAndResize && !roi.isEmpty
                ? try scaledRegion(x, scales, roi) : try scaled(x, scales)
        } else {
            let target = try extents(c[3], "the sizes")
            sizes = try spread(target, { own[$0] })
            switch try c.string("keep_aspect_ratio_policy", "stretch") {
            case "stretch": break
            case let policy:
                guard let from = known(own), let to = known(sizes) else { throw Diagnostic.unsupported("keep_aspect_ratio_policy needs sizes known at compile time") }
                let ratios = axes.map { Double(to[$0]) / Double(max(from[$0], 1)) }
                let scale = policy == "not_larger" ? ratios.min() ?? 1 : ratios.max() ?? 1
                for axis in axes {
                    sizes[axis] = Extent(try wholeNumber((scale * Double(from[axis]) + 0.5).rounded(.down), "a size"))
                }
                scales = (0..<r).map { axes.contains($0) ? scale : 1 }
            }
        }
        let op = Resize(
            sizes: sizes, scales: scales, mode: mode, coordinateTransform: transform, nearestMode: nearest,
            cubicCoefficient: try c.float("cubic_coeff_a", -0.75), excludeOutside: try c.flag("exclude_outside"),
            extrapolation: try c.float("extrapolation_value", 0), antialias: try c.flag("antialias"), roi: roi)
        return try resize(op, x)
    }

    /// ⌊extent · (end − start) · scale⌋ per axis.
    private mutating func scaledRegion(_ x: ValueID, _ scales: [Double], _ roi: [Double]) throws -> [Extent] {
        let own = try constantShape(x, "the image")
        return try own.enumerated().map { axis, size in
            Extent(try wholeNumber((Double(size) * (roi[axis + own.count] - roi[axis]) * scales[axis]).rounded(.down), "a size"))
        }
    }

    /// Sampling positions of an affine map of the unit square or cube.
    mutating func affineGrid(_ c: OnnxCall) throws -> ValueID {
        let theta = try c[0]
        let target = try extents(c[1], "the size")
        let spatial = target.count - 2
        guard spatial == 2 || spatial == 3, rank(theta) == 3 else { throw Diagnostic(.invalid, "takes a size of rank 4 or 5") }
        let isAligned = try c.flag("align_corners"), own = element(theta)
        let points = Array(target[2...])
        // Homogeneous coordinates [D·H·W, n+1], x (the last axis) first.
        var coordinates: [ValueID] = []
        for axis in (0..<spatial).reversed() {
            let line = try cast(try iota(points[axis], axis: axis, rank: spatial), own), count = try size(points[axis], own)
            let unit: ValueID
            if isAligned {
                unit = points[axis] == 1 ? try mul(line, 0) : try sub(try div(try mul(line, 2), try sub(count, 1)), 1)
            } else {
                unit = try sub(try div(try add(try mul(line, 2), 1), count), 1)
            }
            coordinates.append(try reshape(try expand(unit, points), [points.product, 1]))
        }
        coordinates.append(try filled(1, own, [points.product, 1]))
        let product = try matmul(try concat(coordinates, axis: 1), try swapAxes(theta, 1, 2))
        return try reshape(product, [target[0]] + points + [Extent(spatial)])
    }
}
