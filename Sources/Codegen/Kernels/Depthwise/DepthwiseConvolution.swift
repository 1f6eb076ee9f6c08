import GlmcIR

extension KernelFamily {
    /// Depthwise convolutions over channels-last images: one vector of channels, several neighbouring output positions at once.
    static let depthwiseConvolution = KernelFamily("conv-depthwise") { query in
        guard let op = query.op(Convolution.self), let filter = query.constant(1), filter.rank == 3 || filter.rank == 4 else { return nil }
        let image = query.operandType(0)
        let floats: Set<ElementType> = [.f32, .f16, .bf16], isFloat = floats.contains(image.element) && floats.contains(filter.element)
        // Products of bytes are summed as f32, exactly while the sum stays below 2^24.
        let taps = filter.shape.dropFirst(2).reduce(1, *)
        let isByte = [.u8, .i8].contains(image.element) && filter.element == .i8 && taps <= 500
        guard op.groups > 1, filter.shape[1] == 1, filter.shape[0] == op.groups, taps <= 121, isFloat || isByte,
              image.layout == .channelsLast, query.resultType.layout == .channelsLast else { return nil }
        return KernelPlan { site in try DepthwiseConvolution(op: op, filter: filter, image: try site.operand(0, along: 1), result: site.resultTypes[0]).emit(&site) }
    }
}

/// The filter of a depthwise convolution, [channels, 1, taps…], as f32 whatever its type: [vector][tap][lane], the last vector filled up with zeros.
private struct ChannelVectors: WeightFormat {
    let lanes: Int

    var description: String { "channel vectors<\(lanes)>" }

    private func counts(_ filter: Tensor) -> (channels: Int, taps: Int) { (filter.shape[0], filter.shape[2...].reduce(1, *)) }

    func byteCount(of sources: [Tensor]) -> Int {
        let (channels, taps) = counts(sources[0])
        return (channels + lanes - 1) / lanes * lanes * taps * 4
    }

    func verify(_ sources: [Tensor]) throws {
        guard sources.count == 1, sources[0].rank > 2, sources[0].shape[1] == 1 else { throw Diagnostic(.internal, "\(self) of \(sources.map(\.type.description))") }
    }

    func write(_ sources: [Tensor], to target: UnsafeMutableRawBufferPointer) {
        let filter = sources[0], values = target.bindMemory(to: Float.self), reader = filter.reader, (channels, taps) = counts(filter)
        for channel in 0..<channels {
            for tap in 0..<taps { values[(channel / lanes * taps + tap) * lanes + channel % lanes] = Float(reader.load(at: channel * taps + tap)) }
        }
    }
}

/// For every output row and run of `tile` positions, all channels pass by one vector at a time: each input vector that the run
/// touches is loaded once per filter row and multiplied into every output that it reaches.
struct DepthwiseConvolution {
    let op: Convolution
    let filter: Tensor
    let image: TensorView
    let result: TensorType

    func emit(_ site: inout KernelSite) throws {
        let model = RegisterModel(site.target), lanes = model.lanes
        let channels = filter.shape[0], vectors = (channels + lanes - 1) / lanes
        let rank = filter.rank - 2
        let kernelX = filter.shape[filter.rank - 1], kernelY = rank == 2 ? filter.shape[2] : 1
        let taps = kernelX * kernelY
        let weights = try site.weight(.f32, [filter], as: ChannelVectors(lanes: lanes))
        let height = rank == 2 ? result.shape[2] : 1, width = result.shape[result.rank - 1]
        let limit = Swift.max(1, Swift.min(8, model.registers - kernelX - 3))
        let cut = width.constant.map { AxisCut(extent: $0, limit: limit) } ?? AxisCut(freeWithLimit: limit)
        let strideY = rank == 2 ? image.strides[2] : 0, strideX = image.strides[image.shape.count - 1]
        try site.generate { builder, store in
            try builder.loop("u", to: Expr(result.shape[0] * height), kind: .parallel) { builder, unit in
                let position = builder.split(unit, over: [result.shape[0], height])
                let (n, y) = (position[0], position[1])
                let row = builder.bind(Expr(image.offset) + n * Expr(image.strides[0]) + y * Expr(strideY * Extent(op.strides[0])), "a")
                let body = { (builder: inout KernelBuilder, x: Expr, count: Int) throws in
                    let base = builder.bind(row + x * Expr(strideX * Extent(op.strides[rank - 1])), "a")
                    try builder.loop("v", to: .int(vectors)) { builder, vector in
                        let partial: Expr? = channels % lanes == 0 ? nil : builder.bind(Expr.min(.int(lanes), .int(channels) - vector * .int(lanes)), "m")
                        let sums = try emitSums(base + vector * .int(lanes), vector * .int(taps * lanes), weights, partial, count, lanes, into: &builder)
                        for (i, sum) in sums.enumerated() {
                            let value = result.element == .i32 ? Expr.cast(.variable(sum), .i32) : .variable(sum)
                            let index = [n, vector * .int(lanes)] + (rank == 2 ? [y] : []) + [x + .int(i)]
                            try store(&builder, value, index, 1, partial)
                        }
                    }
                }
                try cut.emitAll(of: width, into: &builder, body)
            }
        }
    }

    /// The sums of `count` neighbouring outputs for one vector of channels.
    private func emitSums(
        _ base: Expr, _ weightBase: Expr, _ weights: BufferID, _ partial: Expr?, _ count: Int, _ lanes: Int, into builder: inout KernelBuilder
    ) throws -> [Variable] {
        let rank = filter.rank - 2, kernelX = filter.shape[filter.rank - 1], kernelY = rank == 2 ? filter.shape[2] : 1
        let strideY = rank == 2 ? image.strides[2] * Extent(op.dilations[0]) : 0, strideX = image.strides[image.shape.count - 1]
        let (step, dilation) = (op.strides[rank - 1], op.dilations[rank - 1])
        let zero: Expr = lanes == 1 ? .float(0, .f32) : .broadcast(.float(0, .f32), lanes)
        let sums = (0..<count).map { _ in builder.declare(zero, "c") }
        let base = builder.bind(base, "a"), weightBase = builder.bind(weightBase, "w")
        for ky in 0..<kernelY {
            let factors = (0..<kernelX).map { kx in
                builder.bind(.load(Access(weights, weightBase + .int((ky * kernelX + kx) * lanes), KernelType(.f32, lanes: lanes))), "f")
            }
            // Input columns in order, each used by every output that it reaches.
            let columns = Set((0..<count).flatMap { i in (0..<kernelX).map { i * step + $0 * dilation } }).sorted()
            for column in columns {
                let address = base + Expr(strideY * Extent(ky) + strideX * Extent(column))
                let loaded = Expr.load(Access(image.buffer, address, KernelType(image.element, lanes: lanes), mask: partial))
                let value = builder.bind(image.element == .f32 ? loaded : .cast(loaded, .f32), "x")
                for i in 0..<count {
                    let offset = column - i * step
                    guard offset >= 0, offset % dilation == 0, offset / dilation < kernelX else { continue }
                    builder.emit(.assign(sums[i], .fma(value, factors[offset / dilation], .variable(sums[i]))))
                }
            }
        }
        return sums
    }
}
