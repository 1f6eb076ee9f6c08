import GlmcIR

/// What networks are made of and passes look for: several nodes that belong together.
extension RandomGraph {
    typealias Pattern = @Sendable (inout RandomGraph) throws -> Void

    /// One row per pattern; the names of ops stand for the ops with regions.
    static let patterns: [String: Pattern] = [
        "chain": { try $0.chain(on: try $0.anyItem(), length: $0.noise.int(2...6)) },
        "views": { graph in
            var x = try graph.anyItem()
            for _ in 0..<graph.noise.int(2...4) { x = try graph.viewed(x) }
        },
        "convolution": { try $0.convolution() },
        "two convolutions": { graph in
            try graph.convolution()
            if graph.noise.bool() { try graph.add(Transpose([0, 2, 1, 3]), [try graph.item(rank: 4...4)]) }
            try graph.convolution()
        },
        "product": { try $0.product() },
        "norm": { try $0.norm() },
        "softmax": { graph in
            let x = try graph.item(rank: 1...4), axis = x.rank - 1
            let top = try graph.add(Reduce(.maximum, axes: [axis], keepDims: true), [x])
            let power = try graph.add(Unary(.exp), [try graph.add(Binary(.subtract), [x, top])])
            try graph.add(Binary(.divide), [power, try graph.add(Reduce(.add, axes: [axis], keepDims: true), [power])])
        },
        "attention": { try $0.attention() },
        "gelu": { graph in
            let x = try graph.item(rank: 0...4)
            let erf = try graph.add(Unary(.erf), [try graph.add(Binary(.divide), [x, try graph.scalar(1.4142135)])])
            let gate = try graph.add(Binary(.add), [erf, try graph.scalar(1)])
            try graph.add(Binary(.multiply), [try graph.add(Binary(.multiply), [x, gate]), try graph.scalar(0.5)])
        },
        "quantized": { try $0.quantized() },
        "branches": { graph in
            let x = try graph.item(rank: 2...4), axis = graph.noise.pick([1, 1, 0, x.rank - 1])
            let branches = try (0..<graph.noise.int(2...3)).map { _ in try graph.chain(on: x, length: graph.noise.int(1...3)) }
            let whole = try graph.add(Concat(axis: axis), branches)
            if graph.noise.bool() { try graph.pool(whole) } else { try graph.chain(on: whole, length: 2) }
        },
        "pool of a view": { graph in
            let x = try graph.viewed(try graph.item(rank: 2...4))
            try graph.pool(try graph.item(rank: 3...4))
            try graph.chain(on: x, length: 1)
        },
        "layouts": { graph in
            let x = try graph.item(rank: 3...4)
            let y = try graph.chain(on: try graph.add(Relayout(.channelsLast), [x]), length: graph.noise.int(1...3))
            try graph.add(Relayout(.rowMajor), [y])
        },
        "narrow": { graph in
            let element = graph.noise.pick([ElementType.f16, .bf16, .f8e4m3fn, .f8e5m2, .f64]), x = try graph.anyItem()
            guard x.tensor.doubles.allSatisfy({ !$0.isFinite || abs($0) < 200 }) else { return }
            let y = try graph.chain(on: try graph.add(Cast(to: element), [x]), length: graph.noise.int(1...3))
            try graph.add(Cast(to: .f32), [y])
        },
        "recurrent": { graph in
            let x = try graph.item(rank: 3...3)
            try graph.sample(graph.noise.pick(["lstm", "gru", "rnn"]))
            try graph.chain(on: x, length: 1)
            try graph.product()
        },
        "resize": { graph in
            let x = try graph.item(rank: 4...4)
            let sizes = [x.shape[0], x.shape[1], graph.noise.int(1...9), graph.noise.int(1...9)]
            let y = try graph.add(Resize(sizes: sizes.map { Extent($0) }, mode: graph.noise.pick(ResizeMode.allCases), coordinateTransform: .halfPixel, nearestMode: .floor), [x])
            try graph.chain(on: y, length: 2)
        },
        "if": { try $0.branch() },
        "loop": { try $0.loop() },
        "scan": { try $0.scan() },
    ]

