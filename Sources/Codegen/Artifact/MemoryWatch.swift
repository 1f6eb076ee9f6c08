import GlmcIR

/// C text that tells AddressSanitizer about the gaps of a watched memory plan: while a run lasts, touching one is an error.
/// Without gaps all of it is empty.
struct MemoryWatch {
    let entry: EntryText

    private var isNeeded: Bool { !entry.plan.gaps.isEmpty || !entry.weights.gaps.isEmpty }

    /// The function that marks the gaps, or makes them ordinary memory again.
    var function: String {
        guard isNeeded else { return "" }
        var out = """
        void __asan_poison_memory_region(const volatile void *, size_t);
        void __asan_unpoison_memory_region(const volatile void *, size_t);
        static void \(entry.symbol("watch"))(const glmc_frame *f, int nt, void (*mark)(const volatile void *, size_t))
        {
            (void)nt;

        """ + entry.memoryNames
        for gap in entry.plan.gaps {
            let bytes = "(size_t)(\(entry.text(gap.to - gap.from, "d")))", start = "\(entry.workspace(gap.start).text) + (int64_t)(\(entry.text(gap.from, "d")))"
            if case .thread = gap.start {
                out += "    for (int i = 0; i < nt; i++) {\n        unsigned char *const t = \(entry.threadMemory("i"));\n        mark(\(start), \(bytes));\n    }\n"
            } else {
                out += "    mark(\(start), \(bytes));\n"
            }
        }
        // Weights are shared by all runs: their gaps stay marked.
        for gap in entry.weights.gaps { out += "    __asan_poison_memory_region(c + \(gap.lowerBound), \(gap.count));\n" }
        return out + "}\n\n"
    }

    var begin: String { isNeeded ? "    if (tid == 0) \(entry.symbol("watch"))(f, worker->count, __asan_poison_memory_region);\n    glmc_meet(f, worker);\n" : "" }
    var end: String { isNeeded ? "    glmc_meet(f, worker);\n    if (tid == 0) \(entry.symbol("watch"))(f, worker->count, __asan_unpoison_memory_region);\n" : "" }
}
