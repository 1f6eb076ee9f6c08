import GlmcIR

/// Writes the calls of the kernels, with barriers only where one thread may read what another wrote.
struct BodyWriter {
    let main: MainText
    private(set) var out = ""
    private var number = 0
    /// Launches since the last barrier.
    private var pending: [Launch] = []
    /// The loops around the current step, outermost first.
    private var loops: [LoopID] = []

    init(main: MainText) { self.main = main }

    mutating func write(_ steps: [Step], depth: Int) throws {
        let indent = String(repeating: "    ", count: depth)
        for step in steps {
            switch step {
            case .launch(let launch):
                if pending.contains(where: { conflict($0, launch) }) { barrier(indent) }
                pending.append(launch)
                if !launch.provenance.isEmpty { out += "\(indent)/* \(Self.comment(launch.provenance)) */\n" }
                out += "\(indent)GLMC_KERNEL(f, tid, \(number), \(call(launch)));\n"
                number += 1
            case .define(let dimension, let size):
                barrier(indent)
                define(dimension, "(int64_t)(\(main.text(size, "d")))", indent)
                barrier(indent)
            case .conditional(let condition, let then, let otherwise):
                barrier(indent)
                out += "\(indent)if (*\(pointer(condition))) {\n"
                try write(then, depth: depth + 1)
                if !otherwise.isEmpty {
                    barrier(indent + "    ")
                    out += "\(indent)} else {\n"
                    try write(otherwise, depth: depth + 1)
                }
                barrier(indent + "    ")
                out += "\(indent)}\n"
            case .loop(let loop): try write(loop, depth: depth)
            }
        }
    }

    /// Every thread counts the rounds for itself and reads the condition, which no thread changes before all have read it.
    private mutating func write(_ loop: LoopStep, depth: Int) throws {
        let outer = String(repeating: "    ", count: depth), indent = outer + "        "
        loops.append(loop.id)
        defer { loops.removeLast() }
        barrier(outer)
        let n = round(loop.id)
        let limit = switch loop.limit {
        case .extent(let extent): "(int64_t)(\(main.text(extent, "d")))"
        case .value(let place): "*\(pointer(place))"
        }
        let condition = loop.condition.map { " && *\(pointer($0))" } ?? ""
        out += "\(outer){\n\(outer)    const int64_t \(n)_limit = \(limit);\n\(outer)    int64_t \(n) = 0;\n"
        out += "\(outer)    for (; \(n) < \(n)_limit\(condition); \(n)++) {\n"
        if loop.condition != nil || loop.counter != nil { barrier(indent) }
        if let counter = loop.counter {
            out += "\(indent)if (tid == 0) *\(pointer(counter)) = \(n);\n"
            barrier(indent)
        }
        try write(loop.body, depth: depth + 2)
        barrier(indent)
        out += "\(outer)    }\n"
        if let rounds = loop.rounds {
            // The dimension had its bound until now, which others may still be reading.
            barrier(outer + "    ")
            define(rounds, n, outer + "    ")
            barrier(outer + "    ")
        }
        out += "\(outer)}\n"
    }

    /// The C variable that holds the number of a loop's round.
    private func round(_ loop: LoopID) -> String { "n\(loops.firstIndex(of: loop) ?? 0)" }

    private mutating func define(_ dimension: String, _ size: String, _ indent: String) {
        guard let index = main.dimensionIndex[dimension] else { return }
        out += "\(indent)if (tid == 0) f->dims[\(index)] = \(size);\n"
    }

    /// A pointer to the first element of a value.
    private func pointer(_ place: TensorPlacement) -> String {
        var address = address(place.root, place.advances, place.element)
        if place.offset != 0 { address += " + (int64_t)(\(main.text(place.offset * Extent(place.element.byteCount), "d")))" }
        return "(\(CDialect.c.scalar(place.element)) *)(void *)(\(address))"
    }

    private func address(_ root: RootID, _ advances: [Advance], _ element: ElementType) -> String {
        advances.reduce(main.address(root)) { address, advance in
            address + " + \(round(advance.loop)) * (int64_t)(\(main.text(advance.stride * Extent(element.byteCount), "d")))"
        }
    }

    private mutating func barrier(_ indent: String) {
        out += "\(indent)glmc_barrier_wait(&f->barrier);\n"
        pending = []
    }

    private func call(_ launch: Launch) -> String {
        let kernel = main.program.kernels[launch.kernel]
        let arguments = zip(kernel.buffers, launch.arguments).map { buffer, argument -> String in
            let address = switch argument {
            case .root(let root, let advances): address(root, advances, buffer.element)
            case .packed(let i): "c + \(main.weights.packedOffsets[i])"
            case .scratch(let i): main.workspace(main.plan.scratch[i])
            }
            let qualifier = buffer.isWritten ? "" : "const "
            return "(\(qualifier)\(CDialect.c.scalar(buffer.element)) *)(\(qualifier)void *)(\(address))"
        }
        return "\(MainText.kernelSymbol(main.name, launch.kernel))(\((["f"] + arguments + ["tid", "nt"]).joined(separator: ", ")))"
    }

    /// Whether `later` must wait for `earlier`: one writes what the other touches, on different threads.
    private func conflict(_ earlier: Launch, _ later: Launch) -> Bool {
        if earlier.isSingle && later.isSingle { return false }
        func touches(_ a: Set<RootID>, _ b: Set<RootID>) -> Bool {
            a.contains { x in b.contains { y in overlap(x, y) } }
        }
        if scratchMemory(earlier) || scratchMemory(later) { return true }
        if definesDimension(earlier) { return true }
        if touches(earlier.writes, later.reads) || touches(later.writes, earlier.reads) { return true }
        // A fill and a producer write disjoint parts of one root; areas that merely share addresses still conflict.
        return earlier.writes.contains { x in
            later.writes.contains { y in overlap(x, y) && !(x == y && (earlier.isFill || later.isFill)) }
        }
    }

    private func scratchMemory(_ launch: Launch) -> Bool {
        launch.arguments.contains { if case .scratch(let i) = $0 { !main.program.scratch[i].perThread } else { false } }
    }

    private func definesDimension(_ launch: Launch) -> Bool {
        main.program.kernels[launch.kernel].body.contains(where: \.definesDimension)
    }

    private func overlap(_ a: RootID, _ b: RootID) -> Bool {
        if a == b { return true }
        let program = main.program
        guard program.roots[a.index].kind == .arena, program.roots[b.index].kind == .arena else {
            // Distinct caller's buffers do not overlap, except that a state's output is its input.
            return false
        }
        return main.plan.overlap(a, b, program)
    }

    private static func comment(_ names: [String]) -> String {
        let text = names.joined(separator: ", ").map { $0 == "*" || $0 == "/" ? "." : $0 }
        return text.count > 160 ? String(text.prefix(157)) + "..." : String(text)
    }
}

extension Statement {
    var definesDimension: Bool {
        switch self {
        case .setDimension: true
        case .loop(let loop): loop.body.contains(where: \.definesDimension)
        case .conditional(_, let a, let b): (a + b).contains(where: \.definesDimension)
        case .whileLoop(_, let body), .single(let body): body.contains(where: \.definesDimension)
        default: false
        }
    }
}
