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
    let target: Target

    func emit(in builder: inout KernelBuilder) throws {
        let merged = AxisMerge(expression, value: value, result: result)
        try loops(over: merged.result, in: &builder) { builder, index in
            let element = try merged.expression.result(value, at: index, in: &builder)
            builder.emit(merged.result.store(element, index))
        }
    }

    /// Loops over all indices of `view` in memory order, divided between the threads where there is enough work.
    private func loops(over view: TensorView, in builder: inout KernelBuilder, _ body: (inout KernelBuilder, [Expr]) throws -> Void) throws {
        let order = view.physicalOrder
        let origin = [Expr](repeating: .int(0), count: view.shape.count)
        let work = view.shape.product * Extent(cost)
        if let known = work.constant, known < Self.parallelThreshold {
            return try builder.single { builder in try nest(order, view.shape, origin, in: &builder, body) }
        }
        guard let last = order.last else { return try builder.single { try body(&$0, origin) } }
        if target.family == .cuda { return try gridStride(order, view, origin, in: &builder, body) }
        // A few contiguous elements, such as the channels of a picture, are written out; the loop runs along the axis before.
        if order.count > 1, let few = view.shape[last].constant, few <= 4, few * cost <= 64 {
            return try rows(Array(order.dropLast()), view, origin, in: &builder) { builder, index in
                for i in 0..<few {
                    var element = index
                    element[last] = .int(i)
                    try body(&builder, element)
                }
            }
        }
        try rows(order, view, origin, in: &builder, body)
    }

    /// A loop over the rows along the last axis of `order`, divided between the threads, and one over each row's elements.
    private func rows(
        _ order: [Int], _ view: TensorView, _ origin: [Expr], in builder: inout KernelBuilder, _ body: (inout KernelBuilder, [Expr]) throws -> Void
    ) throws {
        let last = order[order.count - 1], outer = order.dropLast()
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

    /// One loop over all elements, in grid-stride order: neighbouring threads of a GPU then touch neighbouring elements.
    private func gridStride(
        _ order: [Int], _ view: TensorView, _ origin: [Expr], in builder: inout KernelBuilder, _ body: (inout KernelBuilder, [Expr]) throws -> Void
    ) throws {
        try builder.loop("e", to: Expr(view.shape.product), kind: .parallel) { builder, element in
            var index = origin, rest = element
            for axis in order.reversed() {
                let isFirst = axis == order.first
                index[axis] = isFirst ? rest : builder.bind(rest % Expr(view.shape[axis]), "i")
                if !isFirst { rest = builder.bind(rest / Expr(view.shape[axis]), "p") }
            }
            try body(&builder, index)
        }
    }

    private func nest(
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
    private func innermost(
        _ axis: Int, from low: Expr, to high: Expr, _ index: [Expr], in builder: inout KernelBuilder, _ body: (inout KernelBuilder, [Expr]) throws -> Void
    ) throws {
        let variable = builder.variable("i", .index)
        var inner = index
        inner[axis] = .variable(variable)
        let statements = try builder.block { try body(&$0, inner) }
        if statements.contains(where: \.isLoop) {
            builder.emit(.loop(Loop(variable, from: low, to: high, kind: .serial, body: statements)))
        } else if let wide = widened(statements, variable, from: low) {
            let lanes = target.lanes(ofBytes: 4)
            let end = builder.bind(low + (high - low) / .int(lanes) * .int(lanes), "whole")
            if end != low { builder.emit(.loop(Loop(wide.variable, from: low, to: end, step: lanes, body: wide.body))) }
            if end != high { builder.emit(.loop(Loop(variable, from: end, to: high, kind: .simd(reductions: []), body: statements))) }
        } else {
            builder.emit(.loop(Loop(variable, from: low, to: high, kind: .simd(reductions: []), body: statements)))
        }
    }

    /// The loop body for a full register of consecutive elements; nil where the C compiler's own vectoriser does as well (plain
    /// arithmetic) or there is no vector form.
    private func widened(_ statements: [Statement], _ variable: Variable, from low: Expr) -> (variable: Variable, body: [Statement])? {
        guard target.vectorBits > 0, statements.contains(where: { $0.anyExpression { expr in
            if case .unary(let op, _) = expr { op.isTranscendental } else { false }
        } }) else { return nil }
        let lane = Variable(variable.name + "_lane", .index), base = Variable(variable.name + "_vector", .index)
        let shifted = statements.map { $0.substituting(variable, with: .variable(base) + .variable(lane)) }
        var vectorizer = Vectorizer(lane: lane, lanes: target.lanes(ofBytes: 4), mask: nil, replacements: [:])
        return vectorizer.vectorized(shifted).map { (base, $0) }
    }
}

extension Statement {
    /// Straight-line code with a variable replaced.
    func substituting(_ variable: Variable, with value: Expr) -> Statement {
        func map(_ expr: Expr) -> Expr { Affine.substitute(variable, with: value, in: expr) }
        return switch self {
        case .bind(let name, let a): .bind(name, map(a))
        case .declare(let name, let a): .declare(name, map(a))
        case .assign(let name, let a): .assign(name, map(a))
        case .store(let access, let a): .store(Access(access.buffer, map(access.index), access.type, mask: access.mask.map(map)), map(a))
        case .conditional(let c, let a, let b):
            .conditional(map(c), then: a.map { $0.substituting(variable, with: value) }, else: b.map { $0.substituting(variable, with: value) })
        default: self
        }
    }

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
        guard result.shape.count > 1, nodes.allSatisfy({ function[$0].op.isElementwise && function[$0].op.isAxisAgnostic }) else { return }
        let order = result.physicalOrder
        guard !order.isEmpty else { return }
        // Every view by result axis, operands of lower rank padded in front.
        let rank = result.shape.count
        let all = Array(expression.views.values) + [result]
        func aligned(_ view: TensorView) -> (shape: [Extent], strides: [Extent])? {
            guard view.shape.count <= rank, view.panels == nil else { return nil }
            let padding = rank - view.shape.count
            return ([Extent](repeating: 1, count: padding) + view.shape, [Extent](repeating: 0, count: padding) + view.strides)
        }
        var groups: [[Int]] = []
        for axis in order {
            let canMerge = groups.last.map { group in
                all.allSatisfy { view in
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
