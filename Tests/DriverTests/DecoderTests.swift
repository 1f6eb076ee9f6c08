import Foundation
import GlmcCodegen
import GlmcRuntime
import Testing

@testable import GlmcDriver

/// A LLaMA of two layers with random weights, compiled by the program, against the formulas written out in double precision.
@Suite struct DecoderTests {
    static let (width, heads, headWidth, inner, vocabulary, layers) = (8, 2, 4, 6, 7, 2)
    static let theta = 100.0, epsilon = 1e-5

    /// Its tensors, by name: rows of [out, in].
    struct Weights {
        var tensors: [(name: String, shape: [Int], values: [Float])] = []
        subscript(name: String) -> [Float] { tensors.first { $0.name == name }?.values ?? [] }

        init() {
            var state: UInt64 = 7
            func add(_ name: String, _ shape: Int...) {
                let values = (0..<shape.reduce(1, *)).map { _ -> Float in
                    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                    return Float(Int64(bitPattern: state) >> 40) / Float(1 << 23)
                }
                tensors.append((name + ".weight", shape, values))
            }
            let (width, inner, keys) = (DecoderTests.width, DecoderTests.inner, DecoderTests.headWidth)
            add("model.embed_tokens", DecoderTests.vocabulary, width)
            for layer in 0..<DecoderTests.layers {
                let name = "model.layers.\(layer)."
                add(name + "input_layernorm", width)
                for (part, rows) in [("q", width), ("k", keys), ("v", keys), ("o", width)] { add("\(name)self_attn.\(part)_proj", rows, width) }
                add(name + "post_attention_layernorm", width)
                add(name + "mlp.gate_proj", inner, width)
                add(name + "mlp.up_proj", inner, width)
                add(name + "mlp.down_proj", width, inner)
            }
            add("model.norm", width)
        }

        /// - Parameter window: of a mistral, how many tokens its layers see.
        func write(to folder: String, window: Int? = nil) throws {
            var end = 0, entries: [String] = [], bytes: [UInt8] = []
            for (name, shape, values) in tensors {
                entries.append("\"\(name)\":{\"dtype\":\"F32\",\"shape\":\(shape),\"data_offsets\":[\(end),\(end + values.count * 4)]}")
                end += values.count * 4
                values.withUnsafeBytes { bytes += $0 }
            }
            try Data(TinyBert.file(header: "{\(entries.joined(separator: ","))}", body: bytes)).write(to: URL(filePath: folder + "/model.safetensors"))
            let config = """
                {"model_type": "\(window == nil ? "llama" : "mistral")", \(window.map { "\"sliding_window\": \($0), " } ?? "")"vocab_size": \(DecoderTests.vocabulary), "hidden_size": \(DecoderTests.width), "num_hidden_layers": \(DecoderTests.layers),
                 "num_attention_heads": \(DecoderTests.heads), "num_key_value_heads": 1, "intermediate_size": \(DecoderTests.inner), "hidden_act": "silu",
                 "max_position_embeddings": \(window == nil ? 64 : 512), "rms_norm_eps": \(DecoderTests.epsilon), "rope_theta": \(DecoderTests.theta), "tie_word_embeddings": true}
                """
            try Data(config.utf8).write(to: URL(filePath: folder + "/config.json"))
        }
    }

    /// Logits behind every token (Touvron et al. 2023; rotary positions of Su et al. 2021 in halves); with a window, every token sees so many up to itself.
    static func logits(_ w: Weights, _ tokens: [Int], window: Int = .max) -> [[Double]] {
        func product(_ name: String, _ x: [Double]) -> [Double] {
            let values = w[name + ".weight"]
            return (0..<values.count / x.count).map { row in x.indices.reduce(0) { $0 + Double(values[row * x.count + $1]) * x[$1] } }
        }
        func norm(_ name: String, _ x: [Double]) -> [Double] {
            let values = w[name + ".weight"], mean = x.reduce(0) { $0 + $1 * $1 } / Double(x.count)
            return x.indices.map { x[$0] / (mean + epsilon).squareRoot() * Double(values[$0]) }
        }
        func rotate(_ x: [Double], _ position: Int) -> [Double] {
            let half = headWidth / 2
            return x.indices.map { i in
                let angle = Double(position) / pow(theta, 2 * Double(i % half) / Double(headWidth))
                return x[i] * cos(angle) + (i < half ? -x[i + half] : x[i - half]) * sin(angle)
            }
        }
        let table = w["model.embed_tokens.weight"]
        var states = tokens.map { token in (0..<width).map { Double(table[token * width + $0]) } }
        for layer in 0..<layers {
            let name = "model.layers.\(layer)."
            let inputs = states.map { norm(name + "input_layernorm", $0) }
            let keys = inputs.enumerated().map { rotate(product(name + "self_attn.k_proj", $1), $0) }, values = inputs.map { product(name + "self_attn.v_proj", $0) }
            for (i, input) in inputs.enumerated() {
                let queries = product(name + "self_attn.q_proj", input)
                var mixed: [Double] = []
                for head in 0..<heads {
                    let q = rotate(Array(queries[head * headWidth..<(head + 1) * headWidth]), i)
                    let seen = max(0, i &- window &+ 1)...i
                    let weights = seen.map { j in exp(zip(q, keys[j]).reduce(0) { $0 + $1.0 * $1.1 } / Double(headWidth).squareRoot()) }
                    let sum = weights.reduce(0, +)
                    mixed += (0..<headWidth).map { c in zip(seen, weights).reduce(0) { $0 + $1.1 / sum * values[$1.0][c] } }
                }
                states[i] = zip(states[i], product(name + "self_attn.o_proj", mixed)).map { $0 + $1 }
            }
            for i in states.indices {
                let x = norm(name + "post_attention_layernorm", states[i])
                let inner = zip(product(name + "mlp.gate_proj", x), product(name + "mlp.up_proj", x)).map { $0 / (1 + exp(-$0)) * $1 }
                states[i] = zip(states[i], product(name + "mlp.down_proj", inner)).map { $0 + $1 }
            }
        }
        return states.map { product("model.embed_tokens", norm("model.norm", $0)) }
    }

