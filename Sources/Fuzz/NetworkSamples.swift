import GlmcIR

/// Samples of the ops that networks are made of: windows, products, norms, attention, recurrence, sampling, quantisation.
extension OpSamples {
    static let networks: [String: Generator] = windows.merging(rows) { a, _ in a }.merging(recurrent) { a, _ in a }.merging(sampling) { a, _ in a }
        .merging(quantization) { a, _ in a }

    /// A float type and a tolerance for long sums in it.
    private static func float(_ noise: inout Noise) -> ElementType { noise.pick([.f32, .f32, .f32, .f64, .f16, .bf16]) }

    /// Weights in blocks, and rows for them.
    private struct Blocks {
        var rows: [Int], depth: Int, size: Int, bits: Int, weights: [Tensor]

        init(_ noise: inout Noise) {
            let shape = noise.leaning(rank: 2...4).flatMap { $0[$0.count - 1] % 8 == 0 && $0[$0.count - 1] > 0 ? $0 : nil }
            rows = shape?.dropLast() ?? (noise.shape(rank: 0...1, sizes: 1...3) + [noise.int(1...4)])
            depth = shape?.last ?? noise.pick([8, 16, 24, 64])
            let depth = depth, n = noise.pick([1, 3, 16, 17, 40])
            size = noise.pick((1...depth).filter { $0 % 8 == 0 && depth % $0 == 0 })
            let element = noise.pick([ElementType.f32, .f16, .bf16]), count = size
            bits = size % 16 == 0 && noise.bool() ? 2 : 4
            weights = [noise.bool() ? noise.tensor(.u8, [depth * bits / 8, n]) : noise.tensor(.i8, [depth, n])] + (0..<noise.int(1...2)).map { _ in noise.tensor(element, [depth / count, n]) }
        }
    }

    /// An image and the attributes of a window that fits it.
    private struct Geometry {
        var spatial: [Int], window: [Int], strides: [Int], dilations: [Int]

        /// Batch and channels of the value at hand, where the image is its own.
        var lead: [Int]?

        init(_ noise: inout Noise, maximumRank: Int = 3) {
            let image = noise.leaning(rank: 3...maximumRank + 2)
            let rank = image.map { $0.count - 2 } ?? noise.int(1...maximumRank)
            window = (0..<rank).map { _ in noise.int(1...3) }
            strides = (0..<rank).map { _ in noise.int(1...3) }
            dilations = (0..<rank).map { _ in noise.int(0...2) == 0 ? 2 : 1 }
            spatial = (0..<rank).map { _ in noise.int(1...4) }
            for axis in 0..<rank { spatial[axis] += (window[axis] - 1) * dilations[axis] }
            if let image {
                (lead, spatial) = (Array(image[..<2]), Array(image[2...]))
                for axis in 0..<rank where (window[axis] - 1) * dilations[axis] >= spatial[axis] {
                    (window[axis], dilations[axis]) = (min(window[axis], spatial[axis]), 1)
                }
            }
        }
    }

