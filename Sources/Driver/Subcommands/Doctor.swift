import Foundation
import GlmcCodegen
import GlmcFrontend
import GlmcIR

extension Subcommand {
    static let doctor = Subcommand(
        "doctor", "[--json]", summary: "check what this machine offers: compilers, processor, cache", positionals: 0...0, flags: [Flag("json", "print JSON")]
    ) { arguments, console in
        let compilers = Toolchain.available, native = Target.native
        var cache: ObjectCache?
        do { cache = try ObjectCache.openDefault() } catch { console.warning("\(error)") }
        let nvcc = Toolchain.locate("nvcc")
        if arguments.has("json") {
            console.print(JSONValue.object([
                "glmc": .string(Glmc.version),
                "compilers": .array(compilers.map { .object(["path": .string($0.path), "version": .string($0.version)]) }),
                "nvcc": nvcc.map { .string($0) } ?? .null,
                "target": .string(native.name), "cpu_features": .array(native.features.map { .string($0) }),
                "processors": .int(Int64(ProcessInfo.processInfo.activeProcessorCount)),
                "cache": cache.map { .string($0.path) } ?? .null, "cache_bytes": .int(Int64(cache?.byteCount ?? 0)),
            ]).text(pretty: true))
        } else {
            var rows = [["glmc", Glmc.version]]
            rows += compilers.map { ["C compiler", "\($0.path)  (\($0.version))"] }
            if compilers.isEmpty { rows.append(["C compiler", "none: install gcc or clang"]) }
            rows.append(["CUDA compiler", nvcc ?? "none (needed only to compile .cu files)"])
            rows.append(["-march=native", "\(native.name)\(native.features.isEmpty ? "" : ": \(native.features.joined(separator: " "))")"])
            rows.append(["processors", "\(ProcessInfo.processInfo.activeProcessorCount)"])
            rows.append(["kernel cache", cache.map { "\($0.path)  (\(bytesText($0.byteCount)))" } ?? "none"])
            console.print(columns(rows))
        }
        return compilers.isEmpty ? .invalid : .done
    }
}
