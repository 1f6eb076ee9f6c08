import GlmcIR

/// How to make an example of every op without regions.
public enum OpSamples {
    public typealias Generator = @Sendable (inout Noise) -> OpSample

    /// The operands that may have any values, where those are others than the first one alone: the rest holds indices, lengths,
    /// scales and the like, whose values the sample chooses.
    public static let freeOperands: [String: [Int]] = [
        "binary": [0, 1], "select": [0, 1, 2], "concat": [0, 1, 2, 3], "conv": [0, 1], "matmul": [0, 1], "block_matmul": [0], "block_matmul_integer": [0, 1, 2], "block_row_matmul": [0, 1], "attention": [0, 1, 2],
        "scatter_elements": [0, 2], "scatter_nd": [0, 2], "insert_slice": [0, 1], "layer_norm": [0, 1, 2], "rms_norm": [0, 1], "compress": [0, 1], "lstm": [0, 4, 5], "gru": [0, 4],
        "rnn": [0, 4], "non_max_suppression": [],
    ]

    public static let all: [String: Generator] = elementwise.merging(movement) { a, _ in a }.merging(indexed) { a, _ in a }.merging(reductions) { a, _ in a }
        .merging(networks) { a, _ in a }

    static func broadcast(_ noise: inout Noise, _ shape: [Int]) -> [Int] {
        let kept = shape.suffix(noise.int(0...shape.count))
        return kept.map { noise.int(0...3) == 0 ? 1 : $0 }
    }

    static let elementwise: [String: Generator] = [
        "constant": { noise in
            let value = noise.pick([ElementType.f32, .i64, .f16, .u64, .bool, .i4])
            let number = noise.tensor(value, [])
            return OpSample(op: Constant(Tensor(value, noise.shape(), integers: { _ in number.integers[0] })), operands: [])
        },
        "extents": { noise in
            let shape = noise.shape(rank: 0...2, sizes: 0...3)
            let values = (0..<shape.reduce(1, *)).map { i in i % 2 == 0 ? Extent(i) : Extent.dimension(noise.dimension("n")) * 2 + 1 }
            return OpSample(op: Extents(values, shape: shape), operands: [], dimensions: [noise.dimension("n"): 5])
        },
        "unary": { noise in
            let element = noise.pick([ElementType.f32, .f64, .f16, .i32, .i8, .u8, .i64])
            let onFloats = UnaryOperator.allCases.filter { ![.not, .bitwiseNot, .popcount].contains($0) }
            let function = noise.pick(element.isFloat ? onFloats : [.negate, .absolute, .sign, .bitwiseNot])
            return OpSample(op: Unary(function), operands: [noise.tensor(element, noise.shape())])
        },
        "binary": { noise in
            let element = noise.pick(Noise.numeric + [.bool]), shape = noise.shape()
            let common: [BinaryOperator] = [.minimum, .maximum, .equal, .notEqual, .less, .lessOrEqual, .greater, .greaterOrEqual]
            let function: BinaryOperator = noise.pick(
                element == .bool ? [.and, .or, .xor, .equal, .notEqual]
                    : common + [.add, .subtract, .multiply] + (element.isFloat ? [.divide] : [.and, .or, .xor]))
            return OpSample(op: Binary(function), operands: [noise.tensor(element, broadcast(&noise, shape)), noise.tensor(element, shape)])
        },
        "select": { noise in
            let element = noise.pick(Noise.movable), shape = noise.shape()
            return OpSample(op: Select(), operands: [
                noise.tensor(.bool, broadcast(&noise, shape)), noise.bits(element, shape), noise.bits(element, broadcast(&noise, shape)),
            ])
        },
        "cast": { noise in
            let types = ElementType.allCases.filter { $0 != .string && !$0.isComplex }
            let from = noise.pick(types), to = types[noise.int(0...types.count - 1)], shape = noise.shape()
            let x: Tensor
            if from.isFloat {
                x = Tensor(from, shape, values: { _ in
                    noise.pick([0, -0.0, 0.3, -1.7, 2.5, 100, -130, 300, 464, 480, 70000, -1e10, 1e-8, 1e30, .infinity, -.infinity, .nan, Double(noise.int(-999...999)) / 7])
                })
            } else {
                x = noise.bool() ? noise.bits(from, shape) : noise.tensor(from, shape)
            }
            return OpSample(op: Cast(to: to, saturate: noise.bool(), rounding: noise.pick([.up, .down, .nearest])), operands: [x], tolerance: 0)
        },
        "bitcast": { noise in
            let types = ElementType.allCases.filter { $0 != .string && !$0.isComplex && $0 != .bool }
            let from = noise.pick(types), targets = types.filter { $0.bitWidth == from.bitWidth }
            let to = targets[noise.int(0...targets.count - 1)]
            // NaNs may change their payload on the way through f32.
            return OpSample(op: Bitcast(to: to), operands: [noise.tensor(from, noise.shape())], tolerance: 0)
        },
        "iota": { noise in
            let element = noise.pick(Noise.numeric)
            return OpSample(op: Iota(element, start: Double(noise.int(-5...5)), step: Double(noise.int(-3...3)), count: .dimension(noise.dimension("n"))), operands: [], dimensions: [noise.dimension("n"): noise.int(0...7)])
        },
        "round_saturate": { noise in
            let shape = noise.shape()
            return OpSample(op: RoundSaturate(noise.pick([.i8, .u8])), operands: [Tensor(.f32, shape, values: { _ in Double(noise.int(-1200...1200)) / 4 })])
        },
    ]

