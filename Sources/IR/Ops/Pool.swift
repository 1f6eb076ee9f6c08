#if canImport(Glibc)
import Glibc
#endif

public enum PoolFunction: String, Hashable, Sendable, CaseIterable, EnumAttribute {
    case max
    /// Divides by the number of elements inside the image, or inside the padded image with `countIncludePad`; 0 where there are none, as in ONNX Runtime.
    case average
    /// (Σ |x|^p)^(1/p).
    case lp
}

/// Pooling of `x` [N, C, spatial…] over a sliding window. Positions in the padding never win a maximum and count as zero in a sum.
/// With `indices`, a second result holds the flat position of each maximum in `x` (i64, row-major or, with `columnMajorIndices`,
/// with the spatial axes counted in reverse order; the batch and channel are part of the position).
public struct Pool: PointwiseOp {
    public static let mnemonic = "pool"
    public static let summary = "Maximum, average or p-norm over a sliding window"
    public static var attributes: [Attribute<Self>] {
        [
            Attribute("fn", \.function), Attribute("window", \.window), Attribute("strides", \.strides), Attribute("dilations", \.dilations),
            Attribute("before", \.padBefore), Attribute("after", \.padAfter), Attribute("ceil", \.ceilMode),
            Attribute("include_pad", \.countIncludePad), Attribute("p", \.p), Attribute("indices", \.indices),
            Attribute("column_major_indices", \.columnMajorIndices),
        ]
    }

    public var function: PoolFunction
    /// One entry per spatial axis, as in the next four.
    public var window: [Int]
    public var strides: [Int]
    public var dilations: [Int]
    public var padBefore: [Int]
    public var padAfter: [Int]
    /// Whether a last window that hangs over the padded edge counts, as long as it starts inside the image or its front padding.
    public var ceilMode: Bool
    public var countIncludePad: Bool
    public var p: Int
    public var indices: Bool
    public var columnMajorIndices: Bool

    public init() { self.init(.max, window: []) }
    /// Strides and dilations default to 1, padding to 0.
    public init(
        _ function: PoolFunction, window: [Int], strides: [Int]? = nil, dilations: [Int]? = nil, padBefore: [Int]? = nil, padAfter: [Int]? = nil,
        ceilMode: Bool = false, countIncludePad: Bool = false, p: Int = 2, indices: Bool = false, columnMajorIndices: Bool = false
    ) {
        self.function = function
        self.window = window
        self.strides = strides ?? window.map { _ in 1 }
        self.dilations = dilations ?? window.map { _ in 1 }
        self.padBefore = padBefore ?? window.map { _ in 0 }
        self.padAfter = padAfter ?? window.map { _ in 0 }
        self.ceilMode = ceilMode
        self.countIncludePad = countIncludePad
        self.p = p
        self.indices = indices
        self.columnMajorIndices = columnMajorIndices
    }

    private var geometry: Window { Window(size: window.map { Extent($0) }, strides: strides, dilations: dilations) }
    private var isPadded: Bool { ceilMode || (padBefore + padAfter).contains { $0 > 0 } }

    /// The axes of `shape` along which a window may lie outside the image; there must be an element for it to be near to.
    private func overhungAxes(_ shape: [Extent]) -> [Int] {
        guard shape.count == window.count + 2, padBefore.count == window.count, padAfter.count == window.count else { return [] }
        return window.indices.filter { ceilMode || padBefore[$0] > 0 || padAfter[$0] > 0 }.map { $0 + 2 }
    }

