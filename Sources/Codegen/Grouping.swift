import GlmcIR

/// Nodes that become one kernel.
struct Group {
    enum Kind {
        /// Every result element of the root is computed on its own, the other nodes inlined as expressions.
        case pointwise
        /// A tuned kernel computes `anchor`; the other nodes are its epilogue.
        case tuned(TunedKernel, anchor: NodeID)
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
    /// Nodes whose elements are read more than once where the root's element is computed, each after those it reads.
    var shared: [NodeID] = []
}

/// Partitions a block into groups, fusing elementwise producers and consumers.
///
/// A producer joins a group when nothing outside reads it and computing it where it is read costs no repeated work. Groups are
/// bounded: what fusion saves is one pass over memory per node, which soon weighs nothing beside the group's own arithmetic, while
/// expressions and what the C compiler makes of them grow.
struct Grouping {
    /// The most nodes that one kernel computes, counted as often as their code is written.
    static let largestGroup = 128

    let function: Function
    /// How tuned kernels compute nodes.
    private let tuned: [NodeID: TunedKernel]
    /// The order of the nodes.
    private let positions: [NodeID: Int]

    init(function: Function, target: Target, families: [KernelFamily]) {
        self.function = function
        let nodes = function.allNodes
        positions = Dictionary(uniqueKeysWithValues: nodes.enumerated().map { ($1, $0) })
        tuned = Dictionary(uniqueKeysWithValues: nodes.compactMap { id in
            guard function[id].regions.isEmpty else { return nil }
            return KernelFamily.best(for: KernelQuery(function: function, node: function[id], target: target), among: families).map { (id, $0) }
        })
    }

