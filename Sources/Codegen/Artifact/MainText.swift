import GlmcIR

/// Writes the main file of an artifact: the run body that calls the kernels, sizes as functions of dimensions, and the tables
/// of the interface (see docs/artifact.md).
struct MainText {
    let program: Program
    let plan: MemoryPlan
    let weights: Weights
    let name: ModelName
    let manifest: String
    let version: String
    /// See `CompileOptions`.
    let worthCutting: Int

    /// The largest size of a free dimension that an artifact accepts: products of a few stay far below 2^127.
    static let largestDimension = 1 << 24

    private var dimensions: [(name: String, info: DimensionInfo)] { program.function.dimensions }
    /// The position of each dimension in the artifact's table.
    let dimensionIndex: [String: Int]

    init(program: Program, plan: MemoryPlan, weights: Weights, name: ModelName, manifest: String, version: String, worthCutting: Int = WorkEstimate.worthCutting) {
        self.program = program
        self.plan = plan
        self.weights = weights
        self.name = name
        self.manifest = manifest
        self.version = version
        self.worthCutting = worthCutting
        dimensionIndex = Dictionary(uniqueKeysWithValues: program.function.dimensions.enumerated().map { ($1.name, $0) })
    }

    func text() throws -> String {
        var out = """
        \(ForeignText.comment("\(name.text): compiled by glmc \(version) for \(program.target.name)."))
        #ifndef _GNU_SOURCE
        #define _GNU_SOURCE
        #endif
        #include "glmc_session.h"\(weights.defaultOffsets.isEmpty ? "" : "\n#include \"glmc_defaults.h\"")
        #include "glmc_scalar.h"

        #define GLMC_HIDDEN __attribute__((visibility("hidden")))
        #define GLMC_EXPORT __attribute__((visibility("default")))

        \(sizeHelpers)

        extern GLMC_HIDDEN const unsigned char \(name.weights)[];
        static _Atomic int glmc_this_checked;


        """
        for (i, kernel) in program.kernels.enumerated() {
            out += "GLMC_HIDDEN void \(name.kernel(i))(\(KernelPrinter.parameters(kernel, .c)));\n"
        }
        out += "\n" + sizes() + "\n" + (try body()) + "\n" + tables()
        return out
    }

    // MARK: Sizes

    var sizeHelpers: String {
        """
        /* Arithmetic on sizes, in 128 bits so that nothing overflows. A divisor of 0 occurs only for shapes that are refused. */
        typedef __int128 glmc_size;
        __attribute__((unused)) static inline glmc_size glmc_quotient(glmc_size a, glmc_size b) { return b == 0 ? 0 : a / b - (a % b != 0 && (a < 0) != (b < 0)); }
        __attribute__((unused)) static inline glmc_size glmc_modulo(glmc_size a, glmc_size b) { return b == 0 ? 0 : a % b + (a % b != 0 && (a < 0) != (b < 0) ? b : 0); }
        __attribute__((unused)) static inline glmc_size glmc_larger(glmc_size a, glmc_size b) { return a > b ? a : b; }
        __attribute__((unused)) static inline int64_t glmc_fit(glmc_size a) { return a > INT64_MAX ? INT64_MAX : a < INT64_MIN ? INT64_MIN : (int64_t)a; }
        __attribute__((unused)) static inline int64_t glmc_work(glmc_size a) { return a > INT64_MAX ? INT64_MAX : (int64_t)a; }
        __attribute__((unused)) static inline glmc_size glmc_cut(int64_t work) { return work < \(worthCutting) ? 0 : work; }
        __attribute__((unused)) static inline glmc_size glmc_smaller(glmc_size a, glmc_size b) { return a < b ? a : b; }
        """
    }

    /// The workspace's size as an expression over `d`.
    func workspaceBytes(threads: Int) -> String {
        let parts = ["(glmc_size)\(plan.fixedBytes)"] + plan.slots.map { largest($0, "d") } + ["(glmc_size)\(threads) * \(text(plan.perThreadBytes, "d"))"]
        return parts.joined(separator: " + ")
    }

    /// Declarations of the slots' offsets in the workspace.
    var slotOffsets: String {
        var out = "", start = "(int64_t)\(plan.fixedBytes)"
        for (i, slot) in plan.slots.enumerated() {
            out += "    const int64_t s\(i) = \(start);\n"
            start = "s\(i) + (int64_t)\(largest(slot, "d"))"
        }
        return out
    }

    /// Where the threads' own parts begin.
    var workspaceEnd: String {
        guard let last = plan.slots.last else { return "(int64_t)\(plan.fixedBytes)" }
        return "s\(plan.slots.count - 1) + (int64_t)\(largest(last, "d"))"
    }

