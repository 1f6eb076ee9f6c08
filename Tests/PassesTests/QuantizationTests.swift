import Foundation
import GlmcIR
import Testing

@testable import GlmcPasses

@Suite struct HistogramTests {
    @Test func extremesAreExactAndIncludeZero() {
        var histogram = Histogram()
        histogram.add([1, 2, 3])
        #expect(histogram.range(.minmax) == ValueRange(low: 0, high: 3))
        histogram.add([-8, 1000])
        #expect(histogram.range(.minmax) == ValueRange(low: -8, high: 1000))
        #expect(histogram.count == 5 && histogram.bins.reduce(0, +) == 5)
    }

    @Test func growingKeepsTheShape() {
        var grown = Histogram(), whole = Histogram()
        let values = (0..<20_000).map { Float(($0 * 7919) % 20_011) / 1000 - 8 }
        for start in stride(from: 0, to: values.count, by: 1000) { grown.add(Array(values[start..<start + 1000])) }
        whole.add(values)
        for method in CalibrationMethod.allCases {
            let (a, b) = (grown.range(method), whole.range(method))
            #expect(abs(a.low - b.low) < 0.3 && abs(a.high - b.high) < 0.3, "\(method)")
        }
    }

    @Test func outliersAreClipped() {
        var histogram = Histogram()
        histogram.add((0..<100_000).map { Float($0 % 1000) / 1000 } + [400])
        #expect(histogram.range(.minmax).high == 400)
        for method in [CalibrationMethod.percentile, .entropy] { #expect(histogram.range(method).high < 110, "\(method)") }
        let best = histogram.range(.mse)
        #expect(histogram.relativeError(best) <= histogram.relativeError(histogram.range(.minmax)))
    }

    @Test func unusualValues() {
        var histogram = Histogram()
        histogram.add([0, 0, 0])
        #expect(histogram.range(.auto) == ValueRange(low: 0, high: 0))
        histogram.add([.nan, .infinity, 2])
        #expect(histogram.invalid == 2 && histogram.range(.auto).high > 1.9)
        histogram.add([.greatestFiniteMagnitude, -.greatestFiniteMagnitude, .leastNonzeroMagnitude])
        #expect(histogram.count == 7 && histogram.bins.reduce(0, +) == 7)
    }
}

@Suite struct ParameterTests {
    @Test func zeroIsExact() {
        for (low, high) in [(0.0, 6.0), (-3.0, 5.0), (-1.0, 0.0), (-0.01, 100.0)] {
            let parameters = ActivationParameters(ValueRange(low: low, high: high))
            let top = (255 - Double(parameters.zeroPoint)) * Double(parameters.scale), bottom = -Double(parameters.zeroPoint) * Double(parameters.scale)
            #expect(abs(top - high) <= Double(parameters.scale) && abs(bottom - low) <= Double(parameters.scale))
        }
        #expect(ActivationParameters(ValueRange(low: 0, high: 0)) == ActivationParameters(scale: 1, zeroPoint: 0))
    }

    @Test func weightsPerChannel() throws {
        let weights = Tensor([1, -2, 0.5, 100, 50, 25, 0, 0, 0].map { Float($0) }, shape: [3, 3])
        let quantized = try #require(QuantizedWeights(weights, axis: 0))
        #expect(quantized.values.integers[3] == 127 && quantized.values.integers[6...] == [0, 0, 0])
        #expect(quantized.relativeError < 1e-3)
        #expect(QuantizedWeights(Tensor([Float.nan], shape: [1, 1]), axis: 0) == nil)
    }

    /// A language model in small: rows of a table, a product, and the table again as the head.
    private static func tied(_ element: ElementType = .f32) throws -> Function {
        func noise(_ count: Int, _ seed: Int) -> [Float] { (0..<count).map { Float(($0 * $0 * 7919 + $0 * 104_729 + seed) % 10_007) / 10_007 - 0.5 } }
        var rewriter = Rewriter(Function("f"))
        func add(_ op: any Op, _ operands: [ValueID]) throws -> ValueID { try rewriter.create1(op, operands, at: .end(rewriter.function.body)) }
        let ids = rewriter.addArgument(.tensor(TensorType(.i64, [1, 3])), name: "ids")
        func stored(_ tensor: Tensor) -> Tensor { element == .f32 ? tensor : Tensor(element, tensor.shape, values: { tensor.doubles[$0] }) }
        let table = stored(Tensor(noise(20 * 64, 1), shape: [20, 64]))
        let rows = try add(Gather(axis: 0), [try add(Constant(table), []), ids])
        let hidden = try add(Unary(.tanh), [try add(MatMul(), [element == .f32 ? rows : try add(Cast(to: .f32), [rows]), try add(Constant(stored(Tensor(noise(64 * 64, 2), shape: [64, 64]))), [])])])
        rewriter.setResults([try add(MatMul(), [hidden, try add(Constant(table.transposed([1, 0])), [])])])
        return rewriter.function
    }

