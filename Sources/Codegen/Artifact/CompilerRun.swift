import Foundation
import GlmcIR

/// Runs of the C compiler and the linker in one temporary folder, and what to say when they fail.
struct CompilerRun: Sendable {
    let toolchain: Toolchain
    let options: CompileOptions
    let work: TemporaryFolder

    /// A file that could not be compiled.
    struct Failure: Error {
        var job: Job
        var result: ChildProcess.Result
    }

    func path(of job: Job) -> String { work.file(job.source + ".o") }

    /// What a compiler that crashes on a file is asked to leave out, in turn. Vectorizers are where compilers crash; loops that were written
    /// with vector types stay as they are.
    private static let retreats = [["-fno-tree-slp-vectorize"], ["-fno-tree-slp-vectorize", "-fno-tree-vectorize", "-fno-openmp-simd", "-O1"]]

    /// - Throws: `Failure`, or `Diagnostic` where the compiler cannot be run.
    func compile(_ job: Job, to object: String) throws {
        var result = try run(job, to: object, extra: options.extraFlags)
        for retreat in Self.retreats where Self.isCompilersDefect(result) {
            var safe = job
            safe.flags += retreat
            result = try run(safe, to: object, extra: options.extraFlags)
        }
        guard result.succeeded && isMade(object) else { throw Failure(job: job, result: result) }
    }

    /// Whether the compiler crashed, as gcc and clang say it, rather than refused the file.
    private static func isCompilersDefect(_ result: ChildProcess.Result) -> Bool {
        if case .crashed(let signal) = result.end { return signal != SIGKILL }
        return !result.succeeded && ["internal compiler error", "PLEASE submit a bug report"].contains { result.errors.contains($0) }
    }

    private func run(_ job: Job, to object: String, extra: [String]) throws -> ChildProcess.Result {
        unlink(object)
        // The user's flags come last: of two that contradict each other, compilers take the later one.
        let flags = job.flags + (job.text == nil ? [] : extra)
        return try start([toolchain.path] + flags + ["-I", work.path, "-c", work.file(job.source), "-o", object])
    }

    /// Links the objects and returns where the result is.
    func link(_ objects: [String], as kind: ArtifactKind) throws -> String {
        let made = work.file("artifact")
        let result = try link(objects, as: kind, to: made, extra: options.extraFlags)
        guard result.succeeded && isMade(made) else { 
            throw diagnosis(of: result, "cannot link the compiled files", .invalid) { (try? link(objects, as: kind, to: made, extra: []).succeeded) == true }
        }
        return made
    }

    private func link(_ objects: [String], as kind: ArtifactKind, to made: String, extra: [String]) throws -> ChildProcess.Result {
        unlink(made)
        let flags = toolchain.linkFlags(options.target) + extra
        let libraries = ["-Wl,--gc-sections", "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-Wl,--as-needed", "-s", "-lm", "-lpthread"]
        switch kind {
        case .sharedLibrary: return try start([toolchain.path] + flags + ["-shared", "-o", made] + objects + libraries)
        case .object: return try start([toolchain.path] + flags + ["-r", "-nostdlib", "-o", made] + objects)
        case .executable: return try start([toolchain.path] + flags + ["-o", made] + objects + libraries)
        case .staticLibrary: return try start([Toolchain.locate("ar") ?? Toolchain.locate("llvm-ar") ?? "ar", "rcsD", made] + objects)
        case .cSource, .cudaSource: throw Diagnostic(.internal, "C source is written, not linked")
        }
    }

    /// Compilers keep their own temporary files with the others, so that an interruption removes them too; messages are in English.
    private func start(_ words: [String]) throws -> ChildProcess.Result { try ChildProcess.run(words, environment: ["TMPDIR": work.path, "LC_ALL": "C"]) }

    private func isMade(_ file: String) -> Bool {
        var status = stat()
        return stat(file, &status) == 0 && status.st_size > 0
    }

    // MARK: Failures

    func diagnosis(_ failure: Failure) -> Diagnostic {
        diagnosis(of: failure.result, "the C compiler refuses the emitted file \(failure.job.source)", .internal) {
            let object = path(of: failure.job)
            return (try? run(failure.job, to: object, extra: []).succeeded) == true && isMade(object)
        }
    }

    /// Whether it is the machine, the compiler, the user's flags or the emitted code, found by trying what should work in any case.
    /// - Parameters:
    ///   - kind: of the diagnostic where neither the compiler nor the flags are to blame.
    ///   - worksWithoutFlags: tries again without the user's flags.
    private func diagnosis(of result: ChildProcess.Result, _ what: String, _ kind: Diagnostic.Kind, withoutFlags worksWithoutFlags: () -> Bool) -> Diagnostic {
        if [ENOSPC, EFBIG, EDQUOT].contains(where: { result.errors.contains(String(cString: strerror($0))) }) {
            return Diagnostic(.invalid, "\(what): there is no room in \(work.path)", hint: "set TMPDIR to a folder with more room")
        }
        if case .crashed(SIGKILL) = result.end { return Diagnostic(.invalid, "\(what): it was killed", hint: "is there enough memory? -j 1 needs less") }
        if let failed = trial(extra: []) {
            return Diagnostic(options.compiler == nil ? .invalid : .usage, "the C compiler '\(toolchain.path)' cannot build a program for \(options.target.name): \(reason(failed))",
                              hint: "install gcc or clang, or name one that works with --cc")
        }
        if !options.extraFlags.isEmpty, let failed = trial(extra: options.extraFlags) ?? (worksWithoutFlags() ? result : nil) {
            return Diagnostic(.usage, "'\(toolchain.path)' cannot build with \(options.extraFlags.map { "--cflag '\($0)'" }.joined(separator: " ")): \(reason(failed))")
        }
        return Diagnostic(kind, "\(what): \(reason(result))", hint: "--save-temps DIR keeps the emitted files")
    }

    /// Builds a program of nothing; nil where that works.
    private func trial(extra: [String]) -> ChildProcess.Result? {
        let job = Job(source: "trial.c", flags: Toolchain.commonFlags + toolchain.targetFlags(options.target) + options.target.compilerFlags, text: "int main(void) { return 0; }\n")
        let object = path(of: job), made = work.file("trial")
        guard let text = job.text, (try? work.write(job.source, Array(text.utf8))) != nil, let compiled = try? run(job, to: object, extra: extra) else { return nil }
        guard compiled.succeeded && isMade(object) else { return compiled }
        guard options.kind != .staticLibrary, let linked = try? link([object], as: options.kind, to: made, extra: extra) else { return nil }
        return linked.succeeded && isMade(made) ? nil : linked
    }

    /// The first complaint of a compiler, as one sentence.
    private func reason(_ result: ChildProcess.Result) -> String {
        switch result.end {
        case .crashed(let signal): return "it was ended by signal \(signal)"
        case .timedOut: return "it did not end"
        case .exited(0): return "it made nothing"
        case .exited(let status):
            let lines = result.errors.split(whereSeparator: \.isNewline)
            // Compilers end with a line that only says that the linker failed.
            let line = lines.first { $0.contains("error: ") && !$0.hasPrefix("collect2") } ?? lines.first ?? "exit code \(status)"
            let start = line.range(of: "error: ")?.upperBound ?? line.startIndex
            return String(line[start...].prefix(200))
        }
    }
}
