import Foundation
import GlmcIR

/// Compiles the emitted files and links them.
struct Build {
    let toolchain: Toolchain
    let options: CompileOptions
    let work: TemporaryFolder
    private(set) var cached = 0
    private(set) var compiled = 0
    private var objects: [String] = []

    init(toolchain: Toolchain, options: CompileOptions, work: TemporaryFolder) {
        self.toolchain = toolchain
        self.options = options
        self.work = work
    }

    /// Compiles kernels, main file and weights, `options.jobs` at a time.
    mutating func compile(_ files: [KernelFiles.File], main: String, progress: @escaping CompileProgress) throws {
        let base = Toolchain.commonFlags + toolchain.targetFlags(options.target)
        // The user's flags come last: of two that contradict each other, compilers take the later one.
        var jobs = files.map { Job(source: $0.name, flags: base + [options.optimization] + options.target.compilerFlags + options.extraFlags, text: $0.text) }
        let defines = (options.kind == .sharedLibrary ? [] : ["-DGLMC_STATIC"]) + (options.kind == .executable ? ["-DGLMC_EXECUTABLE"] : [])
        // The main file holds no loops of its own.
        let mainFlags = base + ["-O1"] + defines + options.extraFlags
        jobs.append(Job(source: "main.c", flags: mainFlags, text: main))
        jobs.append(Job(source: "weights.S", flags: toolchain.targetFlags(options.target) + ["-c"], text: nil))
        let support = SHA256.hex((RuntimeSupport.files + RuntimeSupport.kernelFiles).map { String(decoding: $0.text, as: UTF8.self) }.joined())
        let cache = ObjectCache(folder: options.cacheFolder)
        let results = Results(count: jobs.count)
        let queue = OperationQueue()
        queue.maxConcurrentOperationCount = max(options.jobs, 1)
        let (toolchain, work) = (toolchain, work)
        let done = Counter()
        let total = jobs.count
        for (i, job) in jobs.enumerated() {
            queue.addOperation {
                let object = "\(work.path)/\(job.source).o"
                do {
                    let hit: Bool
                    if let text = job.text {
                        let key = SHA256.hex([toolchain.path, toolchain.version, job.flags.joined(separator: " "), support, text].joined(separator: "\0"))
                        hit = try cache.object(key, at: object) { try Self.compile(job, to: $0, toolchain, work) }
                    } else {
                        try Self.compile(job, to: object, toolchain, work)
                        hit = false
                    }
                    results.set(i, .success(hit))
                } catch {
                    results.set(i, .failure(error))
                }
                progress("compiling kernels", Double(done.increment()) / Double(total))
            }
        }
        queue.waitUntilAllOperationsAreFinished()
        for result in results.all {
            guard let result else { continue }
            if try result.get() { cached += 1 } else { compiled += 1 }
        }
        objects = jobs.map { "\(work.path)/\($0.source).o" }
    }

    private static func compile(_ job: Job, to object: String, _ toolchain: Toolchain, _ work: TemporaryFolder) throws {
        let result = try ChildProcess.run([toolchain.path] + job.flags + ["-I", work.path, "-c", "\(work.path)/\(job.source)", "-o", object], environment: environment(work))
        guard result.succeeded else { throw failure("\(toolchain.path) failed on the emitted file \(job.source)", result, .internal) }
    }

    /// Compilers keep their own temporary files with the others, so that an interruption removes them too; messages are in English.
    private static func environment(_ work: TemporaryFolder) -> [String: String] { ["TMPDIR": work.path, "LC_ALL": "C"] }

    /// A failed compiler: a defect of the emitted code, unless it ran out of room or memory.
    private static func failure(_ what: String, _ result: ChildProcess.Result, _ kind: Diagnostic.Kind) -> Diagnostic {
        let errors = "\(what):\n\(result.errors.prefix(4000))"
        if [ENOSPC, EFBIG, EDQUOT].contains(where: { result.errors.contains(String(cString: strerror($0))) }) {
            return Diagnostic(.invalid, errors, hint: "set TMPDIR to a folder with more room")
        }
        if case .crashed(SIGKILL) = result.end { return Diagnostic(.invalid, errors + "it was killed", hint: "is there enough memory? -j 1 needs less") }
        return Diagnostic(kind, errors, hint: "--save-temps DIR keeps the emitted files")
    }

    /// Makes the artifact and puts it at `path`.
    func link(to path: String, progress: @escaping CompileProgress) throws {
        progress("linking", 0)
        let temporary = work.file("artifact")
        let flags = toolchain.linkFlags(options.target) + options.extraFlags
        let result: ChildProcess.Result
        switch options.kind {
        case .sharedLibrary:
            result = try ChildProcess.run([toolchain.path] + flags + ["-shared", "-o", temporary] + objects
                + ["-Wl,--gc-sections", "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-Wl,--as-needed", "-s", "-lm", "-lpthread"], environment: Self.environment(work))
        case .object:
            result = try ChildProcess.run([toolchain.path] + flags + ["-r", "-nostdlib", "-o", temporary] + objects, environment: Self.environment(work))
        case .executable:
            result = try ChildProcess.run([toolchain.path] + flags + ["-o", temporary] + objects
                + ["-Wl,--gc-sections", "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-Wl,--as-needed", "-s", "-lm", "-lpthread"], environment: Self.environment(work))
        case .staticLibrary:
            result = try ChildProcess.run([Toolchain.locate("ar") ?? Toolchain.locate("llvm-ar") ?? "ar", "rcsD", temporary] + objects)
        case .cSource, .cudaSource:
            throw Diagnostic(.internal, "C source is written, not linked")
        }
        guard result.succeeded else {
            throw Self.failure("cannot link \(path)", result, .invalid)
        }
        if options.kind == .sharedLibrary { try ArtifactSeal.append(to: temporary) }
        try WholeFile.place(temporary, at: path, isExecutable: options.kind == .sharedLibrary || options.kind == .executable)
        progress("linking", 1)
    }

    private struct Job: Sendable {
        var source: String
        var flags: [String]
        /// What the cache's key is made of; nil for files that are not worth caching.
        var text: String?
    }

    private final class Results: @unchecked Sendable {
        private let lock = NSLock()
        private(set) var all: [Result<Bool, any Error>?]
        init(count: Int) { all = Array(repeating: nil, count: count) }
        func set(_ i: Int, _ result: Result<Bool, any Error>) {
            lock.lock()
            all[i] = result
            lock.unlock()
        }
    }
}
