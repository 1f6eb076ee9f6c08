import GlmcIR

/// Builds a function node by node. Frontends conform and get short names for the common ops; every such function adds nodes at
/// the current place and returns the result.
protocol GraphBuilding {
    var rewriter: Rewriter { get set }
    /// Where new nodes go.
    var block: BlockID { get }
    /// The source that new nodes name.
    var provenance: [String] { get }
    /// What a new node with one result may be simplified to.
    mutating func folded(_ id: ValueID) -> ValueID
    /// Takes note of sizes that have to be equal for the model to make sense.
    mutating func expect(_ equations: [SizeEquation])
    /// Takes note of what values tell about sizes by being there.
    mutating func exist(_ ids: [ValueID])
}

extension Rewriter {
    /// Adds an input i64 of rank 0 whose value is the size `name`.
    mutating func addSizeInput(_ name: String) -> Extent {
        _ = addArgument(.tensor(TensorType(.i64, [])), name: name)
        addDimension(name, DimensionInfo(.value(function.inputs.count - 1)))
        return .dimension(name)
    }
}

extension GraphBuilding {
    mutating func folded(_ id: ValueID) -> ValueID { id }
    mutating func expect(_ equations: [SizeEquation]) {}
    mutating func exist(_ ids: [ValueID]) {}
    /// Takes note that two sizes have to be equal.
    mutating func expect(_ a: Extent, equals b: Extent) { expect([SizeEquation(a, b)]) }

    /// Takes note that two sizes of `what` have to be equal.
    /// - Throws: where they are known and differ.
    mutating func require(_ a: Extent, equals b: Extent, _ what: String) throws {
        if let a = a.constant, let b = b.constant, a != b { throw Diagnostic(.invalid, "\(what): \(a) does not fit \(b)") }
        expect(a, equals: b)
    }

    // MARK: Types

    func type(_ id: ValueID) -> TensorType { rewriter.function.tensorType(id) }
    func shape(_ id: ValueID) -> [Extent] { type(id).shape }
    func rank(_ id: ValueID) -> Int { type(id).rank }
    func element(_ id: ValueID) -> ElementType { type(id).element }

    /// `axis` counted from the front, checked against `rank`.
    func normalized(_ axis: Int, rank: Int) throws -> Int {
        guard axis >= -rank, axis < rank else { throw Diagnostic(.invalid, "axis \(axis) is outside a tensor of rank \(rank)") }
        return axis < 0 ? axis + rank : axis
    }

    func normalized(_ axes: [Int], rank: Int) throws -> [Int] {
        let result = try axes.map { try normalized($0, rank: rank) }
        guard Set(result).count == result.count else { throw Diagnostic(.invalid, "axes \(axes) name an axis twice") }
        return result
    }

    /// - Throws: where `id` has another rank.
    func require(_ id: ValueID, rank wanted: Int, _ what: String) throws {
        guard rank(id) == wanted else { throw Diagnostic(.invalid, "\(what) must have rank \(wanted), not \(type(id))") }
    }

    /// - Throws: where a table of these sizes, computed at import, would take an absurd amount of memory.
    func requireTable(_ sizes: Int...) throws {
        guard let bytes = Tensor.byteCount(.f64, sizes), bytes <= 1 << 29 else { throw Diagnostic.unsupported("a table of \(sizes.map(String.init).joined(separator: " by ")) numbers") }
    }

    // MARK: Nodes

    mutating func emit(_ op: any Op, _ operands: [ValueID]) throws -> ValueID {
        expect(op.equalSizes(in: InferenceContext(operands: operands.map { rewriter.function.type($0) })))
        let result = try rewriter.create1(op, operands, at: .end(block), provenance: provenance)
        exist([result])
        return folded(result)
    }

    /// A node with `count` results.
    mutating func emitMany(_ op: any Op, _ operands: [ValueID], _ count: Int, regions: [BlockID] = []) throws -> [ValueID] {
        let names = [String](repeating: "", count: count)
        expect(op.equalSizes(in: InferenceContext(operands: operands.map { rewriter.function.type($0) }, resultCount: count)))
        let results = try rewriter.create(op, operands, at: .end(block), regions: regions, provenance: provenance, names: names)
        exist(results)
        return results
    }

