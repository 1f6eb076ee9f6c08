import GlmcIR

/// Writes the main file of an artifact: its entry points (see `EntryText`) and the table of the model, through which all of them are reached (see
/// docs/artifact.md).
struct MainText {
    let entries: [EntryText]
    let weights: Weights
    let language: LanguageTables?
    let name: ModelName
    let target: Target
    let manifest: String
    let version: String
    /// See `CompileOptions`.
    let minParallelWork: Int

    /// - Parameters:
    ///   - programs: the entry points' programs, in order, which share their code.
    ///   - plans: a memory plan for each.
    ///   - language: nil for a model that is no language model.
    init(
        programs: [Program], plans: [MemoryPlan], weights: Weights, language: LanguageTables? = nil, name: ModelName, target: Target, manifest: String, version: String,
        minParallelWork: Int = WorkEstimate.minParallelWork
    ) {
        entries = zip(programs, plans).enumerated().map { number, pair in
            EntryText(program: pair.0, plan: pair.1, weights: weights, name: name, number: number, minParallelWork: minParallelWork)
        }
        self.weights = weights
        self.language = language
        self.name = name
        self.target = target
        self.manifest = manifest
        self.version = version
        self.minParallelWork = minParallelWork
    }

    /// The table of all kernels, by their position in `SharedCode.kernels`.
    static let kernelTable = "glmc_this_kernels"

    func text() throws -> String {
        let hasDefaults = weights.defaultOffsets.contains { !$0.isEmpty }
        var out = """
        \(ForeignText.comment("\(name.text): compiled by glmc \(version) for \(target.name)."))
        #ifndef _GNU_SOURCE
        #define _GNU_SOURCE
        #endif
        #include "glmc_launches.h"
        #include "glmc_session.h"\(hasDefaults ? "\n#include \"glmc_defaults.h\"" : "")\(language == nil ? "" : "\n#include \"glmc_generate.h\"")
        #include "glmc_scalar.h"

        #define GLMC_HIDDEN __attribute__((visibility("hidden")))
        #define GLMC_EXPORT __attribute__((visibility("default")))

        \(SizeText.helpers(minParallelWork: minParallelWork))

        \(weights.external == nil ? "extern GLMC_HIDDEN const unsigned char \(name.weights)[];" : "/* The weights lie in a file of their own. */")
        static _Atomic int glmc_this_checked;


        """
        let kernels = (entries.first?.program.code.kernels ?? []).indices.map(name.kernel)
        for kernel in kernels { out += "GLMC_HIDDEN glmc_kernel \(kernel);\n" }
        out += "static glmc_kernel *const \(Self.kernelTable)[] = {\(kernels.isEmpty ? "0" : kernels.joined(separator: ", "))};\n"
        for entry in entries { out += "\n" + (try entry.text()) }
        return out + model
    }

    private var external: String {
        weights.external.map { " .weights_file = \(ForeignText.literal($0.file)), .weights_id = \(ForeignText.literal($0.id))," } ?? ""
    }

    private var model: String {
        let features = ForeignText.literal(target.features.joined(separator: " "))
        let program = language == nil ? "glmc_main" : "glmc_language_main"
        let programs = entries.map { "&\($0.symbol("program")).entry" }.joined(separator: ", ")
        return """
        static int glmc_this_check_cpu(char *error, uint64_t error_bytes) { return glmc_check_features(\(features), error, error_bytes); }

        static const char glmc_this_manifest[] =
        \(ForeignText.literals(manifest));
        \(language?.text(name) ?? "")static const glmc_model glmc_this_model = {
            .abi_version = GLMC_ABI_VERSION, .size = sizeof(glmc_model), .name = \(ForeignText.literal(name.text)), .manifest = glmc_this_manifest, .manifest_bytes = sizeof glmc_this_manifest - 1,
            .cpu_features = \(features), .device = GLMC_HOST, .entry_count = \(entries.count), .entries = (const glmc_entry *const[]){\(programs)},
            .weights = \(weights.symbol(name)), .weights_bytes = \(weights.storedBytes),\(external)
            .check_cpu = glmc_this_check_cpu, .threads_create = glmc_pool_create, .session_open = glmc_session_open_, .session_run = glmc_session_run_, .session_close = glmc_session_close_,
            .language = \(language == nil ? "0" : "&glmc_this_language"),
        };

        GLMC_EXPORT const glmc_model *\(name.function)(void);
        GLMC_EXPORT const glmc_model *\(name.function)(void) { return &glmc_this_model; }
        #ifndef GLMC_STATIC
        GLMC_EXPORT const glmc_model *glmc_model_get(void);
        GLMC_EXPORT const glmc_model *glmc_model_get(void) { return &glmc_this_model; }
        #endif
        #ifdef GLMC_EXECUTABLE
        #include "\(program).h"
        int main(int argc, char **argv) { return \(program)(&glmc_this_model, argc, argv); }
        #endif

        """
    }
}
