import Foundation
import GlmcCodegen
import GlmcFrontend
import GlmcIR
import GlmcPasses
import GlmcRuntime

/// From a model to an artifact, as the flags of the command line ask for it.
struct Compilation: Sendable {
    var level = OptimizationLevel.o2
    var imports = ImportOptions()
    var target = Target.native
    var compiler: String?
    var threads: Int?
    var jobs = ProcessInfo.processInfo.activeProcessorCount
    /// Where compiled kernels are kept; nil = nowhere.
    var cache: ObjectCache?
    var saveFolder: String?
    var weights = WeightsPlace.auto
    var extraFlags: [String] = []
    /// Passes by name, instead of the level's own.
    var passes: [String]?
    var disabledPasses: Set<String> = []
    var printAfter: Set<String> = []
    var stopAfter: (pass: Int, rewrite: Int)?
    var quantization: Quantization?
    var mixedPrecision: MixedPrecision?
    /// What makes the model's floats narrow, one for all its functions.
    private var narrowing: [Pass] = []
    /// The words that matter, for the manifest.
    var recordedFlags: [String] = []
    /// The least work of a launch that threads divide; nil: what is worth it.
    var minParallelWork: Int?
    /// As if a language model's folder had no tokenizer.
    var leavesTokenizerOut = false
    /// Those of the given flags that mean something for language models only.
    private var languageFlags: [String] = []
    /// What was asked for that only compiling can do.
    private var givenFlags: [String] = []
    /// Verify the function after every pass.
    var verifiesEach = PassManager.Options.isDebugBuild
    let console: Console

    /// Flags that choose passes.
    static let passFlags: [Flag] = [
        Flag("O", .attached("N"), choices: ["0", "1", "2", "3"], "how much to optimise (default -O2)"),
        Flag("passes", .value("A,B"), "run these passes instead of the level's own"),
        Flag("disable-pass", .value("P"), repeated: true, "leave a pass out"),
        Flag("print-ir-after", .value("P"), repeated: true, "print the IR after a pass, or after all, where it changed"),
        Flag("stop-after", .value("N.M"), "stop after rewrite M of pass N"),
    ]

    /// Flags that fix what a model leaves open.
    static let modelFlags: [Flag] = [
        Flag("shape", .value("NAME:1x3x224x224"), repeated: true, "fix an input's shape"),
        Flag("dim", .value("NAME=VALUE"), repeated: true, "fix a named dimension"),
        Flag("length", .value("NAME=N"), repeated: true, "how many tensors a sequence input holds; they are inputs NAME[0] and so on"),
        Flag("context", .value("N"), "how many tokens a cache has room for (default: the model's positions, at most 4096; of encoder-decoders, 512)"),
        Flag("state", .value("IN=OUT"), repeated: true, "ONNX: inputs that take an output of the last run, such as 'past.*=present.*', as states of --context rows"),
        Flag("no-tokenizer", "language models: leave tokenizer and chat template out; the artifact takes and gives tokens' numbers"),
        Flag("batch", .value("N"), "language models: how many texts an artifact continues at once (default 1)"),
        Flag("kv", .value("TYPE"), choices: ["f32", "bf16"], "language models: the type of keys and values in the cache (default f32)"),
        Flag("task", .value("T"), choices: EncoderTask.allCases.map(\.rawValue), "encoders: what the model is for (default: what its files say)"),
        Flag("freeze-initializers", "make constants of inputs that have a default, as initializers that are listed as inputs do"),
    ]

    /// Flags that choose types narrower than fp32.
    static let precisionFlags: [Flag] = Quantization.flags + MixedPrecision.flags

    /// Flags of everything that compiles a model.
    static let flags: [Flag] = modelFlags + precisionFlags + passFlags + [
        Flag("target", .value("T"), choices: ["cpu", "cuda"], "what kind of processor to make code for (default cpu; cuda for a .cu file)"),
        Flag("march", .value("CPU"), singleDash: true, "native, scalar, or one of glmc targets (default native, or sm_90 for cuda)"),
        Flag("cc", .value("CC"), "the C compiler (default: gcc, clang or cc)"),
        Flag("cflag", .value("FLAG"), repeated: true, "a flag more for the C compiler, such as -fsanitize=address"),
        Flag("weights", .value("W"), choices: WeightsPlace.allCases.map(\.rawValue), "embed: in the artifact; external: in a file beside it; auto (default): beside it beyond 1.5 GB"),
        Flag("threads", .value("auto|N"), "threads to use (default: one per processor)"),
        Flag("jobs", .value("N"), short: "j", "compile this many kernels at once (default: one per processor)"),
        Flag("save-temps", .value("DIR"), "keep the emitted C there"),
        Flag("no-cache", "compile every kernel anew"),
    ]

