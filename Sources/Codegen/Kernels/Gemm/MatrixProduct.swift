import GlmcIR

extension KernelFamily {
    /// Matrix products: constant right sides packed at compile time, computed ones read in place or packed at run time.
    static let matrixProduct = KernelFamily("gemm-tile") { query in
        guard query.op(MatMul.self) != nil else { return nil }
        let (a, b) = (query.operandType(0), query.operandType(1))
        guard let kind = ContractionKind(a.element, b.element, target: query.target, contiguous: true) else { return nil }
        if let weights = query.constant(1) {
            guard weights.count > 0 else { return nil }
            let panels = MatrixProduct.request(query, weights: weights, depth: weights.shape[weights.rank - 2], kind: kind, right: 1, RegisterModel(query.target, kind))
            return KernelPlan(readsManyRows: true, panels: panels) { site in
                // How the weights lie is decided before anybody knows where the left side does: one whose rows are strided is copied.
                let rows = kind.isDot ? try site.operand(0, along: site.operandTypes[0].rank - 1) : try site.operand(0)
                try MatrixProduct(rows, operandTypes: site.operandTypes, result: site.resultTypes[0]).emit(&site, weights: weights, kind)
            }
        }
        // Without a constant to pack in groups, narrow products would need a packing pass of their own.
        guard kind == .float else { return nil }
        return KernelPlan(readsManyRows: true) { site in
            let a = try site.operand(0), b = try site.operand(1)
            try MatrixProduct(a, operandTypes: site.operandTypes, result: site.resultTypes[0]).emit(&site, right: b)
        }
    }
}

/// A batched matrix product as a contraction: y is the row axis, columns the last axis, batches the outer axes.
struct MatrixProduct {
    let a: TensorView
    let types: [TensorType]
    let result: TensorType
    /// The axis of the result that the tiles' rows run along: M, or the last batch axis where M is 1 and B is shared.
    let rowAxis: Int
    private let right: Int

    /// - Parameter right: the operand that holds the right side.
    init(_ a: TensorView, operandTypes: [TensorType], result: TensorType, right: Int = 1) {
        self.a = a
        types = operandTypes
        self.result = result
        self.right = right
        rowAxis = Self.rowAxis(of: result, right: operandTypes[right])
    }

    static func rowAxis(of result: TensorType, right: TensorType) -> Int {
        let m = result.rank - 2
        guard right.shape.dropLast(2).allSatisfy({ $0 == 1 }), result.shape[m] == 1 else { return m }
        return (0..<m).last { result.shape[$0] != 1 } ?? m
    }

    /// The panels that suit a product of a constant right side best, which is operand `right`.
    static func request(_ query: KernelQuery, weights: Tensor, depth: Int, kind: ContractionKind?, right: Int, _ model: RegisterModel) -> PanelRequest {
        let rows = rowAxis(of: query.resultType, right: query.operandType(right))
        let plan = plan(query.resultType, rowAxis: rows, depth: depth, rowBytes: 0, weights: weights.element, model)
        return PanelRequest(weights: weights, rows: query.resultType.shape[rows].constant, panels: plan.panels, kind: kind)
    }

    private var depth: Extent { types[0].shape[types[0].rank - 1] }
    private var columns: Extent { result.shape[result.rank - 1] }
    /// Result axes other than the tiles' rows and columns.
    private var outerAxes: [Int] { (0..<result.rank - 1).filter { $0 != rowAxis } }

    /// An operand's stride along a result axis: 0 where it is broadcast.
    func stride(_ view: TensorView, _ axis: Int) -> Extent {
        let own = axis - (result.rank - view.shape.count)
        return own < 0 ? 0 : view.stride(own, broadcastTo: result.shape[axis])
    }

    private func aStride(_ axis: Int) -> Extent { stride(a, axis) }

    /// The offset of an operand at an outer position.
    private func base(_ view: TensorView) -> ([Expr]) -> Expr {
        let axes = outerAxes
        let strides = axes.map { $0 == result.rank - 2 ? 0 : stride(view, $0) }
        return { outer in
            zip(outer, strides).reduce(Expr(view.offset)) { $0 + $1.0 * Expr($1.1) }
        }
    }

    /// The offset of the left side, or of what lies along its rows, at an outer position.
    func leftBase(_ view: TensorView) -> ([Expr]) -> Expr {
        let strides = outerAxes.map { stride(view, $0) }, offset = view.offset
        return { outer in zip(outer, strides).reduce(Expr(offset)) { $0 + $1.0 * Expr($1.1) } }
    }

