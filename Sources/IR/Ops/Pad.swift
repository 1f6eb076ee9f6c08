/// What `pad` writes around its operand.
public enum PadMode: String, Hashable, Sendable, CaseIterable, EnumAttribute {
    /// The attribute `value`.
    case constant
    /// The nearest element.
    case edge
    /// The operand mirrored at its outermost elements, which are not repeated.
    case reflect
    /// The operand repeated.
    case wrap

    /// The operand position that shows at `position` (counted from the operand's first element) of an axis of `count` elements.
    func source(_ position: Int, _ count: Int) -> Int {
        func remainder(_ period: Int) -> Int { (position % period + period) % period }
        switch self {
        case .constant: return position
        case .edge: return Swift.min(Swift.max(position, 0), count - 1)
        case .wrap: return remainder(count)
        case .reflect:
            if count == 1 { return 0 }
            let folded = remainder(2 * count - 2)
            return Swift.min(folded, 2 * count - 2 - folded)
        }
    }

    func source(_ position: Expr, _ extent: Extent, in builder: inout KernelBuilder) -> Expr {
        let count = Expr(extent)
        func remainder(_ period: Expr, _ builder: inout KernelBuilder) -> Expr {
            let period = builder.bind(period, "period")
            return (position % period + period) % period
        }
        switch self {
        case .constant: return position
        case .edge: return .min(.max(position, .int(0)), count - .int(1))
        case .wrap: return remainder(count, &builder)
        case .reflect:
            if extent == 1 { return .int(0) }
            let period = count * .int(2) - .int(2)
            // A symbolic axis may turn out to have one element, and no period.
            let folded = builder.bind(remainder(extent.isConstant ? period : .max(period, .int(1)), &builder), "folded")
            let mirrored = Expr.min(folded, period - folded)
            return extent.isConstant ? mirrored : .max(mirrored, .int(0))
        }
    }
}

/// Surrounds a tensor with more elements: `before` and `after` along each axis, never negative.
public struct Pad: DestinationOp {
    public static let mnemonic = "pad"
    public static let summary = "Surrounds a tensor with a constant, or with its own elements"
    public static var attributes: [Attribute<Self>] {
        [Attribute("before", \.before), Attribute("after", \.after), Attribute("value", \.value), Attribute("mode", \.mode)]
    }

    public var before: [Int]
    public var after: [Int]
    /// The value of the new elements in constant mode.
    @Bitwise public var value: Double
    public var mode: PadMode