    static func buffer(_ tokens: [Int]) throws -> TensorBuffer {
        try tokens.map { Int64($0) }.withUnsafeBytes { try TensorBuffer(type: .i64, shape: [1, tokens.count], bytes: $0) }
    }

    static func floats(_ buffer: TensorBuffer?) throws -> [Double] {
        try #require(buffer).withUnsafeBytes { $0.bindMemory(to: Float.self).map(Double.init) }
    }

    static func expectClose(_ a: [Double], _ b: [Double], _ what: String, within limit: Double = 1e-5) {
        #expect(a.count == b.count && zip(a, b).allSatisfy { abs($0 - $1) <= limit * max(1, abs($1)) }, "\(what): \(a) instead of \(b)")
    }

    /// What is said of a layer is said once, though three entry points have it.
    @Test func explainsAllEntryPoints() throws {
        let folder = try TemporaryFolder()
        try FileManager.default.createDirectory(atPath: folder.file("llama"), withIntermediateDirectories: true)
        try Weights().write(to: folder.file("llama"))
        let done = try GlmcProgram.run(["explain", folder.file("llama"), "-O3", "--fp16"])
        try #require(done.status == 0, "\(done.errors)")
        #expect(done.errors.matches(of: /fp16: \d+ of \d+ layers/).count == 1, "\(done.errors)")
        let products = done.output.split(separator: "\n").filter { $0.contains("computes in f16") }
        #expect(!products.isEmpty && Set(products).count == products.count, "\(done.output)")
        let usage = try GlmcProgram.run(["explain", folder.file("llama"), "--task=fill-mask"])
        #expect(usage.status == 2 && usage.errors.contains("--task means nothing"), "\(usage.errors)")
    }

    /// A key or value in bf16 is off by 2^-9 of itself at most.
    @Test(arguments: [("-O0", "f32", 1e-5), ("-O3", "f32", 1e-5), ("-O3", "bf16", 0.03)]) func agreesWithTheFormulas(level: String, cache: String, limit: Double) throws {
        let folder = try TemporaryFolder(), weights = Weights(), tokens = [3, 1, 6, 0, 2, 2, 5]
        try FileManager.default.createDirectory(atPath: folder.file("llama"), withIntermediateDirectories: true)
        try weights.write(to: folder.file("llama"))
        let done = try GlmcProgram.run(["compile", folder.file("llama"), "-o", folder.file("m.so"), level, "--context=7", "--kv=\(cache)", "--cflag=-O1", "--no-cache"])
        try #require(done.status == 0, "\(done.errors)")
        let expected = Self.logits(weights, tokens)
        let artifact = try Artifact(path: folder.file("m.so"))
        #expect(artifact.entryPoints.map(\.name) == ["score", "prefill", "decode", "verify"])
        let session = try Session(artifact, threads: 2)
        Self.expectClose(try Self.floats(try session.run(["tokens": try Self.buffer(tokens)], entryPoint: "score")["logits"]), expected.flatMap { $0 }, "score")

        // Through a cache that holds rubbish at first: in one piece, in pieces of 3, the last four token by token, and with the scores behind every token of a piece.
        for pieces in [[("prefill", 7)], [("prefill", 3), ("prefill", 3), ("prefill", 1)], [("prefill", 3)] + [Int](1...4).map { _ in ("decode", 1) }, [("verify", 4), ("decode", 1), ("verify", 2)]] {
            var states: [String: TensorBuffer] = [:], past = 0
            for info in artifact.entryPoints[1].inputs where info.state != nil {
                let shape = info.shape.compactMap { $0 }
                #expect("\(info.type)" == cache)
                // All bits set is no number in either type.
                let rubbish = [UInt8](repeating: 0xff, count: shape.reduce(cache == "f32" ? 4 : 2, *))
                states[info.name] = try rubbish.withUnsafeBytes { try TensorBuffer(type: info.type, shape: shape, bytes: $0) }
            }
            for (entry, count) in pieces {
                var inputs = states
                inputs["tokens"] = try Self.buffer(Array(tokens[past..<past + count]))
                inputs["past"] = try withUnsafeBytes(of: Int64(past)) { try TensorBuffer(type: .i64, shape: [], bytes: $0) }
                var outputs = try session.run(inputs, entryPoint: entry)
                past += count
                let rows = entry == "verify" ? count : 1
                Self.expectClose(try Self.floats(outputs.removeValue(forKey: "logits")), expected[past - rows..<past].flatMap { $0 }, "behind \(past) tokens in pieces \(pieces)", within: limit)
                states = outputs
            }
            // The context is full.
            var inputs = states
            inputs["tokens"] = try Self.buffer([1])
            inputs["past"] = try withUnsafeBytes(of: Int64(past)) { try TensorBuffer(type: .i64, shape: [], bytes: $0) }
            #expect(throws: RuntimeError.self) { try session.run(inputs, entryPoint: "decode") }
        }
    }
}
