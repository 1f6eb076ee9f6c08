import GlmcIR

/// What layouts cost, in bytes of memory traffic, and the cheapest choice of them.
///
/// - A convolution (pooling, resize, …) on a row-major image: a copy, read and written. Its result is always channels last.
/// - A row-major op (softmax over the last axis, matmul, …) on an image with its channels last: the same. Its result is row-major.
/// - An elementwise op whose operand and result differ: the operand once more, for it is read against the grain.
/// - A view (reshape, transpose, slice) that has to be copied because of its layouts: the operand.
/// - Inputs are row-major; outputs must become so.
struct LayoutCosts {
    /// Ranks of tensors that have channels.
    static let ranks = 3...5

    private let function: Function
    /// Positions of the values to decide in the cut.
    private var variables: [ValueID: Int] = [:]
    private var values: [ValueID] = []
    /// Sizes to assume for named dimensions, only to compare costs.
    private let nominal: [String: Int]

    /// The group of every value that elementwise ops tie together, by one of its members, and the groups that a convolution or its like reads
    /// or writes.
    private var parents: [Int] = []
    private var imageRoots: Set<Int> = []

    init(_ function: Function) {
        self.function = function
        var nominal: [String: Int] = [:]
        for (name, info) in function.dimensions {
            if case .input(_, let axis) = info.source, axis == 0 { nominal[name] = 1 } else { nominal[name] = 256 }
        }
        self.nominal = nominal
        func add(_ value: ValueID) {
            guard let type = function.type(value).tensor, LayoutCosts.ranks.contains(type.rank) else { return }
            variables[value] = values.count
            values.append(value)
        }
        func add(_ block: BlockID) {
            function[block].arguments.forEach(add)
            for id in function.nodes(in: block) {
                function[id].results.forEach(add)
                function[id].regions.forEach(add)
            }
        }
        add(function.body)
        parents = Array(values.indices)
        for id in function.allNodes { tie(function[id]) }
        for variable in parents.indices { parents[variable] = root(variable) }
        for id in function.allNodes where function[id].op.layoutBehavior == .prefersChannelsLast {
            for value in [function[id].operands[0], function[id].results[0]] { if let v = variables[value] { imageRoots.insert(parents[v]) } }
        }
    }

    private mutating func tie(_ node: Node) {
        guard node.op.layoutBehavior == .uniform, let result = node.results.first, let r = variables[result] else { return }
        for operand in node.operands where function.tensorType(operand).rank == function.tensorType(result).rank {
            guard let o = variables[operand] else { continue }
            let tied = root(o)
            parents[tied] = root(r)
        }
    }

    /// The group of a variable; halves the way to it.
    private mutating func root(_ variable: Int) -> Int {
        var current = variable
        while parents[current] != current {
            parents[current] = parents[parents[current]]
            current = parents[current]
        }
        return current
    }

    /// Whether elementwise ops connect the value with an op that prefers channels last.
    private func isNearImageOp(_ value: ValueID) -> Bool { variables[value].map { imageRoots.contains(parents[$0]) } ?? false }

    /// The layout of every value that may have one of its own.
    func solve() -> [ValueID: Layout] {
        guard function.allNodes.contains(where: { function[$0].op.layoutBehavior == .prefersChannelsLast }) else { return [:] }
        // The source's side is channels last.
        var cut = MinimumCut(count: values.count)
        addBlock(function.body, to: &cut)
        return Dictionary(uniqueKeysWithValues: zip(values, cut.solve()).map { ($0, $1 ? .channelsLast : .rowMajor) })
    }

    /// Bytes of a value, or 1 if its layouts are the same memory: then only agreement is at stake.
    private func bytes(_ value: ValueID) -> Int {
        let type = function.tensorType(value)
        if type.hasOneOrder { return 1 }
        let size = type.byteCount.evaluate(nominal) ?? 1 << 20
        return max(min(size, 1 << 40), 1)
    }

    private func addBlock(_ block: BlockID, to cut: inout MinimumCut) {
        for argument in function[block].arguments { fix(argument, .rowMajor, in: &cut) }
        for id in function.nodes(in: block) {
            addNode(function[id], to: &cut)
            for region in function[id].regions { addBlock(region, to: &cut) }
        }
        for value in function[block].results { prefer(.rowMajor, value, 2 * bytes(value), in: &cut) }
    }