    /// An extent as a C expression of type `glmc_size` over the dimensions in `array`.
    func text(_ extent: Extent, _ array: String) -> String {
        var terms = extent.terms.map { term -> String in
            let factors = term.factors.map { factor -> String in
                switch factor {
                case .dimension(let dimension): return "(glmc_size)\(array)[\(dimensionIndex[dimension] ?? 0)]"
                case .floorDivide(let a, let b): return "glmc_quotient(\(text(a, array)), \(text(b, array)))"
                case .modulo(let a, let b): return "glmc_modulo(\(text(a, array)), \(text(b, array)))"
                // No type with such a size gets past the verifier, but a bound of one that does may be: more than any run is given.
                case .tooComplex: return "((glmc_size)1 << 80)"
                case .maximum(let a, let b): return "glmc_larger(\(text(a, array)), \(text(b, array)))"
                case .minimum(let a, let b): return "glmc_smaller(\(text(a, array)), \(text(b, array)))"
                }
            }
            return (term.coefficient == 1 ? factors : ["(glmc_size)\(term.coefficient)"] + factors).joined(separator: " * ")
        }
        if extent.offset != 0 || terms.isEmpty { terms.append("(glmc_size)\(extent.offset)") }
        return terms.count == 1 ? terms[0] : "(\(terms.joined(separator: " + ")))"
    }

    /// The largest of `extents`.
    private func largest(_ extents: [Extent], _ array: String) -> String {
        extents.dropFirst().reduce(text(extents.first ?? 0, array)) { "glmc_larger(\($0), \(text($1, array)))" }
    }

    /// Sizes of values between inputs and outputs that inputs smaller than a window would make negative. Branches may never be taken and do not count.
    private var extentsThatMayBeNegative: [Extent] {
        let function = program.function
        var seen: Set<Extent> = []
        return function.nodes(in: function.body).flatMap { function[$0].results }.flatMap { function.type($0).tensor?.shape ?? [] }.map(program.bounded).filter { extent in
            !extent.isNeverNegative && seen.insert(extent).inserted
        }
    }

    /// How many elements values between inputs and outputs have, with memory of their own or without: no kernel counts beyond what an address holds.
    private var elementCounts: [Extent] {
        let function = program.function
        var seen: Set<Extent> = []
        return function.nodes(in: function.body).flatMap { function[$0].results }.compactMap { function.type($0).tensor?.shape.product }.map(program.bounded).filter { count in
            !count.isConstant && !count.isTooComplex && seen.insert(count).inserted
        }
    }

    private var hasRuntimeDimensions: Bool {
        dimensions.contains { if case .runtime = $0.info.source { true } else { false } }
    }

    private func sizes() -> String {
        let function = program.function
        var out = ""
        if !dimensions.isEmpty {
            out += "static void glmc_main_shapes(const int64_t *d, int64_t *in, int64_t *out)\n{\n    (void)d; (void)in; (void)out;\n"
            for (array, values) in [("in", function.inputs), ("out", function.outputs)] {
                let all = values.flatMap { function.tensorType($0).shape }
                for (i, extent) in all.enumerated() { out += "    \(array)[\(i)] = glmc_fit(\(text(extent, "d")));\n" }
            }
            out += "}\n\n"
        }
        if hasRuntimeDimensions {
            out += "static void glmc_main_bounds(int64_t *d)\n{\n"
            for (i, dimension) in dimensions.enumerated() {
                if case .runtime(let bound) = dimension.info.source { out += "    d[\(i)] = glmc_fit(\(text(program.bounded(bound), "d")));\n" }
            }
            out += "}\n\nstatic void glmc_main_most(const int64_t *d, int64_t *out)\n{\n    (void)d; (void)out;\n"
            for (i, extent) in function.outputs.flatMap({ function.tensorType($0).shape }).enumerated() {
                out += "    out[\(i)] = glmc_fit(\(text(program.bounded(extent), "d")));\n"
            }
            out += "}\n\n"
        }
        out += "static int64_t glmc_main_workspace(const int64_t *d, int threads)\n{\n    (void)d;\n    glmc_size bytes = \(plan.fixedBytes);\n"
        for count in elementCounts { out += "    if ((\(text(count, "d"))) >> 62) return -1;\n" }
        for extent in extentsThatMayBeNegative { out += "    if (\(text(extent, "d")) < 0) return -1;\n" }
        for slot in plan.slots { out += "    bytes += \(largest(slot, "d"));\n" }
        out += "    bytes += (glmc_size)threads * \(text(plan.perThreadBytes, "d"));\n"
        out += "    return bytes < 0 || bytes >> 62 ? -1 : (int64_t)bytes;\n}\n"
        return out
    }