    // MARK: Constants

    mutating func constant(_ tensor: Tensor) throws -> ValueID {
        try rewriter.create1(Constant(tensor), [], at: .end(block), provenance: provenance)
    }

    mutating func scalar(_ value: Double, _ element: ElementType) throws -> ValueID { try constant(.scalar(value, element)) }
    /// A scalar of the element type of `other`.
    mutating func scalar(_ value: Double, like other: ValueID) throws -> ValueID { try scalar(value, element(other)) }
    mutating func ints(_ values: [Int]) throws -> ValueID { try constant(Tensor(values)) }
    mutating func sizes(_ values: [Extent]) throws -> ValueID {
        if let constants = values.constants { return try ints(constants) }
        return try emit(Extents(values), [])
    }
    /// A rank-0 size as a number of another type.
    mutating func size(_ value: Extent, _ element: ElementType) throws -> ValueID {
        if let constant = value.constant { return try scalar(Double(constant), element) }
        return try cast(try emit(Extents([value], shape: []), []), element)
    }

    /// A tensor of `shape` filled with one value.
    mutating func filled(_ value: Double, _ element: ElementType, _ shape: [Extent]) throws -> ValueID {
        try expand(try scalar(value, element), shape)
    }

    // MARK: Elementwise

    mutating func unary(_ function: UnaryOperator, _ x: ValueID) throws -> ValueID { try emit(Unary(function), [x]) }
    mutating func binary(_ function: BinaryOperator, _ a: ValueID, _ b: ValueID) throws -> ValueID { try emit(Binary(function), [a, b]) }
    mutating func binary(_ function: BinaryOperator, _ a: ValueID, _ b: Double) throws -> ValueID { try binary(function, a, scalar(b, like: a)) }
    mutating func add(_ a: ValueID, _ b: ValueID) throws -> ValueID { try binary(.add, a, b) }
    mutating func sub(_ a: ValueID, _ b: ValueID) throws -> ValueID { try binary(.subtract, a, b) }
    mutating func mul(_ a: ValueID, _ b: ValueID) throws -> ValueID { try binary(.multiply, a, b) }
    mutating func div(_ a: ValueID, _ b: ValueID) throws -> ValueID { try binary(.divide, a, b) }
    mutating func add(_ a: ValueID, _ b: Double) throws -> ValueID { try binary(.add, a, b) }
    mutating func sub(_ a: ValueID, _ b: Double) throws -> ValueID { try binary(.subtract, a, b) }
    mutating func mul(_ a: ValueID, _ b: Double) throws -> ValueID { try binary(.multiply, a, b) }
    mutating func div(_ a: ValueID, _ b: Double) throws -> ValueID { try binary(.divide, a, b) }
    mutating func activation(_ kind: ActivationKind, _ x: ValueID, alpha: Double? = nil, beta: Double? = nil) throws -> ValueID {
        try emit(Activation(kind, alpha: alpha, beta: beta), [x])
    }

    mutating func select(_ condition: ValueID, _ then: ValueID, _ otherwise: ValueID) throws -> ValueID {
        try emit(Select(), [condition, then, otherwise])
    }

    mutating func cast(_ x: ValueID, _ element: ElementType, saturate: Bool = true) throws -> ValueID {
        self.element(x) == element ? x : try emit(Cast(to: element, saturate: saturate), [x])
    }

    /// A node that copies `x`, so that it can have a second name.
    mutating func copy(_ x: ValueID) throws -> ValueID {
        try rewriter.create1(Reshape(shape(x)), [x], at: .end(block), provenance: provenance)
    }

    // MARK: Shapes

    mutating func reshape(_ x: ValueID, _ shape: [Extent]) throws -> ValueID {
        shape == self.shape(x) ? x : try emit(Reshape(shape), [x])
    }

