import GlmcIR

/// Static post-training quantisation: what to observe, what was observed, and the quantised function.
///
/// Use: make one from the optimised function; run `observation` on calibration samples, giving its extra outputs to `observe`; then `apply` it.
public struct StaticQuantization: Sendable {
    public let function: Function
    public let plan: QuantizationPlan
    public let options: QuantizationOptions
    public private(set) var histograms: [ValueID: Histogram] = [:]

    public init(_ function: Function, options: QuantizationOptions = QuantizationOptions()) {
        self.function = function
        self.options = options
        plan = QuantizationPlan(function, options: options)
    }

    /// The function with every value that is to be quantised as an additional output, in the order of `plan.values`.
    public var observation: Function {
        var rewriter = Rewriter(function)
        for (i, (value, _)) in plan.values.enumerated() where function[value].name.isEmpty { rewriter.setName("observed.\(i)", of: value) }
        rewriter.setResults(function.outputs + plan.values.map(\.value))
        return rewriter.function
    }

    /// Adds the elements of one observed value, from one sample.
    /// - Parameter position: in `plan.values`, which is the position behind the function's own outputs.
    public mutating func observe(_ position: Int, _ elements: UnsafeBufferPointer<Float>) {
        histograms[plan.values[position].value, default: Histogram()].add(elements)
    }

    /// Runs one sample through the reference interpreter.
    /// - Throws: `Diagnostic` where the sample does not fit the function.
    public mutating func observe(_ inputs: [Tensor]) throws {
        let results = try Interpreter.run(observation, inputs)
        for (position, tensor) in results.dropFirst(function.outputs.count).enumerated() {
            tensor.bytes.withMemoryRebound(to: Float.self) { observe(position, $0) }
        }
    }

    /// How far apart the ends of a range may be: of less there is nothing to tell apart, of more the products of scales leave f32.
    private static let spreads = Histogram.negligible...1e30

    /// The parameters of every value of the plan; values of one scale share the union of their ranges. nil where nothing
    /// was seen that has a range.
    public var parameters: [ValueID: ActivationParameters] {
        var ranges: [ValueID: ValueRange] = [:]
        for (value, _) in plan.values {
            guard let histogram = histograms[value], histogram.count > 0, histogram.invalid == 0 else { continue }
            let range = histogram.range(options.method, percentile: options.percentile), representative = plan.representative(value)
            ranges[representative] = ranges[representative].map { $0.union(range) } ?? range
        }
        var parameters: [ValueID: ActivationParameters] = [:]
        for (value, _) in plan.values {
            guard let range = ranges[plan.representative(value)], Self.spreads ~= range.high - range.low else { continue }
            parameters[value] = ActivationParameters(range)
        }
        return parameters
    }

    /// Puts `quantize` and `dequantize` around the values of the plan, and s8 weights behind `dequantize`, in the function that it was made from.
    public func apply(to rewriter: inout Rewriter) throws {
        let parameters = parameters
        for (node, reason) in plan.kept { rewriter.remark("stays in fp32: \(reason)", at: node, missed: true) }
        let function = rewriter.function
        for (value, uses) in plan.values {
            guard let known = parameters[value], let position = function.position(behind: value) else { continue }
            guard rewriter.beginRewrite() else { return }
            try rewriter.quantize(value, known, uses: uses, at: position)
        }
        for (node, inputs) in plan.nodes {
            guard inputs.allSatisfy({ parameters[$0] != nil }) else {
                rewriter.remark("stays in fp32: its input was never seen, or without a range that 8 bits can cover", at: node, missed: true)
                continue
            }
            let axis = function[node].op is Convolution ? 0 : function.tensorType(function[node].operands[1]).rank - 1
            guard let weights = function.constant(function[node].operands[1]).flatMap({ QuantizedWeights($0, axis: axis) }) else {
                rewriter.remark("stays in fp32: a weight is not finite", at: node, missed: true)
                continue
            }
            guard rewriter.beginRewrite() else { return }
            try rewriter.quantizeWeights(of: node, weights, axis: axis)
            rewriter.remark("computes in int8", at: node)
        }
    }
}

extension Pass {
    /// Runs the function on calibration data and quantises what is worth it.
    ///
    /// ```
    /// %0 = conv(%x, %w, strides: [1, 1], dilations: [1, 1]) : f32[1, 8, 6, 6]
    /// ```
    /// becomes
    /// ```
    /// %0 = quantize(%x, %scale, %zero) : u8[1, 4, 8, 8]
    /// %1 = dequantize(%0, %scale, %zero) : f32[1, 4, 8, 8]
    /// %2 = dequantize(%w8, %scales, %zeros, axis: 0) : f32[8, 4, 3, 3]
    /// %3 = conv(%1, %2, strides: [1, 1], dilations: [1, 1]) : f32[1, 8, 6, 6]
    /// ```
    ///
    /// The result has the form of a model that was quantised by another tool, so that one lowering serves both.
    /// - Parameter calibrate: runs the observation on every sample (`StaticQuantization`); nil where there is no data, which is an error of the pass.
    public static func quantizeStatic(
        _ options: QuantizationOptions = QuantizationOptions(), calibrate: (@Sendable (inout StaticQuantization, PassContext) throws -> Void)? = nil
    ) -> Pass {
        Pass("quantize-static", "Runs the model on calibration data and puts quantize and dequantize around what int8 is worth for") { rewriter, context in
            guard let calibrate else { throw Diagnostic(.usage, "needs calibration data", hint: "--int8 --calib DATA runs it") }
            var quantization = StaticQuantization(rewriter.function, options: options)
            if !quantization.plan.values.isEmpty { try calibrate(&quantization, context) }
            try quantization.apply(to: &rewriter)
        }
    }
}

extension Function {
    /// Where a node that reads `value` can go first.
    func position(behind value: ValueID) -> Rewriter.Position? {
        if let node = definingNode(value) { return .after(node) }
        return nodes(in: body).first.map { .before($0) }
    }
}

extension Rewriter {
    /// Makes the given uses of a value read it quantised and dequantised.
    mutating func quantize(_ value: ValueID, _ parameters: ActivationParameters, uses: [Use], at position: Position) throws {
        let provenance = function.definingNode(value).map { function[$0].provenance } ?? []
        // Nodes that are put behind the same one come out in reverse order, so each goes behind the one before.
        let scale = try create1(Constant(parameters.scaleTensor), [], at: position)
        func behind(_ value: ValueID) -> Position { function.definingNode(value).map { .after($0) } ?? position }
        let zero = try create1(Constant(parameters.zeroTensor), [], at: behind(scale))
        let quantized = try create1(Quantize(element: .u8, axis: 0), [value, scale, zero], at: behind(zero), provenance: provenance)
        let real = try create1(Dequantize(axis: 0), [quantized, scale, zero], at: behind(quantized), provenance: provenance)
        for case .operand(let node, let i) in uses { setOperand(i, of: node, to: real) }
    }

    /// Makes a node's second operand a dequantised constant.
    mutating func quantizeWeights(of node: NodeID, _ weights: QuantizedWeights, axis: Int) throws {
        let provenance = function[node].provenance
        let values = try create1(Constant(weights.values), [], at: .before(node))
        let scales = try create1(Constant(weights.scales), [], at: .before(node))
        let zeros = try create1(Constant(Tensor(.i8, weights.scales.shape, integers: { _ in 0 })), [], at: .before(node))
        let real = try create1(Dequantize(axis: axis), [values, scales, zeros], at: .before(node), provenance: provenance)
        setOperand(1, of: node, to: real)
    }
}