    // MARK: Body

    private func body() throws -> String {
        let watch = MemoryWatch(main: self)
        var out = watch.function + "static void glmc_main_body(glmc_frame *f, glmc_worker *worker)\n{\n    const int tid = worker->number;\n    (void)tid;\n" + memoryNames
        if plan.perThreadBytes != 0 { out += "    unsigned char *const t = \(threadMemory("tid"));\n" }
        out += watch.begin
        var writer = BodyWriter(main: self)
        try writer.write(program.steps, depth: 1)
        out += writer.out + (writer.hasDemands ? "end:;\n" : "") + watch.end + "}\n\n"
        let known = writer.splitWork.compactMap(\.constant).reduce(0) { $0.addingReportingOverflow($1).overflow ? .max : $0 + $1 }
        out += "static int64_t glmc_main_split_work(const int64_t *d)\n{\n    glmc_size sum = \(known);\n    (void)d;\n"
        for extent in writer.splitWork where !extent.isConstant { out += "    sum += glmc_cut(\(work(extent)));\n" }
        out += "    return glmc_work(sum);\n}\n"
        return out
    }

    /// An amount of work as a C expression.
    func work(_ work: Extent) -> String { work.constant.map(String.init) ?? "glmc_work(\(text(work, "d")))" }

    /// Declarations of what addresses are made of.
    var memoryNames: String {
        var out = "    unsigned char *const w = f->workspace;\n    const unsigned char *const c = f->weights;\n    (void)w; (void)c;\n"
        if !dimensions.isEmpty { out += "    const int64_t *const d = f->dims;\n    (void)d;\n" }
        return out + slotOffsets
    }

    /// The start of the part of the workspace that thread number `number` has for itself.
    func threadMemory(_ number: String) -> String { "w + \(workspaceEnd) + \(number) * (int64_t)(\(text(plan.perThreadBytes, "d")))" }

    func address(_ root: RootID) -> String {
        switch program.roots[root.index].kind {
        case .arena: workspace(plan[root])
        case .input(let i): "f->inputs[\(i)].data"
        case .output(let i): "f->outputs[\(i)].data"
        case .constant: "c + \(weights.constantOffsets[root] ?? 0)"
        }
    }

    func workspace(_ address: MemoryPlan.Address) -> String {
        switch address {
        case .fixed(let offset): "w + \(offset)"
        case .slot(let i): "w + s\(i)"
        case .thread(let offset): "t + \(offset.constant.map(String.init) ?? "(int64_t)(\(text(offset, "d")))")"
        }
    }

    // MARK: Tables

    private static let inputTable = "glmc_main_inputs"

