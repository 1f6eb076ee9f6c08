public enum RecurrentDirection: String, Hashable, Sendable, CaseIterable, EnumAttribute {
    case forward, reverse, bidirectional
    public var count: Int { self == .bidirectional ? 2 : 1 }
}

/// The attributes that LSTM, GRU and RNN share.
public struct RecurrentAttributes: Hashable, Sendable {
    public var hiddenSize: Int
    public var direction: RecurrentDirection
    /// Names of `ActivationKind`s, in ONNX order, for each direction after the other; empty for the op's defaults.
    public var activations: [String]
    /// Parameters of the activations; empty for the kinds' defaults.
    @Bitwise public var alphas: [Double]
    @Bitwise public var betas: [Double]
    /// Bound on the magnitude of what goes into the activations; 0 for none.
    @Bitwise public var clip: Double
    /// Whether the last operand holds the sequence lengths (i32 [B]).
    public var hasLengths: Bool

    public init(
        hiddenSize: Int, direction: RecurrentDirection = .forward, activations: [String] = [], alphas: [Double] = [], betas: [Double] = [],
        clip: Double = 0, hasLengths: Bool = false
    ) {
        self.hiddenSize = hiddenSize
        self.direction = direction
        self.activations = activations
        self.alphas = alphas
        self.betas = betas
        self.clip = clip
        self.hasLengths = hasLengths
    }

    /// The activations of direction `d`.
    /// - Throws: `Diagnostic` for an unknown name or a list of the wrong length.
    func functions(_ d: Int, defaults: [ActivationKind]) throws -> [Activation] {
        guard !activations.isEmpty else { return defaults.map { Activation($0) } }
        let total = defaults.count * direction.count
        guard activations.count == total, [0, total].contains(alphas.count), [0, total].contains(betas.count) else {
            throw Diagnostic(.invalid, "\(activations.count) activations for \(total) places")
        }
        return try (d * defaults.count..<(d + 1) * defaults.count).map { i in
            guard let kind = ActivationKind(rawValue: activations[i]) else { throw Diagnostic(.invalid, "unknown activation \(activations[i])") }
            return Activation(kind, alpha: alphas.isEmpty ? nil : alphas[i], beta: betas.isEmpty ? nil : betas[i])
        }
    }
}

/// What LSTM, GRU and RNN have in common: operands `x` [T, B, I], `w` [D, G·H, I], `r` [D, G·H, H], `b` [D, 2·G·H], the initial
/// states [D, B, H], op-specific parameters, and sequence lengths if there are any; results Y [T, D, B, H] and the final states
/// [D, B, H]. G is the number of gates, D of directions. Steps beyond a sequence's length give zeros and leave the state alone. The
/// final states of a sequence of length 0 are zeros, whatever its initial ones: ONNX leaves them open, and ONNX Runtime gives zeros.
public protocol RecurrentOp: LoopOp, ContractionOp {
    var common: RecurrentAttributes { get set }
    /// Blocks of rows in the weights.
    static var gateCount: Int { get }
    /// Tensors of state: 1, or 2 for an LSTM.
    static var stateCount: Int { get }
    static var defaultActivations: [ActivationKind] { get }
    /// How many gates of peephole weights [D, count·H] follow the states.
    var peepholeCount: Int { get }
    /// The gates whose recurrent sums a step needs together, in the order in which `lowerStep` prepares them.
    var phases: [Range<Int>] { get }
    /// One step on f64 buffers: writes the new states from the old ones.
    func step(_ cell: RecurrentCell)
    /// Emits one step; returns nothing, but leaves the new states in `cell.next`.
    func lowerStep(_ cell: RecurrentCellLowering, in builder: inout KernelBuilder) throws
}

/// One step of one sequence in one direction, for `evaluate`.
public struct RecurrentCell {
    let hidden: Int
    /// G·H values `x·wᵀ` of this step.
    let input: UnsafePointer<Double>
    let r: UnsafePointer<Double>
    let bias: UnsafePointer<Double>
    let peepholes: UnsafePointer<Double>?
    let states: [UnsafePointer<Double>]
    let next: [UnsafeMutablePointer<Double>]
    let functions: [Activation]
    let clip: Double

    /// `x·wᵀ` of unit `j` of gate `g`.
    func input(_ g: Int, _ j: Int) -> Double { input[g * hidden + j] }
    /// `h·rᵀ` of unit `j` of gate `g`, for any vector `h`.
    func recurrent(_ g: Int, _ j: Int, _ h: UnsafePointer<Double>) -> Double {
        var sum = 0.0
        for i in 0..<hidden { sum += h[i] * r[(g * hidden + j) * hidden + i] }
        return sum
    }
    /// The input (0) or recurrent (1) bias; `gates` is G.
    func bias(_ part: Int, _ g: Int, _ j: Int, gates: Int) -> Double { bias[(part * gates + g) * hidden + j] }
    func peephole(_ g: Int, _ j: Int) -> Double { peepholes.map { $0[g * hidden + j] } ?? 0 }
    func activate(_ f: Int, _ x: Double) -> Double {
        functions[f].kind.evaluate(clip > 0 ? Swift.min(Swift.max(x, -clip), clip) : x, functions[f].alpha, functions[f].beta)
    }
}

extension RecurrentOp {
    /// The shapes of the operands after the input, with names for errors; without the sequence lengths.
    private func expectedShapes(_ x: [Extent]) -> [(name: String, shape: [Extent])] {
        let hidden = Extent(common.hiddenSize), rows = Extent(Self.gateCount) * hidden, directions = Extent(common.direction.count)
        let states = Array(repeating: ("initial state", [directions, x[1], hidden]), count: Self.stateCount)
        return [("weights", [directions, rows, x[2]]), ("recurrent weights", [directions, rows, hidden]), ("bias", [directions, 2 * rows])] + states
            + (peepholeCount > 0 ? [("peepholes", [directions, Extent(peepholeCount) * hidden])] : [])
    }

