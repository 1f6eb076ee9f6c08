/// A hidden unit of one of the sequences that step together.
public struct RecurrentUnit {
    /// Which of the sequences.
    public let row: Expr
    public let j: Expr
    public init(row: Expr, j: Expr) {
        self.row = row
        self.j = j
    }
}

/// Where the sums of products of a step come from, and how a step visits its units.
public protocol RecurrentSums {
    /// Called before any unit asks for `recurrent` sums of `gates`; `v` holds the vectors that they multiply.
    func prepare(_ gates: Range<Int>, of v: BufferID, in builder: inout KernelBuilder) throws
    /// `x·wᵀ` of a unit of gate `g`, biases not included.
    func input(_ g: Int, _ unit: RecurrentUnit, in builder: inout KernelBuilder) -> Expr
    /// `v·rᵀ` of a unit of gate `g`.
    func recurrent(_ g: Int, _ unit: RecurrentUnit, of v: BufferID, in builder: inout KernelBuilder) -> Expr
    /// Emits `body` for every unit of every row.
    func units(_ builder: inout KernelBuilder, _ body: (inout KernelBuilder, RecurrentUnit) throws -> Void) rethrows
}

/// One step of some sequences in one direction, as expressions. Buffers of state hold one value per hidden unit, row after row.
public struct RecurrentCellLowering {
    let gateCount: Int
    let hidden: Extent
    let type: ElementType
    let bias: TensorView
    let peepholes: TensorView?
    let direction: Expr
    let states: [BufferID]
    let next: [BufferID]
    /// What a second phase multiplies; the first phase writes it.
    let extra: BufferID
    let functions: [Activation]
    let clip: Double
    let sums: any RecurrentSums

    func vector(_ buffer: BufferID, _ unit: RecurrentUnit) -> Access { Access(buffer, unit.row * Expr(hidden) + unit.j, KernelType(type)) }
    func load(_ buffer: BufferID, _ unit: RecurrentUnit) -> Expr { .load(vector(buffer, unit)) }

    private func row(_ g: Int, _ unit: RecurrentUnit) -> Expr { unit.j + Expr(hidden * Extent(g)) }

    func input(_ g: Int, _ unit: RecurrentUnit, _ builder: inout KernelBuilder) -> Expr { sums.input(g, unit, in: &builder) }
    func recurrent(_ g: Int, _ unit: RecurrentUnit, _ v: BufferID, _ builder: inout KernelBuilder) -> Expr { sums.recurrent(g, unit, of: v, in: &builder) }

    /// The input (0) or recurrent (1) bias.
    func bias(_ part: Int, _ g: Int, _ unit: RecurrentUnit) -> Expr {
        bias.load([direction, row(part * gateCount + g, unit)]).converted(to: type)
    }

    func bothBiases(_ g: Int, _ unit: RecurrentUnit) -> Expr { bias(0, g, unit) + bias(1, g, unit) }

    /// `sum` plus the peephole weight of gate `g` times `state`, if there are peepholes.
    func adding(peephole g: Int, _ unit: RecurrentUnit, times state: Expr, to sum: Expr) -> Expr {
        peepholes.map { sum + $0.load([direction, row(g, unit)]).converted(to: type) * state } ?? sum
    }

    func activate(_ f: Int, _ x: Expr, _ builder: inout KernelBuilder) -> Expr {
        let bounded = clip > 0 ? Expr.max(.float(-clip, type), .min(.float(clip, type), x)) : x
        return builder.bind(functions[f].kind.expression(builder.bind(bounded, "x"), functions[f].alpha, functions[f].beta), "a")
    }
}

/// The loops around the step of a recurrent op: sequences step together, time runs inside.
public struct RecurrentLoops {
    /// Where some sequences stand: direction and first batch entry, and the time step that is computed.
    public struct Place {
        public let direction: Expr
        public let batch: Expr
        public let time: Expr
    }

