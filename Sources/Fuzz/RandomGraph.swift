import GlmcIR

/// Builds one random, legal function from a seed: samples of ops and patterns of several, each on values at hand. Every node is
/// evaluated as it is added, so that what follows knows all sizes, and what an op refuses is left out.
public struct RandomGraph {
    /// A value and what it holds for the first set of inputs.
    public struct Item {
        public var id: ValueID
        public var tensor: Tensor
        public var shape: [Int] { tensor.shape }
        public var element: ElementType { tensor.element }
        public var rank: Int { tensor.rank }
    }

    /// How the inputs of further runs are made.
    private enum Recipe {
        /// The same in every run.
        case fixed
        /// New values, of the sizes that the dimensions have then.
        case drawn(ElementType, [Extent])
    }

    public var noise: Noise
    var rewriter: Rewriter
    /// Where nodes go: the body, or a region.
    var block: BlockID
    /// The values that may be read there, oldest first.
    var items: [Item] = []
    private(set) var sizes: [String: Int] = [:]
    private var inputs: [Tensor] = []
    private var recipes: [Recipe] = []
    let name: String
    private let isDynamic: Bool
    private(set) var nodes = 0

    /// The largest tensor of a graph, in elements.
    static let largestTensor = 6000

    /// - Parameter isDynamic: leave sizes of inputs open; the case then has further sets of inputs of other sizes.
    /// - Parameter length: how many steps to take; each adds a few nodes.
    public static func make(seed: UInt64, isDynamic: Bool = false, length: ClosedRange<Int> = 2...6) -> FuzzCase {
        var graph = RandomGraph(seed: seed, isDynamic: isDynamic)
        graph.build(length)
        return graph.finish()
    }

    init(seed: UInt64, isDynamic: Bool) {
        name = "_\(seed)"
        noise = Noise(Int(truncatingIfNeeded: seed))
        rewriter = Rewriter(Function("random\(name)"))
        block = rewriter.function.body
        self.isDynamic = isDynamic
    }

    private mutating func build(_ length: ClosedRange<Int>) {
        for _ in 0..<noise.int(1...2) {
            let element = noise.pick([ElementType.f32, .f32, .f32, .f32, .f32, .f16, .bf16, .f64, .i32, .u8])
            items.append(input(noise.tensor(element, startingShape())))
        }
        for _ in 0..<noise.int(length) { step() }
    }

    /// Shapes that kernels for images, sequences and rows are made for, at the edges of what vectors hold.
    private mutating func startingShape() -> [Int] {
        let channels = noise.pick([1, 2, 3, 4, 8, 15, 16, 17, 32]), short = noise.int(0...11) == 0 ? 0 : noise.pick([1, 1, 2, 3])
        switch noise.int(0...5) {
        case 0: return [short, channels, noise.int(1...9), noise.int(1...9)]
        case 1: return [short, channels, noise.pick([1, 2, 5, 16, 17])]
        case 2: return [short, noise.int(1...5), channels]
        case 3: return [noise.int(1...5), channels]
        case 4: return [short, noise.pick([1, 2, 4]), noise.int(1...5), noise.pick([4, 8, 16])]
        default: return noise.shape(rank: 0...5, sizes: noise.int(0...7) == 0 ? 0...3 : 1...6)
        }
    }

    /// One sample or pattern; nothing where it does not fit.
    mutating func step() {
        let count = items.count
        do {
            // Most samples fix sizes; patterns leave them open.
            if noise.int(0...99) < (isDynamic ? 75 : 45), let (_, pattern) = Self.drawn(Self.patterns, &noise) {
                try pattern(&self)
            } else {
                try sample(noise.int(0...2) > 0 ? noise.pick(Self.commonOps) : noise.pick(OpSamples.all.keys.sorted()))
            }
        } catch {
            // What was added before the refusal stays: it is as good as any.
        }
        // A value that nobody can see is none.
        if items.count > 40 { items.removeFirst(items.count - max(count, 30)) }
    }

    private static func drawn<T>(_ table: [String: T], _ noise: inout Noise) -> (String, T)? {
        let key = noise.pick(table.keys.sorted())
        return table[key].map { (key, $0) }
    }

    static let commonOps = [
        "unary", "binary", "binary", "activation", "activation", "matmul", "conv", "pool", "softmax", "layer_norm", "reduce", "concat", "slice", "transpose",
        "reshape", "pad", "expand", "select", "cast", "resize", "quantize", "dequantize", "gather", "attention", "conv_transpose",
    ]

    // MARK: Values

    /// A value at hand, most often the newest.
    mutating func anyItem() throws -> Item {
        guard let last = items.last else { throw Diagnostic(.invalid, "there is no value yet") }
        return noise.int(0...9) < 6 ? last : noise.pick(items)
    }