    static let movement: [String: Generator] = [
        "transpose": { noise in
            let shape = noise.shape()
            return OpSample(op: Transpose(Array(shape.indices).shuffled(using: &noise)), operands: [noise.bits(noise.pick(Noise.movable), shape)])
        },
        "reshape": { noise in
            let factors = noise.shape(rank: 0...5)
            func regroup() -> [Int] {
                var shape: [Int] = []
                for factor in factors {
                    if !shape.isEmpty && noise.bool() { shape[shape.count - 1] *= factor } else { shape.append(factor) }
                    if noise.int(0...4) == 0 { shape.append(1) }
                }
                return shape
            }
            let from = regroup(), to = regroup()
            return OpSample(op: Reshape(to.map { Extent($0) }), operands: [noise.bits(noise.pick(Noise.movable), from)])
        },
        "slice": { noise in
            let shape = noise.shape()
            var starts: [Extent] = [], sizes: [Extent] = [], steps: [Int] = []
            for extent in shape {
                let size = noise.int(0...extent), step = size <= 1 ? noise.int(1...3) : noise.int(1...max(1, (extent - 1) / (size - 1)))
                let span = size == 0 ? 0 : (size - 1) * step, start = noise.int(0...max(0, extent - 1 - span))
                let isReversed = noise.bool()
                starts.append(Extent(isReversed ? start + span : start))
                sizes.append(Extent(size))
                steps.append(isReversed ? -step : step)
            }
            return OpSample(op: Slice(starts: starts, sizes: sizes, steps: steps), operands: [noise.bits(noise.pick(Noise.movable), shape)])
        },
        "expand": { noise in
            let shape = noise.shape()
            return OpSample(op: Expand(shape.map { Extent($0) }), operands: [noise.bits(noise.pick(Noise.movable), broadcast(&noise, shape))])
        },
        "relayout": { noise in OpSample(op: Relayout(.rowMajor), operands: [noise.bits(.f16, noise.shape())]) },
        "concat": { noise in
            let shape = noise.shape(rank: 1...4), axis = noise.int(0...shape.count - 1), element = noise.pick(Noise.movable)
            return OpSample(op: Concat(axis: axis), operands: (0..<noise.int(1...4)).map { _ in
                var part = shape
                part[axis] = noise.int(0...3)
                return noise.bits(element, part)
            })
        },
        "pad": { noise in
            let shape = noise.shape(), mode = noise.pick(PadMode.allCases)
            func amounts() -> [Int] { shape.map { _ in max(0, noise.int(-2...5)) } }
            return OpSample(op: Pad(before: amounts(), after: amounts(), value: Double(noise.int(0...1)), mode: mode), operands: [noise.bits(noise.pick(Noise.movable), shape)])
        },
        "reverse_sequence": { noise in
            let shape = noise.shape(rank: 2...4), axes = Array(shape.indices).shuffled(using: &noise)
            let lengths = noise.tensor(.i64, [shape[axes[0]]], in: 0...shape[axes[1]])
            return OpSample(op: ReverseSequence(batchAxis: axes[0], timeAxis: axes[1]), operands: [noise.bits(noise.pick(Noise.movable), shape), lengths])
        },
    ]

