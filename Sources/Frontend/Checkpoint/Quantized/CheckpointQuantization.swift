import GlmcIR

/// How the matrices of linear layers lie in a quantised checkpoint: what `quantization_config` in config.json says. The tensors themselves decide which layers
/// are quantised, and in groups of what size, so layers that a checkpoint treats apart need no word here.
struct CheckpointQuantization: Sendable {
    /// `quant_method`.
    enum Method: String, CaseIterable, Sendable {
        case gptq, awq
        case compressedTensors = "compressed-tensors"
    }

    let method: Method
    /// What is added to the zeros that GPTQ's first format stores.
    private(set) var zeroOffset = 0

    /// nil where the configuration names none.
    /// - Throws: `Diagnostic` for methods and packings that are not understood.
    init?(_ config: JSONValue) throws {
        guard let object = config["quantization_config"] ?? config["text_config"]?["quantization_config"], object != .null else { return nil }
        var c = try ConfigReader(object, at: ["config.json", "'quantization_config'"])
        method = try c.choice("quant_method", Dictionary(uniqueKeysWithValues: Method.allCases.map { ($0.rawValue, $0) }))
        switch method {
        case .gptq:
            let format = try c.optionalText("checkpoint_format") ?? "gptq"
            guard ["gptq", "gptq_v2"].contains(format) else { throw c.bad("checkpoint_format", "'gptq' or 'gptq_v2'", .string(format)) }
            zeroOffset = format == "gptq" ? 1 : 0
        case .awq:
            let version = try c.optionalText("version") ?? "gemm"
            guard version.lowercased() == "gemm" else { throw c.bad("version", "'gemm'", .string(version)) }
        case .compressedTensors:
            let known = ["pack-quantized", "int-quantized", "naive-quantized"]
            guard let format = try c.optionalText("format"), known.contains(format) else {
                throw Diagnostic(.unsupported, "the format is not supported", at: c.place, hint: "supported: \(known.joined(separator: ", "))")
            }
            for key in ["kv_cache_scheme", "sparsity_config", "transform_config"] {
                guard let value = c.value(key), value != .object([]), value["format"]?.string != "dense" else { continue }
                throw Diagnostic(.unsupported, "may change the result and is not understood", at: c.place + ["'\(key)'"])
            }
        }
    }

    /// The matrix of the layer `name`, which maps `from` elements to `to`; nil where the layer is not quantised.
    /// - Throws: `Diagnostic` that names the tensor that is missing or is not as the format says.
    func matrix(_ name: String, from: Int, to: Int, in tensors: [String: SafetensorsTensor]) throws -> CheckpointMatrix? {
        let parts = MatrixParts(name: name, from: from, to: to, tensors: tensors)
        return switch method {
        case .gptq: try parts.gptq(zeroOffset: zeroOffset)
        case .awq: try parts.awq()
        case .compressedTensors: try parts.compressed()
        }
    }
}

/// A matrix [from, to] as a quantised checkpoint holds it.
struct CheckpointMatrix: Sendable {
    enum Weights: Sendable {
        /// The constants of `BlockMatMul`.
        case blocks(codes: Tensor, scales: Tensor, minimums: Tensor?, size: Int, bits: Int)
        /// i8 [from, to] and a scale per column.
        case bytes(Tensor, scales: Tensor)
    }

    var weights: Weights
    /// Which element of the input each row meets, where they are not in order.
    var order: [Int]?
    /// Names of the tensors that it is made of.
    var tensors: [String]
}
