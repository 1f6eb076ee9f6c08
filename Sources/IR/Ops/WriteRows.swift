/// Writes `rows` over the operand's elements from `start` on along `axis`; the other axes are the same. Operands: data, rows. The result is the
/// data with those rows exchanged, in the data's own memory where nothing reads the data later: a cache grows by what is written.
public struct WriteRows: LoopOp {
    public static let mnemonic = "write_rows"
    public static let summary = "Writes rows over those of a tensor, in place"
    public static var attributes: [Attribute<Self>] { [Attribute("axis", \.axis), Attribute("start", \.start)] }

    public var axis: Int
    /// Where the first row goes.
    public var start: Extent

    public init() { self.init(axis: 0, start: 0) }
    public init(axis: Int, start: Extent) {
        self.axis = axis
        self.start = start
    }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let types = try context.tensors(2), (data, rows) = (types[0], types[1])
        guard (0..<data.rank).contains(axis) else { throw Diagnostic(.invalid, "there is no axis \(axis) in \(data)") }
        guard data.element == rows.element, data.rank == rows.rank,
              data.shape.indices.allSatisfy({ $0 == axis || data.shape[$0] == rows.shape[$0] || !(data.shape[$0] - rows.shape[$0]).isConstant }) else {
            throw Diagnostic(.invalid, "rows of type \(rows) do not fit \(data) along axis \(axis)")
        }
        guard (data.shape[axis] - start - rows.shape[axis]).constant ?? 0 >= 0, start.constant ?? 0 >= 0 else {
            throw Diagnostic(.invalid, "rows \(start) to \(start + rows.shape[axis]) do not lie in \(data)")
        }
        return [.tensor(data.with(layout: .rowMajor))]
    }

    public func equalSizes(in context: InferenceContext) -> [SizeEquation] {
        let shapes = context.shapes
        guard shapes.count == 2, shapes[0].count == shapes[1].count else { return [] }
        return shapes[0].indices.filter { $0 != axis }.map { SizeEquation(shapes[1][$0], shapes[0][$0]) }
    }

    public func nonNegativeSizes(in context: InferenceContext) -> [Extent] {
        let shapes = context.shapes
        guard shapes.count == 2, shapes.allSatisfy({ $0.indices.contains(axis) }) else { return [] }
        return [start, shapes[0][axis] - start - shapes[1][axis]]
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let (data, rows) = (operands[0], operands[1]), first = try context.value(start)
        guard first >= 0, rows.shape[axis] <= data.shape[axis] - first else {
            throw Diagnostic(.invalid, "\(rows.shape[axis]) rows from \(first) on do not lie in axis \(axis) of a tensor of shape \(data.shape)")
        }
        let inner = data.shape[(axis + 1)...].reduce(data.element.byteCount, *)
        let (block, whole) = (rows.shape[axis] * inner, data.shape[axis] * inner)
        return [Tensor(data.element, data.shape) { bytes in
            bytes.copyMemory(from: data.bytes)
            guard block > 0 else { return }
            for outer in 0..<rows.byteCount / block {
                UnsafeMutableRawBufferPointer(rebasing: bytes[(outer * whole + first * inner)...])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: rows.bytes[outer * block..<(outer + 1) * block]))
            }
        }]
    }

    public var updatedOperand: Int? { 0 }
    public var layoutBehavior: LayoutBehavior { .any }

    public func lower(_ operands: [TensorView], to results: [TensorView], in builder: inout KernelBuilder) throws {
        let (rows, result) = (operands[1], results[0])
        builder.beginUpdate(of: operands[0], in: result)
        var window = result
        window.shape[axis] = rows.shape[axis]
        window.offset = window.offset + start * window.strides[axis]
        builder.copy(rows, to: window)
    }
}
