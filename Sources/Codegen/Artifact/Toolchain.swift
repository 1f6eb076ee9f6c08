import Foundation
import GlmcIR

/// A C compiler found on this machine.
public struct Toolchain: Sendable {
    public let path: String
    /// The first line of `--version`.
    public let version: String
    public var isClang: Bool { version.contains("clang") }

    /// Compilers in the order in which they are tried for a target.
    static func candidates(for target: Target) -> [String] {
        target.triple != nil && target.family != HostFeatures.family ? ["aarch64-linux-gnu-gcc", "clang"] : ["gcc", "clang", "cc"]
    }

    /// Finds `requested` (a name or path), or the best compiler for `target`.
    /// - Throws: `Diagnostic` where there is none.
    public static func find(_ requested: String? = nil, for target: Target) throws -> Toolchain {
        let names = requested.map { [$0] } ?? candidates(for: target)
        for name in names {
            guard let path = locate(name), let version = try? ChildProcess.run([path, "--version"], limit: 20).output.split(separator: "\n").first else { continue }
            return Toolchain(path: path, version: String(version))
        }
        throw Diagnostic(.usage, "no C compiler: \(names.joined(separator: ", ")) \(names.count == 1 ? "is" : "are") not on the PATH", hint: "install gcc or clang, or name one with --cc")
    }

    /// The path of a program, as the shell would find it.
    public static func locate(_ name: String) -> String? {
        if name.contains("/") { return FileManager.default.isExecutableFile(atPath: name) ? name : nil }
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin").split(separator: ":")
        return folders.map { "\($0)/\(name)" }.first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// The compilers for this machine that are found under their usual names, best first.
    public static var available: [Toolchain] { candidates(for: .native).compactMap { try? find($0, for: .native) } }

    /// Flags for the instruction set; clang needs the triple when it compiles for another machine.
    func targetFlags(_ target: Target) -> [String] {
        // clang warns where it does not vectorise a loop that could be; that is advice, not a defect of the code.
        let warnings = isClang ? ["-Wno-pass-failed"] : []
        guard let triple = target.triple, target.family != HostFeatures.family else { return warnings }
        return isClang ? warnings + ["--target=\(triple)", "-isystem", "/usr/\(triple)/include"] : []
    }

    /// Flags for linking; clang needs a linker that knows the other machine.
    func linkFlags(_ target: Target) -> [String] {
        guard isClang, let triple = target.triple, target.family != HostFeatures.family else { return [] }
        return ["--target=\(triple)", "-fuse-ld=lld", "-L/usr/\(triple)/lib"]
    }

    /// What emitted C means: GNU C11 whose integers wrap, and whose products and sums of floats are rounded one by one (`-ffp-contract=off`); a fused
    /// multiply-add is written where it is meant.
    static let languageFlags = ["-std=gnu11", "-fwrapv", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off", "-fopenmp-simd"]

    static let commonFlags = languageFlags + [
        "-fPIC", "-fvisibility=hidden", "-ffunction-sections",
        "-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-Wall", "-Wextra", "-Wno-unknown-pragmas",
        "-Werror=int-conversion", "-Werror=incompatible-pointer-types", "-Werror=implicit-function-declaration",
    ]
}