    mutating func scalar(_ value: Double, _ element: ElementType = .f32) throws -> Item { try add(Constant(.scalar(value, element)), [], isVisible: false) }

    /// Elementwise ops, one on the other, with constants and other values at hand.
    @discardableResult
    mutating func chain(on x: Item, length: Int) throws -> Item {
        var x = x
        for _ in 0..<length {
            guard x.element.isFloat else {
                x = try add(Binary(x.element == .bool ? .xor : noise.pick([.maximum, .minimum])), [x, x])
                continue
            }
            switch noise.int(0...6) {
            case 0: x = try add(Activation(noise.pick(ActivationKind.allCases)), [x])
            case 1: x = try add(Unary(noise.pick([.negate, .absolute, .exp, .tanh, .floor, .sign, .sqrt, .sin, .erf, .round, .reciprocal])), [x])
            case 2:
                let c = try scalar(noise.pick([0, -0.0, 1, -1, 2, 0.5, 3, 1e-3]), x.element), function = noise.pick([BinaryOperator.add, .subtract, .multiply, .maximum, .minimum, .divide])
                x = try add(Binary(function), noise.int(0...2) == 0 ? [c, x] : [x, c])
            case 3:
                let shape = x.shape.indices.map { $0 == 1 || x.rank == 1 ? x.shape[$0] : 1 }
                x = try add(Binary(noise.pick([.add, .multiply])), [x, try constant(noise.tensor(x.element, shape))])
            case 4: x = try add(Binary(noise.pick([.add, .multiply, .subtract, .maximum])), [x, try fitted(try anyItem(), x.element, x.shape)])
            case 5:
                let condition = try add(Binary(noise.pick([.less, .greaterOrEqual, .equal])), [x, try scalar(Double(noise.int(-1...1)), x.element)])
                x = try add(Select(), [condition, x, try fitted(try anyItem(), x.element, x.shape)])
            default: x = try add(Binary(noise.pick([.add, .multiply])), [x, x])
            }
        }
        return x
    }

    /// The same elements, or some of them, seen differently.
    mutating func viewed(_ x: Item) throws -> Item {
        let extents = rewriter.function.tensorType(x.id).shape
        switch noise.int(0...6) {
        case 0: return try add(Transpose(Array(x.shape.indices).shuffled(using: &noise)), [x])
        case 1:
            var shape = extents
            shape.insert(1, at: noise.int(0...shape.count))
            if noise.bool() { shape.append(1) }
            return shape.count > 6 ? x : try add(Reshape(shape), [x])
        case 2 where x.rank > 1:
            var shape = extents
            let axis = noise.int(0...x.rank - 2)
            let next = shape.remove(at: axis + 1)
            shape[axis] = shape[axis] * next
            return try add(Reshape(shape), [x])
        case 3:
            let starts = x.shape.map { $0 > 1 && noise.bool() ? noise.int(0...$0 - 1) : 0 }
            return try add(Slice(starts: starts.map { Extent($0) }, sizes: zip(extents, starts).map { $0 - Extent($1) }), [x])
        case 4 where x.rank > 0:
            let axis = noise.int(0...x.rank - 1), other = noise.bool() ? x : try fitted(try anyItem(), x.element, x.shape)
            return try add(Concat(axis: axis), [x, other])
        case 5:
            let amounts = x.shape.map { _ in max(0, noise.int(-2...2)) }
            return try add(Pad(before: amounts, after: amounts.reversed(), value: Double(noise.int(-1...1))), [x])
        default:
            guard let axis = x.shape.firstIndex(of: 1) else { return try add(Transpose(Array(x.shape.indices.reversed())), [x]) }
            var shape = extents
            if noise.bool() { shape.remove(at: axis) } else { shape[axis] = 3 }
            return shape.count == x.rank ? try add(Expand(shape), [x]) : try add(Reshape(shape), [x])
        }
    }

