import Foundation

/// What a crash of glmc itself leaves behind: a file with the command, the stage that it had reached, and how to cut it out; exit code 70.
///
/// Everything that the signal handler touches is prepared beforehand, because a crashed process can do little more than write bytes.
enum CrashReport {
    private nonisolated(unsafe) static var path: UnsafeMutablePointer<CChar>?
    private nonisolated(unsafe) static var message: UnsafeMutablePointer<CChar>?
    private nonisolated(unsafe) static var report: UnsafeMutablePointer<CChar>?
    private nonisolated(unsafe) static var stage: UnsafeMutablePointer<CChar>?
    private static let stageCapacity = 512
    private static let lock = NSLock()

    /// Prepares for a crash while `words` are carried out.
    static func install(_ words: [String]) {
        let file = "glmc-crash-\(getpid()).txt"
        let folder = access(".", W_OK) == 0 ? FileManager.default.currentDirectoryPath : FileManager.default.temporaryDirectory.path
        path = strdup("\(folder)/\(file)")
        message = strdup("error: glmc crashed: this is a defect of glmc\nhint: please report it with \("\(folder)/\(file)".printableOnOneLine), which says how to repeat it\n")
        let command = (["glmc"] + words).map { word in
            word.allSatisfy { $0.isLetter || $0.isNumber || "-_=./:,".contains($0) } ? word : "'" + word.replacingOccurrences(of: "'", with: "'\\''") + "'"
        }.joined(separator: " ")
        report = strdup("glmc \(Glmc.version)\nfolder: \(FileManager.default.currentDirectoryPath)\ncommand: \(command)\n")
        stage = .allocate(capacity: stageCapacity)
        stage?.initialize(repeating: 0, count: stageCapacity)

        // A stack of its own, for handling a stack that has run over.
        let size = 1 << 16
        var alternate = stack_t()
        alternate.ss_sp = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
        alternate.ss_size = size
        sigaltstack(&alternate, nil)
        for number in [SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGABRT] {
            var action = sigaction()
            action.__sigaction_handler.sa_handler = { _ in CrashReport.write() }
            action.sa_flags = Int32(bitPattern: UInt32(SA_RESETHAND)) | Int32(SA_ONSTACK)
            sigaction(number, &action, nil)
        }
    }

    /// Says what is being done now; `hint` says how to get there without the crash.
    static func enter(_ name: String, hint: String = "") {
        guard let stage else { return }
        let text = Array("stage: \(name)\n\(hint.isEmpty ? "" : hint + "\n")".utf8.prefix(stageCapacity - 1)) + [0]
        lock.lock()
        defer { lock.unlock() }
        // From the end, so that the text always ends in a zero.
        for (index, byte) in text.enumerated().reversed() { stage[index] = CChar(bitPattern: byte) }
    }

    private static func write() {
        if let path, let report, let stage {
            // Only a new file: whatever waits under this name was put there by somebody else.
            let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
            if file >= 0 {
                _ = Foundation.write(file, report, strlen(report))
                _ = Foundation.write(file, stage, strlen(stage))
                close(file)
            }
        }
        if let message { _ = Foundation.write(2, message, strlen(message)) }
        _exit(ExitCode.internalError.rawValue)
    }
}
