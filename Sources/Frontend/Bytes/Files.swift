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
    /// The bytes of the file at `path`, mapped read-only and private: its pages are read when touched and never copied.
    public static func map(_ path: String, as shown: String? = nil) throws(Diagnostic) -> ByteSpan {
        let shown = shown ?? path
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(shown, "cannot be opened") }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure(shown, "cannot be inspected") }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw Diagnostic(file: shown, reason: "is not a regular file")
        }
        let size = Int(status.st_size)
        guard size > 0 else { return ByteSpan([]) }
        guard let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
            throw failure(shown, "cannot be mapped")
        }
        nonisolated(unsafe) let mapping = address
        return ByteSpan(TensorStorage(UnsafeRawBufferPointer(start: address, count: size)) { munmap(mapping, size) })
    }

    /// `path` with every symbolic link and `..` resolved, or nil when it does not exist.
    public static func resolve(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// The folder part of `path`: everything before the last slash, `.` without one.
    public static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

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
        let temporary = path + ".\(getpid()).part"
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
