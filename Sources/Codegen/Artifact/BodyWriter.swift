import GlmcIR

/// Writes the calls of the kernels, with barriers only where one thread may read what another wrote.
struct BodyWriter {
    let main: MainText
    private(set) var out = ""
    private var number = 0
    /// Launches since the last barrier.
    private var pending: [Launch] = []
    private var loopDepth = 0

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
            case .conditional(let condition, let then, let otherwise):
                barrier(indent)
                out += "\(indent)if (*(const glmc_bool *)(const void *)(\(main.address(condition.root))\(offset(condition)))) {\n"
                try write(then, depth: depth + 1)
                if !otherwise.isEmpty {
                    barrier(indent + "    ")
                    out += "\(indent)} else {\n"
                    try write(otherwise, depth: depth + 1)
                }
                barrier(indent + "    ")
                out += "\(indent)}\n"
            case .loop(let loop):
                barrier(indent)
                try write(loop, indent: indent, depth: depth)
            }
        }
    }

    private mutating func write(_ loop: LoopStep, indent: String, depth: Int) throws {
        let i = "n\(loopDepth)"
        loopDepth += 1
        let limit = loop.tripCount.map { "*(const int64_t *)(const void *)(\(main.address($0.root))\(offset($0)))" } ?? "INT64_MAX"
        let condition = loop.condition.map { " && *(const glmc_bool *)(const void *)(\(main.address($0.root))\(offset($0)))" } ?? ""
        out += "\(indent){\n\(indent)    const int64_t \(i)_limit = \(limit);\n"
        out += "\(indent)    for (int64_t \(i) = 0; \(i) < \(i)_limit\(condition); \(i)++) {\n"
        out += "\(indent)        glmc_barrier_wait(&f->barrier);\n"
        out += "\(indent)        if (tid == 0) *(int64_t *)(void *)(\(main.address(loop.counter.root))\(offset(loop.counter))) = \(i);\n"
        out += "\(indent)        glmc_barrier_wait(&f->barrier);\n"
        try write(loop.body, depth: depth + 2)
        barrier(indent + "        ")
        out += "\(indent)    }\n\(indent)}\n"
        loopDepth -= 1
    }

    private func offset(_ place: TensorPlacement) -> String {
        guard let offset = place.offset.constant, offset != 0 else { return "" }
        return " + \(offset * place.element.byteCount)"
    }

    private mutating func barrier(_ indent: String) {
        out += "\(indent)glmc_barrier_wait(&f->barrier);\n"
        pending = []
    }

    private func call(_ launch: Launch) -> String {
        let kernel = main.program.kernels[launch.kernel]
        let arguments = zip(kernel.buffers, launch.arguments).map { buffer, argument -> String in
            let address = switch argument {
            case .root(let root): main.address(root)
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
