import GlmcIR

/// C text that tells AddressSanitizer about the red zones of a memory plan: while a run lasts, touching one is an error.
/// Without red zones all of it is empty.
struct RedZones {
    let entry: EntryText

    private var isNeeded: Bool { !entry.plan.redZones.isEmpty || !entry.weights.redZones.isEmpty }

    /// The function that marks the red zones, or makes them ordinary memory again.
    var function: String {
        guard isNeeded else { return "" }
        var out = """
        void __asan_poison_memory_region(const volatile void *, size_t);
        void __asan_unpoison_memory_region(const volatile void *, size_t);
        static void \(entry.symbol("red_zones"))(const glmc_frame *f, int nt, void (*mark)(const volatile void *, size_t))
        {
            (void)nt;

        """ + entry.memoryNames
        for zone in entry.plan.redZones {
            let bytes = "(size_t)(\(entry.text(zone.to - zone.from, "d")))", start = "\(entry.workspace(zone.start).text) + (int64_t)(\(entry.text(zone.from, "d")))"
            if case .thread = zone.start {
                out += "    for (int i = 0; i < nt; i++) {\n        unsigned char *const t = \(entry.threadMemory("i"));\n        mark(\(start), \(bytes));\n    }\n"
            } else {
                out += "    mark(\(start), \(bytes));\n"
            }
        }
        // Weights are shared by all runs: their red zones stay marked.
        for zone in entry.weights.redZones { out += "    __asan_poison_memory_region(c + \(zone.lowerBound), \(zone.count));\n" }
        return out + "}\n\n"
    }

    var begin: String { isNeeded ? "    if (tid == 0) \(entry.symbol("red_zones"))(f, worker->count, __asan_poison_memory_region);\n    glmc_join(f, worker);\n" : "" }
    var end: String { isNeeded ? "    glmc_join(f, worker);\n    if (tid == 0) \(entry.symbol("red_zones"))(f, worker->count, __asan_unpoison_memory_region);\n" : "" }
}
