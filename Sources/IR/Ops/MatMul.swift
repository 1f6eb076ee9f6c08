/// Matrix product of `a` […, M, K] and `b` […, K, N] with numpy broadcasting of the leading axes. Floats of one type, of which
/// f16 and bf16 give f32 sums; f32 against f16, bf16 or i8 giving f32 sums; u8/i8 against u8/i8 giving exact i32 sums; or wider integers of one type
/// (wrapping).
public struct MatMul: PointwiseOp {
    public static let mnemonic = "matmul"
    public static let summary = "Matrix product with broadcast batch axes"

    public init() {}

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let types = try context.tensors(2)
        let (a, b) = (types[0], types[1])
        guard a.rank >= 2, b.rank >= 2 else { throw Diagnostic(.invalid, "takes matrices of rank 2 or more, not \(a) and \(b)") }
        let k = (a.shape[a.rank - 1], b.shape[b.rank - 2])
        if k.0 != k.1, k.0.isConstant, k.1.isConstant {
            throw Diagnostic(.invalid, "\(a) times \(b): \(k.0) columns against \(k.1) rows")
        }
        let batch = try TensorType.broadcast(Array(a.shape.dropLast(2)), Array(b.shape.dropLast(2)))
        // Every integer of 8 bits is an f32.
        let element = a.element == .f32 && b.element == .i8 ? .f32 : try productElement(a.element, b.element)
        return [.tensor(TensorType(element, batch + [a.shape[a.rank - 2], b.shape[b.rank - 1]]))]
    }

    public func equalSizes(in context: InferenceContext) -> [SizeEquation] {
        let shapes = context.shapes
        guard shapes.count == 2, shapes.allSatisfy({ $0.count >= 2 }) else { return [] }
        let (a, b) = (shapes[0], shapes[1])
        return [SizeEquation(a[a.count - 1], b[b.count - 2])] + SizeEquation.commonBroadcast([Array(a.dropLast(2)), Array(b.dropLast(2))])
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let types = operands.map { ValueType.tensor($0.type) }
        guard let type = try infer(InferenceContext(operands: types)).first?.tensor, let shape = type.shape.constants else { return [] }
        switch type.element.accumulator {
        case .double: return [multiply(operands[0], operands[1], type.element, shape, in: Double.self)]
        case .int32: return [multiply(operands[0], operands[1], type.element, shape, in: Int32.self)]
        case .int: return [multiply(operands[0], operands[1], type.element, shape, in: Int.self)]
        }
    }

    private func multiply<T: Accumulator>(_ a: Tensor, _ b: Tensor, _ element: ElementType, _ shape: [Int], in: T.Type) -> Tensor {
        let (m, k, n) = (a.shape[a.rank - 2], a.shape[a.rank - 1], b.shape[b.rank - 1])
        let batch = Array(shape.dropLast(2))
        let left = BroadcastIndex(Array(a.shape.dropLast(2)), to: batch), right = BroadcastIndex(Array(b.shape.dropLast(2)), to: batch)
        return a.withValues(as: T.self) { a in
            b.withValues(as: T.self) { b in
                Tensor.computed(element, shape, in: T.self) { y in
                    for p in 0..<batch.reduce(1, *) {
                        let (x, w, z) = (a + left[p] * m * k, b + right[p] * k * n, y + p * m * n)
                        for i in 0..<m {
                            let row = z + i * n
                            for j in 0..<k {
                                let value = x[i * k + j], other = w + j * n
                                for c in 0..<n { row[c].add(value, times: other[c]) }
                            }
                        }
                    }
                }
            }
        }
    }

    public var elementCost: ElementCost { .many }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        let (a, b, y) = (operands.types[0], operands.types[1], operands.resultTypes[0])
        let sumType = y.element.productType
        let batch = Array(index.dropLast(2)), batchShape = Array(y.shape.dropLast(2))
        let left = broadcastIndex(batch, of: batchShape, to: Array(a.shape.dropLast(2)))
        let right = broadcastIndex(batch, of: batchShape, to: Array(b.shape.dropLast(2)))
        return try builder.reduce(.add, over: [a.shape[a.rank - 1]], initial: .constant(0, sumType)) { builder, k in
            let x = try operands.load(0, at: left + [index[index.count - 2], k[0]], in: &builder)
            let w = try operands.load(1, at: right + [k[0], index[index.count - 1]], in: &builder)
            return x.converted(to: sumType) * w.converted(to: sumType)
        }
    }
}

/// The index of an operand of shape `operand` that numpy broadcasting pairs with `index` of a result of shape `result`; axes are
/// aligned at the end.
func broadcastIndex(_ index: [Expr], of result: [Extent], to operand: [Extent]) -> [Expr] {
    let skipped = result.count - operand.count
    return operand.enumerated().map { axis, extent in
        let position = index[axis + skipped]
        if extent == 1 { return .int(0) }
        return extent.isConstant || extent == result[axis + skipped]
            ? position : .select(.binary(.equal, Expr(extent), .int(1)), .int(0), position)
    }
}