    /// A value of `element` with a rank in `rank`, made from one at hand where there is none.
    mutating func item(_ element: ElementType = .f32, rank: ClosedRange<Int>) throws -> Item {
        let fitting = items.filter { $0.element == element && rank.contains($0.rank) && !$0.shape.contains(0) }
        if let last = fitting.last { return noise.bool() ? last : noise.pick(fitting) }
        let target = max(noise.int(rank), 1), x = try anyItem()
        var shape = x.shape
        while shape.count > target {
            let first = shape.removeFirst()
            shape[0] *= first
        }
        while shape.count < target { shape.insert(1, at: noise.int(0...shape.count)) }
        return try fitted(x, element, shape)
    }

    /// An input of the function with these values; its sizes may be left open unless it is `fixed`.
    mutating func input(_ tensor: Tensor, fixed: Bool = false) -> Item {
        let wide = Self.interface(tensor.element)
        var shape = tensor.shape.map { Extent($0) }
        if isDynamic && !fixed {
            for (axis, size) in tensor.shape.enumerated() where noise.bool() {
                let known = sizes.filter { $0.value == size && !rewriter.function.isDataDependent($0.key) }.keys.sorted()
                let dimension = !known.isEmpty && noise.int(0...3) > 0 ? noise.pick(known) : "d\(sizes.count)\(name)"
                sizes[dimension] = size
                rewriter.addDimension(dimension, DimensionInfo(.input(inputs.count, axis: axis)))
                shape[axis] = .dimension(dimension)
            }
        }
        let passed = wide == tensor.element ? tensor : Self.cast(tensor, to: wide)
        let id = rewriter.addArgument(.tensor(TensorType(wide, shape)), name: "x\(inputs.count)\(name)")
        inputs.append(passed)
        recipes.append(fixed || !shape.contains { !$0.isConstant } ? .fixed : .drawn(tensor.element, shape))
        guard wide != tensor.element, let narrow = try? rewriter.create1(Cast(to: tensor.element), [id], at: .end(rewriter.function.body)) else {
            return Item(id: id, tensor: passed)
        }
        return Item(id: narrow, tensor: tensor)
    }

    mutating func constant(_ tensor: Tensor) throws -> Item {
        // The same weights are used twice now and then.
        if noise.int(0...3) == 0, let known = items.last(where: { $0.tensor.type == tensor.type && rewriter.function.definingOp($0.id, as: Constant.self) != nil }) { return known }
        return try add(Constant(tensor), [], isVisible: noise.int(0...3) == 0)
    }

    /// A constant of numbers that keep sums of `terms` products small.
    mutating func weights(_ shape: [Int], terms: Int) throws -> Item {
        var scale = 1.0
        while scale * scale * Double(max(terms, 1)) > 1 { scale /= 2 }
        return try constant(Tensor(.f32, shape, values: { _ in Double(noise.int(-16...16)) / 8 * scale }))
    }

    /// The type in which tensors of type `element` pass the interface of an artifact.
    static func interface(_ element: ElementType) -> ElementType { element == .bool || element.bitWidth >= 8 ? element : element.computeType }

    static func cast(_ tensor: Tensor, to element: ElementType) -> Tensor {
        (try? Cast(to: element).evaluate([tensor], in: EvaluationContext(resultTypes: [.tensor(tensor.type)])))?.first ?? tensor
    }

    // MARK: Nodes

    /// Adds a node where the op accepts the operands and the result is worth computing with.
    @discardableResult
    mutating func add(_ op: any Op, _ operands: [Item], isVisible: Bool = true) throws -> Item {
        guard let first = try addMany(op, operands, isVisible: isVisible).first else { throw Diagnostic(.invalid, "no result") }
        return first
    }

    @discardableResult
    mutating func addMany(_ op: any Op, _ operands: [Item], isVisible: Bool = true) throws -> [Item] {
        let ids = operands.map(\.id)
        let types = try op.infer(rewriter.function.inferenceContext(operands: ids, regions: [], resultCount: 1))
        for type in types {
            let count = (type.tensor?.shape ?? []).reduce(1) { $0 * max(($1.evaluate(sizes) ?? 1), 0) }
            guard count <= Self.largestTensor else { throw Diagnostic(.invalid, "too large") }
        }
        let results = try op.evaluate(operands.map(\.tensor), in: EvaluationContext(dimensions: sizes, resultTypes: types))
        for result in results { try checkWorth(result, operands) }
        nodes += 1
        let made = note(try rewriter.create(op, ids, at: .end(block), provenance: ["n\(nodes)"]), results)
        if isVisible { items += made }
        return made
    }

