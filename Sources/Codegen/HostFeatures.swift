import Foundation

/// The CPU features of this machine, under the names that `Target.features` uses.
enum HostFeatures {
    static let current: Set<String> = {
        let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        for line in text.split(separator: "\n") where line.hasPrefix("flags") || line.hasPrefix("Features") {
            var names = Set(line.split(separator: ":").last?.split(separator: " ").map(String.init) ?? [])
            for name in ["vnni", "bf16"] where names.contains("avx512_" + name) { names.insert("avx512" + name) }
            if names.contains("asimd") { names.insert("neon") }
            if names.contains("asimddp") { names.insert("dotprod") }
            return names
        }
        return []
    }()

    static var family: Target.Family {
        #if arch(x86_64)
        .x86
        #elseif arch(arm64)
        .arm
        #else
        .portable
        #endif
    }
}
