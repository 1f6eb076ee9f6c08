import Foundation
import GlmcIR

/// Puts finished files where users asked for them.
enum WholeFile {
    /// Linux's flag for a file without a name in the folder that is opened; not every file system has it.
    private static let nameless = Int32(0o20000000) | O_DIRECTORY

    /// Copies the file `source` to `target`: whole, or not at all and what was there stays. A process that is killed leaves nothing half-written behind
    /// either: where the file system can, the copy gets its name only when it is complete.
    static func place(_ source: String, at target: String, isExecutable: Bool = false) throws(Diagnostic) {
        func failure() -> Diagnostic { Diagnostic(.invalid, "cannot be written: \(String(cString: strerror(errno)))", at: [target], hint: "is the folder writable and is there room?") }
        let input = open(source, O_RDONLY | O_CLOEXEC)
        guard input >= 0 else { throw failure() }
        defer { close(input) }
        let slash = target.utf8.lastIndex(of: UInt8(ascii: "/")), folder = slash.map { String(target[...$0]) } ?? "./"
        let part = "\(folder).glmc-\(getpid()).tmp", mode: mode_t = isExecutable ? 0o777 : 0o666
        Interruption.add(unfinished: part)
        defer {
            unlink(part)
            Interruption.remove(unfinished: part)
        }
        var output = open(folder, nameless | O_WRONLY | O_CLOEXEC, mode)
        let isNameless = output >= 0 && access("/proc/self/fd/\(output)", F_OK) == 0
        if !isNameless {
            if output >= 0 { close(output) }
            output = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        }
        guard output >= 0 else { throw failure() }
        var isWritten = copy(input, to: output)
        if isWritten && isNameless { isWritten = linkat(AT_FDCWD, "/proc/self/fd/\(output)", AT_FDCWD, part, AT_SYMLINK_FOLLOW) == 0 }
        let error = errno
        if close(output) != 0 { throw failure() }
        errno = error
        guard isWritten, rename(part, target) == 0 else { throw failure() }
    }

    /// Whether everything could be copied; else `errno` says why not.
    private static func copy(_ input: Int32, to output: Int32) -> Bool {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
        defer { buffer.deallocate() }
        while true {
            let count = read(input, buffer.baseAddress, buffer.count)
            if count == 0 { return true }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return false }
            var done = 0
            while done < count {
                let written = write(output, buffer.baseAddress.map { $0 + done }, count - done)
                if written < 0 && errno == EINTR { continue }
                guard written > 0 else { return false }
                done += written
            }
        }
    }
}