    /// Takes down the sizes that values have found.
    private mutating func note(_ values: [ValueID], _ tensors: [Tensor]) -> [Item] {
        zip(values, tensors).map { value, tensor in
            for (extent, size) in zip(rewriter.function.tensorType(value).shape, tensor.shape) {
                if let dimension = extent.dimensionName, sizes[dimension] == nil { sizes[dimension] = size }
            }
            return Item(id: value, tensor: tensor)
        }
    }

    /// Numbers near the end of their type's range and tensors of NaNs hide errors behind them.
    private func checkWorth(_ result: Tensor, _ operands: [Item]) throws {
        guard result.element.isFloat, result.count > 0 else { return }
        let values = result.doubles, limit = result.element.computeType == result.element ? 1e6 : 1e4
        guard values.count(where: \.isNaN) * 2 <= values.count else { throw Diagnostic(.invalid, "mostly NaN") }
        guard values.allSatisfy({ !$0.isFinite || abs($0) <= limit }) else { throw Diagnostic(.invalid, "too large numbers") }
    }

    /// A sample of an op, on values at hand where it takes any.
    mutating func sample(_ mnemonic: String) throws {
        guard let generator = OpSamples.all[mnemonic] else { return }
        let start = try anyItem()
        noise.lean = (start.element, start.shape)
        noise.suffix = "_\(nodes)\(name)"
        let sample = generator(&noise)
        noise.lean = nil
        let foundSizes = sample.op.foundSizes.compactMap(\.dimensionName)
        // The sizes that only a branch or loop finds are a matter of its own.
        guard foundSizes.isEmpty || block == rewriter.function.body else { return }
        for (dimension, size) in sample.dimensions.sorted(by: { $0.key < $1.key }) {
            guard block == rewriter.function.body else { return }
            sizes[dimension] = size
            rewriter.addDimension(dimension, DimensionInfo(.input(inputs.count, axis: 0)))
            _ = rewriter.addArgument(.tensor(TensorType(.u8, [.dimension(dimension)])), name: "x\(inputs.count)\(name)")
            inputs.append(Tensor(.u8, [size], integers: { _ in 0 }))
            recipes.append(.drawn(.u8, [.dimension(dimension)]))
        }
        let free = OpSamples.freeOperands[mnemonic] ?? [0]
        var operands: [Item] = []
        for (position, tensor) in sample.operands.enumerated() {
            if free.contains(position), noise.int(0...9) < (position == 0 ? 10 : 6) {
                let x = position == 0 ? start : try anyItem()
                if let fit = try? fitted(x, tensor.element, tensor.shape) {
                    operands.append(fit)
                    continue
                }
            }
            operands.append(noise.int(0...3) > 0 || block != rewriter.function.body ? try constant(tensor) : input(tensor, fixed: !free.contains(position)))
        }
        let bound = operands.map { rewriter.function.tensorType($0.id).elementCount }.max { ($0.evaluate(sizes) ?? 0) < ($1.evaluate(sizes) ?? 0) } ?? 0
        _ = try addMany(sample.op, operands)
        for dimension in foundSizes { rewriter.addDimension(dimension, DimensionInfo(.dataDependent(bound: bound))) }
    }

    /// `x` as a tensor of this type and shape: cast, reshaped, cut, padded or repeated.
    mutating func fitted(_ x: Item, _ element: ElementType, _ shape: [Int]) throws -> Item {
        var x = x
        if x.element != element {
            guard x.element != .string, !x.element.isComplex, !x.tensor.doubles.contains(where: { !$0.isFinite }) || element.isFloat else { throw Diagnostic(.invalid, "no number") }
            x = try add(Cast(to: element), [x])
        }
        if x.shape == shape { return x }
        if x.tensor.count == shape.reduce(1, *), let same = try? add(Reshape(shape.map { Extent($0) }), [x]) { return same }
        if x.rank != shape.count {
            var extents = rewriter.function.tensorType(x.id).shape
            while extents.count > shape.count && extents.count > 1 {
                let first = extents.removeFirst()
                extents[0] = first * extents[0]
            }
            if shape.isEmpty {
                x = try add(Slice(starts: extents.map { _ in 0 }, sizes: extents.map { _ in 1 }), [try add(Reshape(extents), [x])])
                return try add(Reshape([]), [x])
            }
            while extents.count < shape.count { extents.insert(1, at: noise.int(0...extents.count)) }
            x = try add(Reshape(extents), [x])
        }
        if zip(x.shape, shape).contains(where: { $0 > $1 }) {
            let starts = zip(x.shape, shape).map { Extent($0 > $1 ? noise.int(0...$0 - $1) : 0) }
            let extents = rewriter.function.tensorType(x.id).shape
            x = try add(Slice(starts: starts, sizes: x.shape.indices.map { x.shape[$0] > shape[$0] ? Extent(shape[$0]) : extents[$0] }), [x])
        }
        if zip(x.shape, shape).contains(where: { $0 == 1 && $1 > 1 }) && noise.int(0...3) > 0 {
            let extents = rewriter.function.tensorType(x.id).shape
            x = try add(Expand(x.shape.indices.map { x.shape[$0] == 1 ? Extent(shape[$0]) : extents[$0] }), [x])
        }
        if x.shape != shape {
            let missing = zip(x.shape, shape).map { $1 - $0 }, before = missing.map { noise.int(0...$0) }
            let mode: PadMode = x.shape.contains(0) ? .constant : noise.pick([PadMode.constant, .constant, .edge])
            x = try add(Pad(before: before, after: zip(missing, before).map { $0 - $1 }, value: Double(noise.int(0...1)), mode: mode), [x])
        }
        guard x.shape == shape else { throw Diagnostic(.invalid, "does not fit") }
        return x
    }

