import Foundation
import GlmcIR

/// Compiled kernel files by content: the key covers text, compiler and flags, so an entry never goes stale.
struct ObjectCache: Sendable {
    /// nil: nothing is cached.
    let folder: String?

    /// Puts the object for `key` at `path`, compiling it with `compile` only when it is not cached.
    /// - Returns: whether it was cached.
    func object(_ key: String, at path: String, compile: (String) throws -> Void) throws -> Bool {
        guard let folder else {
            try compile(path)
            return false
        }
        let entry = "\(folder)/\(key.prefix(2))/\(key).o"
        if (try? FileManager.default.copyItem(atPath: entry, toPath: path)) != nil { return true }
        try compile(path)
        // A cache that cannot be written slows things down but breaks nothing.
        try? FileManager.default.createDirectory(atPath: (entry as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        let temporary = "\(entry).\(ProcessInfo.processInfo.processIdentifier).tmp"
        if (try? FileManager.default.copyItem(atPath: path, toPath: temporary)) != nil, rename(temporary, entry) != 0 { unlink(temporary) }
        return false
    }
}
