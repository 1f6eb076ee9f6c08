import Foundation
import GlmcIR

/// Compiled kernels by the content that they came from, so that an unchanged kernel is never compiled again.
///
/// A folder of object files named by a hash of source, flags and compiler. Several compilations may use it at once: entries are
/// written beside and renamed. The oldest entries go when it grows beyond its limit.
struct KernelCache: Sendable {
    let folder: String
    static let limit = 2 << 30

    /// `$GLMC_CACHE`, else `glmc` in `$XDG_CACHE_HOME` or `~/.cache`.
    static var defaultFolder: String {
        let variables = ProcessInfo.processInfo.environment
        if let folder = variables["GLMC_CACHE"], !folder.isEmpty { return folder }
        if let base = variables["XDG_CACHE_HOME"], base.hasPrefix("/") { return base + "/glmc" }
        return (variables["HOME"] ?? NSTemporaryDirectory()) + "/.cache/glmc"
    }

    /// nil when the folder cannot be made: caching is then left out, which is no error.
    init?(_ folder: String = defaultFolder) {
        self.folder = folder + "/kernels"
        guard (try? FileManager.default.createDirectory(atPath: self.folder, withIntermediateDirectories: true)) != nil else { return nil }
    }

    /// The key of what compiling `parts` in this order gives.
    static func key(_ parts: [String]) -> String {
        var hash = ContentHash()
        for part in parts { hash.update(part) }
        return hash.text
    }

    /// Makes the object `key` appear at `path`; false when it is not there.
    func fetch(_ key: String, to path: String) -> Bool {
        let entry = folder + "/" + key + ".o"
        guard (try? FileManager.default.copyItem(atPath: entry, toPath: path)) != nil else { return false }
        // Marks it as recently used.
        utimes(entry, nil)
        return true
    }

    /// Keeps a copy of the object at `path`. Failing to is no error.
    func store(_ key: String, from path: String) {
        let part = "\(folder)/\(key).\(getpid()).part"
        guard (try? FileManager.default.copyItem(atPath: path, toPath: part)) != nil else {
            unlink(part)
            return
        }
        if rename(part, "\(folder)/\(key).o") != 0 { unlink(part) }
    }

    /// Deletes the least recently used entries beyond the limit.
    func trim() {
        let keys: Set<URLResourceKey> = [.contentModificationDateKey, .fileSizeKey]
        guard let files = try? FileManager.default.contentsOfDirectory(at: URL(fileURLWithPath: folder), includingPropertiesForKeys: Array(keys)) else { return }
        var entries = files.compactMap { file -> (URL, Date, Int)? in
            guard let values = try? file.resourceValues(forKeys: keys) else { return nil }
            return (file, values.contentModificationDate ?? .distantPast, values.fileSize ?? 0)
        }
        var total = entries.reduce(0) { $0 + $1.2 }
        guard total > KernelCache.limit else { return }
        entries.sort { $0.1 < $1.1 }
        for (file, _, size) in entries where total > KernelCache.limit * 3 / 4 {
            try? FileManager.default.removeItem(at: file)
            total -= size
        }
    }

    var byteCount: Int {
        let files = (try? FileManager.default.contentsOfDirectory(at: URL(fileURLWithPath: folder), includingPropertiesForKeys: [.fileSizeKey])) ?? []
        return files.reduce(0) { $0 + ((try? $1.resourceValues(forKeys: [.fileSizeKey]))?.fileSize ?? 0) }
    }
}
