func recurrentAttributes<O: RecurrentOp>(_: O.Type) -> [Attribute<O>] {
    [
        Attribute("hidden", \.common.hiddenSize), Attribute("direction", \.common.direction), Attribute("activations", \.common.activations),
        Attribute("alphas", \.common.alphas), Attribute("betas", \.common.betas), Attribute("clip", \.common.clip),
        Attribute("lengths", \.common.hasLengths),
    ]
}

/// Long short-term memory. Gates in the order i, o, f, c; activations f (gates), g (cell), h (output).
///
/// i = f(xWᵢ + hRᵢ + b + Pᵢ∘c), f likewise, c' = f∘c + i∘g(xW_c + hR_c + b), o = f(xWₒ + hRₒ + b + Pₒ∘c'), h' = o∘h(c').
public struct Lstm: RecurrentOp {
    public static let mnemonic = "lstm"
    public static let summary = "Long short-term memory over a sequence"
    public static var attributes: [Attribute<Self>] {
        recurrentAttributes(Self.self) + [Attribute("peepholes", \.peepholes), Attribute("input_forget", \.inputForget)]
    }
    public static let gateCount = 4
    public static let stateCount = 2
    public static let defaultActivations: [ActivationKind] = [.sigmoid, .tanh, .tanh]

    public var common: RecurrentAttributes
    /// Whether an operand [D, 3·H] with the peephole weights (i, o, f) follows the initial states.
    public var peepholes: Bool
    /// Whether the forget gate is 1 − input gate.
    public var inputForget: Bool
    public var peepholeCount: Int { peepholes ? 3 : 0 }
    public var phases: [Range<Int>] { [0..<4] }

    public init() { self.init(RecurrentAttributes(hiddenSize: 0)) }
    public init(_ common: RecurrentAttributes, peepholes: Bool = false, inputForget: Bool = false) {
        self.common = common
        self.peepholes = peepholes
        self.inputForget = inputForget
    }

    public func step(_ cell: RecurrentCell) {
        let (h, c) = (cell.states[0], cell.states[1])
        for j in 0..<cell.hidden {
            func gate(_ g: Int) -> Double {
                cell.input(g, j) + cell.recurrent(g, j, h) + cell.bias(0, g, j, gates: 4) + cell.bias(1, g, j, gates: 4)
            }
            let i = cell.activate(0, gate(0) + cell.peephole(0, j) * c[j])
            let f = inputForget ? 1 - i : cell.activate(0, gate(2) + cell.peephole(2, j) * c[j])
            let new = f * c[j] + i * cell.activate(1, gate(3))
            let o = cell.activate(0, gate(1) + cell.peephole(1, j) * new)
            cell.next[1][j] = new
            cell.next[0][j] = o * cell.functions[2].kind.evaluate(new, cell.functions[2].alpha, cell.functions[2].beta)
        }
    }

    public func lowerStep(_ cell: RecurrentCellLowering, in builder: inout KernelBuilder) throws {
        try cell.sums.prepare(phases[0], of: cell.states[0], in: &builder)
        cell.sums.units(&builder) { builder, j in
            func gate(_ g: Int, _ builder: inout KernelBuilder) -> Expr {
                cell.input(g, j, &builder) + cell.recurrent(g, j, cell.states[0], &builder) + cell.bothBiases(g, j)
            }
            let c = builder.bind(cell.load(cell.states[1], j), "c")
            let i = cell.activate(0, cell.adding(peephole: 0, j, times: c, to: gate(0, &builder)), &builder)
            let f = inputForget ? builder.bind(.float(1, cell.type) - i, "f")
                : cell.activate(0, cell.adding(peephole: 2, j, times: c, to: gate(2, &builder)), &builder)
            let new = builder.bind(f * c + i * cell.activate(1, gate(3, &builder), &builder), "c")
            let o = cell.activate(0, cell.adding(peephole: 1, j, times: new, to: gate(1, &builder)), &builder)
            let output = cell.functions[2].kind.expression(new, cell.functions[2].alpha, cell.functions[2].beta)
            builder.emit(.store(cell.vector(cell.next[1], j), new))
            builder.emit(.store(cell.vector(cell.next[0], j), o * output))
        }
    }
}

/// Gated recurrent unit. Gates in the order z, r, h; activations f (gates), g (candidate).
///
/// h' = (1 − z)∘g(xW_h + b + s) + z∘h, with s = (r∘h)R_h + b_r, or s = r∘(hR_h + b_r) with `linearBeforeReset`.
public struct Gru: RecurrentOp {
    public static let mnemonic = "gru"
    public static let summary = "Gated recurrent unit over a sequence"
    public static var attributes: [Attribute<Self>] {
        recurrentAttributes(Self.self) + [Attribute("linear_before_reset", \.linearBeforeReset)]
    }
    public static let gateCount = 3
    public static let stateCount = 1
    public static let defaultActivations: [ActivationKind] = [.sigmoid, .tanh]