    private mutating func convolution() throws {
        var x = try item(rank: 3...4)
        let rank = x.rank - 2, channels = x.shape[1]
        let groups = noise.pick([1, 1, 1, max(channels, 1)]), outputs = noise.pick([1, 3, 8, 16, 17]) * (groups == 1 ? 1 : noise.pick([groups]))
        guard outputs * x.tensor.count / max(channels, 1) <= Self.largestTensor else { return }
        let window = (0..<rank).map { axis in noise.pick([1, 3, 3, 2].filter { $0 <= x.shape[axis + 2] } + [1]) }
        let padding = window.map { noise.pick([$0 / 2, $0 / 2, 0]) }
        if padding.contains(where: { $0 > 0 }) { x = try add(Pad(before: [0, 0] + padding, after: [0, 0] + padding), [x]) }
        let ones = window.map { _ in 1 }
        let op = Convolution(strides: noise.int(0...3) == 0 ? ones.map { _ in 2 } : ones, dilations: ones, groups: groups)
        let terms = channels / groups * window.reduce(1, *)
        var y = try add(op, [x, try weights([outputs, channels / groups] + window, terms: terms)])
        let perChannel = [outputs] + ones
        if noise.int(0...3) > 0 { y = try add(Binary(.add), [y, try weights(perChannel, terms: 1)]) }
        if noise.bool() { y = try add(Binary(.multiply), [y, try weights(perChannel, terms: 1)]) }
        if noise.bool() { y = try add(Activation(noise.pick([.relu, .silu, .hardSwish, .sigmoid, .leakyRelu])), [y]) }
        if noise.int(0...2) == 0, let other = try? fitted(try anyItem(), .f32, y.shape) { y = try add(Binary(.add), [y, other]) }
        if noise.int(0...2) == 0 { try pool(y) }
    }

    private mutating func pool(_ x: Item) throws {
        guard x.rank >= 3, x.element.isFloat else { return }
        let spatial = x.shape[2...], window = spatial.map { min($0, noise.int(1...3)) }
        guard !window.contains(0) else { return }
        if noise.int(0...3) == 0 {
            try add(Reduce(.mean, axes: Array(2..<x.rank), keepDims: noise.bool()), [x])
        } else {
            let padding = window.map { noise.int(0...1) * ($0 / 2) }
            try add(Pool(noise.pick([.max, .average]), window: window, strides: noise.bool() ? window : nil, padBefore: padding, padAfter: padding, ceilMode: noise.int(0...3) == 0, countIncludePad: noise.bool()), [x])
        }
    }

    private mutating func product() throws {
        let x = try item(rank: 2...4), k = x.shape[x.rank - 1], n = noise.pick([1, 3, 16, 17, 32])
        let batched = x.rank > 2 && noise.int(0...3) == 0
        let w = try weights((batched ? Array(x.shape.dropLast(2)) : []) + [k, n], terms: k)
        var y = try add(MatMul(), noise.int(0...7) == 0 && x.rank == 2 ? [try add(Transpose([1, 0]), [w]), try add(Transpose([1, 0]), [x])] : [x, w])
        guard y.shape.last == n else { return }
        if noise.int(0...3) > 0 { y = try add(Binary(.add), [y, try weights([n], terms: 1)]) }
        y = try chain(on: y, length: noise.int(0...2))
        if noise.int(0...2) == 0, k == n, y.shape == x.shape { try add(Binary(.add), [y, x]) }
    }

    private mutating func norm() throws {
        let x = try item(rank: 1...4), axes = [x.rank - 1]
        let mean = try add(Reduce(.mean, axes: axes, keepDims: true), [x])
        let centred = noise.int(0...3) > 0 ? try add(Binary(.subtract), [x, mean]) : x
        let square = try add(Reduce(.mean, axes: axes, keepDims: true), [try add(Binary(.multiply), [centred, centred])])
        let deviation = try add(Unary(.sqrt), [try add(Binary(.add), [square, try scalar(0.01)])])
        let scaled = try add(Binary(.divide), [centred, deviation])
        let width = [x.shape[x.rank - 1]]
        let y = try add(Binary(.multiply), [scaled, try weights(width, terms: 1)])
        if noise.bool() { try add(Binary(.add), [y, try weights(width, terms: 1)]) }
    }

