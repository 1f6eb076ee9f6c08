// What the threads of a kernel share, and whether its results are written.
//
// Every thread executes the whole body, so what a statement stores must be its own: it stands in a parallel loop, in a
// single-threaded part, or in a loop whose bounds depend on the thread. Between barriers, parallel loops and single-threaded parts
// run side by side: none may read what another one writes. Areas that each thread has for itself hold nothing across a barrier,
// because other threads may go on behind it.

extension KernelVerifier {
    /// What surrounds a statement.
    struct Context {
        /// Whether every thread gets here.
        var isOutermost = true
        /// Whether the threads do different things here.
        var isDivided = false
        /// Whether a parallel loop deals its iterations out.
        var isDealt = false
        var isSingle = false
        /// How many loops of independent iterations stand around.
        var level = 0
        /// What the innermost of them combines in any order.
        var accumulators: Set<String> = []
        /// How often the statement runs on one thread, at the most; nil where that is not known.
        var iterations: Int? = 1
        /// Counts the outermost statements.
        var position = 0

        mutating func enter(iterations inner: Int?) { iterations = iterations.flatMap { outer in inner.map { saturatingProduct(outer, $0) } } }
    }

    /// What has happened to a buffer.
    struct MemoryUse {
        /// Which elements have been stored at most: their number, unless that is not known.
        var stored: Int? = 0
        var isStored = false
        /// The outermost statements of this phase that store, and that load.
        var writers: [Part] = []
        var readers: [Part] = []
        /// Whether something is stored in this phase, and whether in an earlier one.
        var isStoredHere = false
        var isStoredBefore = false
        var isLoadedHere = false
    }

    /// An outermost statement: one that is dealt out, one of thread 0, or one that every thread executes.
    struct Part: Equatable {
        var position: Int
        var isSingle: Bool

        /// Whether two parts may run at the same time on the same data.
        func races(with other: Part) -> Bool { position != other.position && !(isSingle && other.isSingle) }
    }

    /// The current outermost statement; nil where each thread keeps to a range of its own, which may be the same elsewhere.
    private var part: Part? {
        context.isDivided && !context.isDealt && !context.isSingle ? nil : Part(position: context.position, isSingle: context.isSingle)
    }

    private func isOwn(_ buffer: BufferID) -> Bool {
        if case .scratch(_, perThread: true) = kernel.buffers[buffer.index].role { true } else { false }
    }

    func checkBuffers() throws {
        guard Set(kernel.buffers.map(\.name)).count == kernel.buffers.count else { throw fail("two buffers have the same name") }
    }

    mutating func noteStore(_ access: Access) throws {
        let name = kernel.buffers[access.buffer.index].name
        guard context.isDivided || isOwn(access.buffer) else { throw fail("\(name) is stored to by every thread") }
        var use = memory[access.buffer.index]
        use.stored = use.stored.flatMap { sum in context.iterations.map { saturatingSum(sum, saturatingProduct($0, access.type.lanes)) } }
        use.isStored = true
        use.isStoredHere = true
        if let part, !isOwn(access.buffer) {
            if use.readers.contains(where: part.races) { throw fail("\(name) is stored to while another part of the kernel reads it: there is no barrier between") }
            if use.writers.last != part { use.writers.append(part) }
        }
        memory[access.buffer.index] = use
    }

    mutating func noteLoad(_ access: Access) throws {
        let name = kernel.buffers[access.buffer.index].name
        memory[access.buffer.index].isLoadedHere = true
        guard !isOwn(access.buffer), let part else { return }
        if memory[access.buffer.index].writers.contains(where: part.races) {
            throw fail("\(name) is read while another part of the kernel stores to it: there is no barrier between")
        }
        if memory[access.buffer.index].readers.last != part { memory[access.buffer.index].readers.append(part) }
    }

    /// Called at barriers and at the end.
    mutating func endPhase() throws {
        for (i, buffer) in kernel.buffers.enumerated() {
            let use = memory[i]
            if case .scratch(_, let perThread) = buffer.role, use.isLoadedHere, !use.isStoredHere {
                guard use.isStoredBefore else { throw fail("\(buffer.name) is read, but nothing has been stored in it") }
                if perThread { throw fail("\(buffer.name) belongs to each thread and is read behind a barrier, where other threads go on") }
            }
            memory[i].isStoredBefore = use.isStoredBefore || use.isStoredHere
            memory[i].isStoredHere = false
            memory[i].isLoadedHere = false
            memory[i].writers = []
            memory[i].readers = []
        }
    }

    /// - Parameter results: views that must be written in full, as far as the number of stores tells.
    mutating func checkMemory(_ results: [TensorView]) throws {
        try endPhase()
        for view in results where memory.indices.contains(view.buffer.index) {
            let buffer = kernel.buffers[view.buffer.index], use = memory[view.buffer.index], count = view.shape.product.constant
            guard use.isStored || count == 0 else { throw fail("nothing is stored to \(buffer.name), which is a result") }
            guard let stored = use.stored, let count, stored < count else { continue }
            throw fail("no more than \(stored) of the \(count) elements of \(buffer.name) are stored")
        }
    }

    // MARK: Values

    /// Whether an index or condition differs between threads.
    func isOfThread(_ expr: Expr) -> Bool {
        switch expr {
        case .threadIndex: true
        case .variable(let variable): scope[variable.name]?.isOfThread ?? false
        case .load, .loadBroadcast: false
        default: expr.children.contains { isOfThread($0) }
        }
    }

    /// An index as a number, on the only thread of a run.
    func constant(_ expr: Expr) -> Int? {
        switch expr {
        case .integer(let value, .i64): return value
        case .threadIndex: return 0
        case .threadCount: return 1
        case .variable(let variable): return scope[variable.name]?.constant
        case .binary(let op, let a, let b):
            guard let x = constant(a), let y = constant(b) else { return nil }
            return try? op.evaluate(x, y, .i64)
        default: return nil
        }
    }

    /// How often a loop's body runs.
    func iterations(of loop: Loop) -> Int? {
        guard let low = constant(loop.lower), let high = constant(loop.upper) else { return nil }
        let (length, overflow) = high.subtractingReportingOverflow(low)
        return overflow ? nil : length <= 0 ? 0 : (length - 1) / loop.step + 1
    }
}