    @Test func weightsAlone() throws {
        let known = QuantizedWeightTable()
        let (function, error) = try Self.quantized([.quantizeWeights(sharing: known)])
        #expect(error > 1e-5 && error < 0.03, "\(error)")
        let constants = function.allNodes.compactMap { (function[$0].op as? Constant)?.value }, bytes = constants.filter { $0.element == .i8 }
        // The table is the head, so their bytes are the same; floats are scales alone.
        #expect(bytes.count == 3 && Set(bytes.map { ObjectIdentifier($0.stored.storage) }).count == 2)
        #expect(constants.allSatisfy { !$0.element.isFloat || $0.count <= 64 })
    }

    /// Of two entry points with the same weights, as floats of 32 and of 16 bits.
    @Test(arguments: [ElementType.f32, .f16]) func narrowWeightsLieOnce(_ element: ElementType) throws {
        let model = try Self.tied(element)
        for activations in [true, false] {
            let pass = Pass.mixedPrecision(activations: activations)
            let constants = try (0..<2).flatMap { _ -> [Tensor] in
                var function = model
                try PassManager().run([pass, .lowerNarrowFloats, .eliminateDeadCode], on: &function, PassContext())
                return function.allNodes.compactMap { (function[$0].op as? Constant)?.value }
            }
            // Without activations in 16 bits, weights that have 16 already are left as they are.
            #expect(constants.count == 6 && constants.allSatisfy { $0.element == (element == .f16 && !activations ? .f16 : .bf16) })
            #expect(Set(constants.map { ObjectIdentifier($0.stored.storage) }).count == 2)
        }
    }

    @Test(arguments: [false, true]) func weightsInBlocks(_ isFourBits: Bool) throws {
        let known = QuantizedWeightTable()
        let (function, error) = try Self.quantized((isFourBits ? [.quantizeBlocks(sharing: known)] : []) + [.quantizeByteBlocks(sharing: known)])
        #expect(error > 1e-5 && error < (isFourBits ? 0.1 : 0.01), "\(error)")
        let constants = function.allNodes.compactMap { (function[$0].op as? Constant)?.value }
        // The table is the head, so their bytes are the same, and those of their scales.
        for element in [ElementType.i8, .f16] {
            let own = constants.filter { $0.element == element }, others = element == .i8 ? (isFourBits ? 0 : 1) : isFourBits ? 2 : 1
            #expect(own.count == 2 + others && Set(own.map { ObjectIdentifier($0.stored.storage) }).count == 1 + others)
        }
        #expect(constants.filter { $0.element == .u8 }.count == (isFourBits ? 1 : 0) && constants.allSatisfy { $0.element != .f32 })
        #expect(function.allNodes.count { function[$0].op is BlockMatMul } == 2)
    }

    /// The small language model as passes leave it, and the relative L2 error of what it gives.
    private static func quantized(_ passes: [Pass]) throws -> (Function, Double) {
        let original = try Self.tied()
        var function = original
        try PassManager(PassManager.Options(verifiesEach: true)).run(passes + [.eliminateDeadCode], on: &function, PassContext(level: .o2))
        let ids = Tensor([3, 0, 19], shape: [1, 3])
        let right = try Interpreter.run(original, [ids])[0].doubles, found = try Interpreter.run(function, [ids])[0].doubles
        return (function, (zip(right, found).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } / right.reduce(0) { $0 + $1 * $1 }).squareRoot())
    }

    /// The weights that the codes stand for, as `BlockMatMul` reads them.
    private func weights(_ blocks: BlockWeights) throws -> Tensor {
        let depth = blocks.codes.shape[0] * 2, identity = Tensor(.f32, [depth, depth], values: { $0 % (depth + 1) == 0 ? 1 : 0 })
        let function = try Parser.parseFunction("""
            func @f(%x: f32[\(depth), \(depth)], %c: u8\(blocks.codes.shape), %s: f16\(blocks.scales.shape), %m: f16\(blocks.scales.shape)) {
                %0 = block_matmul(%x, %c, %s, %m, block: 32)
                return %0
            }
            """)
        return try Interpreter.run(function, [identity] + blocks.constants)[0]
    }

