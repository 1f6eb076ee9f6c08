import GlmcIR

/// What a user may say about quantisation.
public struct QuantizationOptions: Hashable, Sendable {
    public var method = CalibrationMethod.auto
    /// The share of values that percentile calibration keeps on either side.
    public var percentile = 0.9999
    /// Patterns (`*` stands for any text) of source node names that stay in fp32.
    public var keep: [String] = []

    public init() {}

    /// Whether a node that computes the given source nodes stays in fp32.
    func keeps(_ provenance: [String]) -> Bool { provenance.contains { name in keep.contains { Self.matches(name, $0) } } }

    /// Why a matrix product keeps its weights whatever they would become; nil where it need not.
    func reason(_ product: Node, in function: Function) -> String? {
        if keeps(product.provenance) { return "kept by request" }
        guard let weights = function.constant(product.operands[1]) else { return "both operands are computed at run time" }
        return weights.element.isProductWeight && function.tensorType(product.operands[0]).element == .f32 ? nil : "the operands are not f32"
    }

    private static func matches(_ name: String, _ pattern: String) -> Bool {
        let text = Array(name), pieces = Array(pattern)
        // Whether the first i characters match the first j of the pattern.
        var row = [true] + [Bool](repeating: false, count: text.count)
        for piece in pieces {
            var next = [piece == "*" && row[0]]
            for i in text.indices { next.append(piece == "*" ? next[i] || row[i + 1] : row[i] && text[i] == piece) }
            row = next
        }
        return row[text.count]
    }
}

/// Which nodes of a function compute in a narrow type (int8 under static quantisation, or 16-bit floats), and which values are
/// therefore stored in it.
///
/// Convolutions and products with constant weights compute in the narrow type: their inputs are quantised. From there quantisation
/// spreads backwards, so that tensors stay narrow from layer to layer:
/// - through ops that only move values (reshapes, concats, maximum pools, paddings, …), whose operands share one scale;
/// - to the operands of arithmetic whose result ends up quantised (residual sums, gates, average pools), where they have to be
///   stored anyway: arithmetic that fuses behind a convolution stays in f32 registers.
///
/// A value that something else reads in f32 is not spread to: it would be stored twice.
public struct QuantizationPlan: Sendable {
    /// Nodes that compute in the narrow type, in order, each with the values whose quantised form reaches its first operand.
    public private(set) var nodes: [(node: NodeID, inputs: [ValueID])] = []
    /// Nodes that could not, with the reason.
    public private(set) var kept: [(node: NodeID, reason: String)] = []
    /// Values to store in the narrow type, in order of definition, each with the operand positions that read it quantised.
    public private(set) var values: [(value: ValueID, uses: [Use])] = []
    /// Values that must share one scale, by any one of them.
    private var parents: [ValueID: ValueID] = [:]

    private enum Role { case compute, movement, arithmetic }
    private var roles: [NodeID: Role] = [:]
    private var order: [NodeID: Int] = [:]
    private var chosen: Set<ValueID> = []
    private let element: ElementType

    /// - Parameter element: the narrow type of activations: u8, f16 or bf16.
    public init(_ function: Function, options: QuantizationOptions = QuantizationOptions(), to element: ElementType = .u8) {
        self.element = element
        let list = function.nodes(in: function.body)
        for (position, id) in list.enumerated() { order[id] = position }
        for id in list.reversed() { roles[id] = role(of: id, function, options) }
        for id in list where roles[id] == .compute {
            let inputs = sources(function[id].operands[0], function)
            nodes.append((id, inputs))
            choose(inputs)
        }
        for id in list where roles[id] == .arithmetic { spread(toOperandsOf: id, function) }
        let candidates = function[function.body].arguments + list.flatMap { function[$0].results }
        values = candidates.filter { chosen.contains($0) }.map { value in
            (value, function[value].uses.filter { isQuantized($0, function) })
        }
        kept.reverse()
    }

