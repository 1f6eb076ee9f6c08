/// Checks that a tensor can hold indices into data.
func checkIndices(_ type: TensorType) throws {
    guard type.element.isInteger else { throw Diagnostic(.invalid, "the indices have type \(type), not an integer type") }
}

/// Picks slices along one axis: `result[a…, i…, b…] = data[a…, indices[i…], b…]`. Negative indices count from the end, where they may.
public struct Gather: PointwiseOp {
    public static let mnemonic = "gather"
    public static let summary = "Picks slices along one axis by index"
    public static var attributes: [Attribute<Self>] { [Attribute("axis", \.axis), Attribute("counts_backwards", \.countsBackwards)] }

    public var axis: Int
    /// Whether negative indices count from the end; they are errors of the data otherwise.
    public var countsBackwards = true

    public init() { axis = 0 }
    public init(axis: Int, countsBackwards: Bool = true) {
        self.axis = axis
        self.countsBackwards = countsBackwards
    }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let types = try context.tensors(2)
        try checkAxis(axis, of: types[0])
        try checkIndices(types[1])
        let shape = types[0].shape
        return [.tensor(TensorType(types[0].element, Array(shape[..<axis]) + types[1].shape + Array(shape[(axis + 1)...])))]
    }

    public func checkConstants(_ constants: [Tensor?], types: [TensorType]) throws {
        try checkIndices(constants[1], into: types[0].shape[axis], mayCountBackwards: countsBackwards)
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let data = operands[0], split = AxisSplit(data.shape, axis: axis)
        try checkIndices(operands[1], into: Extent(split.count), mayCountBackwards: countsBackwards)
        let positions = try operands[1].integers.map { try checkedIndex($0, of: split.count) }
        let shape = Array(data.shape[..<axis]) + operands[1].shape + Array(data.shape[(axis + 1)...])
        return [Tensor(data.element, shape) { bytes in
            guard let copier = ElementCopier(data.element, from: data.bytes, to: bytes) else { return }
            for outer in 0..<split.outer {
                for (i, position) in positions.enumerated() {
                    copier.copy((outer * split.count + position) * split.inner, to: (outer * positions.count + i) * split.inner, count: split.inner)
                }
            }
        }]
    }

    public func symbolicContents(_ operands: [[Extent]?], in context: InferenceContext) -> [[Extent]?] {
        guard let data = operands[0], let indices = operands[1]?.constants, let shape = context.operands[0].tensor?.shape.constants,
              shape.indices.contains(axis) else { return [nil] }
        let split = AxisSplit(shape, axis: axis)
        var result: [Extent] = []
        for outer in 0..<split.outer {
            for index in indices {
                guard countsBackwards || index >= 0, let position = try? checkedIndex(index, of: split.count) else { return [nil] }
                let start = (outer * split.count + position) * split.inner
                result += data[start..<start + split.inner]
            }
        }
        return [result]
    }

    public var layoutBehavior: LayoutBehavior { .any }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        let rank = operands.types[1].rank
        let position = try operands.load(1, at: Array(index[axis..<axis + rank]), in: &builder)
        let source = position.wrapped(into: operands.types[0].shape[axis], countsBackwards: countsBackwards, in: &builder)
        let place = Array(index[..<axis]) + [source] + Array(index[(axis + rank)...])
        return try operands.load(0, at: place, into: [operands.types[0].shape[axis]], in: &builder)
    }
}

/// Picks single elements along one axis: the result has the shape of the indices, and at each position the element of the data
/// whose coordinate on `axis` is the index there.
public struct GatherElements: PointwiseOp {
    public static let mnemonic = "gather_elements"
    public static let summary = "Picks single elements along one axis by index"
    public static var attributes: [Attribute<Self>] { [Attribute("axis", \.axis)] }

    public var axis: Int