    private func tables() -> String {
        let function = program.function
        var out = tensorInfos(Self.inputTable, function.inputs, function.inputNames) + tensorInfos("glmc_main_outputs", function.outputs, function.outputNames)
        if !dimensions.isEmpty {
            out += "static const glmc_dim_info glmc_main_dims[] = {\n"
            for dimension in dimensions {
                switch dimension.info.source {
                case .input: out += "    {.name = \(ForeignText.literal(dimension.name)), .min = 0, .max = \(Self.largestDimension), .flags = 0},\n"
                case .runtime: out += "    {.name = \(ForeignText.literal(dimension.name)), .min = 0, .max = INT64_MAX, .flags = GLMC_DATA_DEPENDENT},\n"
                }
            }
            out += "};\n"
        }
        let bindings = function.inputs.flatMap { function.tensorType($0).shape }.map { extent -> String in
            if extent.isConstant { return "GLMC_SIZE_FIXED" }
            if extent.terms.count == 1, extent.offset == 0, extent.terms[0].coefficient == 1, case .dimension(let dimension)? = extent.terms[0].factors.first,
               extent.terms[0].factors.count == 1 { return String(dimensionIndex[dimension] ?? 0) }
            return "GLMC_SIZE_COMPUTED"
        }
        let agreement = agreement
        out += agreement.text
        let defaults = defaults
        out += defaults.text
        let features = ForeignText.literal(program.target.features.joined(separator: " "))
        out += """
        static const glmc_program glmc_main_program = {
            .entry = {.size = sizeof(glmc_entry), .input_count = \(function.inputs.count), .output_count = \(function.outputs.count), .dim_count = \(dimensions.count),
                      .kernel_count = \(program.launches.count), .name = "main", .inputs = \(function.inputs.isEmpty ? "0" : "glmc_main_inputs"), .outputs = glmc_main_outputs, .dims = \(dimensions.isEmpty ? "0" : "glmc_main_dims"),
                      .output_shapes = \(defaults.names)_shapes, .workspace_size = \(defaults.names)_workspace, .run = \(defaults.names)_run},
            .input_dims = (const int32_t[]){\((bindings.isEmpty ? ["0"] : bindings).joined(separator: ", "))},
            .shapes = \(dimensions.isEmpty ? "0" : "glmc_main_shapes"), .bounds = \(hasRuntimeDimensions ? "glmc_main_bounds" : "0"), .most = \(hasRuntimeDimensions ? "glmc_main_most" : "0"), .agree = \(agreement.name), .workspace = glmc_main_workspace, .least_work = \(worthCutting), .split_work = glmc_main_split_work, .body = glmc_main_body,
            .weights = \(name.weights), .cpu_features = \(features), .cpu_checked = &glmc_this_checked,
        };

        static int glmc_this_check_cpu(char *error, uint64_t error_bytes) { return glmc_check_features(\(features), error, error_bytes); }

        static const char glmc_this_manifest[] =
        \(ForeignText.literals(manifest));
        static const glmc_model glmc_this_model = {
            .abi_version = GLMC_ABI_VERSION, .size = sizeof(glmc_model), .name = \(ForeignText.literal(name.text)), .manifest = glmc_this_manifest, .manifest_bytes = sizeof glmc_this_manifest - 1,
            .cpu_features = \(features), .device = GLMC_HOST, .entry_count = 1, .entries = (const glmc_entry *const[]){&glmc_main_program.entry},
            .weights = \(name.weights), .weights_bytes = \(max(weights.byteCount, 64)),
            .check_cpu = glmc_this_check_cpu, .threads_create = glmc_pool_create, .session_open = glmc_session_open_, .session_run = glmc_session_run_, .session_close = glmc_session_close_,
        };

        GLMC_EXPORT const glmc_model *\(name.function)(void);
        GLMC_EXPORT const glmc_model *\(name.function)(void) { return &glmc_this_model; }
        #ifndef GLMC_STATIC
        GLMC_EXPORT const glmc_model *glmc_model_get(void);
        GLMC_EXPORT const glmc_model *glmc_model_get(void) { return &glmc_this_model; }
        #endif
        #ifdef GLMC_EXECUTABLE
        #include "glmc_main.h"
        int main(int argc, char **argv) { return glmc_main(&glmc_this_model, argc, argv); }
        #endif

        """
        return out
    }

    /// The functions of the entry point where inputs have defaults, and how the names of its functions begin.
    private var defaults: (text: String, names: String) {
        if weights.defaultOffsets.isEmpty { return ("", "glmc_program") }
        let offsets = program.function.inputs.indices.map { String(weights.defaultOffsets[$0] ?? -1) }.joined(separator: ", ")
        return ("""
            static const int64_t glmc_main_defaults[] = {\(offsets)};
            static int glmc_main_call_shapes(const glmc_entry *self, const glmc_call *call) { return glmc_shapes_with_defaults(self, call, glmc_main_defaults); }
            static int glmc_main_call_workspace(const glmc_entry *self, const glmc_call *call, uint64_t *bytes) { return glmc_workspace_with_defaults(self, call, bytes, glmc_main_defaults); }
            static int glmc_main_call_run(const glmc_entry *self, const glmc_call *call) { return glmc_run_with_defaults(self, call, glmc_main_defaults); }

            """, "glmc_main_call")
    }

    private func tensorInfos(_ table: String, _ values: [ValueID], _ names: [String]) -> String {
        if values.isEmpty { return "" }
        var out = "static const glmc_tensor_info \(table)[] = {\n"
        let runtime = Set(dimensions.compactMap { if case .runtime = $0.info.source { $0.name } else { nil } })
        for (value, name) in zip(values, names) {
            let type = program.function.tensorType(value)
            let shape = type.shape.map { $0.constant.map(String.init) ?? "-1" }.joined(separator: ", ")
            let dims = type.shape.map { ForeignText.literal($0.description) }.joined(separator: ", ")
            let depends = type.shape.contains { !$0.dimensions.isDisjoint(with: runtime) }
            out += "    {.name = \(ForeignText.literal(name)), .dtype = \(Self.dtype(type.element)), .rank = \(type.rank)"
            out += type.rank == 0 ? ", .shape = 0, .dims = 0" : ", .shape = (const int64_t[]){\(shape)}, .dims = (const char *const[]){\(dims)}"
            let flags = depends ? ", .flags = GLMC_DATA_DEPENDENT" : table == Self.inputTable && program.function.defaults[value] != nil ? ", .flags = GLMC_OPTIONAL" : ""
            out += "\(flags), .state = -1},\n"
        }
        return out + "};\n"
    }

    /// The interface's constant for an element type.
    static func dtype(_ element: ElementType) -> String { "GLMC_" + element.rawValue.uppercased() }
}