    init(console: Console) { self.console = console }

    /// - Throws: a `.usage` diagnostic for a value that means nothing.
    init(_ arguments: Arguments, _ console: Console) throws {
        self.console = console
        if let text = arguments.string("O"), let value = Int(text), let level = OptimizationLevel(rawValue: value) { self.level = level }
        for (name, text) in try arguments.pairs("shape", separator: ":") {
            let sizes = text.isEmpty ? [] : text.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
            guard sizes.allSatisfy({ $0 != nil }) else { throw arguments.misuse("--shape takes NAME:1x3x224x224, not '\(name):\(text)'") }
            imports.shapes[name] = sizes.compactMap { $0 }
        }
        for (name, text) in try arguments.pairs("dim") {
            guard let size = Int(text), size >= 0 else { throw arguments.misuse("--dim takes NAME=NUMBER, not '\(name)=\(text)'") }
            imports.dimensions[name] = size
        }
        for (name, text) in try arguments.pairs("length") {
            guard let length = Int(text), length >= 0 else { throw arguments.misuse("--length takes NAME=NUMBER, not '\(name)=\(text)'") }
            imports.lengths[name] = length
        }
        imports.states = try arguments.pairs("state").map { StatePattern(input: $0.name, output: $0.value) }
        imports.context = try arguments.int("context", in: 1...1 << 24)
        imports.sequences = try arguments.sizes("batch")?.max()
        if let sequences = imports.sequences, sequences > 1024 { throw arguments.misuse("--batch is at most 1024, not \(sequences)") }
        imports.cacheElement = arguments.string("kv").flatMap(ElementType.init) ?? .f32
        leavesTokenizerOut = arguments.has("no-tokenizer")
        languageFlags = ["context", "batch", "kv", "no-tokenizer"].filter { arguments.has($0) }
        givenFlags = Self.flags.filter { arguments.has($0.name) && !["threads", "jobs", "no-cache", "save-temps", "dim"].contains($0.name) }.map(\.spelling)
        imports.task = arguments.string("task").flatMap(EncoderTask.init)
        imports.freezesInitializers = arguments.has("freeze-initializers")
        if let name = arguments.string("march") {
            guard let found = Target.named(name) else {
                throw Diagnostic(.usage, "there is no target '\(name)'", hint: nearestName(to: name, among: Target.all.map(\.name)).map { "did you mean -march=\($0)?" } ?? "glmc targets lists them")
            }
            target = found
        } else if arguments.string("target") == "cuda", let cuda = Target.named("sm_90") {
            target = cuda
        }
        if let kind = arguments.string("target"), (kind == "cuda") != (target.family == .cuda) {
            throw arguments.misuse("--target=\(kind) and -march=\(target.name) contradict each other")
        }
        compiler = arguments.string("cc")
        extraFlags = arguments.all("cflag")
        let count = try arguments.threads()
        threads = count == 0 ? nil : count
        jobs = try arguments.int("jobs", in: 1...1024) ?? jobs
        passes = arguments.string("passes").map { $0.split(separator: ",").map(String.init) }
        disabledPasses = Set(arguments.all("disable-pass"))
        printAfter = Set(arguments.all("print-ir-after"))
        let known = console.passLibrary.passes.map(\.name)
        for name in disabledPasses.union(printAfter).subtracting(["all"]).sorted() where !known.contains(name) {
            throw Diagnostic(.usage, "there is no pass '\(name)'", hint: nearestName(to: name, among: known).map { "did you mean \($0)?" } ?? "glmc passes lists them")
        }
        if let text = arguments.string("stop-after") {
            let numbers = text.split(separator: ".").map { Int($0) }
            guard numbers.count == 2, let pass = numbers[0], let rewrite = numbers[1], pass > 0, rewrite >= 0 else { throw arguments.misuse("--stop-after takes N.M, not '\(text)'") }
            stopAfter = (pass, rewrite)
        }
        quantization = try Quantization(arguments)
        mixedPrecision = try MixedPrecision(arguments)
        narrowing = mixedPrecision.map { [$0.pass(for: target)] } ?? []
        weights = arguments.string("weights").flatMap(WeightsPlace.init) ?? weights
        saveFolder = arguments.string("save-temps")
        if let folder = saveFolder, Files.exists(folder), !Files.isFolder(folder) { throw arguments.misuse("--save-temps takes a folder, and '\(folder)' is none") }
        if !arguments.has("no-cache") {
            do { cache = try ObjectCache.openDefault() } catch { console.warning("\(error)") }
        }
        recordedFlags = ["-O\(level.rawValue)", "-march=\(target.name)"] + arguments.all("shape").map { "--shape=\($0)" } + arguments.all("dim").map { "--dim=\($0)" } + arguments.all("length").map { "--length=\($0)" }
            + (imports.context.map { ["--context=\($0)"] } ?? []) + (imports.sequences.map { ["--batch=\($0)"] } ?? []) + arguments.all("kv").map { "--kv=\($0)" } + arguments.all("task").map { "--task=\($0)" } + arguments.all("state").map { "--state=\($0)" } + (imports.freezesInitializers ? ["--freeze-initializers"] : [])
            + (arguments.string("passes").map { ["--passes=\($0)"] } ?? []) + arguments.all("disable-pass").map { "--disable-pass=\($0)" }
            + (quantization?.recordedFlags ?? []) + (mixedPrecision.map { ["--\($0.name)"] } ?? []) + arguments.all("keep").map { "--keep=\($0)" }
    }