    public init() { axis = 0 }
    public init(axis: Int) { self.axis = axis }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let types = try context.tensors(2)
        try checkAxis(axis, of: types[0])
        try checkIndices(types[1])
        guard types[0].rank == types[1].rank else { throw Diagnostic(.invalid, "\(types[0]) and the indices \(types[1]) differ in rank") }
        for other in 0..<types[0].rank where other != axis {
            if let room = (types[0].shape[other] - types[1].shape[other]).constant, room < 0 {
                throw Diagnostic(.invalid, "the indices \(types[1]) exceed \(types[0]) on axis \(other)")
            }
        }
        return [.tensor(TensorType(types[0].element, types[1].shape))]
    }

    public func nonNegativeSizes(in context: InferenceContext) -> [Extent] {
        let shapes = context.shapes
        return shapes.count == 2 ? shapes[0].room(for: shapes[1], besides: axis) : []
    }

    public func checkConstants(_ constants: [Tensor?], types: [TensorType]) throws {
        try checkIndices(constants[1], into: types[0].shape[axis])
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let data = operands[0], indices = operands[1], reader = indices.reader
        let strides = rowMajorStrides(data.shape)
        var sequence = IndexSequence(indices.shape)
        return [try data.picking(indices.shape) { i in
            var index = sequence.next() ?? []
            index[axis] = try checkedIndex(reader.loadInteger(at: i), of: data.shape[axis])
            return flatIndex(index, strides)
        }]
    }

    public var layoutBehavior: LayoutBehavior { .any }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        var source = index
        let position = try operands.load(1, at: index, in: &builder)
        source[axis] = position.wrapped(into: operands.types[0].shape[axis], in: &builder)
        return try operands.load(0, at: source, into: [operands.types[0].shape[axis]], in: &builder)
    }
}

/// Picks slices by tuples of indices: the last axis of the indices holds coordinates on the axes of the data that follow the
/// `batchDims` common leading axes.
public struct GatherND: PointwiseOp {
    public static let mnemonic = "gather_nd"
    public static let summary = "Picks slices by tuples of indices"
    public static var attributes: [Attribute<Self>] { [Attribute("batch_dims", \.batchDims)] }

    public var batchDims: Int

    public init() { batchDims = 0 }
    public init(batchDims: Int) { self.batchDims = batchDims }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let types = try context.tensors(2)
        let (data, indices) = (types[0], types[1])
        try checkIndices(indices)
        guard indices.rank == 0 || indices.shape.last?.constant != nil else {
            throw Diagnostic.unsupported("how many coordinates the indices \(indices) hold must be known at compile time")
        }
        guard batchDims >= 0, batchDims < indices.rank, let depth = indices.shape.last?.constant, depth >= 0, batchDims + depth <= data.rank else {
            throw Diagnostic(.invalid, "indices \(indices) with \(batchDims) batch axes do not fit \(data): the last axis must hold one coordinate per data axis")
        }
        for axis in 0..<batchDims where data.shape[axis] != indices.shape[axis] && (data.shape[axis] - indices.shape[axis]).isConstant {
            throw Diagnostic(.invalid, "data \(data) and indices \(indices) differ on batch axis \(axis)")
        }
        return [.tensor(TensorType(data.element, Array(indices.shape.dropLast()) + Array(data.shape[(batchDims + depth)...])))]
    }

    public func equalSizes(in context: InferenceContext) -> [SizeEquation] {
        let shapes = context.shapes
        guard shapes.count == 2, batchDims >= 0 else { return [] }
        return SizeEquation.pairs(shapes[1].prefix(batchDims), shapes[0].prefix(batchDims))
    }

    public func checkConstants(_ constants: [Tensor?], types: [TensorType]) throws {
        try checkIndexTuples(constants[1], into: types[0].shape.dropFirst(batchDims).prefix(types[1].shape.last?.constant ?? 0))
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let data = operands[0], indices = operands[1], reader = indices.reader
        let depth = indices.shape.last ?? 0, strides = rowMajorStrides(data.shape)
        let lead = Array(indices.shape.dropLast()), slice = Array(data.shape[(batchDims + depth)...])
        let size = slice.reduce(1, *)
        return [try Tensor(data.element, lead + slice) { bytes in
            let copier = ElementCopier(data.element, from: data.bytes, to: bytes)
            for (tuple, index) in IndexSequence(lead).enumerated() {
                var source = flatIndex(Array(index[..<batchDims]), strides)
                for k in 0..<depth {
                    let axis = batchDims + k
                    source += try checkedIndex(reader.loadInteger(at: tuple * depth + k), of: data.shape[axis]) * strides[axis]
                }
                if size > 0 { copier?.copy(source, to: tuple * size, count: size) }
            }
        }]
    }

    public var layoutBehavior: LayoutBehavior { .any }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        let (data, indices) = (operands.types[0], operands.types[1])
        let depth = indices.shape.last?.constant ?? 0
        let tuple = Array(index[..<(indices.rank - 1)])
        var source = Array(tuple[..<batchDims])
        for k in 0..<depth {
            let coordinate = try operands.load(1, at: tuple + [.int(k)], in: &builder)
            source.append(coordinate.wrapped(into: data.shape[batchDims + k], in: &builder))
        }
        let place = source + Array(index[(indices.rank - 1)...])
        return try operands.load(0, at: place, into: Array(data.shape[batchDims..<batchDims + depth]), in: &builder)
    }
}