    private static let windows: [String: Generator] = [
        "activation": { noise in
            let kind = noise.pick(ActivationKind.allCases)
            let element = kind == .relu && noise.bool() ? ElementType.i32 : float(&noise)
            return OpSample(op: Activation(kind, alpha: noise.bool() ? 0.75 : nil), operands: [noise.tensor(element, noise.shape())])
        },
        "conv": { noise in
            let g = Geometry(&noise), channels = g.lead?[1] ?? noise.pick([1, 2, 3, 4, 6, 9]), groups = noise.pick((1...3).filter { channels % $0 == 0 } + [channels])
            let depth = channels / groups, outputs = groups * noise.int(1...2)
            let integers = noise.int(0...3) == 0, element = float(&noise)
            let (a, b): (ElementType, ElementType) = integers ? (noise.pick([.u8, .i8]), noise.pick([.u8, .i8])) : (element, element)
            return OpSample(op: Convolution(strides: g.strides, dilations: g.dilations, groups: groups), operands: [
                noise.tensor(a, [g.lead?[0] ?? noise.int(1...2), channels] + g.spatial), noise.tensor(b, [outputs, depth] + g.window),
            ])
        },
        "conv_transpose": { noise in
            let g = Geometry(&noise), channels = g.lead?[1] ?? noise.int(1...4), groups = noise.pick((1...2).filter { channels % $0 == 0 }), element = float(&noise)
            var crops: [[Int]] = [[], [], []]
            for axis in g.spatial.indices {
                let full = (g.spatial[axis] - 1) * g.strides[axis] + (g.window[axis] - 1) * g.dilations[axis] + 1
                let extra = noise.int(0...1), before = noise.int(0...min(2, full - 1)), after = noise.int(0...min(2, full - 1 - before))
                crops[0].append(before)
                crops[1].append(after)
                crops[2].append(extra)
            }
            let op = TransposedConvolution(strides: g.strides, dilations: g.dilations, groups: groups, cropBefore: crops[0], cropAfter: crops[1], outputPadding: crops[2])
            return OpSample(op: op, operands: [
                noise.tensor(element, [g.lead?[0] ?? noise.int(1...2), channels] + g.spatial), noise.tensor(element, [channels, noise.int(1...2)] + g.window),
            ])
        },
        "matmul": { noise in
            let left = noise.leaning(rank: 2...4) ?? (noise.shape(rank: 0...2, sizes: 1...3) + [noise.int(1...4), noise.int(1...6)])
            let (batch, m, k, n) = (Array(left.dropLast(2)), left[left.count - 2], left[left.count - 1], noise.pick([1, 2, 3, 4, 16, 17]))
            let element = noise.pick([ElementType.f32, .f64, .f16, .i32, .i64, .u64])
            let integers = noise.int(0...3) == 0
            let (a, b): (ElementType, ElementType) = integers ? (noise.pick([.u8, .i8]), noise.pick([.u8, .i8])) : (element, element)
            return OpSample(op: MatMul(), operands: [noise.tensor(a, broadcast(&noise, batch) + [m, k]), noise.tensor(b, batch + [k, n])])
        },
        "block_matmul": { noise in
            let b = Blocks(&noise)
            return OpSample(op: BlockMatMul(block: b.size, bits: b.bits), operands: [noise.tensor(.f32, b.rows + [b.depth])] + b.weights)
        },
        "block_matmul_integer": { noise in
            let b = Blocks(&noise), parameters = b.rows + [b.depth / b.size]
            return OpSample(op: BlockMatMulInteger(block: b.size, bits: b.bits), operands: [
                noise.tensor(.i8, b.rows + [b.depth]), noise.tensor(.f32, parameters), noise.tensor(.f32, parameters),
            ] + b.weights)
        },
        "block_row_matmul": { noise in
            let b = Blocks(&noise), n = noise.pick([1, 3, 16, 17, 40])
            return OpSample(op: BlockRowMatMul(block: b.size), operands: [
                noise.tensor(.i8, b.rows + [b.depth]), noise.tensor(.f32, b.rows + [b.depth / b.size]), noise.tensor(.i8, [b.depth, n]),
            ])
        },
        "block_quantize": { noise in
            let block = noise.pick([1, 3, 8, 32]), leaning = noise.leaning(rank: 1...4).flatMap { $0[$0.count - 1] % block == 0 ? $0 : nil }
            return OpSample(op: BlockQuantize(block: block), operands: [noise.tensor(.f32, leaning ?? noise.shape(rank: 0...3, sizes: 1...3) + [block * noise.int(1...3)])])
        },
        "pool": { noise in
            let g = Geometry(&noise), function = noise.pick(PoolFunction.allCases)
            let element = function == .max ? noise.pick([ElementType.f32, .u8, .i8, .f16, .f64]) : float(&noise)
            let padBefore = g.window.map { noise.int(0...$0 - 1) }, padAfter = g.window.map { noise.int(0...$0 - 1) }
            let op = Pool(
                function, window: g.window, strides: g.strides, dilations: g.dilations, padBefore: padBefore, padAfter: padAfter,
                ceilMode: noise.bool(), countIncludePad: noise.bool(), p: noise.int(1...4),
                indices: function == .max && noise.bool() && g.dilations.allSatisfy { $0 == 1 }, columnMajorIndices: noise.bool())
            return OpSample(op: op, operands: [noise.tensor(element, (g.lead ?? [noise.int(1...2), noise.int(1...3)]) + g.spatial)])
        },
        "max_unpool": { noise in
            let shape = [1, noise.int(1...2), noise.int(1...4)], places = Array(0..<shape[1] * 9).shuffled(using: &noise)
            return OpSample(op: MaxUnpool(shape: [1, Extent(shape[1]), 9]), operands: [
                noise.tensor(.f32, shape), Tensor(.i64, shape, integers: { places[$0] }),
            ])
        },
    ]

