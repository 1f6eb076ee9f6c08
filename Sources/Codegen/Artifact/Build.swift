import Foundation
import GlmcIR

/// Compiles the emitted files and links them.
struct Build {
    let compiler: CompilerRun
    let options: CompileOptions
    private(set) var cached = 0
    private(set) var compiled = 0
    private var objects: [String] = []

    init(toolchain: Toolchain, options: CompileOptions, work: TemporaryFolder) {
        compiler = CompilerRun(toolchain: toolchain, options: options, work: work)
        self.options = options
    }

    /// Compiles kernels, main file and weights, `options.jobs` at a time.
    /// - Parameters:
    ///   - hasWeights: whether the weights become part of the artifact.
    ///   - hasTokenizer: whether there is the table of a tokenizer too.
    mutating func compile(
        _ files: [KernelFiles.File], main: String, hasWeights: Bool, hasTokenizer: Bool, progress: @escaping CompileProgress
    ) throws {
        let compiler = compiler, options = options, toolchain = compiler.toolchain, base = Toolchain.commonFlags + toolchain.targetFlags(options.target)
        let defines = (options.kind == .sharedLibrary ? [] : ["-DGLMC_STATIC"]) + (options.kind == .executable ? ["-DGLMC_EXECUTABLE"] : [])
        var jobs = [Job(source: "main.c", flags: base + ["-O1"] + defines, text: main)]
        jobs += files.map { Job(source: $0.name, flags: base + [options.optimization] + options.target.compilerFlags, text: $0.text) }
        if hasWeights { jobs.append(Job(source: "weights.s", flags: toolchain.targetFlags(options.target), text: nil)) }
        if hasTokenizer { jobs.append(Job(source: "tokenizer.s", flags: toolchain.targetFlags(options.target), text: nil)) }
        let support = SHA256.hex((RuntimeSupport.files + RuntimeSupport.kernelFiles).map { String(decoding: $0.text, as: UTF8.self) }.joined())
        let results = Results(count: jobs.count)
        let queue = OperationQueue()
        queue.maxConcurrentOperationCount = max(options.jobs, 1)
        let done = Counter()
        let total = jobs.count
        for (i, job) in jobs.enumerated() {
            queue.addOperation {
                let object = compiler.path(of: job)
                do {
                    var hit = false
                    if let text = job.text, let cache = options.cache {
                        let words = [toolchain.path, toolchain.version, support, text] + job.flags + ["--cflag"] + options.extraFlags
                        hit = try cache.object(SHA256.hex(words.joined(separator: "\0")), at: object) { try compiler.compile(job, to: $0) }
                    } else {
                        try compiler.compile(job, to: object)
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
            do {
                if try result.get() { cached += 1 } else { compiled += 1 }
            } catch let failure as CompilerRun.Failure {
                throw compiler.diagnosis(failure)
            }
        }
        objects = jobs.map(compiler.path)
    }

    /// Makes the artifact and puts it at `path`.
    func link(to path: String, progress: @escaping CompileProgress) throws {
        progress("linking", 0)
        let made = try compiler.link(objects, as: options.kind)
        if options.kind == .sharedLibrary { try ChecksumTrailer.append(to: made) }
        try WholeFile.place(made, at: path, isExecutable: options.kind == .sharedLibrary || options.kind == .executable)
        progress("linking", 1)
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

/// One file to compile.
struct Job: Sendable {
    var source: String
    var flags: [String]
    /// What the cache's key is made of; nil for files that are not worth caching, nor the user's flags.
    var text: String?
}
