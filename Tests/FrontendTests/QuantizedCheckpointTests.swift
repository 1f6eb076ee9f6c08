import GlmcIR
import Testing

@testable import GlmcFrontend

/// Matrices of quantised checkpoints, packed here as the formats say, against code, zero and scale as they were before.
@Suite struct QuantizedCheckpointTests {
    /// Codes [from, to], zeros and scales [groups, to], of a layer.
    private struct Layer {
        var bits = 4
        let from = 32
        let to = 16
        var size: Int { bits == 2 ? 16 : 8 }
        var groups: Int { from / size }
        var perWord: Int { 32 / bits }
        func code(_ k: Int, _ n: Int) -> Int { (k * 7 + n * 5 + k * n) % (1 << bits) }
        func zero(_ g: Int, _ n: Int) -> Int { 1 + (g * 3 + n) % (1 << bits - 1) }
        /// Multiples of a power of two, which f16 holds.
        func scale(_ g: Int, _ n: Int) -> Double { Double(1 + (g * 5 + n) % 9) / 64 }
        /// The group of each row where they are not in order.
        func shuffled(_ k: Int) -> Int { (k * 5 + k / 8) % groups }
    }

    private func tensor(_ element: SafetensorsElement, _ shape: [Int], _ values: Tensor) -> SafetensorsTensor {
        SafetensorsTensor(element: element, shape: shape, bytes: ByteSpan(Array(values.bytes)))
    }

    /// Words whose `i`-th `bits` bits are `code(word, i)`.
    private func words(_ shape: [Int], bits: Int = 4, _ code: (_ row: Int, _ column: Int, _ i: Int) -> Int) -> SafetensorsTensor {
        let values = Tensor(.u32, shape, integers: { place in (0..<32 / bits).reduce(0) { $0 | code(place / shape[1], place % shape[1], $1) << (bits * $1) } })
        return tensor(.i32, shape, values)
    }

    private func scales(_ shape: [Int], _ value: (Int, Int) -> Double) -> SafetensorsTensor {
        tensor(.f16, shape, Tensor(.f16, shape, values: { value($0 / shape[1], $0 % shape[1]) }))
    }

    /// What the layer makes of the rows of the identity: its weights [from, to].
    private func weights(_ config: JSONValue, _ tensors: [String: SafetensorsTensor]) throws -> [Double] {
        let layer = Layer(), quantization = try #require(try CheckpointQuantization(["quantization_config": config]))
        let matrix = try #require(try quantization.matrix("m", from: layer.from, to: layer.to, in: tensors))
        #expect(Set(matrix.tensors).isSuperset(of: tensors.keys))
        struct Graph: GraphBuilding {
            var rewriter = Rewriter(Function("f"))
            var block: BlockID { rewriter.function.body }
            var provenance: [String] = []
        }
        var graph = Graph()
        let x = graph.rewriter.addArgument(.tensor(TensorType(.f32, [Extent(layer.from), Extent(layer.from)])), name: "x")
        graph.rewriter.setResults([try graph.product(x, matrix)])
        let identity = Tensor(.f32, [layer.from, layer.from], values: { $0 % (layer.from + 1) == 0 ? 1 : 0 })
        return try Interpreter.run(graph.rewriter.function, [identity])[0].doubles
    }

    private func expected(_ layer: Layer = Layer(), group: ((Int) -> Int)? = nil, zero: ((Int, Int) -> Int)? = nil) -> [Double] {
        let group = group ?? { $0 / layer.size }, zero = zero ?? layer.zero
        return (0..<layer.from * layer.to).map { i in
            let (k, n) = (i / layer.to, i % layer.to)
            return layer.scale(group(k), n) * Double(layer.code(k, n) - zero(group(k), n))
        }
    }

    @Test(arguments: [2, 4, 8], [(false, "gptq"), (true, "gptq"), (false, "gptq_v2")]) func gptq(bits: Int, form: (isShuffled: Bool, format: String)) throws {
        let layer = Layer(bits: bits), perWord = layer.perWord, group = form.isShuffled ? layer.shuffled : { $0 / layer.size }, format = form.format, moved = format == "gptq" ? 1 : 0
        let tensors = [
            "m.qweight": words([32 / perWord, 16], bits: bits) { row, n, i in layer.code(row * perWord + i, n) },
            "m.qzeros": words([layer.groups, 16 / perWord], bits: bits) { g, word, i in layer.zero(g, word * perWord + i) - moved }, "m.scales": scales([layer.groups, 16], layer.scale), "m.g_idx": tensor(.i32, [32], Tensor(.i32, [32], integers: { group($0) })),
        ]
        #expect(try weights(["quant_method": "gptq", "checkpoint_format": .string(format)], tensors) == expected(layer, group: group))
    }