    private static let rows: [String: Generator] = [
        "softmax": { noise in
            let shape = noise.shape(rank: 1...4)
            return OpSample(op: Softmax(axis: noise.int(-shape.count...shape.count - 1), log: noise.bool()), operands: [noise.tensor(float(&noise), shape)])
        },
        "layer_norm": { noise in
            let shape = noise.shape(rank: 1...4), axis = noise.int(0...shape.count - 1), element = float(&noise)
            func parameter() -> Tensor { noise.tensor(element, noise.bool() ? Array(shape[axis...]) : broadcast(&noise, shape)) }
            return OpSample(op: LayerNorm(axis: axis, epsilon: 0.1), operands: [noise.tensor(element, shape), parameter(), parameter()])
        },
        "rms_norm": { noise in
            let shape = noise.shape(rank: 1...4), axis = noise.int(0...shape.count - 1), element = float(&noise)
            return OpSample(op: RMSNorm(axis: axis - shape.count, epsilon: 0.1), operands: [noise.tensor(element, shape), noise.tensor(element, Array(shape[axis...]))])
        },
        "attention": { noise in
            let q = noise.leaning(rank: 4...4) ?? [noise.int(1...2), noise.int(1...6), noise.int(1...4), noise.int(1...4)]
            let (batch, queries, depth) = (q[0], q[2], q[3]), (keys, width) = (noise.int(1...5), noise.int(1...4))
            let shared = noise.pick((1...2).filter { q[1] % $0 == 0 }), group = q[1] / shared, element = noise.pick([ElementType.f32, .f32, .f64])
            let hasLengths = noise.int(0...2) == 0, isCausal = noise.bool(), softcap = noise.bool() ? 2.0 : 0
            let op = Attention(scale: 0.25, causal: isCausal, causalOffset: Extent(noise.int(-1...3)), softcap: softcap, maskedIsNaN: noise.int(0...3) == 0, hasLengths: hasLengths)
            var operands = [
                noise.tensor(element, [batch, shared * group, queries, depth]), noise.tensor(element, [batch, shared, keys, depth]),
                noise.tensor(element, [batch, shared, keys, width]),
            ]
            let scores = broadcast(&noise, [batch, shared * group, queries, keys])
            switch noise.int(0...2) {
            case 0: operands.append(noise.tensor(.bool, scores))
            case 1: operands.append(Tensor(element, scores, values: { _ in noise.pick([-.infinity, 0, 1, -2]) }))
            default: break
            }
            if hasLengths { operands.append(noise.tensor(.i64, [batch], in: -1...keys + 1)) }
            return OpSample(op: op, operands: operands)
        },
    ]

    /// Attributes for `places` activations per direction.
    private static func recurrence(_ noise: inout Noise, places: Int) -> RecurrentAttributes {
        let direction = noise.pick(RecurrentDirection.allCases)
        var common = RecurrentAttributes(hiddenSize: noise.int(1...4), direction: direction, clip: noise.bool() ? 1.5 : 0, hasLengths: noise.bool())
        if noise.bool() {
            let kinds: [ActivationKind] = [.sigmoid, .tanh, .relu, .affine, .hardSigmoid, .softsign]
            common.activations = (0..<places * direction.count).map { _ in noise.pick(kinds).rawValue }
        }
        return common
    }

    private static func recurrentOperands(_ noise: inout Noise, _ common: RecurrentAttributes, gates: Int, states: Int, peepholes: Int = 0) -> [Tensor] {
        let x = noise.leaning(rank: 3...3) ?? [noise.int(1...4), noise.int(1...3), noise.int(1...3)]
        let (steps, batch, width) = (x[0], x[1], x[2])
        let (directions, hidden) = (common.direction.count, common.hiddenSize)
        func small(_ shape: [Int]) -> Tensor { Tensor(.f32, shape, values: { _ in Double(noise.int(-8...8)) / 8 }) }
        var operands = [
            small([steps, batch, width]), small([directions, gates * hidden, width]), small([directions, gates * hidden, hidden]),
            small([directions, 2 * gates * hidden]),
        ]
        for _ in 0..<states { operands.append(small([directions, batch, hidden])) }
        if peepholes > 0 { operands.append(small([directions, peepholes * hidden])) }
        if common.hasLengths { operands.append(noise.tensor(.i32, [batch], in: 0...steps)) }
        return operands
    }

    private static let recurrent: [String: Generator] = [
        "lstm": { noise in
            let common = recurrence(&noise, places: 3), peepholes = noise.bool()
            return OpSample(op: Lstm(common, peepholes: peepholes, inputForget: noise.bool()),
                            operands: recurrentOperands(&noise, common, gates: 4, states: 2, peepholes: peepholes ? 3 : 0))
        },
        "gru": { noise in
            let common = recurrence(&noise, places: 2)
            return OpSample(op: Gru(common, linearBeforeReset: noise.bool()), operands: recurrentOperands(&noise, common, gates: 3, states: 1))
        },
        "rnn": { noise in
            let common = recurrence(&noise, places: 1)
            return OpSample(op: Rnn(common), operands: recurrentOperands(&noise, common, gates: 1, states: 1))
        },
    ]