    /// Reads the model and prints what it has to warn about.
    func load(_ path: String) throws -> ImportedModel {
        CrashReport.enter("reading \(path)")
        let model = try ModelFile.load(path, imports)
        let isOnnx = try ModelFile.kind(path) == .onnx
        if !isOnnx, !imports.states.isEmpty { throw Diagnostic(.usage, "--state means nothing for this model: it is no ONNX model", at: [path]) }
        if let flag = languageFlags.first(where: { model.module.states.isEmpty || isOnnx && $0 != "context" }) {
            throw Diagnostic(.usage, "--\(flag) means nothing for this model: it is no language model with a cache", at: [path])
        }
        if imports.task != nil, model.function.metadata["task"] == nil { throw Diagnostic(.usage, "--task means nothing for this model: it is no encoder from a folder", at: [path]) }
        for warning in model.warnings { console.warning(warning.description) }
        let optional = model.module.functions.flatMap { function in function.inputs.filter { function.defaults[$0] != nil }.map { "'\(function[$0].name)'" } }
        if !optional.isEmpty {
            let names = optional.prefix(3).joined(separator: ", ") + (optional.count > 3 ? " and \(optional.count - 3) more" : "")
            console.warning("a run may replace the defaults of inputs (\(names)): they are not packed or folded beforehand, which costs speed where they are weights; --freeze-initializers makes constants of them")
        }
        return model
    }

    /// Runs the passes on every function of a module; what they report is added up by pass.
    func optimise(_ module: inout Module) throws -> [PassManager.PassReport] {
        let mode = quantization?.mode(of: module)
        if module.functions.count > 1, mode == .static {
            throw Diagnostic(.unsupported, "static quantization of a model with several entry points", hint: "--quant=dynamic quantizes what it multiplies with")
        }
        // What is printed on the way, and passes that stop half-way, are easier to follow one after the other. The first function rounds the weights that the
        // others share, with all threads.
        let isFollowed = !printAfter.isEmpty || stopAfter != nil, alone = isFollowed ? module.functions.count : quantization == nil && mixedPrecision == nil ? 0 : 1
        let results = try module.functions.prefix(alone).map { try optimised($0, mode) } + Array(module.functions.dropFirst(alone)).concurrentMap { try optimised($0, mode) }
        var reports: [PassManager.PassReport] = []
        for (i, (function, more)) in results.enumerated() {
            module.functions[i] = function
            if reports.isEmpty { reports = more; continue }
            for (j, report) in more.enumerated() where reports.indices.contains(j) { reports[j].add(report) }
        }
        reportPrecision(reports)
        return reports
    }

    private func optimised(_ function: Function, _ mode: Quantization.Mode?) throws -> (Function, [PassManager.PassReport]) {
        var function = function
        let reports = try runPasses(on: &function, quantized: mode)
        return (function, reports)
    }

    /// Runs the passes on a model of one entry point.
    func optimise(_ function: inout Function) throws -> [PassManager.PassReport] {
        var module = Module(function)
        let reports = try optimise(&module)
        function = module.functions[0]
        return reports
    }

    /// Runs the named passes, or the pipeline of the level.
    /// - Parameter mode: how to quantise, if at all.
    private func runPasses(on function: inout Function, quantized mode: Quantization.Mode?) throws -> [PassManager.PassReport] {
        let library = console.passLibrary
        if let passes { return try run(library.passes(named: passes), on: &function) }
        let quantizing = quantization.flatMap { quantization in mode.map { quantization.passes($0, for: target) { try calibrate(&$0, quantization, $1) } } }
        return try run(library.pipeline(level, quantization: quantizing ?? [], narrowing: narrowing), on: &function)
    }