    mutating func unsqueeze(_ x: ValueID, _ axes: [Int]) throws -> ValueID {
        let axes = Set(try normalized(axes, rank: rank(x) + axes.count))
        var rest = shape(x)[...]
        return try reshape(x, (0..<rank(x) + axes.count).map { axes.contains($0) ? 1 : rest.removeFirst() })
    }

    mutating func squeeze(_ x: ValueID, _ axes: [Int]) throws -> ValueID {
        let axes = Set(try normalized(axes, rank: rank(x)))
        for axis in axes {
            if let size = shape(x)[axis].constant, size != 1 { throw Diagnostic(.invalid, "axis \(axis) of \(type(x)) has not size 1") }
            // What does not follow from it, the reshape demands when the model runs.
            expect(shape(x)[axis], equals: 1)
        }
        return try reshape(x, shape(x).enumerated().filter { !axes.contains($0.offset) }.map(\.element))
    }

    mutating func transpose(_ x: ValueID, _ permutation: [Int]) throws -> ValueID {
        permutation == Array(0..<rank(x)) ? x : try emit(Transpose(permutation), [x])
    }

    /// Exchanges two axes.
    mutating func swapAxes(_ x: ValueID, _ a: Int, _ b: Int) throws -> ValueID {
        let (a, b) = (try normalized(a, rank: rank(x)), try normalized(b, rank: rank(x)))
        var permutation = Array(0..<rank(x))
        permutation.swapAt(a, b)
        return try transpose(x, permutation)
    }

    /// Moves one axis to another place.
    mutating func moveAxis(_ x: ValueID, from: Int, to: Int) throws -> ValueID {
        let (from, to) = (try normalized(from, rank: rank(x)), try normalized(to, rank: rank(x)))
        var permutation = Array(0..<rank(x))
        permutation.insert(permutation.remove(at: from), at: to)
        return try transpose(x, permutation)
    }

    mutating func expand(_ x: ValueID, _ shape: [Extent]) throws -> ValueID {
        shape == self.shape(x) ? x : try emit(Expand(shape), [x])
    }

    mutating func slice(_ x: ValueID, starts: [Extent], sizes: [Extent], steps: [Int]? = nil) throws -> ValueID {
        let steps = steps ?? starts.map { _ in 1 }
        if sizes == shape(x) && steps.allSatisfy({ $0 == 1 }) { return x }
        return try emit(Slice(starts: starts, sizes: sizes, steps: steps), [x])
    }

    /// `size` elements of one axis from `start` on.
    mutating func slice(_ x: ValueID, axis: Int, start: Extent, size: Extent, step: Int = 1) throws -> ValueID {
        let axis = try normalized(axis, rank: rank(x))
        var starts = [Extent](repeating: 0, count: rank(x)), sizes = shape(x), steps = [Int](repeating: 1, count: rank(x))
        (starts[axis], sizes[axis], steps[axis]) = (start, size, step)
        return try slice(x, starts: starts, sizes: sizes, steps: steps)
    }

    /// The elements of one axis in reverse order.
    mutating func reversed(_ x: ValueID, axis: Int) throws -> ValueID {
        let axis = try normalized(axis, rank: rank(x))
        return try slice(x, axis: axis, start: shape(x)[axis] - 1, size: shape(x)[axis], step: -1)
    }

    mutating func concat(_ parts: [ValueID], axis: Int) throws -> ValueID {
        parts.count == 1 ? parts[0] : try emit(Concat(axis: axis), parts)
    }

    /// Pads, with negative amounts cropping.
    mutating func pad(_ x: ValueID, before: [Int], after: [Int], value: Double = 0, mode: PadMode = .constant) throws -> ValueID {
        var x = x
        let cuts = zip(before, after).map { saturatingSum(min(0, $0), min(0, $1)) }
        if mode == .constant, zip(shape(x), cuts).contains(where: { size, cut in size.constant.map { $0 + cut < 0 } ?? false }) {
            // More is cut off than there is: nothing of the tensor is left.
            let sizes = zip(shape(x), zip(before, after)).map { $0 + Extent($1.0) + Extent($1.1) }
            return try expand(try scalar(value, like: x), sizes)
        }
        // Of a free size, what is added may be cut off too.
        let addsFirst = mode == .constant && shape(x).indices.contains { !shape(x)[$0].isConstant && min(before[$0], after[$0]) < 0 && max(before[$0], after[$0]) > 0 }
        if addsFirst { x = try padded(x, before, after, value: value, mode: mode) }
        if (before + after).contains(where: { $0 < 0 }) {
            let starts = before.map { Extent(max(0, -$0)) }
            let sizes = zip(shape(x), zip(before, after)).map { $0 + Extent(min(0, $1.0)) + Extent(min(0, $1.1)) }
            x = try slice(x, starts: starts, sizes: sizes)
        }
        return addsFirst ? x : try padded(x, before, after, value: value, mode: mode)
    }