    private static let sampling: [String: Generator] = [
        "resize": { noise in
            let shape = noise.shape(rank: 1...4, sizes: 1...5)
            let sizes = shape.map { noise.bool() ? $0 : noise.int(1...9) }, mode = noise.pick(ResizeMode.allCases)
            var op = Resize(sizes: sizes.map { Extent($0) }, mode: mode, coordinateTransform: noise.pick(CoordinateTransform.allCases), nearestMode: noise.pick(NearestMode.allCases))
            op.excludeOutside = noise.bool()
            op.antialias = mode != .nearest && noise.bool()
            op.extrapolation = 7
            if op.coordinateTransform == .tfCropAndResize { op.roi = shape.map { _ in 0.125 } + shape.map { _ in noise.pick([0.75, 1.5]) } }
            // Scales that are no ratios of the sizes, as a floored result has them.
            if noise.bool() { op.scales = zip(shape, sizes).map { $0 == $1 ? 1 : (Double($1) + 0.25) / Double($0) } }
            return OpSample(op: op, operands: [noise.tensor(noise.pick([.f32, .f32, .f64, .u8, .i8, .f16]), shape)])
        },
        "grid_sample": { noise in
            let rank = noise.int(1...2), batch = noise.int(1...2)
            let x = noise.tensor(.f32, [batch, noise.int(1...2)] + (0..<rank).map { _ in noise.int(1...4) })
            // Away from the middle between two elements, where nearest depends on the last bit.
            let grid = Tensor(.f32, [batch] + (0..<rank).map { _ in noise.int(1...3) } + [rank], values: { _ in Double(noise.int(-150...150)) / 97 })
            return OpSample(op: GridSample(mode: noise.pick(ResizeMode.allCases), padding: noise.pick(GridPadding.allCases), alignCorners: noise.bool()), operands: [x, grid], tolerance: 1e-4)
        },
        "roi_align": { noise in
            let (batch, count) = (noise.int(1...2), noise.int(0...3))
            let op = RoiAlign(height: noise.int(1...3), width: noise.int(1...3), isMax: noise.bool(), samplingRatio: noise.int(0...2), spatialScale: 0.5, halfPixel: noise.bool())
            return OpSample(op: op, operands: [
                noise.tensor(.f32, [batch, 2, 5, 4]), Tensor(.f32, [count, 4], values: { _ in Double(noise.int(-20...90)) / 7 }), noise.tensor(.i64, [count], in: 0...batch - 1),
            ], tolerance: 1e-4)
        },
    ]

    /// Scale and zero point per tensor, per axis, or per block of an axis, and the axis and block size that say which.
    private static func grid(_ noise: inout Noise, _ shape: [Int], _ element: ElementType) -> (scale: Tensor, zero: Tensor, axis: Int, block: Int) {
        var parameters: [Int] = [], block = 0
        let axis = shape.isEmpty ? 0 : noise.int(0...shape.count - 1)
        switch shape.isEmpty ? 0 : noise.int(0...2) {
        case 1: parameters = [shape[axis]]
        case 2:
            block = noise.int(1...3)
            parameters = shape
            parameters[axis] = (shape[axis] + block - 1) / block
        default: break
        }
        let scale = Tensor(.f32, parameters, values: { _ in noise.pick([0.25, 0.5, 1, 2, 0.1]) })
        return (scale, element.isFloat ? Tensor(element, parameters, values: { _ in 0 }) : noise.tensor(element, parameters), axis, block)
    }

    private static let quantization: [String: Generator] = [
        "quantize": { noise in
            let element = noise.pick([ElementType.u8, .i8, .u8, .i8, .u16, .i16, .u4, .i4, .u2, .f8e4m3fn, .f8e5m2]), shape = noise.shape()
            let (scale, zero, axis, block) = grid(&noise, shape, element)
            return OpSample(op: Quantize(element: element, axis: axis, blockSize: block), operands: [noise.tensor(noise.pick([.f32, .f32, .f16]), shape), scale, zero], tolerance: 0)
        },
        "dequantize": { noise in
            let element = noise.pick([ElementType.u8, .i8, .u16, .i16, .i32, .u4, .i4, .f8e4m3fn]), shape = noise.shape()
            let (scale, zero, axis, block) = grid(&noise, shape, element)
            return OpSample(op: Dequantize(axis: axis, blockSize: block), operands: [noise.tensor(element, shape), scale, zero])
        },
        "dynamic_quantize": { noise in
            let perRow = noise.bool()
            return OpSample(op: DynamicQuantize(perRow: perRow), operands: [noise.tensor(.f32, noise.shape(rank: perRow ? 1...4 : 0...4))])
        },
    ]
}