    static let indexed: [String: Generator] = [
        "gather": { noise in
            let shape = noise.shape(rank: 1...4), axis = noise.int(0...shape.count - 1)
            let data = noise.bits(noise.pick(Noise.movable), shape), indices = noise.indices(noise.shape(rank: 0...2, sizes: 0...3), into: shape[axis])
            return OpSample(op: Gather(axis: axis, countsBackwards: indices.integers.contains { $0 < 0 }), operands: [data, indices])
        },
        "gather_elements": { noise in
            let shape = noise.shape(rank: 1...4), axis = noise.int(0...shape.count - 1)
            var picked = shape.map { noise.int(0...$0) }
            picked[axis] = noise.int(0...5)
            return OpSample(op: GatherElements(axis: axis), operands: [noise.bits(noise.pick(Noise.movable), shape), noise.indices(picked, into: shape[axis])])
        },
        "gather_nd": { noise in
            let shape = noise.shape(rank: 1...4), batch = noise.int(0...shape.count - 1), depth = noise.int(0...shape.count - batch)
            let lead = Array(shape[..<batch]) + noise.shape(rank: 0...2)
            let smallest = shape[batch..<(batch + depth)].min() ?? 1
            return OpSample(op: GatherND(batchDims: batch), operands: [noise.bits(noise.pick(Noise.movable), shape), noise.indices(lead + [depth], into: smallest)])
        },
        "scatter_elements": { noise in
            let shape = noise.shape(rank: 1...4), axis = noise.int(0...shape.count - 1)
            var places = shape.map { noise.int(0...$0) }
            places[axis] = noise.int(0...5)
            let (element, reduction) = scatter(&noise)
            return OpSample(op: ScatterElements(axis: axis, reduction: reduction), operands: [noise.tensor(element, shape), noise.indices(places, into: shape[axis]), noise.tensor(element, places)])
        },
        "scatter_nd": { noise in
            let shape = noise.shape(rank: 1...4), depth = noise.int(0...shape.count), lead = noise.shape(rank: 0...2, sizes: 0...4)
            let (element, reduction) = scatter(&noise)
            return OpSample(op: ScatterND(reduction: reduction), operands: [
                noise.tensor(element, shape), noise.indices(lead + [depth], into: shape[..<depth].min() ?? 1), noise.tensor(element, lead + Array(shape[depth...])),
            ])
        },
        "insert_slice": { noise in
            let shape = noise.shape(rank: 0...4), element = noise.pick(Noise.movable), part = shape.map { noise.int(0...$0) }
            var dimensions: [String: Int] = [:]
            let starts = shape.indices.map { axis -> Extent in
                let start = noise.int(0...shape[axis] - part[axis])
                guard noise.bool() else { return Extent(start) }
                let name = noise.dimension("start\(axis)")
                dimensions[name] = start
                return .dimension(name)
            }
            return OpSample(op: InsertSlice(starts: starts), operands: [noise.bits(element, shape), noise.bits(element, part)], dimensions: dimensions)
        },
        "top_k": { noise in
            let shape = noise.shape(rank: 1...3, sizes: 1...9), axis = noise.int(0...shape.count - 1), element = noise.pick(Noise.numeric)
            let x = element == .f32 && noise.bool() ? noise.bits(element, shape) : noise.tensor(element, shape)
            return OpSample(op: TopK(k: Extent(noise.int(0...shape[axis])), axis: axis, largest: noise.bool()), operands: [x], tolerance: 0)
        },
        "non_zero": { noise in OpSample(op: NonZero(count: .dimension(noise.dimension("found"))), operands: [noise.tensor(noise.pick(Noise.numeric + [.bool]), noise.shape(sizes: 0...4))]) },
        "compress": { noise in
            let shape = noise.shape(rank: 1...4), axis = noise.int(-1...shape.count - 1)
            let length = noise.int(0...(axis == -1 ? shape.reduce(1, *) : shape[axis]))
            return OpSample(op: Compress(axis: axis, count: .dimension(noise.dimension("found"))), operands: [noise.bits(noise.pick(Noise.movable), shape), noise.tensor(.bool, [length])])
        },
        "unique": { noise in
            let shape = noise.shape(rank: 1...3, sizes: 1...6), axis = noise.int(-1...shape.count - 1), element = noise.pick([ElementType.f32, .i64, .u64, .bool, .i8])
            let x = element == .f32 && noise.bool() ? noise.bits(element, shape) : noise.tensor(element, shape)
            return OpSample(op: Unique(axis: axis == -1 ? nil : axis, sorted: noise.bool(), count: .dimension(noise.dimension("found"))), operands: [x])
        },
        "non_max_suppression": { noise in
            let (batches, classes, boxes) = (noise.int(1...2), noise.int(1...3), noise.int(0...12))
            return OpSample(op: NonMaxSuppression(centerPointBox: noise.bool(), count: .dimension(noise.dimension("found"))), operands: [
                Tensor(.f32, [batches, boxes, 4], values: { $0 % 4 < 2 ? Double(noise.int(0...20)) / 4 : Double(noise.int(4...30)) / 4 }),
                Tensor(.f32, [batches, classes, boxes], values: { _ in Double(noise.int(0...20)) / 20 }),
                Tensor([noise.int(0...5)]), Tensor.scalar(Double(noise.int(0...10)) / 10, .f32), Tensor.scalar(noise.pick([0.2, -.infinity]), .f32),
            ])
        },
    ]

