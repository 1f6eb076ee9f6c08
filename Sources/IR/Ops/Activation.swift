#if canImport(Glibc)
import Glibc
#endif

/// An activation function: an elementwise function made of several scalar operators, kept whole so that kernels can choose how
/// to compute it. One row of the table below per function.
public enum ActivationKind: String, Hashable, Sendable, CaseIterable, EnumAttribute {
    /// max(x, 0).
    case relu
    /// alpha·x for x < 0.
    case leakyRelu
    /// alpha·(eˣ − 1) for x < 0.
    case elu
    /// beta·x, and beta·alpha·(eˣ − 1) for x ≤ 0 (ONNX's gamma is beta).
    case selu
    /// max(x, 0) + min(0, alpha·(e^(x/alpha) − 1)).
    case celu
    /// ½·x·(1 + erf(x/√2)).
    case gelu
    /// ½·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))).
    case geluTanh
    /// x·sigmoid(1.702·x).
    case quickGelu
    /// x·sigmoid(alpha·x).
    case silu
    case sigmoid
    /// max(0, min(1, alpha·x + beta)).
    case hardSigmoid
    /// x·max(0, min(1, x/6 + ½)).
    case hardSwish
    /// x·tanh(softplus(x)).
    case mish
    /// log(1 + eˣ).
    case softplus
    /// x/(1 + |x|).
    case softsign
    /// x for x > alpha, else 0.
    case thresholdedRelu
    /// x − beta for x > alpha, x + beta for x < −alpha, else 0.
    case shrink
    case tanh
    /// alpha·tanh(beta·x).
    case scaledTanh
    /// alpha·x + beta.
    case affine

    /// The values that ONNX gives alpha and beta where a model does not.
    public var defaults: (alpha: Double, beta: Double) {
        switch self {
        case .leakyRelu: (0.01, 0)
        case .selu: (1.67326319217681884765625, 1.05070102214813232421875)
        case .hardSigmoid: (0.2, 0.5)
        case .shrink: (0.5, 0)
        case .affine: (1, 0)
        default: (1, 1)
        }
    }

    /// Whether it evaluates exp, log, erf or tanh.
    public var isTranscendental: Bool {
        switch self {
        case .relu, .leakyRelu, .hardSigmoid, .hardSwish, .softsign, .thresholdedRelu, .shrink, .affine: false
        default: true
        }
    }

