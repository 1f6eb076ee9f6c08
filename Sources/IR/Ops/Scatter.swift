/// How a scatter combines an update with what is there.
public enum ScatterReduction: String, Hashable, Sendable, CaseIterable, EnumAttribute {
    /// Updates replace; of several at one place, the last one wins.
    case none
    case add, multiply, minimum, maximum

    /// What joins the element that is there and an update; truth values are 0 and 1, and their sum is at most 1.
    func binary(_ element: ElementType) -> BinaryOperator? {
        switch self {
        case .none: nil
        case .add: element == .bool ? .or : .add
        case .multiply: element == .bool ? .and : .multiply
        case .minimum: element == .bool ? .and : .minimum
        case .maximum: element == .bool ? .or : .maximum
        }
    }

    /// Applies one update to an element in memory.
    func apply(_ reader: ElementReader, _ update: Int, to target: ElementReader, _ writer: ElementWriter, at i: Int) throws {
        guard let binary = binary(reader.element) else { return }
        if reader.element.isFloat {
            // Rounded to the compute type, then to the element type, as kernels do.
            writer.store(binary.evaluate(target.load(at: i), reader.load(at: update)), at: i)
        } else {
            let value = try binary.evaluate(target.loadInteger(at: i), reader.loadInteger(at: update), reader.element)
            writer.store(integer: value, at: i)
        }
    }

    func statement(_ value: Expr, to view: TensorView, _ index: [Expr]) -> Statement {
        guard let binary = binary(view.element) else { return view.store(value, index) }
        let element = view.element.computeType
        return view.store(.binary(binary, view.load(index).converted(to: element), value.converted(to: element)), index)
    }

    func check(_ element: ElementType) throws {
        guard self == .none || element.isFloat || element.isInteger || element == .bool else {
            throw Diagnostic(.invalid, "\(rawValue) is not defined on \(element.rawValue)")
        }
    }
}

/// Writes single elements along one axis: the inverse of `gather_elements`. Operands: data, indices, updates; the latter two have
/// one shape.
public struct ScatterElements: LoopOp {
    public static let mnemonic = "scatter_elements"
    public static let summary = "Writes single elements along one axis by index"
    public static var attributes: [Attribute<Self>] { [Attribute("axis", \.axis), Attribute("reduction", \.reduction)] }

    public var axis: Int
    public var reduction: ScatterReduction

    public init() { self.init(axis: 0) }
    public init(axis: Int, reduction: ScatterReduction = .none) {
        self.axis = axis
        self.reduction = reduction
    }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let types = try context.tensors(3)
        try checkAxis(axis, of: types[0])
        try checkIndices(types[1])
        try reduction.check(types[0].element)
        guard types[0].element == types[2].element, types[0].rank == types[1].rank, types[1].rank == types[2].rank,
              zip(types[1].shape, types[2].shape).allSatisfy({ $0 == $1 || !($0 - $1).isConstant }) else {
            throw Diagnostic(.invalid, "data \(types[0]), indices \(types[1]) and updates \(types[2]) do not fit each other")
        }
        for other in 0..<types[0].rank where other != axis {
            if let room = (types[0].shape[other] - types[1].shape[other]).constant, room < 0 {
                throw Diagnostic(.invalid, "the indices \(types[1]) exceed \(types[0]) on axis \(other)")
            }
        }
        return [.tensor(types[0].with(layout: .rowMajor))]
    }

    public func equalSizes(in context: InferenceContext) -> [SizeEquation] {
        let shapes = context.shapes
        return shapes.count == 3 ? SizeEquation.pairs(shapes[2], shapes[1]) : []
    }

    public func nonNegativeSizes(in context: InferenceContext) -> [Extent] {
        let shapes = context.shapes
        return shapes.count == 3 ? shapes[0].room(for: shapes[1], besides: axis) : []
    }

    public func checkConstants(_ constants: [Tensor?], types: [TensorType]) throws {
        try checkIndices(constants[1], into: types[0].shape[axis])
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let data = operands[0], indices = operands[1].reader, updates = operands[2]
        let strides = rowMajorStrides(data.shape)
        guard updates.shape == operands[1].shape else {
            throw Diagnostic(.invalid, "indices \(operands[1].type) and updates \(updates.type) differ in shape")
        }
        return [try Tensor(data.element, data.shape) { bytes in
            bytes.copyMemory(from: data.bytes)
            let copier = ElementCopier(data.element, from: updates.bytes, to: bytes)
            let current = ElementReader(data.element, UnsafeRawBufferPointer(bytes)), writer = ElementWriter(data.element, bytes)
            for (i, position) in IndexSequence(updates.shape).enumerated() {
                var index = position
                index[axis] = try checkedIndex(indices.loadInteger(at: i), of: data.shape[axis])
                guard index.indices.allSatisfy({ index[$0] < data.shape[$0] }) else {
                    throw Diagnostic(.invalid, "the indices \(operands[1].shape) exceed the data \(data.shape)")
                }
                let target = flatIndex(index, strides)
                if reduction == .none { copier?.copy(i, to: target) } else {
                    try reduction.apply(updates.reader, i, to: current, writer, at: target)
                }
            }
        }]
    }

    public var updatedOperand: Int? { 0 }
    public var layoutBehavior: LayoutBehavior { .any }

    /// Updates keep their order along the axis and cannot meet across other axes, so those run in parallel.
    public func lower(_ operands: [TensorView], to results: [TensorView], in builder: inout KernelBuilder) throws {
        let (indices, updates, result) = (operands[1], operands[2], results[0])
        builder.beginUpdate(of: operands[0], in: result)
        let outer = updates.shape.indices.filter { $0 != axis && updates.shape[$0] != 1 }
        builder.parallelRows(of: updates.shape, over: outer) { builder, position in
            builder.loop("u", to: Expr(updates.shape[axis])) { builder, i in
                var source = position
                source[axis] = i
                var target = position
                target[axis] = builder.bind(indices.load(source).wrapped(into: result.shape[axis], in: &builder), "target")
                builder.emit([reduction.statement(updates.load(source), to: result, target)], where: .holdsElements([result.shape[axis]]))
            }
        }
    }
}

