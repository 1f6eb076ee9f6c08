// The pull lowering of `Resize`. Coordinates are computed per axis, so that they are loop-invariant for every axis but the innermost,
// and in f32, operation by operation as in `evaluate`: which of two neighbours is nearest depends on the roundings.

extension Resize {
    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        let shape = operands.types[0].shape, element = operands.types[0].element
        // Integers round, and ties need exact sums.
        let type: ElementType = element.isFloat ? element.computeType : .f64
        var axes: [[(index: Expr, weight: Expr?)]] = []
        var outside: Expr?
        for axis in shape.indices {
            if isIdentity(axis, shape) {
                axes.append([(index[axis], nil)])
            } else if let simple = integerIndex(axis, shape, index[axis]) {
                axes.append([(simple, nil)])
            } else {
                axes.append(taps(axis, shape, index[axis], type, &outside, in: &builder))
            }
        }
        func sum(_ axis: Int, _ position: [Expr], _ builder: inout KernelBuilder) throws -> Expr {
            guard axis < axes.count else {
                let value = try operands.load(0, at: position, in: &builder)
                return mode == .nearest && outside == nil ? value : value.converted(to: type)
            }
            var total: Expr?
            for tap in axes[axis] {
                let value = try sum(axis + 1, position + [tap.index], &builder)
                let term = tap.weight.map { value * $0 } ?? value
                total = total.map { $0 + term } ?? term
            }
            return total.map { axes[axis].count > 1 ? builder.bind($0, "s") : $0 } ?? .constant(0, type)
        }
        var value = try sum(0, [], &builder)
        if let outside { value = .select(outside, .float(extrapolation, type), value) }
        guard let range = element.integerRange, value.type.element.isFloat else { return value }
        let clamped = Expr.max(.float(Double(range.lowerBound), type), .min(.float(Double(range.upperBound), type), .unary(.round, value)))
        return .cast(clamped, element.computeType)
    }

    /// Nearest neighbour by an integer factor as integer arithmetic, where that gives the same positions.
    private func integerIndex(_ axis: Int, _ shape: [Extent], _ i: Expr) -> Expr? {
        guard mode == .nearest, coordinateTransform != .tfCropAndResize, let from = shape[axis].constant, let to = sizes[axis].constant, from > 0, to > 0,
              to <= 1 << 16 else { return nil }
        let positions = (0..<to).map { nearestMode.pixel(Double(transform(axis, from: from, to: to).position(of: Float($0))), limit: from) }
        if to % from == 0 {
            let factor = to / from
            if positions.enumerated().allSatisfy({ $1 == $0 / factor }) { return i / .int(factor) }
        }
        let step = from / to
        if step > 0, let first = positions.first, positions.enumerated().allSatisfy({ $1 == $0 * step + first }) { return i * .int(step) + .int(first) }
        return nil
    }

    /// A transform of known sizes: `(i + shift) · multiplier / divisor + offset + tail`, where each step, or with `isWide` only the
    /// last, rounds to f32.
    private struct Line {
        var isWide = false
        var multiplier: Float = 1
        var divisor: Float = 1
        var shift: Float = 0
        var offset: Float = 0
        var tail: Float = 0

        func position(of i: Float) -> Float { isWide ? Float(steps(Double(i)) { Double($0) }) : steps(i) { $0 } }

        private func steps<T: BinaryFloatingPoint>(_ i: T, _ wide: (Float) -> T) -> T {
            (i + wide(shift)) * wide(multiplier) / wide(divisor) + wide(offset) + wide(tail)
        }

        func expression(of i: Expr) -> Expr {
            func number(_ value: Float) -> Expr { .float(Double(value), isWide ? .f64 : .f32) }
            if multiplier == 0 { return .float(Double(offset + tail), .f32) }
            var x = i.converted(to: isWide ? .f64 : .f32)
            if shift != 0 { x = x + number(shift) }
            if multiplier != 1 { x = x * number(multiplier) }
            if divisor != 1 { x = .binary(.divide, x, number(divisor)) }
            for step in [offset, tail] where step != 0 { x = x + number(step) }
            return x.converted(to: .f32)
        }
    }

    private func transform(_ axis: Int, from: Int, to: Int) -> Line {
        let (from, to, isOne) = (Float(from), Float(to), to == 1)
        let scale = scales.isEmpty ? to / from : Float(scales[axis])
        switch coordinateTransform {
        case .halfPixel: return Line(divisor: scale, shift: 0.5, tail: -0.5)
        case .halfPixelSymmetric: return Line(isWide: true, divisor: scale, shift: 0.5, offset: from / 2 * (1 - to / (scale * from)), tail: -0.5)
        case .pytorchHalfPixel: return isOne ? Line(multiplier: 0) : Line(divisor: scale, shift: 0.5, tail: -0.5)
        case .alignCorners: return isOne ? Line(multiplier: 0) : Line(multiplier: from - 1, divisor: to - 1)
        case .asymmetric: return Line(divisor: scale)
        case .tfCropAndResize:
            let (start, end) = region(axis), origin = start * (from - 1)
            return isOne ? Line(multiplier: 0, offset: (end - start) * (from - 1) / 2, tail: origin)
                : Line(multiplier: (end - start) * (from - 1), divisor: to - 1, tail: origin)
        }
    }

    /// The coordinate as an f64 expression, for any mix of static and symbolic sizes.
    private func coordinate(_ axis: Int, _ shape: [Extent], _ i: Expr) -> Expr {
        func number(_ value: Float) -> Expr { .float(Double(value), .f32) }
        if let from = shape[axis].constant, let to = sizes[axis].constant, from > 0 {
            return .cast(transform(axis, from: from, to: to).expression(of: i), .f64)
        }
        let position = Expr.cast(i, .f32)
        let from = Expr.cast(Expr(shape[axis]), .f32), to = Expr.cast(Expr(sizes[axis]), .f32)
        let scale: Expr = scales.isEmpty ? .binary(.divide, to, from) : number(Float(scales[axis]))
        let isOne = Expr.binary(.equal, to, number(1)), last = from + number(-1), steps = to + number(-1)
        let ratio = Expr.binary(.divide, position + number(0.5), scale)
        let x: Expr
        switch coordinateTransform {
        case .halfPixel: x = ratio + number(-0.5)
        case .halfPixelSymmetric:
            let offset = Expr.cast(from * number(0.5) * (number(1) - .binary(.divide, to, scale * from)), .f64)
            let wide = Expr.binary(.divide, .cast(i, .f64) + .float(0.5, .f64), .cast(scale, .f64))
            x = .cast(offset + wide + .float(-0.5, .f64), .f32)
        case .pytorchHalfPixel: x = .select(isOne, number(0), ratio + number(-0.5))
        case .alignCorners: x = .select(isOne, number(0), .binary(.divide, position * last, steps))
        case .asymmetric: x = .binary(.divide, position, scale)
        case .tfCropAndResize:
            let (start, end) = region(axis)
            let inside = Expr.select(isOne, last * number(end - start) * number(0.5), .binary(.divide, position * (last * number(end - start)), steps))
            x = inside + last * number(start)
        }
        return .cast(x, .f64)
    }

    /// The taps of one result position along an axis; indices are clamped to the operand. `outside` collects the condition under
    /// which the position is extrapolated.
    private func taps(
        _ axis: Int, _ shape: [Extent], _ i: Expr, _ type: ElementType, _ outside: inout Expr?, in builder: inout KernelBuilder
    ) -> [(index: Expr, weight: Expr?)] {
        let x = builder.bind(coordinate(axis, shape, i), "x")
        let last = Expr(shape[axis]) - .int(1)
        func clamped(_ index: Expr) -> Expr { .max(.int(0), .min(index, last)) }
        if coordinateTransform == .tfCropAndResize {
            let here = x < .float(0, .f64) || .binary(.greater, x, .cast(last, .f64))
            outside = outside.map { $0 || here } ?? here
        }
        if mode == .nearest {
            let (shift, isCeiling) = nearestMode.rule
            let rounded = Expr.unary(isCeiling ? .ceil : .floor, shift == 0 ? x : x + .float(shift, .f64))
            return [(builder.bind(clamped(.cast(rounded, .i64)), "i"), nil)]
        }
        let floor = builder.bind(.unary(.floor, x), "f"), ratio = builder.bind(x - floor, "r")
        let base = builder.bind(.cast(floor, .i64), "i")
        let stretch = antialias ? Swift.min(staticScale(axis, shape) ?? 1, 1) : 1
        let reach = mode == .linear ? 1.0 : 2.0
        let first = Int((-reach / stretch).rounded(.down)) + 1
        var list: [(index: Expr, weight: Expr)] = []
        for k in first...(1 - first) {
            let offset = Expr.float(Double(k), .f64) - ratio
            let distance = builder.bind(.unary(.absolute, stretch == 1 ? offset : offset * .float(stretch, .f64)), "d")
            var weight = mode == .linear ? Expr.max(.float(0, .f64), .float(1, .f64) - distance) : cubic(distance)
            let index = builder.bind(base + .int(k), "i")
            if excludeOutside { weight = .select(index >= .int(0) && index < Expr(shape[axis]), weight, .float(0, .f64)) }
            list.append((builder.bind(clamped(index), "i"), builder.bind(weight, "w")))
        }
        var divisor: Expr?
        if antialias || excludeOutside {
            let sum = builder.bind(list.dropFirst().reduce(list[0].weight) { $0 + $1.weight }, "sum")
            divisor = builder.bind(.select(.binary(.equal, sum, .float(0, .f64)), .float(1, .f64), sum), "divisor")
        }
        return list.map { tap in
            (tap.index, builder.bind(.cast(divisor.map { .binary(.divide, tap.weight, $0) } ?? tap.weight, type), "w"))
        }
    }

    private func cubic(_ x: Expr) -> Expr {
        func c(_ value: Double) -> Expr { .float(value, .f64) }
        let a = cubicCoefficient
        let near = (x * c(a + 2) - c(a + 3)) * x * x + c(1)
        let far = ((x * c(a) - c(5 * a)) * x + c(8 * a)) * x - c(4 * a)
        return .select(.binary(.lessOrEqual, x, c(1)), near, .select(x < c(2), far, c(0)))
    }
}