    static func scatter(_ noise: inout Noise) -> (ElementType, ScatterReduction) {
        let reduction = noise.pick([ScatterReduction.none, .none, .add, .multiply, .minimum, .maximum])
        return (noise.pick(reduction == .none ? Noise.movable : [.f32, .i64, .i8, .u64, .bool]), reduction)
    }

    static let reductions: [String: Generator] = [
        "reduce": { noise in
            let element = noise.pick(Noise.numeric + [.bool, .i4]), shape = noise.shape(sizes: noise.int(0...6) == 0 ? 0...3 : 1...4)
            let functions: [ReduceFunction] = element == .bool ? [.and, .or, .minimum, .maximum]
                : element.isFloat ? ReduceFunction.allCases.filter { $0 != .and && $0 != .or }
                : ReduceFunction.allCases.filter { $0 != .logSum && $0 != .logSumExp }
            let axes = shape.indices.filter { _ in noise.bool() }.shuffled(using: &noise)
            return OpSample(op: Reduce(noise.pick(functions), axes: axes, keepDims: noise.bool()), operands: [noise.tensor(element, shape)])
        },
        "arg_reduce": { noise in
            let shape = noise.shape(rank: 1...4), axis = noise.int(0...shape.count - 1)
            let op = ArgReduce(noise.pick([.minimum, .maximum]), axis: axis, keepDims: noise.bool(), selectLast: noise.bool())
            return OpSample(op: op, operands: [noise.tensor(noise.pick(Noise.numeric), shape)])
        },
        "cumulative": { noise in
            let shape = noise.shape(rank: 1...4), axis = noise.int(0...shape.count - 1), element = noise.pick(Noise.numeric)
            let function = noise.pick(element.isFloat ? [ReductionOperator.add, .multiply, .minimum, .maximum] : ReductionOperator.allCases)
            return OpSample(op: Cumulative(function, axis: axis, exclusive: noise.bool(), reverse: noise.bool()), operands: [noise.tensor(element, shape)])
        },
    ]
}