    private mutating func attention() throws {
        let x = try item(rank: 3...3), heads = noise.pick([1, 2, 4]), depth = noise.pick([2, 4, 8])
        let (batch, length, width) = (x.shape[0], x.shape[1], x.shape[2])
        let extents = rewriter.function.tensorType(x.id).shape
        func head(_ graph: inout RandomGraph, _ order: [Int]) throws -> Item {
            let y = try graph.add(MatMul(), [x, try graph.weights([width, heads * depth], terms: width)])
            return try graph.add(Transpose(order), [try graph.add(Reshape([extents[0], extents[1], Extent(heads), Extent(depth)]), [y])])
        }
        let q = try head(&self, [0, 2, 1, 3]), k = try head(&self, [0, 2, 3, 1]), v = try head(&self, [0, 2, 1, 3])
        var scores = try add(Binary(.multiply), [try add(MatMul(), [q, k]), try scalar(0.5)])
        if noise.bool() { scores = try add(Binary(.add), [scores, try constant(Tensor(.f32, [1, 1, length, length], values: { _ in noise.pick([0, -1, -10]) }))]) }
        let y = try add(Transpose([0, 2, 1, 3]), [try add(MatMul(), [try add(Softmax(axis: 3), [scores]), v])])
        guard batch > 0 else { return }
        try add(Reshape([extents[0], extents[1], Extent(heads * depth)]), [y])
    }

    /// A product between `quantize` and `dequantize`, as tools that quantise models write it.
    private mutating func quantized() throws {
        let x = try item(rank: 2...4), element = noise.pick([ElementType.u8, .i8]), isImage = x.rank > 2 && noise.bool()
        func grid(_ graph: inout RandomGraph) throws -> [Item] {
            [try graph.scalar(graph.noise.pick([0.05, 0.1, 0.25])), try graph.scalar(Double(graph.noise.int(0...3)), element)]
        }
        func pair(_ x: Item, _ graph: inout RandomGraph) throws -> Item {
            let parameters = try grid(&graph)
            let y = try graph.add(Quantize(element: element, axis: 0, blockSize: 0), [x] + parameters)
            return try graph.add(Dequantize(axis: 0, blockSize: 0), [y] + parameters)
        }
        var y = try pair(x, &self)
        if noise.bool() { y = try pair(try viewed(y), &self) }
        guard y.rank >= 2 else { return }
        let n = noise.pick([1, 4, 16, 17]), isConvolution = isImage && y.rank > 2
        let shape = isConvolution ? [n, y.shape[1]] + y.shape[2...].map { _ in 1 } : [y.shape[y.rank - 1], n]
        let integers = try constant(Tensor(.i8, shape, integers: { _ in noise.int(-127...127) }))
        let perChannel = noise.bool(), parameters = perChannel ? [n] : []
        let w = try add(Dequantize(axis: isConvolution ? 0 : 1, blockSize: 0), [
            integers, try constant(Tensor(.f32, parameters, values: { _ in noise.pick([0.01, 0.005]) })), try constant(Tensor(.i8, parameters, integers: { _ in 0 })),
        ])
        let ones = shape.dropFirst(2).map { _ in 1 }
        y = try add(isConvolution ? Convolution(strides: ones, dilations: ones) as any Op : MatMul(), [y, w])
        if noise.bool() { y = try add(Binary(.add), [y, try weights(isConvolution ? [n] + ones : [n], terms: 1)]) }
        if noise.bool() { y = try add(Activation(.relu), [y]) }
        _ = try pair(y, &self)
    }

