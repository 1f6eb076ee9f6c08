import Foundation
import GlmcIR

/// What to emit.
public enum ArtifactKind: String, Sendable, CaseIterable {
    case sharedLibrary, staticLibrary, object, executable
    /// One C file; its weights lie beside it in a file of the same name that ends in `.weights`.
    case cSource
    /// The same as a CUDA source, for nvcc; only for CUDA targets.
    case cudaSource
}

/// How to compile a function to an artifact.
public struct CompileOptions: Sendable {
    /// The model's name: any text (see `ModelName`).
    public var name: String
    public var kind: ArtifactKind = .sharedLibrary
    public var target: Target = .native
    /// The C compiler, a name or path; nil = the best one found.
    public var compiler: String?
    /// The C compiler's optimisation level.
    public var optimization = "-O3"
    /// Threads that the artifact is tuned for; it runs with any number.
    public var threads = 2
    /// Whether the weights lie in the artifact or in a file beside it.
    public var weights = WeightsPlace.auto
    /// The least work of a launch that threads divide, in units of about 10 ps; tests let them divide everything.
    public var minParallelWork = WorkEstimate.minParallelWork
    /// Compilers that run at once.
    public var jobs = ProcessInfo.processInfo.activeProcessorCount
    /// Where compiled kernels are kept; nil = nowhere.
    public var cache: ObjectCache?
    /// Where the emitted C is left for reading; nil = nowhere.
    public var saveFolder: String?
    /// The compiler's version and flags, for the manifest.
    public var version = ""
    public var flags: [String] = []
    /// Of a language model, what it has beside its entry points.
    public var language: LanguageText?
    /// File name and SHA-256 of the model, for the manifest.
    public var source: (file: String, sha256: String)?
    /// Extra flags for every C compilation and the link, such as `-fsanitize=address`: then every buffer of the workspace and
    /// every weight also gets memory of its own with a red zone behind it, so that the sanitizer sees one run over into the next.
    public var extraFlags: [String] = []
    /// The tuned kernels that may be used, in order of preference.
    public var families = KernelFamily.all

    public init(name: String) { self.name = name }

    var usesRedZones: Bool { extraFlags.contains { $0.hasPrefix("-fsanitize=") && $0.contains("address") } }
}

/// What was made.
public struct CompileReport: Sendable {
    public var kernelCount = 0
    public var launchCount = 0
    public var weightBytes = 0
    public var arenaBytes = 0
    public var arenaLowerBound = 0
    public var cachedFiles = 0
    public var compiledFiles = 0

    public init() {}

    init(_ programs: [Program], _ plans: [MemoryPlan], _ weights: Weights) {
        kernelCount = programs.first?.code.kernels.count ?? 0
        launchCount = programs.reduce(0) { $0 + $1.launches.count }
        weightBytes = weights.byteCount
        // Entry points do not run at the same time in one session.
        arenaBytes = plans.map(\.fixedBytes).max() ?? 0
        arenaLowerBound = plans.map(\.lowerBound).max() ?? 0
    }
}

/// What is being done, for a progress bar: the stage and the share of it that is done.
public typealias CompileProgress = @Sendable (_ stage: String, _ share: Double) -> Void

/// From a module to a file.
public enum ArtifactCompiler {
    /// Compiles a module of one function.
    @discardableResult
    public static func compile(_ function: Function, to path: String, options: CompileOptions, progress: @escaping CompileProgress = { _, _ in }) throws -> CompileReport {
        try compile(Module(function), to: path, options: options, progress: progress)
    }