    /// No worse than grids that reach from end to end.
    @Test func blocksLoseLittle() throws {
        let source = Tensor((0..<64 * 5).map { Float(cos(Double($0 * $0)) * exp2(Double($0 % 7))) }, shape: [64, 5])
        let blocks = try #require(BlockWeights(source, .four))
        #expect(blocks.codes.shape == [32, 5] && blocks.scales.shape == [2, 5] && blocks.scales.element == .f16 && blocks.minimums?.shape == [2, 5])
        let (values, found) = (source.doubles, try weights(blocks).doubles)
        let lost = zip(values, found).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        var naive = 0.0
        for n in 0..<5 {
            for b in 0..<2 {
                let block = (0..<32).map { values[(b * 32 + $0) * 5 + n] }, low = block.min() ?? 0, step = ((block.max() ?? 0) - low) / 15
                naive += block.reduce(0) { $0 + pow($1 - low - (($1 - low) / step).rounded() * step, 2) }
            }
        }
        #expect(lost < naive && lost > naive / 4)
        let total = values.reduce(0) { $0 + $1 * $1 }
        #expect(abs(blocks.relativeError - lost / total) < 1e-5)
        #expect(BlockWeights(Tensor([Float](repeating: .infinity, count: 32), shape: [32, 1]), .four) == nil && BlockWeights(Tensor([1] as [Float], shape: [1, 1]), .four) == nil)
    }

    /// What lies on a grid stays as it is: of sixteen levels, of one, and of zeros.
    @Test func gridsStay() throws {
        let levels = (0..<32).map { Float($0 * 7 % 16) * 0.0625 - 0.4375 }, source = Tensor(levels + [Float](repeating: 0.25, count: 32) + [Float](repeating: 0, count: 32), shape: [96, 1])
        let blocks = try #require(BlockWeights(source, .four))
        #expect(blocks.relativeError == 0)
        #expect(try weights(blocks).doubles == source.doubles)
    }

    @Test func keepPatterns() {
        var options = QuantizationOptions()
        options.keep = ["/layer1/*", "*head"]
        #expect(options.keeps(["x", "/layer1/conv"]) && options.keeps(["my_head"]) && !options.keeps(["/layer2/conv", "header"]))
    }
}

/// Static quantisation of a small network with everything in it that CNNs have: a residual sum, a concat, pools, a gate.
extension StaticQuantization {
    /// Quantises the function that was observed.
    func pass() -> Pass { .quantizeStatic(options) { $0 = self; _ = $1 } }
}

@Suite struct StaticQuantizationTests {
    static let network = """
        func @net(%x: f32[1, 3, 12, 12], %w1: f32[8, 3, 3, 3], %w2: f32[8, 8, 3, 3], %w3: f32[8, 8, 1, 1], %w4: f32[16, 10]) {
          %p = pad(%x, before: [0, 0, 1, 1], after: [0, 0, 1, 1])
          %c1 = conv(%p, %w1, strides: [1, 1], dilations: [1, 1]) loc("first")
          %b = constant(value: f32[8, 1, 1](0.1, -0.2, 0.3, 0, 0, 0.5, -0.5, 0.2))
          %a1 = binary.add(%c1, %b)
          %r1 = activation.relu(%a1)
          %m = pool.max(%r1, window: [2, 2], strides: [2, 2], dilations: [1, 1], before: [0, 0], after: [0, 0])
          %p2 = pad(%m, before: [0, 0, 1, 1], after: [0, 0, 1, 1])
          %c2 = conv(%p2, %w2, strides: [1, 1], dilations: [1, 1]) loc("second")
          %c3 = conv(%m, %w3, strides: [1, 1], dilations: [1, 1]) loc("third")
          %sum = binary.add(%c2, %c3)
          %s = activation.silu(%sum)
          %both = concat(%s, %m, axis: 1)
          %mean = reduce.mean(%both, axes: [2, 3])
          %y = matmul(%mean, %w4) loc("head")
          return %y
        }
        """

    /// The network with constant weights.
    static func network(_ seed: UInt64) throws -> Function {
        var random = RandomNumbers(seed: seed)
        let open = try Parser.parseFunction(network)
        var rewriter = Rewriter(open)
        for argument in open.inputs.dropFirst() {
            guard let first = rewriter.function.nodes(in: open.body).first, let shape = open.tensorType(argument).shape.constants else { continue }
            let value = try rewriter.create1(Constant(random.tensor(shape)), [], at: .before(first))
            try rewriter.replaceUses(of: argument, with: value)
        }
        var function = rewriter.function
        // The unused arguments stay: inputs that nobody reads.
        function.name = "net"
        return function
    }

    private func calibrated(_ keep: [String] = []) throws -> (Function, StaticQuantization, [[Tensor]]) {
        let function = try Self.network(1)
        var options = QuantizationOptions()
        options.keep = keep
        var quantization = StaticQuantization(function, options: options)
        var random = RandomNumbers(seed: 2)
        let samples = (0..<8).map { _ in function.inputs.map { random.tensor(function.tensorType($0).shape.constants ?? []) } }
        for sample in samples { try quantization.observe(sample) }
        return (function, quantization, samples)
    }