    // MARK: Regions

    /// Fills a region: `body` adds nodes that may read what is outside, and says what the region yields.
    mutating func region(_ arguments: [(type: ValueType, tensor: Tensor)], _ body: (inout RandomGraph, [Item]) throws -> [Item]) throws -> (block: BlockID, results: [Item]) {
        let (outer, outside) = (block, items)
        defer { (block, items) = (outer, outside) }
        block = rewriter.addBlock()
        let taken = arguments.enumerated().map { i, argument in
            Item(id: rewriter.addArgument(argument.type, name: "a\(i)_\(block.index)\(name)", to: block), tensor: argument.tensor)
        }
        items += taken
        let results = try body(&self, taken)
        rewriter.setResults(results.map(\.id), of: block)
        return (block, results)
    }

    /// Adds a node with regions; its results are found by running all there is.
    mutating func addControl(_ op: any Op, _ operands: [Item], regions: [BlockID], count: Int) throws {
        nodes += 1
        let values = try rewriter.create(op, operands.map(\.id), at: .end(block), regions: regions, provenance: ["n\(nodes)"], names: [String](repeating: "", count: count))
        guard block == rewriter.function.body else { throw Diagnostic(.invalid, "regions of regions are not evaluated") }
        var copy = rewriter
        copy.setResults(values)
        let results = try Interpreter.run(copy.function, inputs)
        items += note(values, results)
    }

    // MARK: The whole

    private mutating func finish() -> FuzzCase {
        let body = rewriter.function.body
        let made = items.filter { rewriter.function.definingNode($0.id) != nil && $0.element != .string && !$0.element.isComplex }
        var chosen = made.isEmpty ? items.suffix(1) : [made[made.count - 1]]
        for _ in 0..<noise.int(0...2) where !made.isEmpty { chosen.append(noise.pick(made)) }
        let outputs = chosen.map { item -> ValueID in
            let wide = Self.interface(item.element)
            return wide == item.element ? item.id : (try? rewriter.create1(Cast(to: wide), [item.id], at: .end(body))) ?? item.id
        }
        rewriter.setResults(outputs, names: outputs.indices.map { "y\($0)\(name)" })
        for (i, output) in outputs.enumerated() where noise.int(0...7) == 0 {
            let axes = rewriter.function.tensorType(output).shape.indices.filter { _ in noise.bool() }
            if !axes.isEmpty { rewriter.squeeze(axes, ofOutput: i) }
        }
        var sets = [inputs]
        if recipes.contains(where: { if case .drawn = $0 { true } else { false } }) {
            for choices in [[1], [0, 1, 2, 3, 5, 16, 17], [0]] {
                let drawn = sizes.keys.sorted().reduce(into: [String: Int]()) { $0[$1] = noise.pick(choices) }
                let set = zip(inputs, recipes).map { tensor, recipe in
                    guard case .drawn(let element, let shape) = recipe else { return tensor }
                    return Self.cast(noise.tensor(element, shape.map { $0.evaluate(drawn) ?? 0 }), to: tensor.element)
                }
                if isLegal(set) { sets.append(set) }
            }
        }
        return FuzzCase(rewriter.function, sets)
    }

    /// Whether every op accepts its operands when open sizes are those of these inputs, and has results for them.
    private func isLegal(_ inputs: [Tensor]) -> Bool {
        var bound = rewriter, sizes: [String: Extent] = [:]
        for (name, info) in rewriter.function.dimensions {
            if case .input(let position, let axis) = info.source { sizes[name] = Extent(inputs[position].shape[axis]) }
        }
        guard (try? bound.bindDimensions(sizes)) != nil else { return false }
        return (try? Interpreter.run(bound.function, inputs)) != nil
    }
}
