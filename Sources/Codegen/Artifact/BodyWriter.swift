import GlmcIR

/// Writes the launches of the kernels as regions: launches of which none touches what another one writes, cut into parts that
/// threads claim. Launches too small to be cut stand together in regions of one part, whatever they touch. Regions are rows of a table, and a statement
/// of the body runs all that follow each other.
struct BodyWriter {
    /// The most launches of a region that is cut: enough to keep every thread busy.
    private static let largestRegion = 256

    let entry: EntryText
    /// Kernels that give a dimension its size.
    private let definesDimension: [Bool]
    private(set) var out = ""
    private var table = LaunchTable()
    /// The names of ops whose demands on the data kernels check, one list after the other.
    private var origins: [String] = []
    /// The work of each region that may be cut.
    private(set) var splitWork: [Extent] = []
    /// Whether there are jumps to the end of the body.
    private(set) var hasDemands = false
    /// The loops around the current step, outermost first.
    private var loops: [LoopID] = []
    /// The region that is being collected, and statements that set pointers of its launches before each part.
    private var pending: [Launch] = []
    private var pointers: [String] = []
    /// The first region that no statement runs yet.
    private var firstRegion = 0

    init(entry: EntryText) {
        self.entry = entry
        definesDimension = entry.program.code.kernels.map { $0.function.body.contains(where: \.definesDimension) }
    }

    /// Tables that stand before the body.
    var tables: String {
        let names = origins.isEmpty ? "" : "static const char *const \(entry.symbol("origins"))[] = {\(origins.map(ForeignText.literal).joined(separator: ", "))};\n"
        return table.text(entry.symbol, kernels: MainText.kernelTable) + names
    }

    /// Variables of the body that its statements use.
    var declarations: String { table.declarations }

    mutating func write(_ steps: [Step], depth: Int) throws {
        let indent = String(repeating: "    ", count: depth)
        for step in steps {
            switch step {
            case .launch(let launch):
                if let first = pending.first, isSerial(first) ? !isSerial(launch) : pending.count >= Self.largestRegion || pending.contains(where: { conflict($0, launch) }) {
                    endRegion(indent)
                }
                pending.append(launch)
                table.add(kernel: launch.kernel, try operands(of: launch), nodes: launch.provenance)
            case .define(let dimension, let size):
                join(indent)
                define(dimension, "(int64_t)(\(entry.text(size, "d")))", indent)
                join(indent)
            case .conditional(let condition, let then, let otherwise):
                join(indent)
                out += "\(indent){\n\(indent)    const int holds = *\(try pointer(condition)) != 0;\n"
                join(indent + "    ")
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
                if demands.contains(where: \.dependsOnData) { join(indent) } else { close(indent) }
                for demand in demands {
                    out += "\(indent)if (\(entry.violation(demand))) {\n\(indent)    glmc_fail(f, GLMC_BAD_SHAPE, \(ForeignText.literal(entry.complaint(demand))));\n\(indent)    goto end;\n\(indent)}\n"
                    hasDemands = true
                }
            case .loop(let loop): try write(loop, depth: depth)
            }
        }
        if depth == 1 { close(indent) }
    }

    /// Every thread counts the iterations for itself and reads the condition, which no thread changes before all have read it.
    private mutating func write(_ loop: LoopStep, depth: Int) throws {
        let outer = String(repeating: "    ", count: depth), indent = outer + "        "
        loops.append(loop.id)
        defer { loops.removeLast() }
        join(outer)
        let n = iteration(loop.id)
        let limit = switch loop.limit {
        case .extent(let extent): "(int64_t)(\(entry.text(extent, "d")))"
        case .value(let place): "*\(try pointer(place))"
        }
        let condition = try loop.condition.map { " && *\(try pointer($0))" } ?? ""
        out += "\(outer){\n\(outer)    const int64_t \(n)_limit = \(limit);\n\(outer)    int64_t \(n) = 0;\n"
        out += "\(outer)    for (;; \(n)++) {\n\(indent)const int goes_on = \(n) < \(n)_limit\(condition);\n"
        if loop.condition != nil || loop.counter != nil { join(indent) }
        out += "\(indent)if (!goes_on) break;\n"
        if let counter = loop.counter {
            out += "\(indent)if (tid == 0) *\(try pointer(counter)) = \(n);\n"
            join(indent)
        }
        try write(loop.body, depth: depth + 2)
        join(indent)
        out += "\(outer)    }\n"
        if let iterations = loop.iterations {
            // The dimension had its bound until now, which others may still be reading.
            join(outer + "    ")
            define(iterations, n, outer + "    ")
            join(outer + "    ")
        }
        out += "\(outer)}\n"
    }

    /// The C variable that holds the number of a loop's iteration.
    private func iteration(_ loop: LoopID) -> String { "n\(loops.firstIndex(of: loop) ?? 0)" }

    private mutating func define(_ dimension: String, _ size: String, _ indent: String) {
        guard let index = entry.dimensionIndex[dimension] else { return }
        out += "\(indent)if (tid == 0) f->dims[\(index)] = \(size);\n"
    }

