import GlmcIR

extension Pass {
    /// Convolutions and matrix products with constant weights on 16-bit floats, with f32 sums; tables that rows are looked up in.
    ///
    /// ```
    /// %0 = conv(%x, %w, strides: [1, 1], dilations: [1, 1]) : f32[1, 8, 6, 6]
    /// ```
    /// becomes
    /// ```
    /// %0 = cast(%x, to: bf16) : bf16[1, 4, 8, 8]
    /// %1 = cast(%0, to: f32) : f32[1, 4, 8, 8]
    /// %2 = cast(%w16, to: f32) : f32[8, 4, 3, 3]
    /// %3 = conv(%1, %2, strides: [1, 1], dilations: [1, 1]) : f32[1, 8, 6, 6]
    /// ```
    ///
    /// which `lower-mixed-precision` turns into a convolution of the narrow values. Activations that are stored narrow are read so by
    /// everything, so that none is stored twice. What lies between the layers computes in f32.
    /// - Parameters:
    ///   - element: f16 or bf16.
    ///   - activations: whether activations are rounded as well as weights. Without, only the weights become smaller, those that are not yet.
    public static func mixedPrecision(to element: ElementType = .bf16, activations: Bool = true, options: QuantizationOptions = QuantizationOptions()) -> Pass {
        let constants = NarrowedConstants(to: element)
        return Pass("mixed-precision", "Stores weights, and activations between layers, as 16-bit floats") { rewriter, _ in
            let function = rewriter.function, plan = QuantizationPlan(function, options: options, to: element)
            for (node, reason) in plan.kept { rewriter.remark("stays in fp32: \(reason)", at: node, missed: true) }
            for (value, _) in activations ? plan.values : [] {
                guard let position = function.position(behind: value) else { continue }
                guard rewriter.beginRewrite() else { return }
                let provenance = function.definingNode(value).map { function[$0].provenance } ?? []
                let narrow = try rewriter.create1(Cast(to: element), [value], at: position, provenance: provenance)
                guard let place = rewriter.function.definingNode(narrow) else { continue }
                let wide = try rewriter.create1(Cast(to: .f32), [narrow], at: .after(place), provenance: provenance)
                for case .operand(let node, let i) in function[value].uses { rewriter.setOperand(i, of: node, to: wide) }
            }
            let tables = function.allNodes.filter { function.looksUp($0, in: element) && !options.keeps(function[$0].provenance) }
            for (node, operand) in plan.nodes.map({ ($0.node, 1) }) + tables.map({ ($0, 0) }) {
                guard let weights = function.constant(function[node].operands[operand]) else { continue }
                guard activations || weights.element == .f32 else {
                    if operand == 1 { rewriter.remark("the weights are \(weights.element.rawValue) already", at: node, missed: true) }
                    continue
                }
                guard rewriter.beginRewrite() else { return }
                let narrow = weights.element == element ? function[node].operands[operand] : try rewriter.create1(Constant(try constants[weights]), [], at: .before(node))
                let wide = try rewriter.create1(Cast(to: .f32), [narrow], at: .before(node))
                if operand == 0, weights.element != .f32 {
                    // Whoever widened the rows gets them from the wide table.
                    for user in function.widenings(of: node) { try rewriter.replace(user, with: function[node].op, [wide] + function[node].operands.dropFirst()) }
                } else {
                    rewriter.setOperand(operand, of: node, to: wide)
                }
                if operand == 1 { rewriter.remark("computes in \(element.rawValue)", at: node) }
            }
        }
    }

    /// Turns casts from 16-bit floats to f32 around an op into the op on 16-bit floats, where its sums are f32 all the same.
    ///
    /// ```
    /// %0 = cast(%x, to: f32) : f32[128, 768]
    /// %1 = cast(%w, to: f32) : f32[768, 768]
    /// %2 = matmul(%0, %1) : f32[128, 768]
    /// ```
    /// becomes
    /// ```
    /// %0 = matmul(%x, %w) : f32[128, 768]
    /// ```
    ///
    /// The result does not change: every product of two narrow values is exact in f32.
    public static let lowerNarrowFloats = Pass(
        "lower-mixed-precision", "Reads 16-bit floats without widening them first", rules: [movedBehindCast, narrowProduct])
}

extension Tensor {
    /// Whether all finite elements, f32 or narrower, stay finite as `element`, f16 or bf16.
    func fits(_ element: ElementType) -> Bool {
        if self.element == element || self.element == .f16 { return true }
        // Halfway between the largest finite number and the next power of two.
        let limit: Double = element == .f16 ? 65_520 : 0x1.FFp127
        // The order does not matter.
        let reader = ElementReader(self.element, stored.bytes)
        return (0..<count).allSatisfy { i in
            let value = reader.load(at: i)
            return !(value.magnitude >= limit && value.isFinite)
        }
    }
}

extension Function {
    /// Whether a node looks rows up in a constant table, such as an embedding, that may be stored as `element`.
    fileprivate func looksUp(_ id: NodeID, in element: ElementType) -> Bool {
        guard self[id].op is Gather, let table = constant(self[id].operands[0]) else { return false }
        let isRead = table.element == .f32 || table.element != element && [.f16, .bf16].contains(table.element) && widenings(of: id).count == self[self[id].results[0]].uses.count
        return isRead && table.rank > 1 && table.fits(element)
    }

    /// The nodes that widen a node's only result to f32.
    fileprivate func widenings(of id: NodeID) -> [NodeID] {
        self[self[id].results[0]].uses.compactMap { use in
            guard case .operand(let user, _) = use, (self[user].op as? Cast)?.to == .f32 else { return nil }
            return user
        }
    }

    /// The 16-bit value that an f32 value is widened from.
    fileprivate func widened(_ value: ValueID) -> ValueID? {
        guard let (_, op, operands) = match(value, Cast.self), op.to == .f32, [.f16, .bf16].contains(tensorType(operands[0]).element) else { return nil }
        return operands[0]
    }
}

/// `move(cast(x), …)` → `cast(move(x, …))`, where all moved operands are widened from one type.
private let movedBehindCast = Rule(
    "moved-behind-cast", at: Reshape.self, Transpose.self, Slice.self, Expand.self, Relayout.self, Gather.self, GatherElements.self, GatherND.self,
    ReverseSequence.self, Concat.self, Pad.self, Pool.self, Resize.self
) { function, id in
    let node = function[id]
    guard let positions = function.movedOperands(id), !positions.isEmpty, node.results.count == 1 else { return nil }
    let sources = positions.compactMap { function.widened(node.operands[$0]) }
    guard sources.count == positions.count, Set(sources.map { function.tensorType($0).element }).count == 1 else { return nil }
    var operands = node.operands
    for (position, source) in zip(positions, sources) { operands[position] = source }
    let inner = operands
    return { rewriter in
        let moved = try rewriter.create1(node.op, inner, at: .before(id), provenance: node.provenance)
        try rewriter.replace(id, with: Cast(to: .f32), [moved])
    }
}

/// `conv(cast(x), cast(w))` → `conv(x, w)`, and so for products; of constant weights alone where `x` is f32.
private let narrowProduct = Rule("narrow-product", at: Convolution.self, MatMul.self, TransposedConvolution.self) { function, id in
    let node = function[id]
    guard let weights = function.widened(node.operands[1]), function.constant(weights) != nil else { return nil }
    let input = function.widened(node.operands[0]) ?? node.operands[0]
    guard [.f32, function.tensorType(weights).element].contains(function.tensorType(input).element) else { return nil }
    return { try $0.replace(id, with: node.op, [input, weights]) }
}
