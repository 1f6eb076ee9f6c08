import GlmcIR

/// Writes the calls of the kernels as segments: launches of which none touches what another one writes, cut into parts that
/// threads claim. Launches too small to be cut stand together in segments of one part, whatever they touch.
struct BodyWriter {
    /// The most launches of a segment that is cut: enough to keep every thread busy.
    private static let largestSegment = 256

    let entry: EntryText
    /// Kernels that give a dimension its size.
    private let definesDimension: [Bool]
    private(set) var out = ""
    /// Sizes that stand in several places.
    private(set) var sizes = SizeVariables()
    /// The work of each segment that may be cut.
    private(set) var splitWork: [Extent] = []
    private var number = 0
    /// Whether there are jumps to the end of the body.
    private(set) var hasDemands = false
    /// The loops around the current step, outermost first.
    private var loops: [LoopID] = []
    /// The segment that is being collected, and the text of its calls.
    private var pending: [Launch] = []
    private var calls = ""

    init(entry: EntryText) {
        self.entry = entry
        definesDimension = entry.program.code.kernels.map { $0.function.body.contains(where: \.definesDimension) }
    }

    mutating func write(_ steps: [Step], depth: Int) throws {
        let indent = String(repeating: "    ", count: depth)
        for step in steps {
            switch step {
            case .launch(let launch):
                if let first = pending.first, isUncut(first) ? !isUncut(launch) : pending.count >= Self.largestSegment || pending.contains(where: { conflict($0, launch) }) {
                    close(indent)
                }
                pending.append(launch)
                if !launch.provenance.isEmpty { calls += "\(indent)    \(ForeignText.comment(launch.provenance.joined(separator: ", ")))\n" }
                calls += "\(indent)    GLMC_KERNEL(f, tid, \(number), \(try call(launch)));\n"
                number += 1
            case .define(let dimension, let size):
                meet(indent)
                define(dimension, "(int64_t)(\(entry.text(size, "d")))", indent)
                meet(indent)
            case .conditional(let condition, let then, let otherwise):
                meet(indent)
                out += "\(indent){\n\(indent)    const int holds = *\(try pointer(condition)) != 0;\n"
                meet(indent + "    ")
                out += "\(indent)    if (holds) {\n"
                try write(then, depth: depth + 2)
                close(indent + "        ")
                if !otherwise.isEmpty {
                    out += "\(indent)    } else {\n"
                    try write(otherwise, depth: depth + 2)
                    close(indent + "        ")
                }
                out += "\(indent)    }\n\(indent)}\n"
            case .demand(let demands):
                // All threads see the same sizes, so all go the same way.
                if demands.contains(where: \.dependsOnData) { meet(indent) } else { close(indent) }
                for demand in demands {
                    out += "\(indent)if (\(entry.violation(demand))) {\n\(indent)    glmc_fail(f, GLMC_BAD_SHAPE, \(ForeignText.literal(entry.complaint(demand))));\n\(indent)    goto end;\n\(indent)}\n"
                    hasDemands = true
                }
            case .loop(let loop): try write(loop, depth: depth)
            }
        }
        if depth == 1 { close(indent) }
    }

    /// Every thread counts the rounds for itself and reads the condition, which no thread changes before all have read it.
    private mutating func write(_ loop: LoopStep, depth: Int) throws {
        let outer = String(repeating: "    ", count: depth), indent = outer + "        "
        loops.append(loop.id)
        defer { loops.removeLast() }
        meet(outer)
        let n = round(loop.id)
        let limit = switch loop.limit {
        case .extent(let extent): "(int64_t)(\(entry.text(extent, "d")))"
        case .value(let place): "*\(try pointer(place))"
        }
        let condition = try loop.condition.map { " && *\(try pointer($0))" } ?? ""
        out += "\(outer){\n\(outer)    const int64_t \(n)_limit = \(limit);\n\(outer)    int64_t \(n) = 0;\n"
        out += "\(outer)    for (;; \(n)++) {\n\(indent)const int goes_on = \(n) < \(n)_limit\(condition);\n"
        if loop.condition != nil || loop.counter != nil { meet(indent) }
        out += "\(indent)if (!goes_on) break;\n"
        if let counter = loop.counter {
            out += "\(indent)if (tid == 0) *\(try pointer(counter)) = \(n);\n"
            meet(indent)
        }
        try write(loop.body, depth: depth + 2)
        meet(indent)
        out += "\(outer)    }\n"
        if let rounds = loop.rounds {
            // The dimension had its bound until now, which others may still be reading.
            meet(outer + "    ")
            define(rounds, n, outer + "    ")
            meet(outer + "    ")
        }
        out += "\(outer)}\n"
    }