/// Writes slices by tuples of indices: the inverse of `gather_nd` without batch axes. Operands: data, indices `[…, k]`, updates
/// `[…]` followed by the data's axes from `k` on.
public struct ScatterND: LoopOp {
    public static let mnemonic = "scatter_nd"
    public static let summary = "Writes slices by tuples of indices"
    public static var attributes: [Attribute<Self>] { [Attribute("reduction", \.reduction)] }

    public var reduction: ScatterReduction

    public init() { reduction = .none }
    public init(reduction: ScatterReduction) { self.reduction = reduction }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let types = try context.tensors(3)
        let (data, indices, updates) = (types[0], types[1], types[2])
        try checkIndices(indices)
        try reduction.check(data.element)
        guard indices.rank == 0 || indices.shape.last?.constant != nil else {
            throw Diagnostic.unsupported("how many coordinates the indices \(indices) hold must be known at compile time")
        }
        guard let depth = indices.shape.last?.constant, depth >= 0, depth <= data.rank else {
            throw Diagnostic(.invalid, "the last axis of the indices \(indices) must hold a coordinate for each of the first axes of \(data)")
        }
        let expected = Array(indices.shape.dropLast()) + Array(data.shape[depth...])
        guard updates.element == data.element, updates.rank == expected.count,
              zip(updates.shape, expected).allSatisfy({ $0 == $1 || !($0 - $1).isConstant }) else {
            throw Diagnostic(.invalid, "updates \(updates) should have the shape \(expected)")
        }
        return [.tensor(data.with(layout: .rowMajor))]
    }

    public func equalSizes(in context: InferenceContext) -> [SizeEquation] {
        let shapes = context.shapes
        guard shapes.count == 3, let depth = shapes[1].last?.constant, 0...shapes[0].count ~= depth else { return [] }
        return SizeEquation.pairs(shapes[2], shapes[1].dropLast() + shapes[0][depth...])
    }

    public func checkConstants(_ constants: [Tensor?], types: [TensorType]) throws {
        try checkIndexTuples(constants[1], into: types[0].shape.prefix(types[1].shape.last?.constant ?? 0))
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let data = operands[0], indices = operands[1].reader, updates = operands[2]
        let depth = operands[1].shape.last ?? 0, strides = rowMajorStrides(data.shape)
        let size = data.shape[depth...].reduce(1, *), tuples = operands[1].shape.dropLast().reduce(1, *)
        guard updates.count == tuples * size else { throw Diagnostic(.invalid, "updates of shape \(updates.shape) do not fill \(tuples) slices of \(size)") }
        return [try Tensor(data.element, data.shape) { bytes in
            bytes.copyMemory(from: data.bytes)
            let copier = ElementCopier(data.element, from: updates.bytes, to: bytes)
            let current = ElementReader(data.element, UnsafeRawBufferPointer(bytes)), writer = ElementWriter(data.element, bytes)
            for tuple in 0..<tuples {
                var start = 0
                for k in 0..<depth { start += try checkedIndex(indices.loadInteger(at: tuple * depth + k), of: data.shape[k]) * strides[k] }
                for i in 0..<size {
                    if reduction == .none { copier?.copy(tuple * size + i, to: start + i) } else {
                        try reduction.apply(updates.reader, tuple * size + i, to: current, writer, at: start + i)
                    }
                }
            }
        }]
    }

    public var updatedOperand: Int? { 0 }
    public var layoutBehavior: LayoutBehavior { .any }

    /// Elements of a slice's last axis that one thread writes behind each other.
    private static let run = 64

    /// Tuples may repeat, so they run in order; the elements of the slices run in parallel.
    public func lower(_ operands: [TensorView], to results: [TensorView], in builder: inout KernelBuilder) throws {
        let (indices, updates, result) = (operands[1], operands[2], results[0])
        builder.beginUpdate(of: operands[0], in: result)
        let depth = indices.shape.last?.constant ?? 0
        let slice = Array(result.shape[depth...]), runs = slice.last.map { $0.ceilDivided(by: Extent(Self.run)) }
        builder.parallelLoops(over: slice.dropLast() + (runs.map { [$0] } ?? [])) { builder, part in
            builder.loops(over: Array(indices.shape.dropLast())) { builder, tuple in
                var target: [Expr] = []
                for k in 0..<depth {
                    target.append(builder.bind(indices.load(tuple + [.int(k)]).wrapped(into: result.shape[k], in: &builder), "target"))
                }
                let exists = Expr.holdsElements(Array(result.shape[..<depth]))
                guard let width = slice.last, let first = part.last else {
                    return builder.emit([reduction.statement(updates.load(tuple), to: result, target)], where: exists)
                }
                let start = builder.bind(first * .int(Self.run), "start"), outer = Array(part.dropLast())
                let row = builder.block { builder in
                    builder.loop("c", from: start, to: .min(start + .int(Self.run), Expr(width)), kind: .simd(reductions: [])) { builder, i in
                        builder.emit(reduction.statement(updates.load(tuple + outer + [i]), to: result, target + outer + [i]))
                    }
                }
                builder.emit(row, where: exists)
            }
        }
    }
}