    public func equalSizes(in context: InferenceContext) -> [SizeEquation] {
        let shapes = context.shapes
        guard let x = shapes.first, x.count == 3 else { return [] }
        let expected = expectedShapes(x).map(\.shape) + (common.hasLengths ? [[x[1]]] : [])
        return zip(shapes.dropFirst(), expected).flatMap { SizeEquation.pairs($0, $1) }
    }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let hidden = Extent(common.hiddenSize), directions = Extent(common.direction.count)
        guard common.hiddenSize > 0 else { throw Diagnostic(.invalid, "the hidden size is \(common.hiddenSize)") }
        let types = try context.tensors(4 + Self.stateCount + (peepholeCount > 0 ? 1 : 0) + (common.hasLengths ? 1 : 0))
        let x = types[0]
        guard x.rank == 3, x.element.isFloat else { throw Diagnostic(.invalid, "the input is \(x), not a float tensor of rank 3") }
        for (type, (name, shape)) in zip(types.dropFirst(), expectedShapes(x.shape)) {
            let fits = type.rank == shape.count && zip(type.shape, shape).allSatisfy { $0 == $1 || !$0.isConstant || !$1.isConstant }
            guard fits, type.element == x.element else { throw Diagnostic(.invalid, "the \(name) are \(type), not \(TensorType(x.element, shape))") }
        }
        if common.hasLengths, let lengths = types.last {
            guard lengths.rank == 1, lengths.element == .i32 || lengths.element == .i64 else { throw Diagnostic(.invalid, "the sequence lengths are \(lengths)") }
        }
        for d in 0..<common.direction.count { _ = try common.functions(d, defaults: Self.defaultActivations) }
        let state = ValueType.tensor(TensorType(x.element, [directions, x.shape[1], hidden]))
        return [.tensor(TensorType(x.element, [x.shape[0], directions, x.shape[1], hidden]))] + Array(repeating: state, count: Self.stateCount)
    }

    public func checkConstants(_ constants: [Tensor?], types: [TensorType]) throws {
        if common.hasLengths, let lengths = constants.last { try checkLengths(lengths, upTo: types[0].shape[0]) }
    }

    /// Every step of every sequence meets all weights.
    public func multiplyAdds(_ operands: [TensorType], _ results: [TensorType]) -> Extent? {
        operands.count < 3 ? nil : (operands[1].elementCount + operands[2].elementCount) * operands[0].shape.dropLast().reduce(1, *)
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let x = operands[0], (steps, batch, width) = (x.shape[0], x.shape[1], x.shape[2])
        let hidden = common.hiddenSize, directions = common.direction.count, rows = Self.gateCount * hidden
        let lengths = common.hasLengths ? operands.last?.integers : nil
        guard lengths.map({ $0.count == batch && $0.allSatisfy { 0...steps ~= $0 } }) ?? true else {
            throw Diagnostic(.invalid, "sequence lengths must lie between 0 and \(steps), one per batch entry")
        }
        let functions = try (0..<directions).map { try common.functions($0, defaults: Self.defaultActivations) }
        let buffers = operands.prefix(4 + Self.stateCount + (peepholeCount > 0 ? 1 : 0)).map { operand in
            let buffer = UnsafeMutablePointer<Double>.allocate(capacity: Swift.max(operand.count, 1)), reader = operand.reader
            for i in 0..<operand.count { buffer[i] = reader.load(at: i) }
            return buffer
        }
        defer { buffers.forEach { $0.deallocate() } }
        var gates = [Double](repeating: 0, count: rows)
        let states = (0..<Self.stateCount).map { buffers[4 + $0] }
        let next = states.map { _ in UnsafeMutablePointer<Double>.allocate(capacity: Swift.max(directions * batch * hidden, 1)) }
        defer { next.forEach { $0.deallocate() } }
        let y = Tensor.computed(x.element, [steps, directions, batch, hidden], in: Double.self) { y in
            for d in 0..<directions {
                let w = buffers[1] + d * rows * width
                for n in 0..<batch {
                    let length = lengths?[n] ?? steps
                    let reverse = common.direction == .reverse || d == 1
                    let offset = (d * batch + n) * hidden
                    if length == 0 { states.forEach { ($0 + offset).update(repeating: 0, count: hidden) } }
                    for step in 0..<length {
                        let time = reverse ? length - 1 - step : step
                        let source = buffers[0] + (time * batch + n) * width
                        for row in 0..<rows {
                            var sum = 0.0
                            for i in 0..<width { sum += source[i] * w[row * width + i] }
                            gates[row] = sum
                        }
                        gates.withUnsafeBufferPointer { input in
                            guard let base = input.baseAddress else { return }
                            self.step(RecurrentCell(
                                hidden: hidden, input: base, r: UnsafePointer(buffers[2] + d * rows * hidden),
                                bias: UnsafePointer(buffers[3] + d * 2 * rows),
                                peepholes: peepholeCount > 0 ? UnsafePointer(buffers[4 + Self.stateCount] + d * peepholeCount * hidden) : nil,
                                states: states.map { UnsafePointer($0 + offset) }, next: next.map { $0 + offset },
                                functions: functions[d], clip: common.clip))
                        }
                        for s in states.indices { (states[s] + offset).update(from: next[s] + offset, count: hidden) }
                        let to = y + ((time * directions + d) * batch + n) * hidden
                        for j in 0..<hidden { to[j] = states[0][offset + j] }
                    }
                }
            }
        }
        return [y] + states.map { state in Tensor(x.element, [directions, batch, hidden], values: { state[$0] }) }
    }
}
