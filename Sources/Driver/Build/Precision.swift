import GlmcCodegen
import GlmcIR
import GlmcPasses

/// `--bf16` and `--fp16`: 16-bit floats for weights and, where the target multiplies them, for activations.
struct MixedPrecision: Sendable {
    /// As users say it.
    var name: String
    var element: ElementType
    var options = QuantizationOptions()

    private static let elements: [(name: String, element: ElementType)] = [("bf16", .bf16), ("fp16", .f16)]

    static let flags: [Flag] = [
        Flag("bf16", "compute on bf16 with fp32 sums where the processor can, elsewhere store the weights so; errors grow to about 1e-2"),
        Flag("fp16", "store the weights as fp16 and compute in fp32: half the size, errors of about 1e-3"),
        Flag("keep", .value("GLOB"), repeated: true, "nodes that stay in fp32 under --int8, --int4, --bf16 or --fp16, by name"),
    ]

    /// nil without one of the flags.
    init?(_ arguments: Arguments) throws(Diagnostic) {
        let asked = MixedPrecision.elements.filter { arguments.has($0.name) }
        guard asked.count < 2 else { throw arguments.misuse("--bf16 and --fp16 exclude each other") }
        guard let choice = asked.first else {
            guard !arguments.has("keep") || arguments.has("int8") || arguments.has("int4") else { throw arguments.misuse("--keep means nothing without --int8, --int4, --bf16 or --fp16") }
            return nil
        }
        (name, element) = choice
        options.keep = arguments.all("keep")
    }

    /// Activations are rounded only where that makes products faster.
    func pass(for target: Target) -> Pass { .mixedPrecision(to: element, activations: target.dots.contains(element), options: options) }
}

extension Compilation {
    /// Says how much computes in less than fp32, and what stays in fp32 and why.
    func reportPrecision(_ reports: [PassManager.PassReport]) {
        let narrow = mixedPrecision?.name ?? ""
        let kinds = [
            ("quantize-static", "int8", "compute in int8"), ("quantize-dynamic", "int8", "compute in int8"), ("quantize-blocks", "int4", "have weights in int4"),
            ("quantize-byte-blocks", "int8", "have weights in int8"), ("quantize-weights", "int8", "have weights in int8"),
            ("quantize-block-activations", "int8", "compute in integers"), ("mixed-precision", narrow, "compute in \(narrow)"),
        ]
        for (pass, name, what) in kinds {
            let remarks = reports.filter { $0.name == pass }.flatMap(\.remarks)
            guard !remarks.isEmpty else { continue }
            let kept = remarks.filter(\.missed), done = remarks.count - kept.count
            var reasons: [String: Int] = [:]
            for remark in kept { reasons[remark.message, default: 0] += 1 }
            console.note("\(name): \(done) of \(remarks.count) layers \(what)")
            for (reason, count) in reasons.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }) { console.warning("\(count) \(count == 1 ? "layer" : "layers"): \(reason)") }
            for remark in remarks { console.detail("  \(remark.missed ? "fp32" : name)  \(remark.op) \(remark.provenance.first ?? ""): \(remark.message)") }
        }
    }
}
