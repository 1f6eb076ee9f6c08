/// One step of one sequence in one direction, as expressions. Scratch vectors hold one value per hidden unit.
public struct RecurrentCellLowering {
    let gateCount: Int
    let hidden: Extent
    let type: ElementType
    let operands: [TensorView]
    /// Index of the direction, the batch entry and the time step.
    let direction: Expr, batch: Expr, time: Expr
    let states: [BufferID]
    let next: [BufferID]
    /// A vector for intermediates.
    let extra: BufferID
    let functions: [Activation]
    let clip: Double
    let peepholes: TensorView?

    func vector(_ buffer: BufferID, _ j: Expr) -> Access { Access(buffer, j, KernelType(type)) }
    func load(_ buffer: BufferID, _ j: Expr) -> Expr { .load(vector(buffer, j)) }

    /// Calls `body` for every hidden unit, serially.
    func units(_ builder: inout KernelBuilder, _ body: (inout KernelBuilder, Expr) -> Void) {
        builder.loop("j", to: Expr(hidden)) { body(&$0, $1) }
    }

    private func row(_ g: Int, _ j: Expr) -> Expr { j + Expr(hidden * Extent(g)) }

    /// `x·wᵀ` of unit `j` of gate `g`.
    func input(_ g: Int, _ j: Expr, _ builder: inout KernelBuilder) -> Expr {
        let (x, w) = (operands[0], operands[1])
        return builder.reduce(.add, over: [x.shape[2]], initial: .float(0, type)) { _, i in
            x.load([time, batch, i[0]]).converted(to: type) * w.load([direction, row(g, j), i[0]]).converted(to: type)
        }
    }

    /// `v·rᵀ` of unit `j` of gate `g`.
    func recurrent(_ g: Int, _ j: Expr, _ v: BufferID, _ builder: inout KernelBuilder) -> Expr {
        builder.reduce(.add, over: [hidden], initial: .float(0, type)) { _, i in
            load(v, i[0]) * operands[2].load([direction, row(g, j), i[0]]).converted(to: type)
        }
    }

    /// The input (0) or recurrent (1) bias.
    func bias(_ part: Int, _ g: Int, _ j: Expr) -> Expr {
        operands[3].load([direction, row(part * gateCount + g, j)]).converted(to: type)
    }

    func bothBiases(_ g: Int, _ j: Expr) -> Expr { bias(0, g, j) + bias(1, g, j) }

    /// `sum` plus the peephole weight of gate `g` times `state`, if there are peepholes.
    func adding(peephole g: Int, _ j: Expr, times state: Expr, to sum: Expr) -> Expr {
        peepholes.map { sum + $0.load([direction, row(g, j)]).converted(to: type) * state } ?? sum
    }

    func activate(_ f: Int, _ x: Expr, _ builder: inout KernelBuilder) -> Expr {
        let bounded = clip > 0 ? Expr.max(.float(-clip, type), .min(.float(clip, type), x)) : x
        return builder.bind(functions[f].kind.expression(builder.bind(bounded, "x"), functions[f].alpha, functions[f].beta), "a")
    }
}

extension RecurrentOp {
    /// Sequences and directions are independent, so they are what threads share; time runs inside.
    public func lower(_ operands: [TensorView], to results: [TensorView], in builder: inout KernelBuilder) throws {
        let directions = common.direction.count
        let functions = try (0..<directions).map { try common.functions($0, defaults: Self.defaultActivations) }
        let hidden = Extent(common.hiddenSize), type = results[0].element.computeType
        func vectors(_ name: String) -> [BufferID] {
            (0..<Self.stateCount).map { _ in builder.scratch(name, type, count: hidden, perThread: true) }
        }
        let states = vectors("state"), next = vectors("next")
        let extra = builder.scratch("extra", type, count: hidden, perThread: true)
        let peepholes = peepholeCount > 0 ? operands[4 + Self.stateCount] : nil
        let x = operands[0], y = results[0]
        let lengths = common.hasLengths ? operands.last : nil

        func sequence(_ builder: inout KernelBuilder, direction: Expr, batch: Expr, functions: [Activation]) {
            func load(_ buffer: BufferID, _ j: Expr) -> Access { Access(buffer, j, KernelType(type)) }
            for s in states.indices {
                builder.simdLoops(over: [hidden]) { builder, j in
                    builder.emit(.store(load(states[s], j[0]), operands[4 + s].load([direction, batch, j[0]]).converted(to: type)))
                }
            }
            let steps = Expr(x.shape[0])
            let length = lengths.map { builder.bind(.max(.int(0), .min(steps, $0.load([batch]).converted(to: .i64))), "length") } ?? steps
            builder.loop("t", to: length) { builder, step in
                let backwards = length - .int(1) - step
                let time: Expr = switch common.direction {
                case .forward: step
                case .reverse: backwards
                case .bidirectional: builder.bind(.select(.binary(.equal, direction, .int(1)), backwards, step), "time")
                }
                lowerStep(RecurrentCellLowering(
                    gateCount: Self.gateCount, hidden: hidden, type: type, operands: operands, direction: direction, batch: batch, time: time,
                    states: states, next: next, extra: extra, functions: functions, clip: common.clip, peepholes: peepholes), in: &builder)
                builder.simdLoops(over: [hidden]) { builder, j in
                    for s in states.indices {
                        let value = builder.bind(.load(load(next[s], j[0])), "n")
                        builder.emit(.store(load(states[s], j[0]), value))
                        if s == 0 { builder.emit(y.store(value, [time, direction, batch, j[0]])) }
                    }
                }
            }
            if lengths != nil {
                builder.loop("t", from: length, to: steps) { builder, step in
                    builder.simdLoops(over: [hidden]) { builder, j in
                        builder.emit(y.store(.float(0, type), [step, direction, batch, j[0]]))
                    }
                }
            }
            for s in states.indices {
                builder.simdLoops(over: [hidden]) { builder, j in
                    builder.emit(results[1 + s].store(.load(load(states[s], j[0])), [direction, batch, j[0]]))
                }
            }
        }

        let batches = Expr(x.shape[1])
        if directions == 2, functions[0] != functions[1] {
            for d in 0..<2 {
                builder.loop("n", to: batches, kind: .parallel) { builder, n in
                    sequence(&builder, direction: .int(d), batch: n, functions: functions[d])
                }
            }
        } else {
            builder.loop("n", to: batches * .int(directions), kind: .parallel) { builder, n in
                let direction: Expr = directions == 1 ? .int(0) : builder.bind(n / batches, "direction")
                let batch = directions == 1 ? n : builder.bind(n % batches, "batch")
                sequence(&builder, direction: direction, batch: batch, functions: functions[0])
            }
        }
    }
}
