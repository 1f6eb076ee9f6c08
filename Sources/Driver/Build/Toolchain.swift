import Foundation
import GlmcIR

/// A C compiler of this machine.
struct Toolchain: Hashable, Sendable {
    enum Kind: String, Sendable { case gcc, clang }

    let path: String
    let kind: Kind
    /// First line of `--version`: part of what decides whether a cached object can be used again.
    let version: String

    /// The compiler named on the command line or in `CC`, else the first of gcc, clang and cc that works.
    /// - Throws: when the named one, or all of them, cannot be run.
    static func find(named name: String?) throws(Diagnostic) -> Toolchain {
        let wanted = name ?? ProcessInfo.processInfo.environment["CC"].flatMap { $0.isEmpty ? nil : $0 }
        if let wanted {
            guard let found = probe(wanted) else {
                throw Diagnostic(.invalid, "the C compiler '\(wanted)' cannot be run", hint: name == nil ? "the environment variable CC names it" : "glmc doctor lists those that are here")
            }
            return found
        }
        guard let found = available.first else { throw Diagnostic(.invalid, "there is no C compiler on this machine", hint: "install gcc or clang (apt install gcc), or name one with --cc") }
        return found
    }

    /// Every compiler found under its usual name, best first.
    static var available: [Toolchain] { ["gcc", "clang", "cc"].compactMap(probe) }

    /// A clang, for targets that only it can cross-compile to.
    static var clang: Toolchain? { probe("clang") }

    private static func probe(_ name: String) -> Toolchain? {
        guard let path = search(name), let result = try? ChildProcess.run([path, "--version"], limit: 20), result.succeeded,
            let line = result.output.split(separator: "\n").first.map(String.init)
        else { return nil }
        return Toolchain(path: path, kind: line.contains("clang") ? .clang : .gcc, version: line)
    }

    /// The absolute path of a program, as the shell would find it.
    static func search(_ name: String) -> String? {
        if name.contains("/") { return access(name, X_OK) == 0 ? name : nil }
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin").split(separator: ":")
        return folders.lazy.map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 && !FileManager.default.isFolder($0) }
    }
}