    /// A pointer to the first element of a value.
    private func pointer(_ place: TensorPlacement) throws -> String {
        var address = try entry.address(place.storage).text + loopOffset(place.loopOffsets, place.element)
        if place.offset != 0 { address += " + (int64_t)(\(entry.text(place.offset * Extent(place.element.byteCount), "d")))" }
        return "(\(CDialect.c.scalar(place.element)) *)(void *)(\(address))"
    }

    /// How far a value that lies elsewhere in each iteration lies from its first place, as text behind that.
    private func loopOffset(_ loopOffsets: [LoopOffset], _ element: ElementType) -> String {
        loopOffsets.map { " + \(iteration($0.loop)) * (int64_t)(\(entry.text($0.stride * Extent(element.byteCount), "d")))" }.joined()
    }

    /// Whether a launch is done by one thread in any case.
    private func isSerial(_ launch: Launch) -> Bool {
        launch.isSingle || launch.work.constant.map { $0 < entry.minParallelWork } ?? false
    }

    /// Ends the region that is being collected.
    private mutating func endRegion(_ indent: String) {
        if pending.isEmpty { return }
        let work = pending.allSatisfy(isSerial) ? 0 : pending.reduce(Extent(0)) { $0 + entry.program.bounded($1.work) }
        if work != 0 { splitWork.append(work) }
        if !pointers.isEmpty { run(indent) }
        let region = table.endRegion(work: entry.work(work))
        if !pointers.isEmpty {
            out += "\(indent)GLMC_PARALLEL(worker, z[\(region.work)]) {\n" + pointers.map { "\(indent)    \($0)\n" }.joined()
            out += "\(indent)    glmc_launch_all(f, worker, &\(entry.symbol("table")), b, \(region.launches.lowerBound), \(region.launches.upperBound), part, parts);\n\(indent)}\n"
            firstRegion = table.regionCount
        }
        pending = []
        pointers = []
    }

    /// Writes the statement that runs the regions since the last statement.
    private mutating func run(_ indent: String) {
        if firstRegion < table.regionCount { out += "\(indent)glmc_run_regions(f, worker, &\(entry.symbol("table")), b, z, \(firstRegion), \(table.regionCount));\n" }
        firstRegion = table.regionCount
    }

    /// Ends the region that is being collected, so that another statement may follow.
    private mutating func close(_ indent: String) {
        endRegion(indent)
        run(indent)
    }

    /// Lets all threads come together, so that each may read what the others wrote outside of regions.
    private mutating func join(_ indent: String) {
        close(indent)
        out += "\(indent)glmc_join(f, worker);\n"
    }

    /// Where a launch's buffers lie, in the order of the kernel's parameters.
    private mutating func operands(of launch: Launch) throws -> [LaunchTable.Operand] {
        let kernel = entry.program.kernel(of: launch)
        var operands = try zip(kernel.buffers, launch.arguments).map { buffer, argument in
            let address = try entry.address(argument.storage)
            if !argument.loopOffsets.isEmpty { return try changing(address.text + loopOffset(argument.loopOffsets, buffer.element)) }
            if case .thread(let offset) = entry.plan[argument.storage], !entry.isBound(offset) { return try changing(address.text) }
            return try table.operand(at: address)
        }
        if kernel.reports {
            operands.append(try table.operand(at: AddressText(base: "\(entry.symbol("origins")) + \(origins.count)")))
            origins += launch.origins
        }
        return operands
    }

    /// A pointer that is known only when its region begins.
    private mutating func changing(_ text: String) throws -> LaunchTable.Operand {
        let operand = try table.changingOperand()
        pointers.append("b[\(operand.base)] = (void *)(\(text));")
        return operand
    }

    /// Whether `later` must wait for `earlier`: one writes what the other touches, perhaps in another part.
    private func conflict(_ earlier: Launch, _ later: Launch) -> Bool {
        if earlier.isSingle && later.isSingle { return false }
        func touches(_ a: Set<StorageID>, _ b: Set<StorageID>) -> Bool {
            a.contains { x in b.contains { y in overlap(x, y) } }
        }
        if scratchMemory(earlier) || scratchMemory(later) { return true }
        if definesDimension[earlier.kernel] { return true }
        if touches(earlier.writes, later.reads) || touches(later.writes, earlier.reads) { return true }
        // A fill and a producer write disjoint parts of one storage; areas that merely share addresses still conflict.
        return earlier.writes.contains { x in
            later.writes.contains { y in overlap(x, y) && !(x == y && (earlier.isFill || later.isFill)) }
        }
    }

    private func scratchMemory(_ launch: Launch) -> Bool {
        launch.arguments.contains { entry.program[$0.storage].owner == .scratch(perThread: false) }
    }

    private func overlap(_ a: StorageID, _ b: StorageID) -> Bool {
        if a == b { return true }
        guard entry.program[a].owner == .arena, entry.program[b].owner == .arena else {
            // Distinct buffers of the caller do not overlap.
            return false
        }
        return entry.plan.overlap(a, b)
    }
}