    /// The function on a real number.
    public func evaluate(_ x: Double, _ alpha: Double, _ beta: Double) -> Double {
        switch self {
        case .relu: x.isNaN ? x : Swift.max(x, 0)
        case .leakyRelu: x < 0 ? alpha * x : x
        case .elu: x < 0 ? alpha * expm1(x) : x
        case .selu: beta * (x > 0 ? x : alpha * expm1(x))
        case .celu: x.isNaN ? x : Swift.max(x, 0) + Swift.min(0, alpha * expm1(x / alpha))
        case .gelu: 0.5 * x * (1 + erf(x * 0.5.squareRoot()))
        case .geluTanh: 0.5 * x * (1 + Glibc.tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
        case .quickGelu: x / (1 + exp(-1.702 * x))
        case .silu: x / (1 + exp(-alpha * x))
        case .sigmoid: 1 / (1 + exp(-x))
        case .hardSigmoid: x.isNaN ? x : Swift.max(0, Swift.min(1, alpha * x + beta))
        case .hardSwish: x.isNaN ? x : x * Swift.max(0, Swift.min(1, x / 6 + 0.5))
        case .mish: x * Glibc.tanh(Swift.max(x, 0) + log1p(exp(-abs(x))))
        case .softplus: x.isNaN ? x : Swift.max(x, 0) + log1p(exp(-abs(x)))
        case .softsign: x / (1 + abs(x))
        case .thresholdedRelu: x > alpha ? x : 0
        case .shrink: x > alpha ? x - beta : x < -alpha ? x + beta : 0
        case .tanh: Glibc.tanh(x)
        case .scaledTanh: alpha * Glibc.tanh(beta * x)
        case .affine: alpha * x + beta
        }
    }

    /// The function as an expression; `x` should be a variable, since it is mentioned several times.
    public func expression(_ x: Expr, _ alpha: Double, _ beta: Double) -> Expr {
        let element = x.type.element
        func c(_ value: Double) -> Expr {
            let scalar = Expr.constant(value, element)
            return x.type.lanes == 1 ? scalar : .broadcast(scalar, x.type.lanes)
        }
        func clamp01(_ y: Expr) -> Expr { .max(c(0), .min(c(1), y)) }
        func exponentialMinusOne(_ y: Expr) -> Expr { .unary(.exp, y) - c(1) }
        func sigmoid(_ y: Expr) -> Expr { .binary(.divide, c(1), c(1) + .unary(.exp, .unary(.negate, y))) }
        func softplus(_ y: Expr) -> Expr { .max(y, c(0)) + .unary(.log1p, .unary(.exp, .unary(.negate, .unary(.absolute, y)))) }
        switch self {
        case .relu: return .max(x, c(0))
        case .leakyRelu: return .select(x < c(0), x * c(alpha), x)
        case .elu: return .select(x < c(0), exponentialMinusOne(x) * c(alpha), x)
        case .selu: return c(beta) * .select(.binary(.greater, x, c(0)), x, exponentialMinusOne(x) * c(alpha))
        case .celu: return .max(x, c(0)) + .min(c(0), exponentialMinusOne(x * c(1 / alpha)) * c(alpha))
        case .gelu: return x * c(0.5) * (c(1) + .unary(.erf, x * c(0.5.squareRoot())))
        case .geluTanh:
            let inner = x * c((2 / Double.pi).squareRoot()) * (c(1) + x * x * c(0.044715))
            return x * c(0.5) * (c(1) + .unary(.tanh, inner))
        case .quickGelu: return x * sigmoid(x * c(1.702))
        case .silu: return x * sigmoid(alpha == 1 ? x : x * c(alpha))
        case .sigmoid: return sigmoid(x)
        case .hardSigmoid: return clamp01(x * c(alpha) + c(beta))
        case .hardSwish: return x * clamp01(x * c(1.0 / 6) + c(0.5))
        case .mish: return x * .unary(.tanh, softplus(x))
        case .softplus: return softplus(x)
        case .softsign: return .binary(.divide, x, c(1) + .unary(.absolute, x))
        case .thresholdedRelu: return .select(.binary(.greater, x, c(alpha)), x, c(0))
        case .shrink:
            return .select(.binary(.greater, x, c(alpha)), x - c(beta), .select(x < c(-alpha), x + c(beta), c(0)))
        case .tanh: return .unary(.tanh, x)
        case .scaledTanh: return .unary(.tanh, x * c(beta)) * c(alpha)
        case .affine: return x * c(alpha) + c(beta)
        }
    }
}

/// An activation function applied elementwise. Floats; `relu` also takes signed integers.
public struct Activation: PointwiseOp {
    public static let mnemonic = "activation"
    public static let summary = "An activation function, elementwise"
    public static var attributes: [Attribute<Self>] { [Attribute("kind", \.kind), Attribute("alpha", \.alpha), Attribute("beta", \.beta)] }

    public var kind: ActivationKind
    @Bitwise public var alpha: Double
    @Bitwise public var beta: Double

    public init() { self.init(.relu) }
    /// - Parameters alpha, beta: the kind's defaults where absent.
    public init(_ kind: ActivationKind, alpha: Double? = nil, beta: Double? = nil) {
        self.kind = kind
        self.alpha = alpha ?? kind.defaults.alpha
        self.beta = beta ?? kind.defaults.beta
    }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let type = try context.tensors(1)[0]
        guard type.element.isFloat || (kind == .relu && type.element.isSignedInteger) else {
            throw Diagnostic(.invalid, "\(kind.rawValue) is not defined on \(type.element.rawValue)")
        }
        return [.tensor(type)]
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let x = operands[0], reader = x.reader
        if x.element.isInteger { return [Tensor(x.element, x.shape, integers: { Swift.max(0, reader.loadInteger(at: $0)) })] }
        return [Tensor(x.element, x.shape, values: { kind.evaluate(reader.load(at: $0), alpha, beta) })]
    }

    public var layoutBehavior: LayoutBehavior { .uniform }
    public var elementCost: ElementCost { kind.isTranscendental ? .expensive : .cheap }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        let x = try operands.load(0, at: index, in: &builder)
        return kind.expression(builder.bind(x, "x"), alpha, beta)
    }
}
