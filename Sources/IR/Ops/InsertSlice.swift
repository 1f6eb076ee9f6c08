/// Writes `part` over the operand's elements from `starts` on, one start per axis. Operands: data, part, of one rank. The result is the data with those
/// elements exchanged, in the data's own memory where nothing reads the data later: a cache grows by what is written.
public struct InsertSlice: LoopOp {
    public static let mnemonic = "insert_slice"
    public static let summary = "Writes a tensor over a part of another, in place"
    public static var attributes: [Attribute<Self>] { [Attribute("starts", \.starts)] }

    /// Where the part's first element goes.
    public var starts: [Extent]

    public init() { starts = [] }
    public init(starts: [Extent]) { self.starts = starts }

    /// A part that begins at `start` along one axis of `rank`, and at 0 along the others.
    public init(axis: Int, start: Extent, rank: Int) {
        starts = (0..<rank).map { $0 == axis ? start : 0 }
    }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let types = try context.tensors(2), (data, part) = (types[0], types[1])
        guard data.element == part.element, data.rank == part.rank else { throw Diagnostic(.invalid, "a part of type \(part) does not fit \(data)") }
        guard starts.count == data.rank else { throw Diagnostic(.invalid, "has \(starts.count) starts for the \(data.rank) axes of \(data)") }
        for (axis, start) in starts.enumerated() {
            guard start.constant ?? 0 >= 0, (data.shape[axis] - start - part.shape[axis]).constant ?? 0 >= 0 else {
                throw Diagnostic(.invalid, "elements \(start) to \(start + part.shape[axis]) of axis \(axis) do not lie in \(data)")
            }
        }
        return [.tensor(data.with(layout: .rowMajor))]
    }

    public func nonNegativeSizes(in context: InferenceContext) -> [Extent] {
        let shapes = context.shapes
        guard shapes.count == 2, shapes.allSatisfy({ $0.count == starts.count }) else { return [] }
        return starts.indices.flatMap { [starts[$0], shapes[0][$0] - starts[$0] - shapes[1][$0]] }
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let (data, part) = (operands[0], operands[1]), first = try starts.map { try context.value($0) }
        guard first.count == data.rank, first.indices.allSatisfy({ first[$0] >= 0 && part.shape[$0] <= data.shape[$0] - first[$0] }) else {
            throw Diagnostic(.invalid, "a part of shape \(part.shape) from \(first) on does not lie in a tensor of shape \(data.shape)")
        }
        let strides = rowMajorStrides(data.shape), start = flatIndex(first, strides), run = part.shape.last ?? 1
        return [Tensor(data.element, data.shape) { bytes in
            bytes.copyMemory(from: data.bytes)
            guard run > 0, let copier = ElementCopier(data.element, from: part.bytes, to: bytes) else { return }
            for (i, position) in IndexSequence(Array(part.shape.dropLast())).enumerated() {
                copier.copy(i * run, to: start + flatIndex(position, Array(strides.dropLast())), count: run)
            }
        }]
    }

    public var updatedOperand: Int? { 0 }
    public var layoutBehavior: LayoutBehavior { .any }

    public func lower(_ operands: [TensorView], to results: [TensorView], in builder: inout KernelBuilder) throws {
        let (part, result) = (operands[1], results[0])
        builder.beginUpdate(of: operands[0], in: result)
        var window = result
        window.shape = part.shape
        for (start, stride) in zip(starts, result.strides) { window.offset = window.offset + start * stride }
        builder.copy(part, to: window)
    }
}