    @Test func everyKernelComputesInInt8() throws {
        let (function, quantization, samples) = try calibrated()
        #expect(quantization.plan.nodes.count == 4)
        for exact in [false, true] {
            var quantized = function
            try PassManager(PassManager.Options(verifiesEach: true)).run([quantization.pass()] + Pipelines.quantized(exact: exact), on: &quantized, PassContext(level: .o3))
            for id in quantized.allNodes where quantized[id].op is Convolution || quantized[id].op is MatMul {
                #expect(quantized.tensorType(quantized[id].results[0]).element == .i32)
            }
            // Between the kernels there is nothing but u8: maximum pool, concat and pads move bytes.
            for id in quantized.allNodes where quantized.movedOperands(id) != nil {
                #expect(quantized.tensorType(quantized[id].results[0]).element == .u8, "\(quantized)")
            }
            for sample in samples {
                let (a, b) = (try Interpreter.run(function, sample)[0].doubles, try Interpreter.run(quantized, sample)[0].doubles)
                #expect(cosine(a, b) > 0.999)
            }
        }
    }

    @Test func foldingChangesAtMostRoundings() throws {
        let (function, quantization, samples) = try calibrated()
        func run(_ passes: [Pass]) throws -> [Double] {
            var quantized = function
            try PassManager().run([quantization.pass()] + passes, on: &quantized, PassContext(level: .o3))
            return try Interpreter.run(quantized, samples[0])[0].doubles
        }
        let (plain, exact, folded) = (try run([]), try run(Pipelines.quantized(exact: true)), try run(Pipelines.quantized()))
        let scale = plain.map(abs).max() ?? 0
        for (a, b) in zip(plain, exact) { #expect(abs(a - b) <= 1e-5 * scale) }
        for (a, b) in zip(plain, folded) { #expect(abs(a - b) <= 2e-2 * scale) }
    }

    /// Samples of nothing but zeros, or of numbers near the end of f32, say nothing about a scale that works.
    @Test func rangesThatEightBitsCannotCover() throws {
        let function = try Self.network(3), x = Tensor(.f32, [1, 3, 12, 12], values: { _ in 0 }), large = Tensor(.f32, [1, 3, 12, 12], values: { $0 % 2 == 0 ? 1e38 : -1e38 })
        for sample in [x, large] {
            var quantization = StaticQuantization(function)
            // The weights are constants; their inputs are read by nobody.
            try quantization.observe([sample] + function.inputs.dropFirst().map { Tensor(.f32, function.tensorType($0).shape.constants ?? [], values: { _ in 0 }) })
            #expect(quantization.parameters.count < quantization.plan.values.count && quantization.parameters.values.allSatisfy { $0.scale < 1e28 && $0.scale > 1e-33 })
        }
    }

    @Test func keptNodesStayInFloat() throws {
        let (function, quantization, _) = try calibrated(["sec*"])
        #expect(quantization.plan.nodes.count == 3)
        #expect(quantization.plan.kept.map(\.reason) == ["kept in fp32 by request"])
        var quantized = function
        try PassManager().run([quantization.pass()] + Pipelines.quantized(), on: &quantized, PassContext(level: .o3))
        let kept = quantized.allNodes.filter { quantized[$0].op is Convolution && quantized.tensorType(quantized[$0].results[0]).element == .f32 }
        #expect(kept.count == 1)
    }

    @Test func nothingObservedNothingQuantized() throws {
        let function = try Self.network(1)
        var quantized = function
        try PassManager().run([.quantizeStatic { _, _ in }] + Pipelines.quantized(), on: &quantized, PassContext(level: .o3))
        #expect(!quantized.allNodes.contains { quantized[$0].op is Quantize || quantized[$0].op is RoundSaturate })
    }
}

func cosine(_ a: [Double], _ b: [Double]) -> Double {
    let dot = zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
    let norms = (a.reduce(0) { $0 + $1 * $1 } * b.reduce(0) { $0 + $1 * $1 }).squareRoot()
    return norms == 0 ? 1 : dot / norms
}

/// Reproducible values, roughly normal.
struct RandomNumbers {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    mutating func next() -> Float {
        (0..<4).reduce(Float(0)) { sum, _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return sum + Float(state >> 40) / Float(1 << 24) - 0.5
        }
    }

    mutating func tensor(_ shape: [Int]) -> Tensor { Tensor((0..<shape.reduce(1, *)).map { _ in next() }, shape: shape) }
}

extension Histogram {
    fileprivate mutating func add(_ values: [Float]) { values.withUnsafeBufferPointer { add($0) } }
}