    /// Pads by the amounts that are positive.
    private mutating func padded(_ x: ValueID, _ before: [Int], _ after: [Int], value: Double, mode: PadMode) throws -> ValueID {
        let (before, after) = (before.map { max(0, $0) }, after.map { max(0, $0) })
        return (before + after).allSatisfy({ $0 == 0 }) ? x : try emit(Pad(before: before, after: after, value: value, mode: mode), [x])
    }

    mutating func gather(_ data: ValueID, _ indices: ValueID, axis: Int, countsBackwards: Bool = true) throws -> ValueID {
        try emit(Gather(axis: try normalized(axis, rank: rank(data)), countsBackwards: countsBackwards), [data, indices])
    }

    /// 0, 1, … along `axis` of a tensor of rank `rank`, the other axes of size 1.
    mutating func iota(_ count: Extent, axis: Int = 0, rank: Int = 1, _ element: ElementType = .i64) throws -> ValueID {
        let line = try emit(Iota(element, start: 0, step: 1, count: count), [])
        return rank == 1 ? line : try reshape(line, (0..<rank).map { $0 == axis ? count : 1 })
    }

    // MARK: Reductions and products

    mutating func reduce(_ function: ReduceFunction, _ x: ValueID, _ axes: [Int], keep: Bool = true) throws -> ValueID {
        if element(x).isInteger, function == .logSum || function == .logSumExp {
            // The logarithm of integers is that of the numbers, cut to an integer.
            return try cast(try reduce(function, try cast(x, .f64), axes, keep: keep), element(x))
        }
        return try emit(Reduce(function, axes: try normalized(axes, rank: rank(x)), keepDims: keep), [x])
    }

    /// A node that sums products of elements of `x`, with the result in their type: sums of 16-bit floats are rounded back, as
    /// ONNX defines it.
    mutating func product(_ op: any Op, _ x: ValueID, _ w: ValueID) throws -> ValueID {
        let sum = try emit(op, [x, w])
        return element(x).isFloat ? try cast(sum, element(x)) : sum
    }

    /// Matrix product; operands of rank 1 are a row and a column, as in numpy.
    mutating func matmul(_ a: ValueID, _ b: ValueID) throws -> ValueID {
        guard rank(a) > 0, rank(b) > 0 else { throw Diagnostic(.invalid, "a matrix product takes no scalars") }
        let x = rank(a) == 1 ? try unsqueeze(a, [0]) : a
        let y = rank(b) == 1 ? try unsqueeze(b, [1]) : b
        var product = try product(MatMul(), x, y)
        if rank(a) == 1 { product = try squeeze(product, [-2]) }
        if rank(b) == 1 { product = try squeeze(product, [-1]) }
        return product
    }
}

extension GraphImporter {
    /// A new named dimension that is known when the model runs, at most `bound`.
    mutating func dataDependentDimension(_ wish: String, bound: Extent) -> Extent {
        // Sizes of inputs have names of this form too, also those that are bound by now.
        if takenDimensions.isEmpty { takenDimensions = Set(rewriter.function.dimensions.map(\.name)).union(sizes.values.keys) }
        var name: String
        repeat {
            freshDimensions += 1
            name = "\(wish)_\(freshDimensions)"
        } while !takenDimensions.insert(name).inserted
        rewriter.addDimension(name, DimensionInfo(.dataDependent(bound: bound)))
        return .dimension(name)
    }
}