    func contraction(_ kind: ContractionKind, weights: WeightSource, weightBase: @escaping ([Expr]) -> Expr, store: @escaping SiteStore) -> Contraction {
        let axes = outerAxes, (rank, rowAxis) = (result.rank, rowAxis)
        return Contraction(
            kind: kind, outer: axes.map { result.shape[$0] }, y: result.shape[rowAxis], x: 1, columns: columns, input: a.buffer,
            inputBase: leftBase(a), inputStrideY: aStride(rowAxis), inputStrideX: 0,
            reduction: [ReductionAxis(kind.isDot ? types[right].shape[types[right].rank - 2] : depth, stride: a.strides[a.shape.count - 1])], weights: weights, weightBase: weightBase
        ) { builder, outer, y, _, column, value, count in
            var index = [Expr](repeating: .int(0), count: rank)
            for (axis, position) in zip(axes, outer) { index[axis] = position }
            index[rowAxis] = y
            index[rank - 1] = column
            try store(&builder, value, index, rank - 1, count)
        }
    }

    /// - Parameters:
    ///   - depth: 0: free. `rowBytes`: bytes of the left side that one row adds.
    ///   - weights: the type of the right side's elements; `panels`: how they lie already.
    static func plan(_ result: TensorType, rowAxis: Int, depth: Int, rowBytes: Int, weights: ElementType, _ model: RegisterModel, panels: AxisCut? = nil) -> TilePlan {
        TilePlan(
            y: result.shape[rowAxis].constant, x: 1, columns: result.shape[result.rank - 1].constant, depth: depth, rowBytes: rowBytes,
            elementBytes: weights.byteCount, model: model, panels: panels, storesAnyWidth: true)
    }

    func plan(_ model: RegisterModel, weights: ElementType, panels: AxisCut? = nil) -> TilePlan {
        Self.plan(
            result, rowAxis: rowAxis, depth: depth.constant ?? 0, rowBytes: (aStride(rowAxis).constant ?? 0) * a.element.byteCount, weights: weights, model, panels: panels)
    }

    func emit(_ site: inout KernelSite, weights: Tensor, _ kind: ContractionKind) throws {
        let model = RegisterModel(site.target, kind)
        var plan = plan(model, weights: weights.element, panels: site.formats[weights])
        plan.spanPanels(model)
        let batches = Array(weights.shape.dropLast(2))
        let packing = PanelFormat(matrix: weights, kind: kind, lanes: model.lanes, panels: plan.panels)
        let buffer = try site.weight(kind.weightElement, [weights], as: packing)
        // Which of the constant's batches an outer position uses.
        let batchView = TensorView(
            buffer, weights.element, shape: (batches + [1, 1]).map { Extent($0) },
            strides: (rowMajorStrides(batches) + [0, 0]).map { Extent($0 * packing.outerCount) })
        let weightBase = base(batchView)
        try site.generate { builder, store in
            let problem = contraction(kind, weights: .packed(buffer), weightBase: weightBase, store: store)
            try ContractionEmitter(problem, plan: plan, lanes: model.lanes).emit(into: &builder)
        }
    }

    func emit(_ site: inout KernelSite, right b: TensorView) throws {
        let model = RegisterModel(site.target)
        let plan = plan(model, weights: .f32)
        let (k, n) = (b.shape.count - 2, b.shape.count - 1)
        let elements = (depth * columns).constant
        // Rows of B are read in place while they stay in the cache, or where each is used only a few times.
        let inPlace = b.strides[n] == 1 && (elements.map { $0 <= 64 << 10 } ?? true || result.shape[rowAxis].constant.map { $0 <= 16 } ?? false)
        let base = base(b)
        if inPlace {
            try site.generate { builder, store in
                let problem = contraction(.float, weights: .rows(b.buffer, stride: b.strides[k]), weightBase: base, store: store)
                try ContractionEmitter(problem, plan: plan, lanes: model.lanes).emit(into: &builder)
            }
            return
        }
        // Packed once per distinct batch, by all threads, before the product.
        let batchAxes = Array(b.shape.dropLast(2))
        let panelled = columns.ceilDivided(by: Extent(model.lanes)) * Extent(model.lanes)
        let size = panelled * depth
        let scratch = site.scratch("pack", .f32, count: batchAxes.product * size, perThread: false)
        let batchView = TensorView(
            scratch, .f32, shape: batchAxes + [1, 1], strides: Layout.rowMajor.strides(of: batchAxes).map { $0 * size } + [0, 0])
        let weightBase = self.base(batchView)
        try site.generate { builder, store in
            let problem = contraction(.float, weights: .packed(scratch), weightBase: weightBase, store: store)
            let emitter = ContractionEmitter(problem, plan: plan, lanes: model.lanes)
            let packer = PanelPacker(source: b, axes: (k, n), target: scratch, batchStride: size, columns: columns, depth: depth, panels: plan.panels, lanes: model.lanes)
            packer.emit(into: &builder)
            builder.emit(.barrier)
            try emitter.emit(into: &builder)
        }
    }
}
