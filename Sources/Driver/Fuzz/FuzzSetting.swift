import GlmcCodegen
import GlmcFuzz
import GlmcIR

/// One way to compile random graphs.
struct FuzzSetting: Hashable {
    var level: Int
    var target: String
    var isDynamic: Bool
    var precision: Expectation.Precision

    /// The flags of `glmc compile`, and `--dynamic`.
    var flags: [String] {
        ["-O\(level)", "-march=\(target)"] + (isDynamic ? ["--dynamic"] : []) + (precision == .full ? [] : ["--\(precision.rawValue)"])
    }

    /// Settings in turn: levels change fastest, so that any few rounds hold all levels; then open sizes, types, targets.
    /// - Parameter precisions: the types to compute products in; `.full` is among them for comparison.
    static func rotation(_ precisions: [Expectation.Precision], targets: [String]) -> [FuzzSetting] {
        var settings: [FuzzSetting] = []
        for target in targets {
            for precision in precisions {
                for isDynamic in [false, true] {
                    for level in [3, 2, 0, 1] { settings.append(FuzzSetting(level: level, target: target, isDynamic: isDynamic, precision: precision)) }
                }
            }
        }
        return settings
    }

    /// The targets whose code this machine runs, the best first.
    static var targets: [String] {
        let native = Target.native
        guard native.family == .x86 else { return native == .scalar ? ["scalar"] : [native.name, "scalar"] }
        let rows = ["scalar", "avx2", "avx512", "avx512vnni", "avx512bf16"]
        return rows.prefix((rows.firstIndex(of: native.name) ?? 0) + 1).reversed()
    }
}
