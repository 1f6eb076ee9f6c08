import GlmcIR

/// Writes a program as one CUDA source file: the kernels and a host function that launches them on a stream.
///
/// The same lowering as for C, printed in the CUDA dialect. All pointers are device pointers; weights are a blob that the caller
/// uploads once.
public enum CudaText {
    /// How many threads run a kernel whose threads have areas of their own: few, since all areas exist at once.
    private static let (ownBlocks, ownThreads) = (64, 32)

    /// A source file, and what belongs to it.
    public struct Source {
        public var text: String
        /// Bytes of device memory that the weights need.
        public var weightBytes: Int
        public var report: CompileReport
        /// Writes the weights to a file.
        public var writeWeights: (String) throws -> Void
    }

    /// The source of `function` for a CUDA target.
    /// - Throws: `Diagnostic`/`Diagnostics` for what has no CUDA form yet: control flow and data-dependent sizes.
    public static func emit(_ function: Function, options: CompileOptions) throws -> Source {
        let name = ModelName(options.name)
        let program = try ProgramBuilder.build(function, target: options.target, threads: 1, families: options.families)
        guard !function.dimensions.contains(where: { if case .dataDependent = $0.info.source { true } else { false } }) else {
            throw Diagnostic(.unsupported, "a CUDA artifact cannot hold data-dependent dimensions yet")
        }
        let plan = MemoryPlan(program), weights = Weights([program])
        var out = """
        \(ForeignText.comment("\(name.text): compiled by glmc \(options.version) for \(options.target.name)."))
        #include "glmc_cuda.h"
        #include "glmc_scalar.h"

        """
        for (i, kernel) in program.code.kernels.enumerated() {
            var printer = SourcePrinter(kernel.function, dialect: .cuda, dimensionIndex: kernel.dimensionIndex)
            out += "\n\(ForeignText.comment(kernel.function.name))\n" + (try printer.text(symbol: name.kernel(i)))
        }
        let entry = EntryText(program: program, plan: plan, weights: weights, name: name)
        let presets = weights.defaultOffsets[0].keys.sorted().map(String.init).joined(separator: ", ")
        let optional = presets.isEmpty ? "" : "\n * Null among `in` at \(presets): the input's default, which lies in the weights."
        out += "\n" + SizeText.helpers(minParallelWork: entry.minParallelWork) + "\n"
        out += """
        /* Bytes of device memory that a run needs beside inputs, outputs and weights, for these dimensions in `d`: */
        \(ForeignText.comment(function.dimensions.map(\.name).joined(separator: ", "), limit: 1000))
        extern "C" int64_t \(name.cudaWorkspace)(const int64_t *d);
        extern "C" int64_t \(name.cudaWorkspace)(const int64_t *d)
        {
            (void)d;
            return (int64_t)(\(entry.workspaceBytes(threads: plan.perThreadBytes == 0 ? 0 : ownBlocks * ownThreads)));
        }

        /* Enqueues one run. `d` and `device_d` hold the same dimensions on host and device. Returns a CUDA error code, 0 = none.\(optional) */
        extern "C" int \(name.cudaRun)(void *const *in, void *const *out, unsigned char *w, const unsigned char *c, const int64_t *d, const int64_t *device_d, cudaStream_t stream);
        extern "C" int \(name.cudaRun)(void *const *in, void *const *out, unsigned char *w, const unsigned char *c, const int64_t *d, const int64_t *device_d, cudaStream_t stream)
        {
            (void)in; (void)out; (void)w; (void)c; (void)d; (void)device_d;

        """
        out += entry.slotOffsets
        if plan.perThreadBytes != 0 { out += "    unsigned char *const t = \(entry.threadMemory("0"));\n    const int64_t own = (int64_t)(\(entry.text(plan.perThreadBytes, "d")));\n" }
        for step in program.steps {
            guard case .launch(let launch) = step else { throw Diagnostic(.unsupported, "a CUDA artifact cannot hold If, Loop or Scan yet") }
            out += try self.launch(launch, entry, name)
        }
        out += "    return GLMC_LAST_ERROR();\n}\n"
        return Source(text: out, weightBytes: max(weights.byteCount, 64), report: CompileReport([program], [plan], weights)) { try weights.write(to: $0) { _ in } }
    }

    private static func launch(_ launch: Launch, _ entry: EntryText, _ name: ModelName) throws -> String {
        let kernel = entry.program.kernel(of: launch)
        let hasBarrier = kernel.body.contains { if case .barrier = $0 { true } else { false } }
        let isPrivate = launch.arguments.contains { entry.program[$0.storage].owner == .scratch(perThread: true) }
        let (blocks, threads) = launch.isSingle ? (1, 1) : hasBarrier ? (1, 256) : isPrivate ? (ownBlocks, ownThreads) : (264, 256)
        let arguments = try zip(kernel.buffers, launch.arguments).map { buffer, argument -> String in
            let address = switch entry.program[argument.storage].owner {
            case .input(let i): entry.weights.defaultOffsets[entry.number][i].map { "(in[\(i)] ? (const void *)in[\(i)] : (const void *)(c + \($0)))" } ?? "in[\(i)]"
            case .state(let i): "in[\(i)]"
            case .output(let i): "out[\(i)]"
            case .arena, .scratch, .weight: try entry.address(argument.storage).text
            }
            let qualifier = buffer.isWritten ? "" : "const "
            return "(\(qualifier)\(CDialect.cuda.scalar(buffer.element)) *)(\(address))"
        }
        let all = (["device_d", isPrivate ? "own" : "0"] + arguments).joined(separator: ", ")
        return "    GLMC_LAUNCH(\(name.kernel(launch.kernel)), \(blocks), \(threads), \(hasBarrier ? 1 : 0), stream, \(all));\n"
    }
}
