import GlmcIR

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// What the frontends need from the file system: mapping a file, staying inside a folder, and writing without leaving halves.
public enum Files {
    /// The bytes of the file at `path`, mapped read-only and private: its pages are read when touched and never copied. Only regular files are read
    /// (`/dev/stdin` where it is one): others wait for another process, never end, or do something when they are opened.
    public static func map(_ path: String, as shown: String? = nil) throws(Diagnostic) -> ByteSpan {
        let shown = shown ?? path
        var status = stat()
        guard stat(path, &status) == 0 else { throw failure(shown, "cannot be opened") }
        guard status.st_mode & S_IFMT == S_IFREG else { throw notRegular(shown) }
        // Should another file have taken its place: without waiting, and asked again.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw failure(shown, "cannot be opened") }
        defer { close(descriptor) }
        guard fstat(descriptor, &status) == 0 else { throw failure(shown, "cannot be inspected") }
        guard status.st_mode & S_IFMT == S_IFREG else { throw notRegular(shown) }
        let size = Int(status.st_size)
        guard size > 0 else { return ByteSpan([]) }
        guard let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
            throw failure(shown, "cannot be mapped")
        }
        nonisolated(unsafe) let mapping = address
        return ByteSpan(TensorStorage(UnsafeRawBufferPointer(start: address, count: size), isMapped: true) { munmap(mapping, size) })
    }

    /// - Throws: where a result cannot be put at `path`: an empty name, a folder, a place in none or in one that cannot be written, or what is no regular
    ///   file and would be replaced by one.
    public static func checkTarget(_ path: String) throws(Diagnostic) {
        var status = stat()
        guard !path.isEmpty else { throw Diagnostic(.usage, "the name of the file to write is empty") }
        guard access(folder(of: path), W_OK | X_OK) == 0 else { throw failure(path, "cannot be written") }
        guard stat(path, &status) == 0 || lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT != S_IFDIR else { throw Diagnostic(file: path, reason: "is a folder") }
        guard [S_IFREG, S_IFLNK].contains(status.st_mode & S_IFMT) else { throw notRegular(path, hint: "results are written to files only, which they replace") }
    }

    private static func notRegular(_ path: String, hint: String? = nil) -> Diagnostic { Diagnostic(file: path, reason: "is not a regular file", hint: hint) }

    /// `path` with every symbolic link and `..` resolved, or nil when it does not exist.
    public static func resolve(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// The folder part of `path`: everything before the last slash, `.` without one.
    public static func folder(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == path.utf8.startIndex ? "/" : String(path[..<slash])
    }

    /// What stands behind the last dot of the last part of `path`; empty without one, and where the name begins with it.
    public static func ending(of path: String) -> String {
        let name = path.utf8.lastIndex(of: UInt8(ascii: "/")).map { path[path.utf8.index(after: $0)...] } ?? path[...]
        guard let dot = name.utf8.lastIndex(of: UInt8(ascii: ".")), dot != name.utf8.startIndex else { return "" }
        return String(name[name.utf8.index(after: dot)...])
    }

    /// `path` up to the dot before its ending.
    public static func withoutEnding(_ path: String) -> String {
        let ending = ending(of: path)
        return ending.isEmpty ? path : String(decoding: path.utf8.dropLast(ending.utf8.count + 1), as: UTF8.self)
    }

    /// `path` with another ending in place of its own, or behind it where it has none.
    public static func path(_ path: String, withEnding ending: String) -> String { withoutEnding(path) + "." + ending }

    /// The real path of `relative` inside `folder`, or nil when it is absolute, does not exist or leads outside by `..` or a link.
    public static func inside(_ folder: String, _ relative: String) -> String? {
        guard !relative.isEmpty, !relative.hasPrefix("/"), !relative.utf8.contains(0) else { return nil }
        guard let root = resolve(folder), let target = resolve(folder + "/" + relative) else { return nil }
        let prefix = root == "/" ? "/" : root + "/"
        return target.hasPrefix(prefix) ? target : nil
    }

    public static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    public static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Writes the chunks beside `path` and renames: the file is there whole, or as it was before.
    public static func replace(_ path: String, with chunks: [UnsafeRawBufferPointer]) throws(Diagnostic) {
        try checkTarget(path)
        let temporary = folder(of: path) + "/.glmc-\(getpid()).part"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw failure(path, "cannot be written") }
        var failed: Diagnostic?
        chunks: for chunk in chunks {
            var rest = chunk
            while rest.count > 0 {
                let written = write(descriptor, rest.baseAddress, min(rest.count, 1 << 30))
                if written < 0 && errno == EINTR { continue }
                guard written > 0 else {
                    failed = failure(path, "cannot be written")
                    break chunks
                }
                rest = UnsafeRawBufferPointer(rebasing: rest[written...])
            }
        }
        if close(descriptor) != 0 && failed == nil { failed = failure(path, "cannot be written") }
        if failed == nil && rename(temporary, path) != 0 { failed = failure(path, "cannot be renamed into place") }
        if let failed {
            unlink(temporary)
            throw failed
        }
    }

    private static func failure(_ path: String, _ what: String) -> Diagnostic {
        Diagnostic(file: path, reason: what + ": " + String(cString: strerror(errno)))
    }
}
