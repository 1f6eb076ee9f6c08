#if canImport(Glibc)
import Glibc
#endif

/// Softmax, or its logarithm, along one axis: exp(x − max) / Σ exp(x − max).
public struct Softmax: LoopOp {
    public static let mnemonic = "softmax"
    public static let summary = "Softmax or log-softmax along an axis"
    public static var attributes: [Attribute<Self>] { [Attribute("axis", \.axis), Attribute("log", \.log)] }

    /// Negative values count from the back.
    public var axis: Int
    public var log: Bool

    public init() { self.init(axis: -1) }
    public init(axis: Int, log: Bool = false) {
        self.axis = axis
        self.log = log
    }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let type = try context.tensors(1)[0]
        guard type.element.isFloat else { throw Diagnostic(.invalid, "takes floats, not \(type.element.rawValue)") }
        _ = try normalizedAxis(axis, rank: type.rank)
        return [.tensor(type)]
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let x = operands[0], axis = try normalizedAxis(axis, rank: x.rank)
        let count = x.shape[axis], step = rowMajorStrides(x.shape)[axis]
        return [x.withValues(as: Double.self) { x0 in
            Tensor.computed(x.element, x.shape, in: Double.self) { y in
                guard count > 0 else { return }
                for row in 0..<x.count / count {
                    let start = row / step * step * count + row % step
                    var top = -Double.infinity, sum = 0.0
                    for i in 0..<count { top = Swift.max(top, x0[start + i * step]) }
                    for i in 0..<count { sum += exp(x0[start + i * step] - top) }
                    let shift = Glibc.log(sum)
                    for i in 0..<count {
                        let value = x0[start + i * step] - top
                        y[start + i * step] = log ? value - shift : exp(value) / sum
                    }
                }
            }
        }]
    }

    public var layoutBehavior: LayoutBehavior { .uniform }
    public var runsInVectors: Bool { true }

    public func lower(_ operands: [TensorView], to results: [TensorView], in builder: inout KernelBuilder) throws {
        let (x, y) = (operands[0], results[0])
        let type = y.element.computeType
        let split = RowSplit(y, rowAxes: [try normalizedAxis(axis, rank: y.shape.count)])
        // An exact intermediate in the result saves computing every exponential twice.
        let keepsExponentials = !log && y.element == type
        builder.parallelRows(of: y.shape, over: split.outerAxes) { builder, row in
            func value(_ i: [Expr]) -> Expr { x.load(split.index(row, i)).converted(to: type) }
            let top = builder.reduce(.maximum, over: split.rowShape, initial: .float(-.infinity, type)) { _, i in value(i) }
            let sum = builder.reduce(.add, over: split.rowShape, initial: .float(0, type)) { builder, i in
                let e = Expr.unary(.exp, value(i) - top)
                guard keepsExponentials else { return e }
                let bound = builder.bind(e, "e")
                builder.emit(y.store(bound, split.index(row, i)))
                return bound
            }
            let last = builder.bind(log ? .unary(.log, sum) : .binary(.divide, .float(1, type), sum), "s")
            builder.simdLoops(over: split.rowShape) { builder, i in
                let index = split.index(row, i)
                // The maximum first: what is left of large values is exact.
                let result = log ? value(i) - top - last
                    : keepsExponentials ? y.load(index) * last
                    : .unary(.exp, value(i) - top) * last
                builder.emit(y.store(result, index))
            }
        }
    }
}
