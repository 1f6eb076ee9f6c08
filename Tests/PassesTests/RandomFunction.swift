import GlmcIR

/// Small random functions for property tests: elementwise arithmetic, moves, reductions, convolutions and products, with
/// patterns that passes look for more likely than chance.
struct RandomFunction {
    private var random: SplitMix
    private var rewriter: Rewriter
    private var values: [ValueID] = []

    static func make(seed: UInt64) throws -> Function {
        var maker = RandomFunction(random: SplitMix(state: seed), rewriter: Rewriter(Function("random")))
        return try maker.build()
    }

    private init(random: SplitMix, rewriter: Rewriter) {
        self.random = random
        self.rewriter = rewriter
    }

    private mutating func pick<T>(_ list: [T]) -> T { list[Int(random.next() % UInt64(list.count))] }
    private mutating func integer(_ range: ClosedRange<Int>) -> Int { range.lowerBound + Int(random.next() % UInt64(range.count)) }
    private var end: Rewriter.Position { .end(rewriter.function.body) }
    private func type(_ value: ValueID) -> TensorType { rewriter.function.tensorType(value) }

    private mutating func build() throws -> Function {
        for i in 0..<2 {
            let shape = [Extent](repeating: 0, count: integer(2...4)).map { _ in Extent(pick([1, 2, 3, 4, 6])) }
            values.append(rewriter.addArgument(.tensor(TensorType(.f32, shape)), name: "x\(i)"))
        }
        let image = [1, 4, 6, 6].map { Extent($0) }
        values.append(rewriter.addArgument(.tensor(TensorType(.f32, image)), name: "image"))
        for i in 0..<integer(4...24) {
            // A choice that does not fit the values at hand is left out.
            if let value = try? step() {
                rewriter.setProvenance(["n\(i)"], of: rewriter.function.definingNode(value) ?? NodeID(index: 0))
                values.append(value)
            }
        }
        let outputs = Array(Set([values[values.count - 1], pick(values), pick(values)])).sorted { $0.index < $1.index }
        rewriter.setResults(outputs, names: outputs.indices.map { "y\($0)" })
        return rewriter.function
    }

    private mutating func constant(_ shape: [Int], _ values: [Double]) throws -> ValueID {
        let list = (0..<Swift.max(shape.reduce(1, *), 1)).map { _ in pick(values) }
        return try rewriter.create1(Constant(Tensor(.f32, shape, values: { list[$0] })), [], at: end)
    }

    private mutating func add(_ op: any Op, _ operands: ValueID...) throws -> ValueID { try rewriter.create1(op, operands, at: end) }

    private mutating func step() throws -> ValueID {
        let x = random.next() % 3 == 0 ? pick(values) : values[values.count - 1]
        let shape = type(x).shape, sizes = shape.constants ?? []
        switch integer(0...15) {
        case 0: return try add(Unary(pick([.negate, .absolute, .exp, .tanh, .floor, .sign])), x)
        case 1: return try add(Activation(pick([.relu, .sigmoid, .gelu, .silu, .hardSwish])), x)
        case 2:
            let c = try constant([], [0, 1, -1, 2, 0.5, 3])
            let function: BinaryOperator = pick([.add, .subtract, .multiply, .divide, .maximum, .minimum])
            return try random.next() % 3 == 0 && function != .divide ? add(Binary(function), c, x) : add(Binary(function), x, c)
        case 3:
            let channels = sizes.indices.map { $0 == 1 || sizes.count == 1 ? sizes[$0] : 1 }
            return try add(Binary(pick([.add, .multiply])), x, constant(channels, [0.5, 1, 2, -1]))
        case 4: return try add(Binary(pick([.add, .multiply, .subtract])), x, pick(values))
        case 5: return try add(Transpose(Array(shape.indices).shuffled(using: &random)), x)
        case 6: return try add(Reshape(regroup(sizes).map { Extent($0) }), x)
        case 7:
            let starts = sizes.map { integer(0...($0 - 1)) }
            return try add(Slice(starts: starts.map { Extent($0) }, sizes: zip(sizes, starts).map { Extent($0 - $1) }), x)
        case 8: return try add(Concat(axis: integer(0...(sizes.count - 1))), x, x)
        case 9:
            let axis = integer(0...(sizes.count - 1))
            return try add(Reduce(pick([.mean, .add, .maximum, .sumSquares]), axes: [axis], keepDims: random.next() % 2 == 0 || sizes.count == 1), x)
        case 10:
            guard sizes.count >= 3, sizes[1] <= 8 else { throw Diagnostic(.invalid, "no image") }
            let window = sizes.dropFirst(2).map { $0 >= 3 ? 3 : 1 }
            let ones = window.map { _ in 1 }
            let padding = [0, 0] + window.map { $0 / 2 }
            let padded = try add(Pad(before: padding, after: padding), x)
            return try add(Convolution(strides: ones, dilations: ones), padded, constant([3, sizes[1]] + window, [0.5, -0.25, 0.125, 0]))
        case 11:
            guard sizes.count >= 2 else { throw Diagnostic(.invalid, "no matrix") }
            return try add(MatMul(), x, constant([sizes[sizes.count - 1], 3], [0.5, -0.25, 0.125, 1]))
        case 12:
            let zeros = sizes.map { _ in 0 }
            return try add(Pad(before: zeros.map { _ in integer(0...1) }, after: zeros, value: pick([0, 0, 1])), x)
        case 13: return try add(Softmax(axis: sizes.count - 1), x)
        case 14: return try layerNorm(x, axis: sizes.count - 1)
        default: return try gelu(x)
        }
    }

