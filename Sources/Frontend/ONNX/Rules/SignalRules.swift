#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif
import GlmcIR

extension OnnxRules {
    /// Fourier transforms, windows and filter banks. The transforms are matrix products with constant cosines and sines.
    static let signals: [OnnxRule] = [
        OnnxRule("DFT", since: 17) { g, c in try g.fourier(c, axis: try c.int("axis", 1)) },
        OnnxRule("DFT", since: 20) { g, c in try g.fourier(c, axis: try c.optional(2).map { try g.requiredInt($0, "the axis") } ?? -2) },
        OnnxRule("STFT", since: 17) { g, c in try g.shortTimeFourier(c) },
        OnnxRule("HannWindow", since: 17) { g, c in try g.window(c, [0.5, -0.5]) },
        OnnxRule("HammingWindow", since: 17) { g, c in try g.window(c, [25.0 / 46, -21.0 / 46]) },
        OnnxRule("BlackmanWindow", since: 17) { g, c in try g.window(c, [0.42, -0.5, 0.08]) },
        OnnxRule("MelWeightMatrix", since: 17) { g, c in try g.melWeights(c) },
    ]
}

extension GraphImporter {
    /// Σ coefficients[k] · cos(2πkn / N).
    mutating func window(_ c: OnnxCall, _ coefficients: [Double]) throws -> ValueID {
        let size = try requiredInt(c[0], "the size")
        guard size >= 0, size < 1 << 24 else { throw Diagnostic(.invalid, "the size is \(size)") }
        let period = Double(try c.flag("periodic", true) ? size : size - 1)
        let to = try c.element("output_datatype") ?? .f32
        return try constant(Tensor(to, [size], values: { n in
            coefficients.enumerated().reduce(0) { $0 + $1.element * cos(2 * Double.pi * Double($1.offset) * Double(n) / period) }
        }))
    }

    /// [count, bins] of cos and ∓sin(2π·row·column / length).
    private mutating func fourierMatrices(rows: Int, columns: Int, length: Int, inverse: Bool, _ element: ElementType) throws -> (cosine: ValueID, sine: ValueID) {
        try requireTable(rows, columns)
        // The angle is reduced to one turn in integers, so that long transforms keep their precision.
        func angle(_ i: Int) -> Double { 2 * Double.pi * Double((i / columns) * (i % columns) % length) / Double(length) }
        let scale = inverse ? 1 / Double(length) : 1, sign = inverse ? 1.0 : -1.0
        return (
            try constant(Tensor(element, [rows, columns], values: { cos(angle($0)) * scale })),
            try constant(Tensor(element, [rows, columns], values: { sin(angle($0)) * scale * sign }))
        )
    }

    /// `signal` [..., n] (real, with an optional imaginary part) to ([..., bins], [..., bins]), cut or padded to `length` first.
    private mutating func fourier(_ real: ValueID, _ imaginary: ValueID?, length: Int, bins: Int, inverse: Bool) throws -> (ValueID, ValueID) {
        let rows = min(try constantShape(real, "the signal").last ?? 0, length)
        let (cosine, sine) = try fourierMatrices(rows: rows, columns: bins, length: length, inverse: inverse, element(real))
        func cut(_ x: ValueID, _ g: inout GraphImporter) throws -> ValueID { try g.slice(x, axis: -1, start: 0, size: Extent(rows)) }
        let a = try cut(real, &self)
        let (ac, as_) = (try matmul(a, cosine), try matmul(a, sine))
        guard let imaginary else { return (ac, as_) }
        let b = try cut(imaginary, &self)
        return (try sub(ac, try matmul(b, sine)), try add(as_, try matmul(b, cosine)))
    }

    mutating func fourier(_ c: OnnxCall, axis: Int) throws -> ValueID {
        let x = try c[0], r = rank(x)
        guard r >= 2, let parts = known(shape(x)[r - 1]), parts == 1 || parts == 2 else { throw Diagnostic(.invalid, "takes real or complex pairs in the last axis, not \(type(x))") }
        let axis = try normalized(axis, rank: r)
        guard axis < r - 1 else { throw Diagnostic(.invalid, "axis \(axis) holds the complex pairs") }
        let isInverse = try c.flag("inverse"), isOneSided = try c.flag("onesided")
        let own = try moveAxis(x, from: axis, to: r - 2)
        guard let extent = known(shape(own)[r - 2]) else { throw Diagnostic.unsupported("the length must be known at compile time") }
        let given = try c.optional(1).map { try requiredInt($0, "the length") }
        // A one-sided spectrum stands for a signal of twice its length.
        let length = given ?? (isInverse && isOneSided ? 2 * (extent - 1) : extent)
        guard 1..<1 << 30 ~= length else { throw Diagnostic(.invalid, "the length is \(length)") }
        func part(_ i: Int, _ x: ValueID, _ g: inout GraphImporter) throws -> ValueID {
            try g.squeeze(try g.slice(x, axis: r - 1, start: Extent(i), size: 1), [r - 1])
        }
        var real = try part(0, own, &self)
        var imaginary = parts == 2 ? try part(1, own, &self) : nil
        if isInverse && isOneSided {
            // X[n−k] is the conjugate of X[k].
            let kept = length / 2 + 1, mirrored = length - kept
            func whole(_ x: ValueID, _ sign: Double, _ g: inout GraphImporter) throws -> ValueID {
                let front = try g.slice(x, axis: -1, start: 0, size: Extent(min(kept, extent)))
                if mirrored == 0 { return front }
                let back = try g.slice(x, axis: -1, start: Extent(mirrored), size: Extent(mirrored), step: -1)
                return try g.concat([front, sign < 0 ? try g.unary(.negate, back) : back], axis: g.rank(x) - 1)
            }
            imaginary = try imaginary.map { try whole($0, -1, &self) }
            real = try whole(real, 1, &self)
            let y = try fourier(real, imaginary, length: length, bins: length, inverse: true).0
            return try moveAxis(try unsqueeze(y, [r - 1]), from: r - 2, to: axis)
        }
        let bins = isOneSided ? length / 2 + 1 : length
        let (yr, yi) = try fourier(real, imaginary, length: length, bins: bins, inverse: isInverse)
        let pairs = try concat([try unsqueeze(yr, [r - 1]), try unsqueeze(yi, [r - 1])], axis: r - 1)
        return try moveAxis(pairs, from: r - 2, to: axis)
    }