    /// The groups of `block`, in an order in which they can run.
    func groups(in block: BlockID) -> [Group] {
        var absorbed: Set<NodeID> = []
        var groups: [Group] = []
        for id in function.nodes(in: block).reversed() where !absorbed.contains(id) && (!isInlinedEverywhere(id) || needsMemory(id)) {
            var group = Group(kind: kind(of: id), root: id, nodes: [id])
            if case .pointwise = group.kind { absorb(into: &group) }
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
        if let kernel = tuned[id] { return .tuned(kernel, anchor: id) }
        if node.op is any ViewOp || node.op is any DestinationOp { return .movement }
        if node.op is any PointwiseOp { return .pointwise }
        return .loops
    }

    /// Adds what the group's root reads and nothing outside the group does.
    private func absorb(into group: inout Group) {
        let region = uniformRegion(of: group.root)
        // Where several tuned kernels meet, the last one goes on in registers; the others end with epilogues of their own.
        let chosen = region.anchors[group.root]
        // How often each node's code stands in the kernel.
        var copies = [group.root: 1], size = 1
        visitProducers(of: group.root) { producer in
            guard isReadOnly(by: { copies[$0] != nil }, producer) else { return false }
            if let anchor = region.anchors[producer], anchor != chosen { return false }
            let isUniform = region.members.contains(producer)
            let count = isUniform ? 1 : function[function[producer].results[0]].uses.reduce(0) { $0 + (reader($1).flatMap { copies[$0] } ?? 0) }
            guard size + count <= Self.largestGroup else { return false }
            func add() {
                copies[producer] = count
                size += count
            }
            if let kernel = tuned[producer] {
                guard isUniform else { return false }
                group.kind = .tuned(kernel, anchor: producer)
                add()
                return false
            }
            guard case .pointwise = kind(of: producer), isUniform || mayInline(producer, besides: chosen) else { return false }
            add()
            return true
        }
        group.nodes = Set(copies.keys)
        group.shared = group.nodes.filter { $0 != group.root && region.members.contains($0) && function[function[$0].results[0]].uses.count > 1 }
            .sorted { order($0) < order($1) }
    }

    /// The nodes that compute elements for the root at the root's own index, through elementwise nodes of its shape, and that
    /// nothing else reads; for each, the last tuned kernel that it gets its elements from.
    private func uniformRegion(of root: NodeID) -> (members: Set<NodeID>, anchors: [NodeID: NodeID]) {
        var members: Set<NodeID> = [root]
        func isUniform(_ id: NodeID) -> Bool {
            function[id].op.isElementwise && sameShape(function[id].results[0], function[root].results[0])
        }
        guard isUniform(root) else { return (members, [:]) }
        var visited = [root]
        visitProducers(of: root) { producer in
            guard visited.count < Self.largestGroup, isReadOnly(by: { members.contains($0) && isUniform($0) }, producer),
                  sameShape(function[producer].results[0], function[root].results[0]) else { return false }
            let isTuned = tuned[producer] != nil
            guard isTuned || isUniform(producer), isTuned || function[producer].op is any PointwiseOp else { return false }
            members.insert(producer)
            visited.append(producer)
            return !isTuned
        }
        var anchors: [NodeID: NodeID] = [:]
        for id in visited.reversed() {
            if tuned[id] != nil {
                anchors[id] = id
            } else {
                let reached = function[id].operands.compactMap { function.definingNode($0) }.filter(members.contains).compactMap { anchors[$0] }
                anchors[id] = reached.max { order($0) < order($1) }
            }
        }
        return (members, anchors)
    }

    /// Calls `body` with the producers of operands, later ones first; goes on to the operands of those for which it answers true.
    private func visitProducers(of root: NodeID, _ body: (_ producer: NodeID) -> Bool) {
        var candidates = Heap<Int>(), nodes: [Int: NodeID] = [:]
        func add(producersOf id: NodeID) {
            for operand in function[id].operands {
                guard let producer = function.definingNode(operand), nodes.updateValue(producer, forKey: order(producer)) == nil else { continue }
                candidates.insert(-order(producer))
            }
        }
        add(producersOf: root)
        while let position = candidates.popFirst(), let next = nodes[-position] {
            guard !isInlinedEverywhere(next), function[next].block == function[root].block, function[next].results.count == 1, body(next) else { continue }
            add(producersOf: next)
        }
    }

    /// Whether only nodes of `group` read a node's result; false where it is a result of its block. Stops at the first other reader.
    private func isReadOnly(by group: (NodeID) -> Bool, _ producer: NodeID) -> Bool {
        function[function[producer].results[0]].uses.allSatisfy { use in
            if case .operand(let node, _) = use { group(node) } else { false }
        }
    }

    /// The node that a use belongs to: for a block's result, the node that owns the block.
    private func reader(_ use: Use) -> NodeID? {
        switch use {
        case .operand(let node, _): node
        case .result(let block, _): function[block].owner
        }
    }

    private func order(_ id: NodeID) -> Int { positions[id] ?? 0 }

    /// Whether a producer's elements may be computed where its only reader uses them, at whatever index that is.
    private func mayInline(_ producer: NodeID, besides anchor: NodeID?) -> Bool {
        let uses = function[function[producer].results[0]].uses
        guard case .operand(let reader, _)? = uses.first, uses.allSatisfy({ self.reader($0) == reader }), let op = function[producer].op as? any PointwiseOp,
              let consumer = function[reader].op as? any PointwiseOp, anchor == nil || op.isElementwise else { return false }
        let isElementwise = consumer.isElementwise && sameShape(function[producer].results[0], function[reader].results[0])
        switch op.elementCost {
        case .cheap: return !consumer.rereadsOperands
        case .expensive:
            return !consumer.rereadsOperands && (isElementwise || !readsRepeatedly(function[producer].results[0], by: reader))
        case .many: return isElementwise
        }
    }

    /// Whether the consumer has more result elements than the operand has elements.
    private func readsRepeatedly(_ operand: ValueID, by consumer: NodeID) -> Bool {
        let read = function.tensorType(operand).elementCount, computed = function.tensorType(function[consumer].results[0]).elementCount
        guard let difference = (computed - read).constant else { return computed != read }
        return difference > 0
    }

    private func sameShape(_ a: ValueID, _ b: ValueID) -> Bool { function.tensorType(a).shape == function.tensorType(b).shape }
}