    public var common: RecurrentAttributes
    public var linearBeforeReset: Bool
    public var peepholeCount: Int { 0 }
    public var phases: [Range<Int>] { linearBeforeReset ? [0..<3] : [0..<2, 2..<3] }

    public init() { self.init(RecurrentAttributes(hiddenSize: 0)) }
    public init(_ common: RecurrentAttributes, linearBeforeReset: Bool = false) {
        self.common = common
        self.linearBeforeReset = linearBeforeReset
    }

    public func step(_ cell: RecurrentCell) {
        let h = cell.states[0], next = cell.next[0]
        func gate(_ g: Int, _ j: Int) -> Double {
            cell.activate(0, cell.input(g, j) + cell.recurrent(g, j, h) + cell.bias(0, g, j, gates: 3) + cell.bias(1, g, j, gates: 3))
        }
        let z = (0..<cell.hidden).map { gate(0, $0) }, r = (0..<cell.hidden).map { gate(1, $0) }
        let reset = (0..<cell.hidden).map { r[$0] * h[$0] }
        reset.withUnsafeBufferPointer { reset in
            guard let base = reset.baseAddress else { return }
            for j in 0..<cell.hidden {
                let bias = cell.bias(1, 2, j, gates: 3)
                let s = linearBeforeReset ? r[j] * (cell.recurrent(2, j, h) + bias) : cell.recurrent(2, j, base) + bias
                let candidate = cell.activate(1, cell.input(2, j) + cell.bias(0, 2, j, gates: 3) + s)
                next[j] = (1 - z[j]) * candidate + z[j] * h[j]
            }
        }
    }

    public func lowerStep(_ cell: RecurrentCellLowering, in builder: inout KernelBuilder) throws {
        let (h, type) = (cell.states[0], cell.type)
        func gate(_ g: Int, _ j: RecurrentUnit, _ builder: inout KernelBuilder) -> Expr {
            cell.activate(0, cell.input(g, j, &builder) + cell.recurrent(g, j, h, &builder) + cell.bothBiases(g, j), &builder)
        }
        func finish(_ j: RecurrentUnit, _ candidateSum: Expr, _ builder: inout KernelBuilder) {
            let candidate = cell.activate(1, candidateSum, &builder)
            let z = gate(0, j, &builder)
            builder.emit(.store(cell.vector(cell.next[0], j), (.float(1, type) - z) * candidate + z * cell.load(h, j)))
        }
        if linearBeforeReset {
            try cell.sums.prepare(phases[0], of: h, in: &builder)
            return cell.sums.units(&builder) { builder, j in
                let r = gate(1, j, &builder)
                let s = builder.bind(r * (cell.recurrent(2, j, h, &builder) + cell.bias(1, 2, j)), "s")
                finish(j, cell.input(2, j, &builder) + cell.bias(0, 2, j) + s, &builder)
            }
        }
        try cell.sums.prepare(phases[0], of: h, in: &builder)
        cell.sums.units(&builder) { builder, j in
            let r = gate(1, j, &builder)
            builder.emit(.store(cell.vector(cell.extra, j), r * cell.load(h, j)))
        }
        try cell.sums.prepare(phases[1], of: cell.extra, in: &builder)
        cell.sums.units(&builder) { builder, j in
            let s = cell.recurrent(2, j, cell.extra, &builder) + cell.bothBiases(2, j)
            finish(j, cell.input(2, j, &builder) + s, &builder)
        }
    }
}

/// Elman network: h' = f(xW + hR + b).
public struct Rnn: RecurrentOp {
    public static let mnemonic = "rnn"
    public static let summary = "Simple recurrent network over a sequence"
    public static var attributes: [Attribute<Self>] { recurrentAttributes(Self.self) }
    public static let gateCount = 1
    public static let stateCount = 1
    public static let defaultActivations: [ActivationKind] = [.tanh]

    public var common: RecurrentAttributes
    public var peepholeCount: Int { 0 }
    public var phases: [Range<Int>] { [0..<1] }

    public init() { self.init(RecurrentAttributes(hiddenSize: 0)) }
    public init(_ common: RecurrentAttributes) { self.common = common }

    public func step(_ cell: RecurrentCell) {
        for j in 0..<cell.hidden {
            let sum = cell.input(0, j) + cell.recurrent(0, j, cell.states[0])
            cell.next[0][j] = cell.activate(0, sum + cell.bias(0, 0, j, gates: 1) + cell.bias(1, 0, j, gates: 1))
        }
    }

    public func lowerStep(_ cell: RecurrentCellLowering, in builder: inout KernelBuilder) throws {
        try cell.sums.prepare(phases[0], of: cell.states[0], in: &builder)
        cell.sums.units(&builder) { builder, j in
            let sum = cell.input(0, j, &builder) + cell.recurrent(0, j, cell.states[0], &builder) + cell.bothBiases(0, j)
            builder.emit(.store(cell.vector(cell.next[0], j), cell.activate(0, sum, &builder)))
        }
    }
}
