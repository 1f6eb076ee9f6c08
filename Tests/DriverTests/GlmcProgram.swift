import Foundation
import GlmcCodegen
import Testing

/// The program itself, as a user runs it, with limits on memory and time.
enum GlmcProgram {
    /// Beside the tests, where the build puts it.
    static let path = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent().appending(path: "glmc").path

    struct Result {
        let end: ChildProcess.End
        let output: String
        let errors: String
        var status: Int32? { if case .exited(let status) = end { status } else { nil } }
    }

    /// Runs `glmc` with these words.
    /// - Parameters:
    ///   - memory: address space in kilobytes.
    ///   - folder: where it runs; nil: here.
    ///   - fileBlocks: the largest file that it may write, in blocks of 512 bytes; nil: any.
    static func run(_ words: [String], in folder: String? = nil, memory: Int = 8 << 20, fileBlocks: Int? = nil, seconds: Double = 60, environment: [String: String] = [:]) throws -> Result {
        let limits = (folder.map { "cd '\($0)' || exit 99; " } ?? "") + "ulimit -c 0; ulimit -v \(memory); " + (fileBlocks.map { "ulimit -f \($0); " } ?? "")
        let result = try ChildProcess.run(["sh", "-c", limits + "exec \"$@\"", "sh", path] + words, limit: seconds, environment: environment)
        return Result(end: result.end, output: result.output, errors: result.errors)
    }

    /// What is wrong with the way in which `words` ended, if anything: a refusal must have a documented exit code and a message.
    static func complaint(_ words: [String], allowed: Set<Int32>) throws -> String? {
        let result = try run(words)
        guard let status = result.status, allowed.contains(status) else { return "\(words.joined(separator: " ")): \(result.end): \(result.errors.suffix(600))" }
        if status != 0 && !result.errors.contains("error: ") { return "\(words.joined(separator: " ")): exit code \(status) without a message" }
        return nil
    }
}