    /// Another shape with as many elements.
    private mutating func regroup(_ sizes: [Int]) -> [Int] {
        var shape = sizes
        if shape.count > 1, random.next() % 2 == 0 {
            let i = integer(0...(shape.count - 2))
            shape[i] *= shape.remove(at: i + 1)
        } else if shape.count < 5 {
            let i = integer(0...(shape.count - 1))
            let factor = shape[i] % 2 == 0 ? 2 : 1
            shape[i] /= factor
            shape.insert(factor, at: i)
        }
        return shape
    }

    private mutating func layerNorm(_ x: ValueID, axis: Int) throws -> ValueID {
        let mean = try add(Reduce(.mean, axes: [axis], keepDims: true), x)
        let centred = try add(Binary(.subtract), x, mean)
        let square = try add(Binary(.multiply), centred, centred)
        let variance = try add(Binary(.add), add(Reduce(.mean, axes: [axis], keepDims: true), square), constant([], [0.001]))
        return try add(Binary(.divide), centred, add(Unary(.sqrt), variance))
    }

    private mutating func gelu(_ x: ValueID) throws -> ValueID {
        let erf = try add(Unary(.erf), add(Binary(.divide), x, constant([], [1.4142135623730951])))
        let gate = try add(Binary(.add), erf, constant([], [1]))
        return try add(Binary(.multiply), add(Binary(.multiply), x, gate), constant([], [0.5]))
    }

    // MARK: Inputs and comparison

    /// Random inputs that fit; dimensions have size 3.
    static func inputs(of function: Function, seed: UInt64) -> [Tensor] {
        var random = SplitMix(state: seed)
        return function.inputs.map { input in
            let type = function.tensorType(input)
            let sizes = Dictionary(uniqueKeysWithValues: function.dimensions.map { ($0.name, 3) })
            let shape = type.shape.map { $0.evaluate(sizes) ?? 3 }
            if type.element.isFloat { return Tensor(type.element, shape, values: { _ in Double(random.next() % 2000) / 1000 - 1 }) }
            return Tensor(type.element, shape, integers: { _ in Int(random.next() % 2) })
        }
    }

    /// Whether two results are the same but for rounding, which a function with large intermediate values magnifies. Steps on 16-bit
    /// floats are rounded each, fused ones once.
    static func isClose(_ a: Tensor, _ b: Tensor) -> Bool {
        guard a.element.isFloat else { return a == b }
        let x = a.doubles, y = b.doubles
        let limit = a.element == .f16 ? 4e-3 : a.element == .bf16 ? 3e-2 : 1e-4
        let scale = x.reduce(1) { $1.isFinite ? max($0, abs($1)) : $0 }
        return zip(x, y).allSatisfy { p, q in p == q || (p.isNaN && q.isNaN) || !p.isFinite || abs(p - q) <= limit * scale }
    }
}

/// A small generator with a fixed sequence per seed.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