    mutating func shortTimeFourier(_ c: OnnxCall) throws -> ValueID {
        let x = try c[0], step = try requiredInt(c[1], "the frame step")
        guard rank(x) == 2 || rank(x) == 3 else { throw Diagnostic(.invalid, "takes signals [batch, length] or [batch, length, 1 or 2], not \(type(x))") }
        guard let extent = known(shape(x)[1]) else { throw Diagnostic.unsupported("the length of the signal must be known at compile time, not \(type(x))") }
        let window = try c.optional(2)
        let length = try c.optional(3).map { try requiredInt($0, "the frame length") } ?? window.flatMap { shape($0).first }.flatMap { known($0) } ?? extent
        guard step > 0, length > 0, length <= extent else { throw Diagnostic(.invalid, "frames of \(length) in steps of \(step) do not fit \(extent) samples") }
        let frames = (extent - length) / step + 1, r = rank(x)
        try requireTable(frames, length)
        let positions = try constant(Tensor(.i64, [frames, length], integers: { $0 / length * step + $0 % length }))
        let isComplex = r == 3 && shape(x)[2] == 2
        func part(_ i: Int, _ g: inout GraphImporter) throws -> ValueID {
            let signal = r == 3 ? try g.squeeze(try g.slice(x, axis: 2, start: Extent(i), size: 1), [2]) : x
            let cut = try g.gather(signal, positions, axis: 1)  // [B, frames, length]
            return try window.map { try g.mul(cut, $0) } ?? cut
        }
        let imaginary = isComplex ? try part(1, &self) : nil
        let bins = try c.flag("onesided", true) && !isComplex ? length / 2 + 1 : length
        let (yr, yi) = try fourier(try part(0, &self), imaginary, length: length, bins: bins, inverse: false)
        return try concat([try unsqueeze(yr, [3]), try unsqueeze(yi, [3])], axis: 3)
    }

    /// Triangular filters on the mel scale m = 2595·log₁₀(1 + f/700), on integer spectrum bins.
    mutating func melWeights(_ c: OnnxCall) throws -> ValueID {
        let bands = try requiredInt(c[0], "num_mel_bins"), length = try requiredInt(c[1], "dft_length"), rate = try requiredInt(c[2], "sample_rate")
        let low = try requiredScalar(c[3], "lower_edge_hertz"), high = try requiredScalar(c[4], "upper_edge_hertz")
        let bins = length / 2 + 1
        guard 1..<1 << 24 ~= bands, 1..<1 << 24 ~= length, rate > 0, low.isFinite, high.isFinite else { throw Diagnostic(.invalid, "a size is not positive") }
        try requireTable(bins, bands)
        func mel(_ f: Double) -> Double { 2595 * log10(1 + f / 700) }
        let step = (mel(high) - mel(low)) / Double(bands + 2)
        let edges = (0..<bands + 2).map { i -> Int in
            let hertz = 700 * (pow(10, (Double(i) * step + mel(low)) / 2595) - 1)
            let bin = (Double(length + 1) * hertz / Double(rate)).rounded(.down), limit = Double(2 * length)
            return bin.isNaN ? -1 : Int(min(max(bin, -limit), limit))
        }
        var weights = [Double](repeating: 0, count: bins * bands)
        for band in 0..<bands {
            let (first, centre, last) = (edges[band], edges[band + 1], edges[band + 2])
            func set(_ bin: Int, _ value: Double) { if (0..<bins).contains(bin) { weights[bin * bands + band] = value } }
            if centre == first {
                set(centre, 1)
            } else if centre > first {
                for j in first...centre { set(j, Double(j - first) / Double(centre - first)) }
            }
            if last > centre {
                for j in centre..<last { set(j, Double(last - j) / Double(last - centre)) }
            }
        }
        return try constant(Tensor(try c.element("output_datatype") ?? .f32, [bins, bands], values: { weights[$0] }))
    }
}