    /// The C variable that holds the number of a loop's round.
    private func round(_ loop: LoopID) -> String { "n\(loops.firstIndex(of: loop) ?? 0)" }

    private mutating func define(_ dimension: String, _ size: String, _ indent: String) {
        guard let index = entry.dimensionIndex[dimension] else { return }
        out += "\(indent)if (tid == 0) f->dims[\(index)] = \(size);\n"
    }

    /// A pointer to the first element of a value.
    private func pointer(_ place: TensorPlacement) throws -> String {
        var address = try address(place.root, place.advances, place.element)
        if place.offset != 0 { address += " + (int64_t)(\(entry.text(place.offset * Extent(place.element.byteCount), "d")))" }
        return "(\(CDialect.c.scalar(place.element)) *)(void *)(\(address))"
    }

    private func address(_ root: RootID, _ advances: [Advance], _ element: ElementType) throws -> String {
        advances.reduce(try entry.address(root)) { address, advance in
            address + " + \(round(advance.loop)) * (int64_t)(\(entry.text(advance.stride * Extent(element.byteCount), "d")))"
        }
    }

    /// Whether a launch is done by one thread in any case.
    private func isUncut(_ launch: Launch) -> Bool {
        launch.isSingle || launch.work.constant.map { $0 < entry.worthCutting } ?? false
    }

    /// Ends the segment that is being collected.
    private mutating func close(_ indent: String) {
        if pending.isEmpty { return }
        let work = pending.allSatisfy(isUncut) ? 0 : pending.reduce(Extent(0)) { $0 + entry.program.bounded($1.work) }
        if work != 0 { splitWork.append(work) }
        out += "\(indent)GLMC_SEGMENT(worker, \(sizes.name(entry.work(work), isPlain: work.isConstant))) {\n\(calls)\(indent)}\n"
        pending = []
        calls = ""
    }

    /// Lets all threads come together, so that each may read what the others wrote outside of segments.
    private mutating func meet(_ indent: String) {
        close(indent)
        out += "\(indent)glmc_meet(f, worker);\n"
    }

    private mutating func call(_ launch: Launch) throws -> String {
        let kernel = entry.program.kernel(of: launch)
        var arguments: [String] = []
        for (buffer, argument) in zip(kernel.buffers, launch.arguments) {
            let address = switch argument {
            case .root(let root, let advances): try address(root, advances, buffer.element)
            case .packed(let i): "c + \(entry.weights.packedOffsets[i])"
            case .scratch(let i): scratch(entry.plan.scratch[i])
            }
            let qualifier = buffer.isWritten ? "" : "const "
            arguments.append("(\(qualifier)\(CDialect.c.scalar(buffer.element)) *)(\(qualifier)void *)(\(address))")
        }
        let origins = kernel.reports ? ["(const char *const[]){\(launch.origins.map(ForeignText.literal).joined(separator: ", "))}"] : []
        return "\(entry.name.kernel(launch.kernel))(\((["f"] + arguments + origins + ["part", "parts"]).joined(separator: ", ")))"
    }

    private mutating func scratch(_ address: MemoryPlan.Address) -> String {
        guard case .thread(let offset) = address, !offset.isConstant else { return entry.workspace(address) }
        return "t + " + sizes.name("(int64_t)(\(entry.text(offset, "d")))", isPlain: !entry.isBound(offset))
    }

    /// Whether `later` must wait for `earlier`: one writes what the other touches, perhaps in another part.
    private func conflict(_ earlier: Launch, _ later: Launch) -> Bool {
        if earlier.isSingle && later.isSingle { return false }
        func touches(_ a: Set<RootID>, _ b: Set<RootID>) -> Bool {
            a.contains { x in b.contains { y in overlap(x, y) } }
        }
        if scratchMemory(earlier) || scratchMemory(later) { return true }
        if definesDimension[earlier.kernel] { return true }
        if touches(earlier.writes, later.reads) || touches(later.writes, earlier.reads) { return true }
        // A fill and a producer write disjoint parts of one root; areas that merely share addresses still conflict.
        return earlier.writes.contains { x in
            later.writes.contains { y in overlap(x, y) && !(x == y && (earlier.isFill || later.isFill)) }
        }
    }

    private func scratchMemory(_ launch: Launch) -> Bool {
        launch.arguments.contains { if case .scratch(let i) = $0 { !entry.program.scratch[i].perThread } else { false } }
    }

    private func overlap(_ a: RootID, _ b: RootID) -> Bool {
        if a == b { return true }
        let program = entry.program
        guard program.roots[a.index].kind == .arena, program.roots[b.index].kind == .arena else {
            // Distinct buffers of the caller do not overlap.
            return false
        }
        return entry.plan.overlap(a, b)
    }
}