    private func run(_ passes: [Pass], on function: inout Function) throws -> [PassManager.PassReport] {
        var manager = PassManager(PassManager.Options(verifiesEach: verifiesEach))
        manager.options.printAfter = printAfter
        manager.options.stopAfter = stopAfter
        manager.options.disabled = disabledPasses
        manager.options.progress = { index, name in
            let number = index + 1
            CrashReport.enter("pass \(number) (\(name))", hint: "the IR before it: the same flags with glmc opt, --stop-after=\(number).0 and -o FILE.glm")
        }
        let console = console
        manager.options.output = { console.note($0) }
        do {
            return try manager.run(passes, on: &function, PassContext(level: level))
        } catch {
            guard error.diagnostic.kind == .internal else { throw error.diagnostic }
            throw Reproducer.write(error.reproducer, error.diagnostic)
        }
    }

    /// Whether a model that was read from `path` continues texts.
    func isLanguageModel(_ path: String, _ module: Module) throws -> Bool {
        let entries = Set(module.functions.map(\.name))
        // An encoder-decoder continues nothing but what its encoder read.
        return try [.safetensors, .gguf].contains(ModelFile.kind(path)) && entries.contains("prefill") && !entries.contains("encode")
    }

    /// What the artifact of a language model carries beside its entry points; nil for other models.
    func language(_ path: String, _ module: Module) throws -> LanguageText? {
        guard try isLanguageModel(path, module) else { return nil }
        CrashReport.enter("reading the tokenizer")
        let (text, notes) = try LanguageFiles.read(path, leavesTokenizerOut: leavesTokenizerOut)
        for note in notes { console.warning(note) }
        return text
    }

    /// The tuned kernels that the level uses.
    private var families: [KernelFamily] { level == .o0 ? [] : level == .o3 ? KernelFamily.all : KernelFamily.direct }
    private var tunedThreads: Int { threads ?? max(ProcessInfo.processInfo.activeProcessorCount, 1) }

    /// Lowers an optimised module without compiling it.
    func lower(_ module: Module) throws -> Lowered { try Lowered(module, target: target, threads: tunedThreads, families: families) }

    /// Compiles an optimised module to `output`.
    @discardableResult
    func emit(_ module: Module, name: String, kind: ArtifactKind, source: String?, language: LanguageText? = nil, to output: String) throws -> CompileReport {
        var options = CompileOptions(name: name)
        options.kind = kind
        options.target = target
        options.compiler = compiler
        options.optimization = level == .o0 ? "-O1" : "-O3"
        options.families = families
        options.threads = tunedThreads
        options.jobs = jobs
        if let minParallelWork { options.minParallelWork = minParallelWork }
        options.cache = cache
        options.saveFolder = saveFolder
        options.weights = weights
        options.version = Glmc.version
        options.flags = recordedFlags
        options.extraFlags = extraFlags
        options.language = language
        if let source { options.source = (URL(fileURLWithPath: source).lastPathComponent, try ModelFile.digest(source)) }
        CrashReport.enter("code generation")
        let bar = ProgressBar(console)
        defer { bar.finish() }
        let report = try ArtifactCompiler.compile(module, to: output, options: options) { bar.show($0, share: $1) }
        if report.compiledFiles > 0 { cache?.trimNowAndThen() }
        return report
    }

    /// Opens an artifact, or compiles a model to a temporary one and opens that.
    func artifact(_ path: String) throws -> Artifact {
        if try ModelFile.kind(path) == .artifact {
            if !givenFlags.isEmpty { console.warning("\(givenFlags.joined(separator: ", ")) changes nothing: \(path.printableOnOneLine) is compiled already") }
            let artifact = try ModelFile.open(path), known = Set(artifact.entryPoints.flatMap { $0.dimensions.map(\.name) })
            if let unknown = imports.dimensions.keys.sorted().first(where: { !known.contains($0) }) {
                throw Diagnostic(.invalid, "has no free dimension '\(unknown)'", at: [path], hint: known.isEmpty ? "all of its sizes are fixed" : "its dimensions: \(known.sorted().joined(separator: ", "))")
            }
            return artifact
        }
        var module = try load(path).module
        let language = try language(path, module)
        _ = try optimise(&module)
        return try temporaryArtifact(module, name: ModelFile.name(path), language: language)
    }

    /// Compiles to a file that is gone once it is loaded.
    func temporaryArtifact(_ function: Function, name: String) throws -> Artifact { try temporaryArtifact(Module(function), name: name) }

    /// Compiles to a file that is gone once it is loaded.
    func temporaryArtifact(_ module: Module, name: String, language: LanguageText? = nil) throws -> Artifact {
        let folder = try TemporaryFolder(), file = folder.file("model.so")
        try emit(module, name: name, kind: .sharedLibrary, source: nil, language: language, to: file)
        return try withExtendedLifetime(folder) { try Artifact(path: file) }
    }
}