    public init() { self.init(before: [], after: []) }
    public init(before: [Int], after: [Int], value: Double = 0, mode: PadMode = .constant) {
        self.before = before
        self.after = after
        self.value = value
        self.mode = mode
    }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let type = try context.tensors(1)[0]
        guard before.count == type.rank, after.count == type.rank, (before + after).allSatisfy({ 0...(1 << 40) ~= $0 }) else {
            throw Diagnostic(.invalid, "the paddings \(before) and \(after) do not fit \(type): takes one non-negative size for each axis")
        }
        for axis in 0..<type.rank where mode != .constant && type.shape[axis] == 0 && before[axis] + after[axis] > 0 {
            throw Diagnostic(.invalid, "axis \(axis) of \(type) has no elements to pad with")
        }
        return [.tensor(type.with(shape: (0..<type.rank).map { type.shape[$0] + Extent(before[$0] + after[$0]) }))]
    }

    public func nonNegativeSizes(in context: InferenceContext) -> [Extent] {
        guard mode != .constant, let shape = context.shapes.first, shape.count == before.count, shape.count == after.count else { return [] }
        return shape.indices.filter { before[$0] > 0 || after[$0] > 0 }.map { shape[$0] - 1 }
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let x = operands[0], strides = rowMajorStrides(x.shape)
        let shape = x.shape.indices.map { x.shape[$0] + before[$0] + after[$0] }
        // For each axis, where each result position reads, as an offset; nil outside.
        let maps = shape.indices.map { axis in
            (0..<shape[axis]).map { position -> Int? in
                let source = mode.source(position - before[axis], x.shape[axis])
                return source >= 0 && source < x.shape[axis] ? source * strides[axis] : nil
            }
        }
        let padding = Tensor(x.element, [1]) { bytes in ElementWriter(x.element, bytes).store(value, at: 0) }
        return [Tensor(x.element, shape) { bytes in
            guard let blank = ElementCopier(x.element, from: padding.bytes, to: bytes) else { return }
            let copier = ElementCopier(x.element, from: x.bytes, to: bytes)
            for (flat, index) in IndexSequence(shape).enumerated() {
                var source: Int? = 0
                for axis in index.indices {
                    guard let sum = source, let offset = maps[axis][index[axis]] else { source = nil; break }
                    source = sum + offset
                }
                if let source { copier?.copy(source, to: flat) } else { blank.copy(0, to: flat) }
            }
        }]
    }

    public func symbolicContents(_ operands: [[Extent]?], in context: InferenceContext) -> [[Extent]?] {
        guard let values = operands[0], let shape = context.operands[0].tensor?.shape.constants, mode == .constant,
              shape.count == before.count, let padding = Int(exactly: value) else { return [nil] }
        let strides = rowMajorStrides(shape)
        return [IndexSequence(shape.indices.map { shape[$0] + before[$0] + after[$0] }).map { index in
            let source = index.indices.map { index[$0] - before[$0] }
            return source.indices.allSatisfy { 0..<shape[$0] ~= source[$0] } ? values[flatIndex(source, strides)] : Extent(padding)
        }]
    }

    public var layoutBehavior: LayoutBehavior { .uniform }

    public func placements(ofOperands operandTypes: [TensorType], in result: TensorView) -> [TensorView]? {
        guard mode == .constant else { return nil }
        var view = result
        view.shape = operandTypes[0].shape
        for axis in before.indices { view.offset = view.offset + Extent(before[axis]) * result.strides[axis] }
        return [view]
    }

    /// Writes the halo: for each axis the parts before and after the operand, leaving out what earlier axes have written.
    public func fill(_ result: TensorView, operandTypes: [TensorType], in builder: inout KernelBuilder) throws {
        let inner = operandTypes[0].shape
        let padding = Expr.constant(value, result.element.computeType)
        let order = result.physicalOrder
        // An axis of one element has no place in that order, and is padding where the operand has none along it.
        let axes = order + result.shape.indices.filter { !order.contains($0) }
        for (position, axis) in axes.enumerated() {
            let sides = [(start: Extent(0), count: before[axis]), (start: inner[axis] + Extent(before[axis]), count: after[axis])]
            for side in sides where side.count > 0 {
                var starts = [Extent](repeating: 0, count: inner.count), sizes = result.shape
                for earlier in axes[..<position] {
                    starts[earlier] = Extent(before[earlier])
                    sizes[earlier] = inner[earlier]
                }
                starts[axis] = side.start
                sizes[axis] = Extent(side.count)
                builder.write(padding, to: result, starts: starts, sizes: sizes, order: order)
            }
        }
    }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        let shape = operands.types[0].shape
        if mode == .constant && shape.contains(0) { return .constant(value, operands.types[0].element.computeType) }
        var source = index
        var inside: Expr?
        for axis in index.indices where before[axis] + after[axis] > 0 {
            let position = index[axis] - .int(before[axis])
            source[axis] = mode.source(position, shape[axis], in: &builder)
            guard mode == .constant else { continue }
            let checks = (before[axis] > 0 ? [position >= .int(0)] : []) + (after[axis] > 0 ? [position < Expr(shape[axis])] : [])
            for check in checks { inside = inside.map { $0 && check } ?? check }
        }
        guard let inside else { return try operands.load(0, at: source, in: &builder) }
        let padding = Expr.constant(value, operands.types[0].element.computeType)
        return try builder.guarded(inside, otherwise: padding) { try operands.load(0, at: source, in: &$0) }
    }
}

extension KernelBuilder {
    /// Stores one value all over a box of a view, in parallel, walking memory in order.
    mutating func write(_ value: Expr, to view: TensorView, starts: [Extent], sizes: [Extent], order: [Int]) {
        // The order leaves out axes of which the view has one element and the box may have none.
        guard !sizes.contains(0) else { return }
        let axes = order.filter { sizes[$0] != 1 }
        guard let last = axes.last else {
            return single { $0.emit(view.store(value, starts.map { Expr($0) })) }
        }
        var index = starts.map { Expr($0) }
        func row(_ builder: inout KernelBuilder, kind: LoopKind) {
            builder.loop("w", to: Expr(sizes[last]), kind: kind) { builder, i in
                index[last] = Expr(starts[last]) + i
                builder.emit(view.store(value, index))
            }
        }
        let outer = axes.dropLast()
        if outer.isEmpty { return row(&self, kind: .parallel) }
        parallelLoops(over: outer.map { sizes[$0] }) { builder, position in
            for (axis, i) in zip(outer, position) { index[axis] = Expr(starts[axis]) + i }
            row(&builder, kind: .simd(reductions: []))
        }
    }
}
