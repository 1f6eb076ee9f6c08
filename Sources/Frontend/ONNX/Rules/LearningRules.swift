import GlmcIR

extension OnnxRules {
    /// The classical machine learning domain, where its operators are plain tensor code.
    static let learning: [OnnxRule] = [
        OnnxRule("Binarizer", domain: ml) { g, c in
            let x = try c[0]
            return try g.cast(try g.binary(.greater, x, try c.float("threshold", 0)), g.element(x))
        },
        OnnxRule("ArrayFeatureExtractor", domain: ml) { g, c in
            let x = try c[0], indices = try c[1]
            return try g.gather(g.rank(x) == 1 ? try g.unsqueeze(x, [0]) : x, try g.reshape(indices, [g.type(indices).elementCount]), axis: -1)
        },
        OnnxRule("Scaler", domain: ml) { g, c in
            let x = try g.cast(c[0], .f32)
            let offset = try g.constant(Tensor(try c.floats("offset")?.map { Float($0) } ?? [0]))
            let scale = try g.constant(Tensor(try c.floats("scale")?.map { Float($0) } ?? [1]))
            return try g.mul(try g.sub(x, offset), scale)
        },
        OnnxRule("TreeEnsemble", since: 5, domain: ml) { g, c in try TreeEnsemble(c).build(&g, c) },
    ]

    private static let ml = "ai.onnx.ml"
}

/// Decision trees as nested selections over all samples at once; for ensembles of moderate size.
private struct TreeEnsemble {
    /// Nodes beyond this make the nested selections larger than they are worth.
    static let largest = 4096

    let features: [Int], modes: [Int], splits: [Double]
    let trueIDs: [Int], falseIDs: [Int], trueLeaves: [Int], falseLeaves: [Int], missingTracksTrue: [Int]
    let leafTargets: [Int], leafWeights: [Double], roots: [Int], targets: Int
    /// By node: the values of a membership test.
    var members: [Int: [Double]] = [:]

    init(_ c: OnnxCall) throws {
        func ints(_ name: String) throws -> [Int] { try c.ints(name) ?? [] }
        features = try ints("nodes_featureids")
        modes = try c.tensor(attribute: "nodes_modes")?.irTensor().integers ?? []
        splits = try c.tensor(attribute: "nodes_splits")?.irTensor().doubles ?? []
        (trueIDs, falseIDs) = (try ints("nodes_truenodeids"), try ints("nodes_falsenodeids"))
        (trueLeaves, falseLeaves) = (try ints("nodes_trueleafs"), try ints("nodes_falseleafs"))
        let count = features.count
        missingTracksTrue = try c.ints("nodes_missing_value_tracks_true") ?? [Int](repeating: 0, count: count)
        (leafTargets, leafWeights) = (try ints("leaf_targetids"), try c.tensor(attribute: "leaf_weights")?.irTensor().doubles ?? [])
        (roots, targets) = (try ints("tree_roots"), try c.int("n_targets", 1))
        guard count <= Self.largest else { throw Diagnostic.unsupported("an ensemble of \(count) nodes; at most \(Self.largest) are supported") }
        guard [modes.count, splits.count, trueIDs.count, falseIDs.count, trueLeaves.count, falseLeaves.count, missingTracksTrue.count].allSatisfy({ $0 == count }),
            leafTargets.count == leafWeights.count, targets > 0, targets <= 1 << 20, leafTargets.allSatisfy({ (0..<targets).contains($0) })
        else { throw Diagnostic(.invalid, "the attributes do not fit together") }
        // The sets follow each other in the order of their nodes, each ended by a NaN.
        var sets = (try c.tensor(attribute: "membership_values")?.irTensor().doubles ?? []).split(omittingEmptySubsequences: false, whereSeparator: \.isNaN)[...]
        for (node, mode) in modes.enumerated() where mode == 6 { members[node] = Array(sets.popFirst() ?? []) }
    }

    func build(_ g: inout GraphImporter, _ c: OnnxCall) throws -> ValueID {
        let x = try c[0]
        try g.require(x, rank: 2, "the table of samples")
        guard g.rank(x) == 2 else { throw Diagnostic(.invalid, "takes samples in rows, not \(g.type(x))") }
        guard try c.int("post_transform", 0) == 0 else { throw Diagnostic.unsupported("a post_transform is not supported") }
        let function = try c.int("aggregate_function", 1)
        guard function <= 1 || targets == 1 else { throw Diagnostic.unsupported("minimum and maximum over trees with several targets are not supported") }
        var left = features.count
        let trees = try roots.map { try node($0, x, &g, &left) }
        let rules: [BinaryOperator] = [.add, .add, .minimum, .maximum]
        guard rules.indices.contains(function) else { throw Diagnostic(.invalid, "aggregate_function \(function) is not known") }
        let sum = try g.folding(rules[function], trees)
        let result = function == 0 ? try g.div(sum, Double(trees.count)) : sum
        return try g.expand(result, [g.shape(x)[0], Extent(targets)])
    }

    /// `left` counts the nodes that may still be visited: in a forest, each is visited once.
    private func node(_ i: Int, _ x: ValueID, _ g: inout GraphImporter, _ left: inout Int) throws -> ValueID {
        left -= 1
        guard features.indices.contains(i), left >= 0 else { throw Diagnostic(.invalid, "node \(i) does not exist, or the trees share nodes") }
        let value = try g.slice(x, axis: 1, start: Extent(features[i]), size: 1)
        guard let size = g.known(g.shape(x)[1]), (0..<size).contains(features[i]) else { throw Diagnostic(.invalid, "feature \(features[i]) is outside \(g.type(x))") }
        let comparisons: [BinaryOperator] = [.lessOrEqual, .less, .greaterOrEqual, .greater, .equal, .notEqual]
        var condition: ValueID
        if modes[i] == 6 {
            condition = try g.filled(0, .bool, [1, 1])
            for member in members[i] ?? [] { condition = try g.binary(.or, condition, try g.binary(.equal, value, member)) }
        } else {
            guard comparisons.indices.contains(modes[i]) else { throw Diagnostic(.invalid, "node \(i) has the unknown mode \(modes[i])") }
            condition = try g.binary(comparisons[modes[i]], value, splits[i])
        }
        if missingTracksTrue[i] != 0 { condition = try g.binary(.or, condition, try g.unary(.isNaN, value)) }
        let then = trueLeaves[i] != 0 ? try leaf(trueIDs[i], x, &g) : try node(trueIDs[i], x, &g, &left)
        let otherwise = falseLeaves[i] != 0 ? try leaf(falseIDs[i], x, &g) : try node(falseIDs[i], x, &g, &left)
        return try g.select(condition, then, otherwise)
    }

    /// A leaf's weight in its target's column.
    private func leaf(_ i: Int, _ x: ValueID, _ g: inout GraphImporter) throws -> ValueID {
        guard leafTargets.indices.contains(i) else { throw Diagnostic(.invalid, "leaf \(i) does not exist") }
        return try g.constant(Tensor(g.element(x), [1, targets], values: { $0 == leafTargets[i] ? leafWeights[i] : 0 }))
    }
}
