import GlmcIR

/// Nodes that become one kernel.
struct Group {
    enum Kind {
        /// Every result element of the root is computed on its own, the other nodes inlined as expressions.
        case pointwise
        /// A tuned kernel computes `anchor`; the other nodes are its epilogue.
        case tuned(KernelFamily, anchor: NodeID)
        /// The root writes its results with loops of its own.
        case loops
        /// Data movement that disappears where memory can be shared, and is a copy elsewhere.
        case movement
        /// Control flow over regions.
        case control
    }
    var kind: Kind
    /// The last node; its results are the group's.
    var root: NodeID
    /// All nodes, the root included.
    var nodes: Set<NodeID>
}

/// Partitions a block into groups, fusing elementwise producers and consumers.
///
/// A producer joins its consumer's group when nothing else reads it and computing it where it is read costs no repeated work.
struct Grouping {
    let function: Function
    let target: Target
    let families: [KernelFamily]
    /// The order of the nodes.
    private let positions: [NodeID: Int]

    init(function: Function, target: Target, families: [KernelFamily]) {
        self.function = function
        self.target = target
        self.families = families
        positions = Dictionary(uniqueKeysWithValues: function.allNodes.enumerated().map { ($1, $0) })
    }

    /// The groups of `block`, in an order in which they can run.
    func groups(in block: BlockID) -> [Group] {
        var absorbed: Set<NodeID> = []
        var groups: [Group] = []
        for id in function.nodes(in: block).reversed() where !absorbed.contains(id) && (!isInlinedEverywhere(id) || needsMemory(id)) {
            var group = Group(kind: kind(of: id), root: id, nodes: [id])
            switch group.kind {
            case .pointwise, .tuned: absorb(producersOf: id, into: &group, epilogueOf: id)
            case .loops, .movement, .control: break
            }
            absorbed.formUnion(group.nodes)
            groups.append(group)
        }
        return groups.reversed()
    }

    /// Nodes without operands that are computed wherever they are read: splat constants, sizes, ramps. Other constants are
    /// data.
    func isInlinedEverywhere(_ id: NodeID) -> Bool {
        let node = function[id]
        return node.operands.isEmpty && node.op is any PointwiseOp
    }

    /// Whether something reads an inlined node's result that can only read memory. Constants have memory of their own.
    private func needsMemory(_ id: NodeID) -> Bool {
        guard !(function[id].op is Constant) else { return false }
        return function[function[id].results[0]].uses.contains { use in
            guard case .operand(let user, _) = use else { return true }
            return !(function[user].op is any PointwiseOp) || !function[user].regions.isEmpty
        }
    }

    private func kind(of id: NodeID) -> Group.Kind {
        let node = function[id]
        if !node.regions.isEmpty { return .control }
        if let family = family(for: id) { return .tuned(family, anchor: id) }
        if node.op is any ViewOp || node.op is any PlacementOp { return .movement }
        if node.op is any PointwiseOp { return .pointwise }
        return .loops
    }

    private func family(for id: NodeID) -> KernelFamily? {
        let query = KernelQuery(function: function, node: function[id], target: target)
        return KernelFamily.best(for: query, among: families)
    }

    /// Adds producers of `id`'s operands. While only `uniform` nodes of one shape lie between a node and the root, a tuned
    /// kernel may be reached and becomes the anchor.
    private func absorb(producersOf id: NodeID, into group: inout Group, epilogueOf root: NodeID) {
        guard let consumer = function[id].op as? any PointwiseOp else { return }
        if case .tuned(_, let anchor) = group.kind, anchor == id { return }
        // Where several tuned kernels meet, the last one goes on in registers; the others end with epilogues of their own.
        let anchors = function[id].operands.map { anchor($0, readBy: id, root) }
        let chosen = anchors.compactMap { $0 }.max()
        for (operand, anchor) in zip(function[id].operands, anchors) {
            if anchor != nil && anchor != chosen { continue }
            guard let producer = function.definingNode(operand), !group.nodes.contains(producer), !isInlinedEverywhere(producer),
                  function[producer].block == function[root].block, function[producer].results.count == 1,
                  hasSingleReader(operand, id) else { continue }
            let isElementwise = consumer.isElementwise && sameShape(operand, function[id].results[0])
            switch kind(of: producer) {
            case .tuned(let family, let anchor):
                guard isElementwise, isUniformChain(from: id, to: root), case .pointwise = group.kind else { continue }
                group.kind = .tuned(family, anchor: anchor)
                group.nodes.insert(producer)
            case .pointwise:
                guard let op = function[producer].op as? any PointwiseOp, mayInline(op, producer, into: consumer, id, isElementwise: isElementwise) else { continue }
                if case .tuned = group.kind, !op.isElementwise { continue }
                group.nodes.insert(producer)
                absorb(producersOf: producer, into: &group, epilogueOf: root)
            case .loops, .movement, .control: continue
            }
        }
    }

    /// The position of the last tuned kernel that computes a value, through elementwise nodes of one shape that nothing else
    /// reads.
    private func anchor(_ value: ValueID, readBy reader: NodeID, _ root: NodeID) -> Int? {
        guard let id = function.definingNode(value), function[id].block == function[root].block, function[id].results.count == 1,
              hasSingleReader(value, reader) else { return nil }
        switch kind(of: id) {
        case .tuned: return positions[id]
        case .pointwise where function[id].op.layoutBehavior == .uniform:
            return function[id].operands.filter { sameShape($0, value) }.compactMap { anchor($0, readBy: id, root) }.max()
        default: return nil
        }
    }

    private func mayInline(_ op: any PointwiseOp, _ producer: NodeID, into consumer: any PointwiseOp, _ id: NodeID, isElementwise: Bool) -> Bool {
        switch op.elementCost {
        case .cheap: return !consumer.rereadsOperands
        case .expensive:
            return !consumer.rereadsOperands && (isElementwise || !readsRepeatedly(function[producer].results[0], by: id))
        case .many: return isElementwise
        }
    }

    /// Whether the consumer has more result elements than the operand has elements.
    private func readsRepeatedly(_ operand: ValueID, by consumer: NodeID) -> Bool {
        let read = function.tensorType(operand).elementCount, computed = function.tensorType(function[consumer].results[0]).elementCount
        guard let difference = (computed - read).constant else { return computed != read }
        return difference > 0
    }

    private func hasSingleReader(_ value: ValueID, _ reader: NodeID) -> Bool {
        function[value].uses.allSatisfy { use in
            if case .operand(let node, _) = use { node == reader } else { false }
        }
    }

    private func sameShape(_ a: ValueID, _ b: ValueID) -> Bool { function.tensorType(a).shape == function.tensorType(b).shape }

    /// Whether `id` reaches `root` through elementwise nodes of one shape only.
    private func isUniformChain(from id: NodeID, to root: NodeID) -> Bool {
        var current = id
        let shape = function.tensorType(function[id].results[0]).shape
        while true {
            guard function[current].op.isElementwise, function.tensorType(function[current].results[0]).shape == shape else { return false }
            if current == root { return true }
            guard let use = function[function[current].results[0]].uses.first, case .operand(let next, _) = use else { return false }
            current = next
        }
    }
}
