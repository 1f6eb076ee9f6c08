import GlmcIR

extension Pass {
    /// Computes matrix products that share their left operand as one wider product.
    ///
    /// ```
    /// %q = matmul(%x, %wq) : f32[128, 64]
    /// %k = matmul(%x, %wk) : f32[128, 64]
    /// ```
    /// becomes
    /// ```
    /// %0 = matmul(%x, %w) : f32[128, 128]       // %w = concat(%wq, %wk) along the columns
    /// %q = slice(%0, starts: [0, 0], sizes: [128, 64], steps: [1, 1]) : f32[128, 64]
    /// %k = slice(%0, starts: [0, 64], sizes: [128, 64], steps: [1, 1]) : f32[128, 64]
    /// ```
    ///
    /// The typical case are the query, key and value projections of attention. One product reads `x` once and has fewer edges;
    /// the slices are views. Biases that follow every one of the products are merged with them. It is a pass of its own,
    /// at -O3 only, because it copies weights.
    public static let mergeProjections = Pass("merge-projections", "Merges matrix products that share their left operand") { rewriter, _ in
        for id in rewriter.function.allNodes where rewriter.function.contains(id) {
            guard let group = Projections(first: id, in: rewriter.function) else { continue }
            guard rewriter.beginRewrite() else { return }
            try group.merge(&rewriter)
        }
    }
}

/// Products of one value with constants of equal height, each followed by a bias or none.
private struct Projections {
    let input: ValueID
    let nodes: [NodeID]
    let weights: [Tensor]
    /// Empty if there are none.
    var biases: [Tensor] = []
    var biasNodes: [NodeID] = []

    init?(first: NodeID, in function: Function) {
        func weights(_ id: NodeID) -> Tensor? {
            guard function[id].op is MatMul, let w = function.constant(function[id].operands[1]), w.rank == 2 else { return nil }
            return w
        }
        guard let w = weights(first), let x = function[first].operands.first else { return nil }
        input = x
        let order = function.nodes(in: function[first].block)
        let readers = Set(function.users(of: x))
        let positions = Dictionary(uniqueKeysWithValues: order.enumerated().map { ($1, $0) })
        nodes = readers.filter {
            guard let other = weights($0), function[$0].operands[0] == x, positions[$0] != nil else { return false }
            return other.shape[0] == w.shape[0] && other.element == w.element
        }.sorted { positions[$0, default: 0] < positions[$1, default: 0] }
        self.weights = nodes.compactMap(weights)
        guard nodes.count > 1, nodes.first == first else { return nil }
        for (id, w) in zip(nodes, self.weights) {
            let result = function[id].results[0]
            guard function.hasOneUse(result), let user = function.users(of: result).first, (function[user].op as? Binary)?.function == .add,
                  function[user].operands[0] == result, let bias = function.constant(function[user].operands[1]),
                  bias.rank >= 1, bias.count == w.shape[1], bias.shape[bias.rank - 1] == w.shape[1],
                  function.type(function[user].results[0]) == function.type(result) else { continue }
            biases.append(bias)
            biasNodes.append(user)
        }
        if biases.count != nodes.count { (biases, biasNodes) = ([], []) }
    }

    func merge(_ rewriter: inout Rewriter) throws {
        let first = nodes[0]
        let provenance = (nodes + biasNodes).flatMap { rewriter.function[$0].provenance }
        let joined = try rewriter.constant(Concat(axis: 1), weights, before: first)
        var wide = try rewriter.create1(MatMul(), [input, joined], at: .before(first), provenance: provenance)
        if !biases.isEmpty {
            let bias = try rewriter.constant(Concat(axis: 0), biases.compactMap { $0.reshaped([$0.count]) }, before: first)
            wide = try rewriter.create1(Binary(.add), [wide, bias], at: .before(first), provenance: provenance)
        }
        let shape = rewriter.function.tensorType(wide).shape
        var start = 0
        for (position, w) in weights.enumerated() {
            var slice = Slice(starts: shape.map { _ in 0 }, sizes: shape)
            slice.starts[shape.count - 1] = Extent(start)
            slice.sizes[shape.count - 1] = Extent(w.shape[1])
            start += w.shape[1]
            let part = try rewriter.create1(slice, [wide], at: .before(first))
            let replaced = biasNodes.isEmpty ? nodes[position] : biasNodes[position]
            try rewriter.replace(replaced, with: [part])
        }
        for node in nodes { rewriter.eraseIfDead(node) }
    }
}
