/// A strided box: element `i` along each axis is element `starts + i * steps` of the operand. One entry per axis; a step may be
/// negative. Starts and sizes are exact: importers clamp them as ONNX says.
public struct Slice: ViewOp {
    public static let mnemonic = "slice"
    public static let summary = "A box of the operand, with a step along each axis"
    public static var attributes: [Attribute<Self>] {
        [Attribute("starts", \.starts), Attribute("sizes", \.sizes), Attribute("steps", \.steps)]
    }

    public var starts: [Extent]
    public var sizes: [Extent]
    public var steps: [Int]

    public init() { self.init(starts: [], sizes: []) }
    /// - Parameter steps: 1 along every axis by default.
    public init(starts: [Extent], sizes: [Extent], steps: [Int]? = nil) {
        self.starts = starts
        self.sizes = sizes
        self.steps = steps ?? [Int](repeating: 1, count: starts.count)
    }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let type = try context.tensors(1)[0]
        guard starts.count == type.rank, sizes.count == type.rank, steps.count == type.rank else {
            throw Diagnostic(.invalid, "takes one start, size and step for each axis of \(type), not \(starts.count), \(sizes.count) and \(steps.count)")
        }
        guard steps.allSatisfy({ -1 << 40 ... 1 << 40 ~= $0 }) else { throw Diagnostic(.invalid, "the steps \(steps) are out of range") }
        for axis in 0..<type.rank {
            guard let size = sizes[axis].constant else { continue }
            guard size >= 0 else { throw Diagnostic(.invalid, "the slice has size \(size) on axis \(axis)") }
            let last = starts[axis] + Extent(steps[axis]) * Extent(size - 1)
            for end in size == 0 ? [] : [starts[axis], last] {
                let beyond = (end - type.shape[axis]).constant.map { $0 >= 0 } ?? false
                guard !beyond, end.constant.map({ $0 >= 0 }) ?? true else {
                    throw Diagnostic(.invalid, "the slice reads element \(end) of axis \(axis) of \(type)")
                }
            }
        }
        return [.tensor(type.with(shape: sizes))]
    }

    /// Both ends of each axis lie in the operand. Of a slice of no elements, which reads nothing, as much is demanded as a step lets it be outside.
    public func nonNegativeSizes(in context: InferenceContext) -> [Extent] {
        guard let shape = context.shapes.first, shape.count == starts.count else { return [] }
        return shape.indices.flatMap { axis -> [Extent] in
            let (start, size, step) = (starts[axis], sizes[axis], steps[axis])
            if size == 0 || start == 0 && size == shape[axis] && step == 1 { return [] }
            let last = start + (size - 1) * Extent(step)
            return (size.isConstant ? [] : [size]) + (step < 0 ? [shape[axis] - 1 - start, last] : [start, shape[axis] - 1 - last])
        }
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let x = operands[0], strides = rowMajorStrides(x.shape)
        let first = try starts.map(context.value), window = try sizes.map(context.value)
        for axis in x.shape.indices where window[axis] > 0 {
            let last = saturatingSum(first[axis], saturatingProduct(window[axis] - 1, steps[axis]))
            guard min(first[axis], last) >= 0, max(first[axis], last) < x.shape[axis] else {
                throw Diagnostic(.invalid, "the slice reads elements \(first[axis])...\(last) of axis \(axis) of a tensor of shape \(x.shape)")
            }
        }
        return [try x.strided(window, strides: zip(strides, steps).map { saturatingProduct($0, $1) }, offset: flatIndex(first, strides))]
    }

    public func symbolicContents(_ operands: [[Extent]?], in context: InferenceContext) -> [[Extent]?] {
        guard let values = operands[0], let shape = context.operands[0].tensor?.shape.constants,
              let first = starts.constants, let window = sizes.constants else { return [nil] }
        let strides = rowMajorStrides(shape)
        let positions = flatOffsets(window, strides: zip(strides, steps).map { saturatingProduct($0, $1) }, offset: flatIndex(first, strides))
        return [positions.allSatisfy(values.indices.contains) ? positions.map { values[$0] } : nil]
    }

    public var layoutBehavior: LayoutBehavior { .uniform }

    public func view(of operand: TensorView, resultType: TensorType) -> TensorView? {
        var view = operand
        view.shape = sizes
        for axis in starts.indices {
            view.offset = view.offset + starts[axis] * operand.strides[axis]
            view.strides[axis] = operand.strides[axis] * Extent(steps[axis])
        }
        return view
    }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        let source = index.indices.map { Expr(starts[$0]) + index[$0] * .int(steps[$0]) }
        return try operands.load(0, at: source, in: &builder)
    }
}
