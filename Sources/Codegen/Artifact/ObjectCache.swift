import Foundation
import Glibc
import GlmcIR

/// Compiled kernel files by content: the key covers text, compiler and flags, so an entry never goes stale.
///
/// What lies here is linked into artifacts, so nothing is taken on trust. The folder must be the user's own and closed to others, and an entry begins
/// with a digest of its key and its object: one that was damaged, cut short or renamed is compiled anew and replaced. Several compilations may use one
/// folder at once: entries are written beside and renamed. A cache that cannot be read or written slows things down but breaks nothing.
public final class ObjectCache: Sendable {
    private static let magic = Array("GLMCOBJ1".utf8)
    private static let headerBytes = magic.count + 64
    /// Larger files are no entries, whatever they say: no kernel is near it.
    private static let largestEntry = 1 << 28

    /// The folder that users name.
    public let path: String
    /// The folder of the entries, open: what happens to the path later does not matter.
    private let folder: Int32

    private init(path: String, folder: Int32) { (self.path, self.folder) = (path, folder) }
    deinit { close(folder) }

    /// `$GLMC_CACHE`, else `glmc` in `$XDG_CACHE_HOME` or `~/.cache`; nil where the user has no place: none is shared with others.
    public static var defaultFolder: String? {
        let variables = ProcessInfo.processInfo.environment
        if let folder = variables["GLMC_CACHE"], !folder.isEmpty { return folder }
        if let base = variables["XDG_CACHE_HOME"], base.hasPrefix("/") { return base + "/glmc" }
        return variables["HOME"].flatMap { $0.hasPrefix("/") ? $0 + "/.cache/glmc" : nil }
    }

    /// Opens the cache in the user's place.
    /// - Returns: nil where there is no such place, or nothing can be made there.
    /// - Throws: where others could put something into it, and where the folder that GLMC_CACHE names cannot be used.
    public static func openDefault() throws(Diagnostic) -> ObjectCache? {
        guard let path = defaultFolder else { return nil }
        if let cache = try open(path) { return cache }
        guard ProcessInfo.processInfo.environment["GLMC_CACHE"] == path else { return nil }
        throw refusal(path, "it can be neither opened nor made", hint: "GLMC_CACHE names a folder")
    }

    /// Opens the cache at `path`, which is made where it does not exist.
    /// - Returns: nil where there can be none.
    /// - Throws: where the folder is there and others could put something into it.
    public static func open(_ path: String) throws(Diagnostic) -> ObjectCache? {
        var made = path.hasPrefix("/") ? "" : "."
        for part in path.split(separator: "/") {
            made += "/" + part
            mkdir(made, 0o700)
        }
        let root = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard root >= 0 else { return nil }
        defer { close(root) }
        try checkOwner(of: root, path)
        mkdirat(root, "objects", 0o700)
        let folder = openat(root, "objects", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard folder >= 0 else {
            guard errno == ELOOP || errno == ENOTDIR else { return nil }
            throw refusal(path + "/objects", "it is no folder", hint: "remove it")
        }
        let cache = ObjectCache(path: path, folder: folder)
        try checkOwner(of: folder, path + "/objects")
        return cache
    }

    private static func checkOwner(of folder: Int32, _ path: String) throws(Diagnostic) {
        var status = stat()
        guard fstat(folder, &status) == 0, status.st_uid == geteuid() else { throw refusal(path, "it belongs to another user", hint: "set GLMC_CACHE to a folder of your own") }
        guard status.st_mode & 0o022 == 0 else { throw refusal(path, "other users can write to it", hint: "chmod 700 it") }
    }

    private static func refusal(_ path: String, _ why: String, hint: String) -> Diagnostic {
        Diagnostic(.invalid, "the kernel cache is not used: \(why)", at: [path], hint: hint)
    }

    // MARK: Entries

    /// Puts the object for `key`, a file name, at `path`, compiling it with `compile` only when it is not cached.
    /// - Returns: whether it was cached.
    func object(_ key: String, at path: String, compile: (String) throws -> Void) throws -> Bool {
        let entry = key + ".o"
        if let object = read(entry, key), (try? object.write(to: URL(fileURLWithPath: path))) != nil { return true }
        try compile(path)
        if let object = try? Data(contentsOf: URL(fileURLWithPath: path)) { write(object, to: entry, key) }
        return false
    }

    private static func digest(_ object: Data, _ key: String) -> String {
        var hash = SHA256()
        hash.update(key + "\n")
        object.withUnsafeBytes { hash.update($0) }
        return hash.finish()
    }

    /// The object in an entry, if all of it is what was written for `key`.
    private func read(_ entry: String, _ key: String) -> Data? {
        let descriptor = openat(folder, entry, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size <= Self.largestEntry, let content = try? file.readToEnd(), content.count > Self.headerBytes else { return nil }
        let object = content.dropFirst(Self.headerBytes)
        guard content.prefix(Self.headerBytes).elementsEqual(Self.magic + Array(Self.digest(object, key).utf8)) else { return nil }
        // Marks it as recently used.
        futimens(descriptor, nil)
        return object
    }

    private func write(_ object: Data, to entry: String, _ key: String) {
        guard object.count + Self.headerBytes <= Self.largestEntry else { return }
        let part = "\(entry).\(getpid()).\(UInt32.random(in: .min ... .max)).tmp"
        let descriptor = openat(folder, part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        let isWritten = (try? file.write(contentsOf: Data(Self.magic + Array(Self.digest(object, key).utf8)) + object)) != nil && (try? file.close()) != nil
        if !isWritten || renameat(folder, part, folder, entry) != 0 { unlinkat(folder, part, 0) }
    }

    // MARK: Size

    /// What the cache holds, oldest first; links and folders do not count, and are never followed.
    private var entries: [(name: String, used: Int, bytes: Int)] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path + "/objects")) ?? []
        return names.compactMap { name -> (name: String, used: Int, bytes: Int)? in
            var status = stat()
            guard name != Self.stamp, fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
            return (name, status.st_mtim.tv_sec, Int(status.st_size))
        }.sorted { ($0.used, $0.name) < ($1.used, $1.name) }
    }

    public var byteCount: Int { entries.reduce(0) { $0 + $1.bytes } }

    /// A file that tells when the cache was last trimmed.
    private static let stamp = "trimmed"

    /// Trims the cache if nobody has for an hour: looking through a full one takes as long as compiling a small model.
    public func trimNowAndThen() {
        var status = stat(), now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        if fstatat(folder, Self.stamp, &status, AT_SYMLINK_NOFOLLOW) == 0, (0..<3600).contains(now.tv_sec - status.st_mtim.tv_sec) { return }
        unlinkat(folder, Self.stamp, 0)
        let descriptor = openat(folder, Self.stamp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return }
        close(descriptor)
        trim()
    }

    /// Deletes the least recently used entries when there are more than `limit` bytes, down to three quarters of it.
    public func trim(to limit: Int = 2 << 30) {
        let entries = entries
        var total = entries.reduce(0) { $0 + $1.bytes }
        guard total > limit else { return }
        for entry in entries where total > limit / 4 * 3 {
            unlinkat(folder, entry.name, 0)
            total -= entry.bytes
        }
    }
}