    /// Compiles `module` and leaves the artifact at `path`, complete or not at all.
    /// - Throws: `Diagnostic`/`Diagnostics` for nodes without a lowering, files that cannot be written, a failing C compiler.
    @discardableResult
    public static func compile(_ module: Module, to path: String, options: CompileOptions, progress: @escaping CompileProgress = { _, _ in }) throws -> CompileReport {
        var module = module
        // The only entry point of a plain model is called so, whatever its graph is called.
        if module.functions.count == 1 { module.functions[0].name = "main" }
        for function in module.functions { try checkInterface(function) }
        guard (options.kind == .cudaSource) == (options.target.family == .cuda) else {
            throw Diagnostic(.usage, "for the target \(options.target.name) there is no such kind of output", at: [path],
                             hint: options.target.family == .cuda ? "write a .cu file and compile it with nvcc" : "a .cu file needs a CUDA target: -march=sm_90")
        }
        let name = ModelName(options.name)
        if options.kind == .cudaSource { return try compileCuda(module, to: path, options: options) }
        let programs = try ProgramBuilder.build(module, target: options.target, threads: options.threads, families: options.families)
        let plans = programs.map { MemoryPlan($0, hasRedZones: options.usesRedZones) }
        var weights = Weights(programs, hasRedZones: options.usesRedZones)
        let work = try TemporaryFolder()
        defer { withExtendedLifetime(work) {} }
        let blob = work.file("weights.bin"), beside = WeightsFile.beside(path), isExternal = try options.weights.isExternal(weights.byteCount)
        let file = URL(fileURLWithPath: beside).lastPathComponent
        let manifest = Manifest(programs: programs, plans: plans, weights: weights, file: isExternal ? file : nil, options: options).json
        try weights.write(to: blob) { progress("packing weights", $0) }
        if isExternal || options.kind == .cSource {
            let id = try WeightsFile.complete(blob, artifact: manifest)
            if isExternal { weights.external = (file, id) }
        }
        let language = try options.language.map { try LanguageTables($0, programs.map(\.function)) }
        let main = try MainText(
            programs: programs, plans: plans, weights: weights, language: language, name: name, target: options.target, manifest: manifest, version: options.version,
            minParallelWork: options.minParallelWork
        ).text()
        let files = try KernelFiles.split(programs, name: name)

        for file in RuntimeSupport.files + RuntimeSupport.kernelFiles { try work.write(file.name, file.text) }
        try work.write("main.c", Array(main.utf8))
        for file in files { try work.write(file.name, Array(file.text.utf8)) }
        if let folder = options.saveFolder { try work.copyAll(to: folder, except: ["weights.bin"]) }
        if !isExternal { try work.write("weights.s", Array(weights.assembly(name, file: blob).utf8)) }
        let tokenizer = options.language?.tokenizer ?? []
        if !tokenizer.isEmpty {
            try work.write("tokenizer.bin", tokenizer)
            try work.write("tokenizer.s", Array(BinarySection.assembly(name.tokenizer, file: work.file("tokenizer.bin")).utf8))
        }

        var report = CompileReport(programs, plans, weights)
        if options.kind == .cSource {
            let table = URL(fileURLWithPath: path).deletingPathExtension().appendingPathExtension("tokenizer")
            let sections = (isExternal ? [] : [weights.assembly(name, file: file)])
                + (tokenizer.isEmpty ? [] : [BinarySection.assembly(name.tokenizer, file: table.lastPathComponent)])
            let text = SingleFile.text(main: main, kernels: files, name: name, sections: sections, target: options.target)
            if !tokenizer.isEmpty { try work.place("tokenizer.bin", at: table.path) }
            try work.write("single.c", Array(text.utf8))
            try work.place("weights.bin", at: beside)
            try work.place("single.c", at: path)
            return report
        }

        let toolchain = try Toolchain.find(options.compiler, for: options.target)
        var build = Build(toolchain: toolchain, options: options, work: work)
        try build.compile(files, main: main, hasWeights: !isExternal, hasTokenizer: !tokenizer.isEmpty, progress: progress)
        if isExternal { try work.place("weights.bin", at: beside) }
        try build.link(to: path, progress: progress)
        report.cachedFiles = build.cached
        report.compiledFiles = build.compiled
        return report
    }

    private static func compileCuda(_ module: Module, to path: String, options: CompileOptions) throws -> CompileReport {
        guard module.functions.count == 1, let function = module.functions.first else { throw Diagnostic(.unsupported, "a CUDA artifact cannot hold several entry points yet") }
        let source = try CudaText.emit(function, options: options)
        let work = try TemporaryFolder(), beside = WeightsFile.beside(path)
        try source.writeWeights(work.file("weights.bin"))
        _ = try WeightsFile.complete(work.file("weights.bin"), artifact: source.text)
        try work.write("model.cu", Array(SingleFile.cudaText(source.text, blob: URL(fileURLWithPath: beside).lastPathComponent, target: options.target).utf8))
        try work.place("weights.bin", at: beside)
        try work.place("model.cu", at: path)
        return source.report
    }

    /// Every input and output must be a tensor that a caller can pass.
    private static func checkInterface(_ function: Function) throws {
        guard !function.outputs.isEmpty else { throw Diagnostic(.invalid, "the model has no outputs") }
        var failures: [Diagnostic] = []
        for (kind, values) in [("input", function.inputs), ("output", function.outputs)] {
            for value in values {
                let place = "\(kind) '\(function[value].name)'"
                guard let type = function.type(value).tensor else {
                    failures.append(Diagnostic(.unsupported, "an artifact passes tensors, not \(function.type(value))", at: [place]))
                    continue
                }
                if type.element == .string || type.element.isComplex {
                    failures.append(Diagnostic(.unsupported, "tensors of type \(type.element.rawValue) cannot be passed to an artifact yet", at: [place]))
                }
                if type.rank > TensorType.largestPassableRank { failures.append(Diagnostic(.unsupported, "a tensor of rank \(type.rank) cannot be passed; the most is \(TensorType.largestPassableRank)", at: [place])) }
            }
        }
        if !failures.isEmpty { throw Diagnostics(failures) }
    }
}