    @Test func awq() throws {
        let layer = Layer(), order = [0, 2, 4, 6, 1, 3, 5, 7]
        let tensors = [
            "m.qweight": words([32, 2]) { k, word, i in layer.code(k, word * 8 + order[i]) }, "m.qzeros": words([4, 2]) { g, word, i in layer.zero(g, word * 8 + order[i]) },
            "m.scales": scales([4, 16], layer.scale),
        ]
        #expect(try weights(["quant_method": "awq", "version": "gemm"], tensors) == expected())
    }

    @Test(arguments: [2, 4, 8], [false, true]) func packedRows(bits: Int, hasZeros: Bool) throws {
        let layer = Layer(bits: bits), perWord = layer.perWord, groups = layer.groups
        var tensors = [
            "m.weight_packed": words([16, 32 / perWord], bits: bits) { n, word, i in layer.code(word * perWord + i, n) }, "m.weight_scale": scales([16, groups]) { layer.scale($1, $0) },
            "m.weight_shape": tensor(.i64, [2], Tensor([16, 32])),
        ]
        if hasZeros { tensors["m.weight_zero_point"] = words([16 / perWord, groups], bits: bits) { word, g, i in layer.zero(g, word * perWord + i) } }
        #expect(try weights(["quant_method": "compressed-tensors", "format": "pack-quantized"], tensors) == expected(layer, zero: hasZeros ? nil : { _, _ in 1 << (bits - 1) }))
    }

    @Test(arguments: [false, true]) func bytesInGroups(hasZeros: Bool) throws {
        let layer = Layer()
        var tensors = ["m.weight": tensor(.i8, [16, 32], Tensor(.i8, [16, 32], integers: { layer.code($0 % 32, $0 / 32) })), "m.weight_scale": scales([16, 4]) { layer.scale($1, $0) }]
        if hasZeros { tensors["m.weight_zero_point"] = tensor(.i8, [16, 4], Tensor(.i8, [16, 4], integers: { layer.zero($0 % 4, $0 / 4) })) }
        #expect(try weights(["quant_method": "compressed-tensors", "format": "int-quantized"], tensors) == expected(zero: hasZeros ? nil : { _, _ in 0 }))
    }

    @Test func bytes() throws {
        let layer = Layer()
        let tensors = [
            "m.weight": tensor(.i8, [16, 32], Tensor(.i8, [16, 32], integers: { layer.code($0 % 32, $0 / 32) - 8 })), "m.weight_scale": scales([16, 1]) { n, _ in layer.scale(0, n) },
        ]
        #expect(try weights(["quant_method": "compressed-tensors", "format": "int-quantized"], tensors) == expected(group: { _ in 0 }, zero: { _, _ in 8 }))
    }

    /// What is missing, of another shape or type, or not understood is named.
    @Test func refusals() throws {
        let layer = Layer()
        let good = [
            "m.qweight": words([4, 16]) { row, n, i in layer.code(row * 8 + i, n) }, "m.qzeros": words([4, 2]) { g, word, i in layer.zero(g, word * 8 + i) - 1 },
            "m.scales": scales([4, 16], layer.scale), "m.g_idx": tensor(.i32, [32], Tensor(.i32, [32], integers: { $0 / 8 })),
        ]
        func reason(_ config: JSONValue, _ change: [String: SafetensorsTensor?] = [:]) -> String {
            var tensors = good
            for (name, tensor) in change { tensors[name] = tensor }
            do {
                _ = try weights(config, tensors)
                return "accepted"
            } catch { return "\(error)" }
        }
        let gptq: JSONValue = ["quant_method": "gptq"]
        #expect(reason(gptq) == "accepted")
        #expect(reason(gptq, ["m.qzeros": nil]).contains("tensor 'm.qzeros': is missing"))
        #expect(reason(gptq, ["m.scales": scales([3, 16], layer.scale)]).contains("3 groups of 32 rows"))
        #expect(reason(gptq, ["m.scales": scales([4, 8], layer.scale)]).contains("tensor 'm.scales': has shape [4, 8]"))
        #expect(reason(gptq, ["m.qweight": words([3, 16]) { _, _, _ in 0 }]).contains("only 2, 4, 8 bits"))
        #expect(reason(gptq, ["m.g_idx": tensor(.i32, [32], Tensor(.i32, [32], integers: { $0 / 4 }))]).contains("names a group beyond 4"))
        #expect(reason(gptq, ["m.g_idx": tensor(.i32, [32], Tensor(.i32, [32], integers: { min($0, 3) }))]).contains("unequal length"))
        #expect(reason(gptq, ["m.qzeros": tensor(.f32, [4, 2], Tensor(.f32, [4, 2], values: { _ in 0 }))]).contains("is F32, not I32"))
        #expect(reason(["quant_method": "bitsandbytes"]).contains("'bitsandbytes' is not supported"))
        #expect(reason(["quant_method": "awq", "version": "gemv"]).contains("'gemm'"))
        #expect(reason(["quant_method": "compressed-tensors", "format": "float-quantized"]).contains("the format is not supported"))
        #expect(reason(["quant_method": "compressed-tensors", "format": "pack-quantized", "kv_cache_scheme": ["num_bits": 8]]).contains("'kv_cache_scheme'"))
    }
}