    // MARK: Control flow

    private mutating func branch() throws {
        guard block == rewriter.function.body else { return }
        let holds = noise.bool(), tensor = Tensor(.bool, [], integers: { _ in holds ? 1 : 0 })
        let condition = noise.int(0...3) == 0 ? try constant(tensor) : input(tensor, fixed: true)
        let x = try anyItem(), length = noise.int(1...3)
        func arm(_ graph: inout RandomGraph) throws -> BlockID {
            try graph.region([]) { graph, _ in
                if graph.noise.bool() { graph.step() }
                return [try graph.chain(on: x, length: length)]
            }.block
        }
        try addControl(If(), [condition], regions: [try arm(&self), try arm(&self)], count: 1)
    }

    private mutating func loop() throws {
        guard block == rewriter.function.body else { return }
        let x = try item(rank: 0...3), iterations = noise.int(0...4), outer = try anyItem()
        let state = (type: rewriter.function.type(x.id), tensor: x.tensor)
        let counter = (type: ValueType.tensor(TensorType(.i64, [])), tensor: Tensor([0], shape: []))
        let going = (type: ValueType.tensor(TensorType(.bool, [])), tensor: Tensor(.bool, [], integers: { _ in 1 }))
        let stops = noise.bool()
        let body = try region([counter, going, state]) { graph, arguments in
            var next = arguments[2]
            if let other = try? graph.fitted(outer, .f32, next.shape) { next = try graph.add(Binary(.add), [next, other]) }
            if graph.noise.bool() { next = try graph.add(Binary(.add), [next, try graph.add(Cast(to: .f32), [arguments[0]])]) }
            next = try graph.add(Activation(graph.noise.pick([.tanh, .sigmoid, .softsign])), [next])
            let goesOn = stops ? try graph.add(Binary(.less), [arguments[0], try graph.add(Constant(Tensor([2], shape: [])), [], isVisible: false)]) : arguments[1]
            return [goesOn, next, try graph.chain(on: arguments[2], length: 1)]
        }
        let limit = try add(Constant(Tensor([iterations], shape: [])), [], isVisible: false), first = try add(Constant(going.tensor), [], isVisible: false)
        // A condition may end the loop earlier, which makes the number of iterations a size that is found while running.
        var extent = Extent(iterations)
        if stops {
            let dimension = "iterations\(nodes)\(name)"
            extent = .dimension(dimension)
            rewriter.addDimension(dimension, DimensionInfo(.dataDependent(bound: Extent(iterations))))
        }
        try addControl(Iterate(iterations: extent), [limit, first, x], regions: [body.block], count: 2)
    }

    private mutating func scan() throws {
        guard block == rewriter.function.body else { return }
        let sequence = try item(rank: 1...3), axis = noise.int(0...sequence.rank - 1)
        var slice = rewriter.function.tensorType(sequence.id)
        slice.shape.remove(at: axis)
        slice.layout = .rowMajor
        let part = Tensor(.f32, slice.shape.map { $0.evaluate(sizes) ?? 0 }, values: { _ in 0.5 })
        let state = noise.bool() ? input(noise.tensor(.f32, part.shape), fixed: true) : try constant(noise.tensor(.f32, part.shape))
        guard slice.isStatic else { return }
        let body = try region([(rewriter.function.type(state.id), state.tensor), (.tensor(slice), part)]) { graph, arguments in
            let sum = try graph.add(Binary(graph.noise.pick([.add, .subtract, .maximum])), arguments)
            let next = try graph.add(Activation(.tanh), [sum])
            return [next, try graph.chain(on: graph.noise.bool() ? next : arguments[1], length: graph.noise.int(1...2))]
        }
        let rank = body.results[1].rank
        let op = Scan(inputAxes: [axis], inputReversed: [noise.int(0...1)], outputAxes: [noise.int(0...rank)], outputReversed: [noise.int(0...1)])
        try addControl(op, [state, sequence], regions: [body.block], count: 2)
    }
}