    private func fix(_ value: ValueID, _ layout: Layout, in cut: inout MinimumCut) { prefer(layout, value, MinimumCut.infinity, in: &cut) }

    /// Any layout but `layout` costs `cost`.
    private func prefer(_ layout: Layout, _ value: ValueID, _ cost: Int, in cut: inout MinimumCut) {
        guard let variable = variables[value] else { return }
        if layout == .channelsLast { cut.addCost(ofSinkSide: variable, cost) } else { cut.addCost(ofSourceSide: variable, cost) }
    }

    private func addNode(_ node: Node, to cut: inout MinimumCut) {
        guard !(node.op is Constant) else { return fix(node.results[0], .rowMajor, in: &cut) }
        if node.op is Reshape || node.op is Transpose || node.op is Expand, let view = node.op as? any ViewOp {
            return addView(view, node.operands[0], node.results[0], to: &cut)
        }
        switch node.op.layoutBehavior {
        case .prefersChannelsLast:
            prefer(.channelsLast, node.operands[0], 2 * bytes(node.operands[0]), in: &cut)
            fix(node.results[0], .channelsLast, in: &cut)
            for operand in node.operands.dropFirst() { prefer(.rowMajor, operand, 2 * bytes(operand), in: &cut) }
        case .rowMajor:
            for operand in node.operands { prefer(.rowMajor, operand, 2 * bytes(operand), in: &cut) }
            for result in node.results { fix(result, .rowMajor, in: &cut) }
        case .uniform:
            guard let result = node.results.first, let r = variables[result] else { return }
            for operand in node.operands where function.tensorType(operand).rank == function.tensorType(result).rank {
                guard let o = variables[operand] else { continue }
                let cost = bytes(operand)
                cut.addCost(between: o, r, forward: cost, backward: cost)
            }
        case .any: break
        }
    }

    /// A view costs nothing where the dense operand, seen through it, is the dense result; otherwise a copy.
    private func addView(_ op: any ViewOp, _ operand: ValueID, _ result: ValueID, to cut: inout MinimumCut) {
        let (from, to) = (function.tensorType(operand), function.tensorType(result))
        let price = bytes(operand)
        func cost(_ a: Layout, _ b: Layout) -> Int {
            let view = TensorView(BufferID(0), from.element, shape: from.shape, strides: a.strides(of: from.shape))
            guard let shown = op.view(of: view, resultType: to) else { return price }
            return shown.strides(matchDenseOf: b) ? 0 : price
        }
        let rows = cost(.rowMajor, .rowMajor)
        guard let o = variables[operand] else {
            prefer(.rowMajor, result, max(cost(.rowMajor, .channelsLast) - rows, 0), in: &cut)
            return
        }
        guard let r = variables[result] else {
            return prefer(.rowMajor, operand, max(cost(.channelsLast, .rowMajor) - rows, 0), in: &cut)
        }
        let leaving = cost(.channelsLast, .rowMajor), entering = cost(.rowMajor, .channelsLast), staying = cost(.channelsLast, .channelsLast)
        if rows + staying <= leaving + entering {
            // rows + (leaving - rows)·[o] + (staying - leaving)·[r] + rest·[r and not o], where [v] means: v is channels last.
            for (variable, difference) in [(o, leaving - rows), (r, staying - leaving)] {
                if difference > 0 { cut.addCost(ofSourceSide: variable, difference) } else { cut.addCost(ofSinkSide: variable, -difference) }
            }
            cut.addCost(between: r, o, forward: leaving + entering - rows - staying, backward: 0)
        } else if leaving < rows, entering == rows || !isNearImageOp(result) || isNearImageOp(operand) {
            // A transposition that writes the channels last itself: free from channels last to row-major.
            cut.addCost(ofSinkSide: o, rows - leaving)
            fix(result, .rowMajor, in: &cut)
        } else if entering < rows {
            // One that takes them from last place: free from row-major to channels last.
            cut.addCost(ofSinkSide: r, rows - entering)
        }
    }
}
