import GlmcIR

/// Emits the loops of a group whose elements can all be computed on their own.
struct PointwiseLowering {
    /// Kernels with less work than this (in elementary operations) run on one thread: starting more costs as much.
    static let parallelThreshold = 16_384

    let expression: GroupExpression
    let value: ValueID
    let result: TensorView
    /// Elementary operations per result element.
    let cost: Int

    func emit(in builder: inout KernelBuilder) throws {
        let merged = AxisMerge(expression, value: value, result: result)
        try Self.loops(over: merged.result, cost: cost, in: &builder) { builder, index in
            let element = try merged.expression.element(value, at: index, in: &builder)
            builder.emit(merged.result.store(element, index))
        }
    }

    /// Loops over all indices of `view` in memory order, divided between the threads where there is enough work.
    static func loops(over view: TensorView, cost: Int, in builder: inout KernelBuilder, _ body: (inout KernelBuilder, [Expr]) throws -> Void) throws {
        let order = view.physicalOrder
        let origin = [Expr](repeating: .int(0), count: view.shape.count)
        let work = view.shape.product * Extent(cost)
        if let known = work.constant, known < parallelThreshold {
            return try builder.single { builder in try nest(order, view.shape, origin, in: &builder, body) }
        }
        guard let last = order.last else { return try builder.single { try body(&$0, origin) } }
        let outer = order.dropLast()
        let outerShape = outer.map { view.shape[$0] }
        let count = outer.isEmpty ? view.shape[last] : outerShape.product
        let low = builder.bind(.threadIndex * Expr(count) / .threadCount, "low")
        let high = builder.bind((.threadIndex + .int(1)) * Expr(count) / .threadCount, "high")
        if outer.isEmpty {
            return try innermost(last, from: low, to: high, origin, in: &builder, body)
        }
        try builder.loop("p", from: low, to: high) { builder, position in
            var index = origin
            var rest = position
            for (axis, extent) in zip(outer.reversed(), outerShape.reversed()) {
                let isFirst = axis == outer.first
                index[axis] = isFirst ? rest : builder.bind(rest % Expr(extent), "i")
                if !isFirst { rest = builder.bind(rest / Expr(extent), "p") }
            }
            try innermost(last, from: .int(0), to: Expr(view.shape[last]), index, in: &builder, body)
        }
    }

    private static func nest(
        _ order: [Int], _ shape: [Extent], _ index: [Expr], in builder: inout KernelBuilder, _ body: (inout KernelBuilder, [Expr]) throws -> Void
    ) throws {
        guard let axis = order.first else { return try body(&builder, index) }
        if order.count == 1 { return try innermost(axis, from: .int(0), to: Expr(shape[axis]), index, in: &builder, body) }
        try builder.loop(to: Expr(shape[axis])) { builder, i in
            var inner = index
            inner[axis] = i
            try nest(Array(order.dropFirst()), shape, inner, in: &builder, body)
        }
    }

    /// The loop over the contiguous axis: a vector loop where its body is straight-line code.
    private static func innermost(
        _ axis: Int, from low: Expr, to high: Expr, _ index: [Expr], in builder: inout KernelBuilder, _ body: (inout KernelBuilder, [Expr]) throws -> Void
    ) throws {
        let variable = builder.variable("i", .index)
        var inner = index
        inner[axis] = .variable(variable)
        let statements = try builder.block { try body(&$0, inner) }
        let kind: LoopKind = statements.contains(where: \.isLoop) ? .serial : .simd(reductions: [])
        builder.emit(.loop(Loop(variable, from: low, to: high, kind: kind, body: statements)))
    }
}

extension Statement {
    /// Whether the statement is or contains a loop.
    var isLoop: Bool {
        switch self {
        case .loop, .whileLoop: true
        case .conditional(_, let a, let b): a.contains(where: \.isLoop) || b.contains(where: \.isLoop)
        case .single(let body): body.contains(where: \.isLoop)
        default: false
        }
    }
}

/// Merges axes that every tensor of an elementwise group walks through in step, so that loops are as long as possible.
struct AxisMerge {
    private(set) var expression: GroupExpression
    private(set) var result: TensorView

    init(_ expression: GroupExpression, value: ValueID, result: TensorView) {
        self.expression = expression
        self.result = result
        let nodes = expression.inlined
        let function = expression.function
        guard result.shape.count > 1, nodes.allSatisfy({ function[$0].op.layoutBehavior == .uniform && function[$0].op.isAxisAgnostic }) else { return }
        let order = result.physicalOrder
        guard !order.isEmpty else { return }
        // Every view by result axis, operands of lower rank padded in front.
        let rank = result.shape.count
        var all: [ValueID: TensorView] = expression.views
        all[value] = result
        func aligned(_ view: TensorView) -> (shape: [Extent], strides: [Extent])? {
            guard view.shape.count <= rank else { return nil }
            let padding = rank - view.shape.count
            return ([Extent](repeating: 1, count: padding) + view.shape, [Extent](repeating: 0, count: padding) + view.strides)
        }
        var groups: [[Int]] = []
        for axis in order {
            let canMerge = groups.last.map { group in
                all.values.allSatisfy { view in
                    guard let (shape, strides) = aligned(view) else { return false }
                    let previous = group[group.count - 1]
                    if shape[previous] == 1 && shape[axis] == 1 { return true }
                    return shape[previous] == result.shape[previous] && shape[axis] == result.shape[axis]
                        && strides[previous] == strides[axis] * shape[axis]
                }
            } ?? false
            if canMerge { groups[groups.count - 1].append(axis) } else { groups.append([axis]) }
        }
        func merge(_ view: TensorView) -> TensorView? {
            guard let (shape, strides) = aligned(view) else { return nil }
            return TensorView(
                view.buffer, view.element, shape: groups.map { group in group.map { shape[$0] }.product },
                strides: groups.map { strides[$0[$0.count - 1]] }, offset: view.offset)
        }
        var types: [ValueID: TensorType] = [:]
        func mergeType(_ type: TensorType) -> TensorType? {
            guard type.rank <= rank else { return nil }
            let shape = [Extent](repeating: 1, count: rank - type.rank) + type.shape
            return TensorType(type.element, groups.map { group in group.map { shape[$0] }.product })
        }
        var views: [ValueID: TensorView] = [:]
        for (id, view) in expression.views {
            guard let merged = merge(view) else { return }
            views[id] = merged
        }
        for node in nodes {
            for id in function[node].operands + function[node].results {
                guard let merged = mergeType(function.tensorType(id)) else { return }
                types[id] = merged
            }
        }
        guard let mergedResult = merge(result) else { return }
        self.expression.views = views
        self.expression.types = types
        self.result = mergedResult
    }
}