    public func nonNegativeSizes(in context: InferenceContext) -> [Extent] {
        context.shapes.first.map { shape in overhungAxes(shape).map { shape[$0] - 1 } } ?? []
    }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let x = try context.tensors(1)[0]
        guard x.rank >= 3 else { throw Diagnostic(.invalid, "takes an image of rank 3 or more, not \(x)") }
        let geometry = geometry
        try geometry.check(spatialRank: x.rank - 2)
        guard padBefore.count == window.count, padAfter.count == window.count, (padBefore + padAfter).allSatisfy({ $0 >= 0 && $0 < 1 << 40 }) else {
            throw Diagnostic(.invalid, "padding \(padBefore) and \(padAfter) must be non-negative, with one entry per spatial axis")
        }
        guard x.element.isFloat || (x.element.isInteger && function == .max) else {
            throw Diagnostic(.invalid, "\(function.rawValue) pooling is not defined on \(x.element.rawValue)")
        }
        if let axis = overhungAxes(x.shape).first(where: { x.shape[$0] == 0 }) { throw Diagnostic(.invalid, "axis \(axis) of \(x) has no elements to pool") }
        guard function != .lp || p > 0 else { throw Diagnostic(.invalid, "p is \(p)") }
        guard !indices || function == .max else { throw Diagnostic(.invalid, "only max pooling has indices") }
        let spatial = try window.indices.map { axis -> Extent in
            let extent = x.shape[axis + 2]
            let padded = extent + Extent(padBefore[axis]) + Extent(padAfter[axis])
            guard ceilMode else { return try geometry.positions(axis, in: padded) }
            let stride = Extent(strides[axis])
            // The first window fits or hangs over; the last one must start before the image's end.
            let rounded = (padded - geometry.reach(axis)).ceilDivided(by: stride) + 1
            return .minimum(.maximum(rounded, 1), (extent + Extent(padBefore[axis])).ceilDivided(by: stride))
        }
        let shape = Array(x.shape[0..<2]) + spatial
        return [.tensor(x.with(shape: shape))] + (indices ? [.tensor(TensorType(.i64, shape, layout: x.layout))] : [])
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let x = operands[0], rank = window.count
        guard let shape = try infer(InferenceContext(operands: [.tensor(x.type)])).first?.tensor?.shape.constants else { return [] }
        let spatial = Array(x.shape[2...]), image = rowMajorStrides(spatial), planeSize = spatial.reduce(1, *)
        let outputs = flatOffsets(Array(shape[2...]), strides: [Int](repeating: 0, count: rank)).count
        let taps = window.reduce(1, *)
        var columns = [Int](repeating: 1, count: rank)
        for axis in 1..<Swift.max(rank, 1) { columns[axis] = columns[axis - 1] * spatial[axis - 1] }
        var positions: [Int] = []
        let values = x.withValues(as: Double.self) { values in
            Tensor.computed(x.element, shape, in: Double.self) { y in
                var origin = [Int](repeating: 0, count: rank)
                for plane in 0..<shape[0] * shape[1] {
                    for output in 0..<outputs {
                        var rest = output
                        for axis in (0..<rank).reversed() {
                            origin[axis] = rest % shape[axis + 2] * strides[axis] - padBefore[axis]
                            rest /= shape[axis + 2]
                        }
                        var best = -Double.infinity, where_ = -1, sum = 0.0, count = 0
                        for tap in 0..<taps {
                            var rest = tap, address = 0, column = 0, inside = true, padded = true
                            for axis in (0..<rank).reversed() {
                                let at = origin[axis] + rest % window[axis] * dilations[axis]
                                rest /= window[axis]
                                inside = inside && at >= 0 && at < spatial[axis]
                                padded = padded && at < spatial[axis] + padAfter[axis]
                                address += at * image[axis]
                                column += at * columns[axis]
                            }
                            if inside || (countIncludePad && padded) { count += 1 }
                            guard inside else { continue }
                            let value = values[plane * planeSize + address]
                            if where_ < 0 || value > best || value.isNaN { (best, where_) = (value, columnMajorIndices ? column : address) }
                            sum += function == .lp ? pow(abs(value), Double(p)) : value
                        }
                        y[plane * outputs + output] = switch function {
                        case .max: best
                        case .average: sum / Double(Swift.max(count, 1))
                        case .lp: pow(sum, 1 / Double(p))
                        }
                        if indices { positions.append(plane * planeSize + where_) }
                    }
                }
            }
        }
        return [values] + (indices ? [Tensor(positions, shape: shape)] : [])
    }

    public var layoutBehavior: LayoutBehavior { .prefersChannelsLast }
    public var elementCost: ElementCost { .many }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        let type = operands.types[0].element.computeType
        if indices && result == 1 { return try position(at: index, from: operands, in: &builder) }
        let initial: Expr = function != .max ? .constant(0, type)
            : type.isFloat ? .float(-.infinity, type) : .integer(type.integerRange?.lowerBound ?? 0, type)
        let accumulator = builder.declare(initial, "acc")
        try taps(at: index, from: operands, in: &builder) { builder, value, inside, _ in
            let term: Expr = function == .lp ? power(builder.bind(.unary(.absolute, value), "a")) : value
            let known = inside.map { .select($0, term, initial) } ?? term
            let combined: Expr = function == .max ? .max(.variable(accumulator), known) : .variable(accumulator) + known
            builder.emit(.assign(accumulator, combined))
        }
        let sum = Expr.variable(accumulator)
        switch function {
        case .max: return sum
        case .average:
            let count = elementCount(at: index, image: Array(operands.types[0].shape.dropFirst(2)))
            return count.constantInteger.map { sum * .float(1 / Double($0), type) } ?? .binary(.divide, sum, .cast(count, type))
        case .lp:
            switch p {
            case 1: return sum
            case 2: return .unary(.sqrt, sum)
            default: return .binary(.power, sum, .float(1 / Double(p), type))
            }
        }
    }

    private func power(_ x: Expr) -> Expr {
        switch p {
        case 1: x
        case 2: x * x
        case 3: x * x * x
        default: .binary(.power, x, .float(Double(p), x.type.element))
        }
    }

    /// Calls `body` for every tap of the window, in unrolled loops, with its value, whether it lies inside the image (nil where
    /// it always does, or need not be known), and its full index. Taps outside are read from the nearest element inside.
    private func taps(
        at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder,
        _ body: (inout KernelBuilder, _ value: Expr, _ inside: Expr?, _ index: [Expr]) throws -> Void
    ) throws {
        let shape = operands.types[0].shape
        let origins = window.indices.map { builder.bind(index[$0 + 2] * .int(strides[$0]) - .int(padBefore[$0]), "o") }
        func nest(_ axis: Int, _ builder: inout KernelBuilder, _ position: [Expr], _ inside: Expr?) throws {
            guard axis < window.count else {
                let value = builder.bind(try operands.load(0, at: position, in: &builder), "x")
                return try body(&builder, value, inside, position)
            }
            // The loops have constant bounds, and C unrolls them where they are short.
            let kind: LoopKind = window[axis] <= 16 ? .unrolled : .serial
            try builder.loop("k", to: .int(window[axis]), kind: kind) { builder, k in
                let at = builder.bind(origins[axis] + k * .int(dilations[axis]), "p")
                guard isPadded else { return try nest(axis + 1, &builder, position + [at], inside) }
                let end = Expr(shape[axis + 2])
                let clamped = builder.bind(.max(.int(0), .min(at, end - .int(1))), "p")
                // An undilated window that overlaps the image holds the element that clamping finds: no maximum changes.
                let free = function == .max && dilations[axis] == 1 && padBefore[axis] < window[axis] && padAfter[axis] < window[axis] && !indices
                if free { return try nest(axis + 1, &builder, position + [clamped], inside) }
                let here = Expr.binary(.equal, at, clamped)
                try nest(axis + 1, &builder, position + [clamped], builder.bind(inside.map { $0 && here } ?? here, "in"))
            }
        }
        try nest(0, &builder, Array(index[0..<2]), nil)
    }

    /// How many elements an average divides by.
    private func elementCount(at index: [Expr], image: [Extent]) -> Expr {
        let all = Expr.int(window.reduce(1, *))
        guard isPadded, !(countIncludePad && !ceilMode) else { return all }
        var product: Expr = .int(1)
        for axis in window.indices {
            let origin = index[axis + 2] * .int(strides[axis]) - .int(padBefore[axis])
            let low: Expr = countIncludePad ? .int(-padBefore[axis]) : .int(0)
            let high = Expr(image[axis]) + .int(countIncludePad ? padAfter[axis] : 0)
            let dilation = Expr.int(dilations[axis])
            let first = Expr.max(low - origin, .int(0)) + dilation - .int(1)
            let end = Expr.max(high - origin, .int(0)) + dilation - .int(1)
            product = product * (.min(end / dilation, .int(window[axis])) - first / dilation)
        }
        return .max(product, .int(1))
    }

    /// The flat position of the first maximum.
    private func position(at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        let shape = operands.types[0].shape, type = operands.types[0].element.computeType
        let best = builder.declare(.constant(0, type), "best"), found = builder.declare(.int(-1), "at")
        try taps(at: index, from: operands, in: &builder) { builder, value, inside, position in
            var flat: Expr = .int(0)
            let spatial = Array(zip(position, shape).dropFirst(2))
            for (i, extent) in columnMajorIndices ? spatial.reversed() : spatial { flat = flat * Expr(extent) + i }
            let plane = (position[0] * Expr(shape[1]) + position[1]) * Expr(shape.dropFirst(2).reduce(1) { $0 * $1 })
            let beats = .variable(found) < .int(0) || .binary(.greater, value, .variable(best)) || (type.isFloat ? .unary(.isNaN, value) : .binary(.notEqual, value, value))
            builder.when(inside.map { $0 && beats } ?? beats) { builder in
                builder.emit(.assign(best, value))
                builder.emit(.assign(found, plane + flat))
            }
        }
        return .variable(found)
    }
}
