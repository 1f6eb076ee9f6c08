import Foundation
import GlmcIR

/// Runs programs: in a process group of their own, so that a time limit ends their children too.
public enum ChildProcess {
    public enum End: Equatable, Sendable {
        case exited(Int32)
        case crashed(signal: Int32)
        case timedOut
    }

    public struct Result: Sendable {
        public let end: End
        public let output: String
        public let errors: String
        public var succeeded: Bool { end == .exited(0) }
    }

    /// Runs `arguments` (the program first, searched in PATH) to its end.
    /// - Parameter limit: seconds after which the whole group is killed.
    /// - Parameter outputLimit: bytes of each stream that are kept.
    /// - Throws: when it cannot be started.
    public static func run(_ arguments: [String], limit: Double? = nil, environment: [String: String] = [:], outputLimit: Int = 1 << 22) throws(Diagnostic) -> Result {
        guard let program = arguments.first else { throw Diagnostic(.internal, "no program to run") }
        // Files, not pipes: nothing has to be drained while it runs.
        let out = try temporaryFile(), errors = try temporaryFile()
        defer { close(out); close(errors) }

        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, out, 1)
        posix_spawn_file_actions_adddup2(&actions, errors, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
        posix_spawnattr_setpgroup(&attributes, 0)

        let variables = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        var argv = arguments.map { strdup($0) } + [nil], envp = variables.map { strdup("\($0)=\($1)") } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        // A child begins with the priority of the thread that starts it, and the system's worker threads do not have that of their process.
        let process = __priority_which_t(PRIO_PROCESS.rawValue)
        setpriority(process, 0, getpriority(process, id_t(getpid())))
        var pid: pid_t = 0
        let status = posix_spawnp(&pid, program, &actions, &attributes, &argv, &envp)
        guard status == 0 else { throw Diagnostic(.invalid, "cannot run '\(program)': \(String(cString: strerror(status)))") }
        Interruption.add(group: pid)
        defer { Interruption.remove(group: pid) }
        let end = wait(for: pid, until: limit.map { clock() + $0 })
        return Result(end: end, output: contents(out, outputLimit), errors: contents(errors, outputLimit))
    }

    private static func wait(for pid: pid_t, until deadline: Double?) -> End {
        var status: Int32 = 0, pause: UInt32 = 200, timedOut = false
        while true {
            let result = waitpid(pid, &status, deadline == nil || timedOut ? 0 : WNOHANG)
            if result == pid { break }
            if result < 0 && errno != EINTR { return .exited(127) }
            if result == 0, let deadline, clock() > deadline {
                kill(-pid, SIGKILL)
                timedOut = true
            } else if result == 0 {
                usleep(pause)
                pause = min(pause * 2, 5000)
            }
        }
        if timedOut { return .timedOut }
        return status & 0x7f == 0 ? .exited(status >> 8 & 0xff) : .crashed(signal: status & 0x7f)
    }

    /// Seconds since an arbitrary moment.
    private static func clock() -> Double { Double(DispatchTime.now().uptimeNanoseconds) * 1e-9 }

    /// An open file without a name.
    private static func temporaryFile() throws(Diagnostic) -> Int32 {
        var path = Array((FileManager.default.temporaryDirectory.path + "/glmc-XXXXXX").utf8CString)
        let descriptor = mkstemp(&path)
        guard descriptor >= 0 else { throw Diagnostic(.invalid, "cannot make a temporary file: \(String(cString: strerror(errno)))", hint: "set TMPDIR to a folder that can be written") }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        unlink(path)
        return descriptor
    }

    private static func contents(_ descriptor: Int32, _ limit: Int) -> String {
        var bytes = [UInt8](repeating: 0, count: max(0, min(limit, Int(lseek(descriptor, 0, SEEK_END)))))
        let count = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, 0) }
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }
}