    /// One value of every set of values with a common scale stands for the others.
    public func representative(_ value: ValueID) -> ValueID {
        var current = value
        while let next = parents[current] { current = next }
        return current
    }

    // MARK: Roles

    private mutating func role(of id: NodeID, _ function: Function, _ options: QuantizationOptions) -> Role? {
        let node = function[id]
        guard node.regions.isEmpty, node.results.count == 1, function.tensorType(node.results[0]).element == .f32 else { return nil }
        if let reason = reason(node, function, options) {
            kept.append((id, reason))
            return nil
        }
        if node.op is Convolution || node.op is MatMul || node.op is TransposedConvolution { return .compute }
        let uses = function[node.results[0]].uses
        guard !uses.isEmpty, uses.allSatisfy({ isQuantized($0, function) }) else { return nil }
        if let operands = function.movedOperands(id) {
            return operands.allSatisfy { isActivation(node.operands[$0], function) } ? .movement : nil
        }
        return node.op.isQuantizableArithmetic ? .arithmetic : nil
    }

    /// Why a node with weights does not compute in the narrow type; nil for nodes without weights and those that do.
    private func reason(_ node: Node, _ function: Function, _ options: QuantizationOptions) -> String? {
        switch node.op {
        case is Convolution, is MatMul,
             is TransposedConvolution where element.isFloat:
            if options.keeps(node.provenance) { return "kept in fp32 by request" }
            guard let weights = function.constant(node.operands[1]) else { return "both operands are computed at run time" }
            guard weights.element.isProductWeight, isActivation(node.operands[0], function) else { return "the operands are not f32" }
            if element.isFloat {
                // Without sums over channels there are no neighbouring products, and widening every element costs more than it saves.
                if node.op is Convolution && weights.shape[1] == 1 { return "depthwise convolutions are faster so" }
                return weights.fits(element) ? nil : "a weight is beyond the range of \(element.rawValue)"
            }
            let terms = node.op is Convolution ? weights.shape[1...].reduce(1, *) : weights.shape[weights.rank - 2]
            return terms <= IntegerSum.maximumTerms ? nil : "a sum of \(terms) products may overflow 32 bits"
        case is TransposedConvolution, is Attention, is Lstm, is Gru, is Rnn: return "there is no \(element.isFloat ? element.rawValue : "int8") kernel for \(node.op.mnemonic)"
        default: return nil
        }
    }

    private func isActivation(_ value: ValueID, _ function: Function) -> Bool {
        function.tensorType(value).element == .f32 && function.constant(value) == nil
    }

    /// Whether a use can read u8: it computes in int8, moves values on, or is arithmetic on the way to a quantised value.
    private func isQuantized(_ use: Use, _ function: Function) -> Bool {
        guard case .operand(let id, let position) = use else { return false }
        switch roles[id] {
        case .compute: return position == 0
        case .movement: return function.movedOperands(id)?.contains(position) ?? false
        case .arithmetic: return true
        case nil: return false
        }
    }

    // MARK: Choosing values

    /// The values that a value is made of by movement alone.
    private func sources(_ value: ValueID, _ function: Function) -> [ValueID] {
        guard let id = function.definingNode(value), roles[id] == .movement else { return [value] }
        return (function.movedOperands(id) ?? []).flatMap { sources(function[id].operands[$0], function) }
    }

    private mutating func choose(_ values: [ValueID]) {
        chosen.formUnion(values)
        for value in values.dropFirst() {
            let (a, b) = (representative(values[0]), representative(value))
            if a != b { parents[b] = a }
        }
    }

