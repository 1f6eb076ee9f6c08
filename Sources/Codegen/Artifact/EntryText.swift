import GlmcIR

/// Writes the part of an artifact's main file that belongs to one entry point: the run body that calls the kernels, sizes as functions of dimensions, and
/// its tables of the interface (see docs/artifact.md).
struct EntryText {
    let program: Program
    let plan: MemoryPlan
    let weights: Weights
    let name: ModelName
    /// The position among the module's entry points.
    let number: Int
    /// See `CompileOptions`.
    let minParallelWork: Int

    var dimensions: [(name: String, info: DimensionInfo)] { program.function.dimensions }
    /// The position of each dimension in the entry point's table.
    let dimensionIndex: [String: Int]

    init(program: Program, plan: MemoryPlan, weights: Weights, name: ModelName, number: Int = 0, minParallelWork: Int = WorkEstimate.minParallelWork) {
        self.program = program
        self.plan = plan
        self.weights = weights
        self.name = name
        self.number = number
        self.minParallelWork = minParallelWork
        dimensionIndex = Dictionary(uniqueKeysWithValues: program.function.dimensions.enumerated().map { ($1.name, $0) })
    }

    /// The name of a function or table of this entry point.
    func symbol(_ part: String) -> String { "glmc_e\(number)_\(part)" }

    func text() throws -> String { sizes() + "\n" + (try body()) + "\n" + tables() }

    // MARK: Sizes

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

    var hasDataDependentDimensions: Bool {
        dimensions.contains { if case .dataDependent = $0.info.source { true } else { false } }
    }

    private func sizes() -> String {
        let function = program.function
        var out = ""
        if !dimensions.isEmpty {
            out += "static void \(symbol("shapes"))(const int64_t *d, int64_t *in, int64_t *out)\n{\n    (void)d; (void)in; (void)out;\n"
            for (array, values) in [("in", function.inputs), ("out", function.outputs)] {
                let all = values.flatMap { function.tensorType($0).shape }
                for (i, extent) in all.enumerated() { out += "    \(array)[\(i)] = glmc_fit(\(text(extent, "d")));\n" }
            }
            out += "}\n\n"
        }
        if hasDataDependentDimensions {
            out += "static void \(symbol("bounds"))(int64_t *d)\n{\n"
            for (i, dimension) in dimensions.enumerated() {
                if case .dataDependent(let bound) = dimension.info.source { out += "    d[\(i)] = glmc_fit(\(text(program.bounded(bound), "d")));\n" }
            }
            out += "}\n\nstatic void \(symbol("most"))(const int64_t *d, int64_t *out)\n{\n    (void)d; (void)out;\n"
            for (i, extent) in function.outputs.flatMap({ function.tensorType($0).shape }).enumerated() {
                out += "    out[\(i)] = glmc_fit(\(text(program.bounded(extent), "d")));\n"
            }
            out += "}\n\n"
        }
        out += "static int64_t \(symbol("workspace"))(const int64_t *d, int threads)\n{\n    (void)d;\n    glmc_size bytes = \(plan.fixedBytes);\n"
        for count in elementCounts { out += "    if ((\(text(count, "d"))) >> 62) return -1;\n" }
        for extent in extentsThatMayBeNegative { out += "    if (\(text(extent, "d")) < 0) return -1;\n" }
        for slot in plan.slots { out += "    bytes += \(largest(slot, "d"));\n" }
        out += "    bytes += (glmc_size)threads * \(text(plan.perThreadBytes, "d"));\n"
        out += "    return bytes < 0 || bytes >> 62 ? -1 : (int64_t)bytes;\n}\n"
        return out
    }

    // MARK: Body

    private func body() throws -> String {
        let redZones = RedZones(entry: self)
        var out = redZones.function + "static void \(symbol("body"))(glmc_frame *f, glmc_worker *worker)\n{\n    const int tid = worker->number;\n    (void)tid;\n" + memoryNames
        if plan.perThreadBytes != 0 { out += "    unsigned char *const t = \(threadMemory("tid"));\n" }
        out += redZones.begin
        var writer = BodyWriter(entry: self)
        try writer.write(program.steps, depth: 1)
        out = writer.tables + out + writer.declarations + writer.out + (writer.hasDemands ? "end:;\n" : "") + redZones.end + "}\n\n"
        let known = writer.splitWork.compactMap(\.constant).reduce(0) { $0.addingReportingOverflow($1).overflow ? .max : $0 + $1 }
        out += "static int64_t \(symbol("split_work"))(const int64_t *d)\n{\n    glmc_size sum = \(known);\n    (void)d;\n"
        var counts: [Extent: Int] = [:], order: [Extent] = []
        for extent in writer.splitWork where !extent.isConstant {
            if counts.updateValue(counts[extent, default: 0] + 1, forKey: extent) == nil { order.append(extent) }
        }
        for extent in order { out += "    sum += \(counts[extent] ?? 0) * glmc_cut(\(work(extent)));\n" }
        out += "    return glmc_work(sum);\n}\n"
        return out
    }

    /// An amount of work as a C expression.
    func work(_ work: Extent) -> String { work.constant.map(String.init) ?? "glmc_work(\(text(work, "d")))" }

    /// Whether a size is known from the beginning of a run.
    func isBound(_ size: Extent) -> Bool {
        !dimensions.contains { dimension in
            if case .dataDependent = dimension.info.source { size.dimensions.contains(dimension.name) } else { false }
        }
    }

    /// Declarations of what addresses are made of.
    var memoryNames: String {
        var out = "    unsigned char *const w = f->workspace;\n    const unsigned char *const c = f->weights;\n    (void)w; (void)c;\n"
        if !dimensions.isEmpty { out += "    const int64_t *const d = f->dims;\n    (void)d;\n" }
        return out + slotOffsets
    }

    /// The start of the part of the workspace that thread number `number` has for itself.
    func threadMemory(_ number: String) -> String { "w + \(workspaceEnd) + \(number) * (int64_t)(\(text(plan.perThreadBytes, "d")))" }

    /// - Throws: an internal `Diagnostic` for a weight that has no place in the artifact.
    func address(_ storage: StorageID) throws -> AddressText {
        switch program[storage].owner {
        case .arena, .scratch: return workspace(plan[storage])
        case .input(let i), .state(let i): return AddressText(base: "(unsigned char *)f->inputs[\(i)].data")
        case .output(let i): return AddressText(base: "(unsigned char *)f->outputs[\(i)].data")
        case .weight(let weight): return AddressText(base: "c", bytes: try weights.offset(of: weight))
        }
    }

    func workspace(_ address: MemoryPlan.Address) -> AddressText {
        switch address {
        case .fixed(let offset): AddressText(base: "w", bytes: offset)
        case .slot(let i): AddressText(base: "w + s\(i)")
        case .thread(let offset): offset.constant.map { AddressText(base: "t", bytes: $0) } ?? AddressText(base: "t + (int64_t)(\(text(offset, "d")))")
        }
    }
}
