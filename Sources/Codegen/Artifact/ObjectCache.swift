import Foundation
import GlmcIR

/// Compiled kernel files by content: the key covers text, compiler and flags, so an entry never goes stale.
///
/// Several compilations may use one folder at once: entries are written beside and renamed.
public struct ObjectCache: Sendable {
    /// nil: nothing is cached.
    let folder: String?

    public init(folder: String?) { self.folder = folder }

    /// `$GLMC_CACHE`, else `glmc` in `$XDG_CACHE_HOME` or `~/.cache`.
    public static var defaultFolder: String {
        let variables = ProcessInfo.processInfo.environment
        if let folder = variables["GLMC_CACHE"], !folder.isEmpty { return folder }
        if let base = variables["XDG_CACHE_HOME"], base.hasPrefix("/") { return base + "/glmc" }
        return (variables["HOME"] ?? NSTemporaryDirectory()) + "/.cache/glmc"
    }

    /// Puts the object for `key` at `path`, compiling it with `compile` only when it is not cached.
    /// - Returns: whether it was cached.
    func object(_ key: String, at path: String, compile: (String) throws -> Void) throws -> Bool {
        guard let folder else {
            try compile(path)
            return false
        }
        let entry = "\(folder)/\(key.prefix(2))/\(key).o"
        if (try? FileManager.default.copyItem(atPath: entry, toPath: path)) != nil {
            // Marks it as recently used.
            utimes(entry, nil)
            return true
        }
        try compile(path)
        // A cache that cannot be written slows things down but breaks nothing.
        try? FileManager.default.createDirectory(atPath: (entry as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        let temporary = "\(entry).\(ProcessInfo.processInfo.processIdentifier).tmp"
        if (try? FileManager.default.copyItem(atPath: path, toPath: temporary)) == nil || rename(temporary, entry) != 0 { unlink(temporary) }
        return false
    }

    /// What the cache holds, oldest first.
    private var entries: [(file: URL, used: Date, bytes: Int)] {
        let keys: Set<URLResourceKey> = [.contentModificationDateKey, .fileSizeKey, .isRegularFileKey]
        guard let folder, let files = FileManager.default.enumerator(at: URL(fileURLWithPath: folder), includingPropertiesForKeys: Array(keys)) else { return [] }
        return files.compactMap { item -> (file: URL, used: Date, bytes: Int)? in
            guard let file = item as? URL, let values = try? file.resourceValues(forKeys: keys), values.isRegularFile == true else { return nil }
            return (file, values.contentModificationDate ?? .distantPast, values.fileSize ?? 0)
        }.sorted { $0.used < $1.used }
    }

    public var byteCount: Int { entries.reduce(0) { $0 + $1.bytes } }

    /// Trims the cache if nobody has for an hour: looking through a full one takes as long as compiling a small model.
    public func trimNowAndThen() {
        guard let folder else { return }
        let stamp = folder + "/trimmed"
        let last = (try? FileManager.default.attributesOfItem(atPath: stamp))?[.modificationDate] as? Date
        if let last, (0..<3600).contains(Date().timeIntervalSince(last)) { return }
        guard FileManager.default.createFile(atPath: stamp, contents: nil) else { return }
        trim()
    }

    /// Deletes the least recently used entries when there are more than `limit` bytes, down to three quarters of it.
    public func trim(to limit: Int = 2 << 30) {
        let entries = entries
        var total = entries.reduce(0) { $0 + $1.bytes }
        guard total > limit else { return }
        for entry in entries where total > limit / 4 * 3 {
            try? FileManager.default.removeItem(at: entry.file)
            total -= entry.bytes
        }
    }
}