    let op: any RecurrentOp
    let operands: [TensorView]
    let results: [TensorView]
    public let type: ElementType
    public let hidden: Extent
    private let functions: [[Activation]]
    private let states: [BufferID]
    private let next: [BufferID]
    private let extra: BufferID

    /// - Parameters:
    ///   - operands: views of the op's operands; those of `w` and `r` are not looked at.
    ///   - rows: the most sequences that step together.
    public init(_ op: any RecurrentOp, operands: [TensorView], results: [TensorView], rows: Int = 1, in builder: inout KernelBuilder) throws {
        (self.op, self.operands, self.results) = (op, operands, results)
        let count = Swift.type(of: op).stateCount, defaults = Swift.type(of: op).defaultActivations
        let size = Extent(op.common.hiddenSize * rows), element = results[0].element.computeType
        hidden = Extent(op.common.hiddenSize)
        type = element
        functions = try (0..<op.common.direction.count).map { try op.common.functions($0, defaults: defaults) }
        states = (0..<count).map { _ in builder.scratch("state", element, count: size, perThread: true) }
        next = (0..<count).map { _ in builder.scratch("next", element, count: size, perThread: true) }
        extra = op.phases.count > 1 ? builder.scratch("extra", element, count: size, perThread: true) : next[0]
    }

    private var steps: Expr { Expr(operands[0].shape[0]) }
    private var batches: Expr { Expr(operands[0].shape[1]) }
    private var directions: Int { op.common.direction.count }
    private var lengths: TensorView? { op.common.hasLengths ? operands.last : nil }

    /// Emits the loops over directions and over `blocks` of the batch; threads share them. `body` emits one block.
    public func emit(blocks: Expr, in builder: inout KernelBuilder, _ body: (inout KernelBuilder, _ direction: Expr, _ block: Expr) throws -> Void) rethrows {
        if directions == 2, functions[0] != functions[1] {
            for d in 0..<2 {
                try builder.loop("n", to: blocks, kind: .parallel) { builder, n in try body(&builder, .int(d), n) }
            }
        } else {
            try builder.loop("n", to: blocks * .int(directions), kind: .parallel) { builder, n in
                if directions == 1 { return try body(&builder, .int(0), n) }
                let direction = builder.bind(n / blocks, "direction")
                try body(&builder, direction, builder.bind(n % blocks, "block"))
            }
        }
    }

    /// Emits whole sequences: of `rows` batch entries from `batch` on, which have to be of one length.
    public func sequences(
        direction: Expr, batch: Expr, rows: Int, in builder: inout KernelBuilder, sums: (Place) -> any RecurrentSums
    ) throws {
        func all(_ builder: inout KernelBuilder, _ body: (inout KernelBuilder, _ row: Expr, _ j: Expr) -> Void) {
            builder.loop("row", to: .int(rows)) { builder, row in
                builder.simdLoops(over: [hidden]) { builder, j in body(&builder, row, j[0]) }
            }
        }
        func state(_ buffer: BufferID, _ row: Expr, _ j: Expr) -> Access { Access(buffer, row * Expr(hidden) + j, KernelType(type)) }
        let length: Expr
        if let lengths {
            let given = builder.bind(lengths.load([batch]).converted(to: .i64), "given")
            builder.require(given, from: 0, through: operands[0].shape[0])
            length = builder.bind(.max(.int(0), .min(steps, given)), "length")
        } else {
            length = steps
        }
        let isEmpty = length.constantInteger.map { $0 <= 0 }
        for s in states.indices {
            all(&builder) { builder, row, j in
                let initial = operands[4 + s].load([direction, batch + row, j]).converted(to: type), zero = Expr.constant(0, type)
                let start = isEmpty.map { $0 ? zero : initial } ?? .select(.int(0) < length, initial, zero)
                builder.emit(.store(state(states[s], row, j), start))
            }
        }
        try builder.loop("t", to: length) { builder, step in
            let time = time(step, of: length, direction, in: &builder)
            let d = direction.constantInteger ?? 0
            let cell = RecurrentCellLowering(
                gateCount: Swift.type(of: op).gateCount, hidden: hidden, type: type, bias: operands[3],
                peepholes: op.peepholeCount > 0 ? operands[4 + states.count] : nil, direction: direction, states: states, next: next, extra: extra,
                functions: functions[d], clip: op.common.clip, sums: sums(Place(direction: direction, batch: batch, time: time)))
            try op.lowerStep(cell, in: &builder)
            all(&builder) { builder, row, j in
                for s in states.indices {
                    let value = builder.bind(.load(state(next[s], row, j)), "n")
                    builder.emit(.store(state(states[s], row, j), value))
                    if s == 0 { builder.emit(results[0].store(value, [time, direction, batch + row, j])) }
                }
            }
        }
        if lengths != nil {
            builder.loop("t", from: length, to: steps) { builder, step in
                all(&builder) { builder, row, j in builder.emit(results[0].store(.float(0, type), [step, direction, batch + row, j])) }
            }
        }
        for s in states.indices {
            all(&builder) { builder, row, j in
                builder.emit(results[1 + s].store(.load(state(states[s], row, j)), [direction, batch + row, j]))
            }
        }
    }