    private mutating func spread(toOperandsOf id: NodeID, _ function: Function) {
        let node = function[id]
        let isElementwise = node.op.layoutBehavior == .uniform
        var fused: [(value: ValueID, anchor: Int)] = []
        for operand in node.operands where isActivation(operand, function) {
            let sources = sources(operand, function)
            guard !sources.allSatisfy({ chosen.contains($0) }), sources.allSatisfy({ source in
                function[source].uses.allSatisfy { isQuantized($0, function) }
            }) else { continue }
            // A scalar or a vector of gates is as cheap in f32.
            let isLarge = !isElementwise || function.tensorType(operand).shape == function.tensorType(node.results[0]).shape
            guard isLarge else { continue }
            let isMoved = sources != [operand]
            if isMoved || !staysInRegisters(operand, function) {
                choose(sources)
            } else if let anchor = anchor(operand, function) {
                if isElementwise { fused.append((operand, anchor)) } else { choose(sources) }
            }
        }
        // All but one of the kernels that meet here have to store what they compute; the last one goes on in registers.
        let last = fused.map(\.anchor).max()
        for (value, anchor) in fused where anchor != last { choose([value]) }
    }

    /// Whether a value is read once, or only by elementwise arithmetic of its shape that meets again in one value before anything
    /// else reads it, as in `x · sigmoid(x)`: one kernel then computes it and all of them.
    private func staysInRegisters(_ value: ValueID, _ function: Function) -> Bool {
        var unread = [value: function[value].uses.count], pending = Set(function.users(of: value))
        if unread[value] == 1 { return true }
        let shape = function.tensorType(value).shape
        while let next = pending.min(by: { order[$0] ?? 0 < order[$1] ?? 0 }), pending.count <= 16 {
            pending.remove(next)
            let node = function[next]
            guard roles[next] == .arithmetic, node.op.layoutBehavior == .uniform, function.tensorType(node.results[0]).shape == shape else { return false }
            for operand in node.operands {
                guard let count = unread[operand] else { continue }
                unread[operand] = count == 1 ? nil : count - 1
            }
            if unread.isEmpty { return true }
            unread[node.results[0]] = function[node.results[0]].uses.count
            pending.formUnion(function.users(of: node.results[0]))
        }
        return false
    }

    /// The position of the last kernel that computes `value`, where it can go on with what reads it.
    private func anchor(_ value: ValueID, _ function: Function) -> Int? {
        guard let id = function.definingNode(value), !chosen.contains(value), staysInRegisters(value, function) else { return nil }
        let node = function[id]
        if roles[id] == .compute { return order[id] }
        guard roles[id] == .arithmetic, node.op.layoutBehavior == .uniform else { return nil }
        return node.operands.compactMap { anchor($0, function) }.max()
    }
}

/// Limits of 32-bit sums of 8-bit products.
enum IntegerSum {
    /// `255·128·terms` must stay below 2³¹.
    static let maximumTerms = 65_000
}

extension Function {
    /// The operand positions whose elements reach the result unchanged and in any arrangement, where nothing else does: such a
    /// node does to quantised values what it does to real ones. nil for other nodes.
    func movedOperands(_ id: NodeID) -> [Int]? {
        let node = self[id]
        switch node.op {
        case is Reshape, is Transpose, is Slice, is Expand, is Relayout, is Gather, is GatherElements, is GatherND, is ReverseSequence: return [0]
        case is Concat: return Array(node.operands.indices)
        case let pad as Pad: return pad.mode != .constant || pad.value == 0 ? [0] : nil
        case let pool as Pool: return pool.function == .max && !pool.indices ? [0] : nil
        case let resize as Resize: return resize.mode == .nearest && resize.coordinateTransform != .tfCropAndResize ? [0] : nil
        default: return nil
        }
    }
}

extension Op {
    /// Arithmetic on real numbers whose operands may as well come from u8.
    var isQuantizableArithmetic: Bool {
        switch self {
        case is Unary, is Activation, is Binary: true
        case let reduce as Reduce: reduce.function == .mean || reduce.function == .add
        case let pool as Pool: pool.function == .average
        case let resize as Resize: resize.mode != .nearest
        default: false
        }
    }
}