    private func time(_ step: Expr, of length: Expr, _ direction: Expr, in builder: inout KernelBuilder) -> Expr {
        let backwards = length - .int(1) - step
        return switch op.common.direction {
        case .forward: step
        case .reverse: backwards
        case .bidirectional: builder.bind(.select(.binary(.equal, direction, .int(1)), backwards, step), "time")
        }
    }
}

/// Sums that are computed where they are read: one sequence at a time, from weights as they are.
private struct DirectSums: RecurrentSums {
    let loops: RecurrentLoops
    let place: RecurrentLoops.Place
    let (x, w, r): (TensorView, TensorView, TensorView)

    init(_ loops: RecurrentLoops, _ place: RecurrentLoops.Place) {
        (self.loops, self.place) = (loops, place)
        (x, w, r) = (loops.operands[0], loops.operands[1], loops.operands[2])
    }

    private func row(_ g: Int, _ unit: RecurrentUnit) -> Expr { unit.j + Expr(loops.hidden * Extent(g)) }

    func prepare(_ gates: Range<Int>, of v: BufferID, in builder: inout KernelBuilder) {}

    func input(_ g: Int, _ unit: RecurrentUnit, in builder: inout KernelBuilder) -> Expr {
        builder.reduce(.add, over: [x.shape[2]], initial: .float(0, loops.type)) { _, i in
            x.load([place.time, place.batch, i[0]]).converted(to: loops.type) * w.load([place.direction, row(g, unit), i[0]]).converted(to: loops.type)
        }
    }

    func recurrent(_ g: Int, _ unit: RecurrentUnit, of v: BufferID, in builder: inout KernelBuilder) -> Expr {
        builder.reduce(.add, over: [loops.hidden], initial: .float(0, loops.type)) { _, i in
            .load(Access(v, i[0], KernelType(loops.type))) * r.load([place.direction, row(g, unit), i[0]]).converted(to: loops.type)
        }
    }

    func units(_ builder: inout KernelBuilder, _ body: (inout KernelBuilder, RecurrentUnit) throws -> Void) rethrows {
        try builder.loop("j", to: Expr(loops.hidden)) { try body(&$0, RecurrentUnit(row: .int(0), j: $1)) }
    }
}

extension RecurrentOp {
    /// Sequences and directions are independent, so they are what threads share.
    public func lower(_ operands: [TensorView], to results: [TensorView], in builder: inout KernelBuilder) throws {
        let loops = try RecurrentLoops(self, operands: operands, results: results, in: &builder)
        try loops.emit(blocks: Expr(operands[0].shape[1]), in: &builder) { builder, direction, batch in
            try loops.sequences(direction: direction, batch: batch, rows: 1, in: &builder) { DirectSums(loops, $0) }
        }
    }
}
