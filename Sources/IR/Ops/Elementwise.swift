/// An elementwise function of one tensor: one row of the `UnaryOperator` table.
public struct Unary: PointwiseOp {
    public static let mnemonic = "unary"
    public static let summary = "An elementwise function of one tensor"
    public static var attributes: [Attribute<Self>] { [Attribute("fn", \.function)] }

    public var function: UnaryOperator

    public init() { function = .negate }
    public init(_ function: UnaryOperator) { self.function = function }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let type = try context.tensors(1)[0]
        guard function != .not || type.element == .bool else { throw Diagnostic(.invalid, "not takes bool, not \(type.element.rawValue)") }
        guard type.element.isFloat || type.element.isComplex || function.isDefinedOnIntegers else {
            throw Diagnostic(.invalid, "\(function.rawValue) is not defined on \(type.element.rawValue)")
        }
        return [.tensor(function.isPredicate ? type.with(element: .bool) : type)]
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let x = operands[0], reader = x.reader
        let element = function.isPredicate ? .bool : x.element
        if x.element.isInteger {
            return [try Tensor(element, x.shape, integers: { try function.evaluate(reader.loadInteger(at: $0), x.element) })]
        }
        return [Tensor(element, x.shape, values: { function.evaluate(reader.load(at: $0)) })]
    }

    /// Sizes are whole: nothing is left to be rounded.
    public func symbolicContents(_ operands: [[Extent]?], in context: InferenceContext) -> [[Extent]?] {
        switch function {
        case .floor, .ceil, .round, .truncate: [operands[0]]
        case .negate: [operands[0]?.map { -$0 }]
        default: [nil]
        }
    }

    public var layoutBehavior: LayoutBehavior { .uniform }
    public var elementCost: ElementCost { function.isTranscendental ? .expensive : .cheap }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        let x = try operands.load(0, at: index, in: &builder)
        // Text that asks whether a number is one mentions it twice.
        return .unary(function, function.isPredicate ? builder.bind(x, "x") : x)
    }
}

/// An elementwise function of two tensors with numpy broadcasting.
public struct Binary: PointwiseOp {
    public static let mnemonic = "binary"
    public static let summary = "An elementwise function of two tensors, with broadcasting"
    public static var attributes: [Attribute<Self>] { [Attribute("fn", \.function)] }

    public var function: BinaryOperator

    public init() { function = .add }
    public init(_ function: BinaryOperator) { self.function = function }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let types = try context.tensors(2)
        guard types[0].element == types[1].element else {
            throw Diagnostic(.invalid, "\(function.rawValue) takes two operands of one type, not \(types[0]) and \(types[1])")
        }
        let shape = try TensorType.broadcast(types[0].shape, types[1].shape)
        let layout = types.first { $0.rank == shape.count && $0.layout != .rowMajor }?.layout ?? .rowMajor
        return [.tensor(TensorType(function.isComparison ? .bool : types[0].element, shape, layout: layout))]
    }

    public func equalSizes(in context: InferenceContext) -> [SizeEquation] {
        SizeEquation.commonBroadcast(context.shapes)
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let a = operands[0], b = operands[1]
        let shape = try TensorType.broadcast(a.type.shape, b.type.shape).constants ?? []
        let x = BroadcastIndex(a.shape, to: shape), y = BroadcastIndex(b.shape, to: shape)
        let left = a.reader, right = b.reader
        let element = function.isComparison ? ElementType.bool : a.element
        if a.element.isInteger || a.element == .bool {
            return [try Tensor(element, shape, integers: {
                try function.evaluate(left.loadInteger(at: x[$0]), right.loadInteger(at: y[$0]), a.element)
            })]
        }
        // Narrow floats are computed in f32, as kernels do.
        let narrow = a.element.computeType == .f32
        return [Tensor(element, shape, values: {
            let value = function.evaluate(left.load(at: x[$0]), right.load(at: y[$0]))
            return narrow ? Double(Float(value)) : value
        })]
    }

    public func symbolicContents(_ operands: [[Extent]?], in context: InferenceContext) -> [[Extent]?] {
        // What is false does not depend on what is not known.
        if function == .and, operands.contains(where: { $0?.allSatisfy { $0 == 0 } ?? false }), context.operands.allSatisfy({ ($0.tensor?.rank ?? 9) <= 1 }),
           let count = (try? TensorType.broadcast(context.shapes[0], context.shapes[1]))?.product.constant, count <= Function.symbolicContentsLimit {
            return [[Extent](repeating: 0, count: count)]
        }
        guard let a = operands[0], let b = operands[1], a.count == b.count || a.count == 1 || b.count == 1,
              context.operands.allSatisfy({ ($0.tensor?.rank ?? 9) <= 1 }), let element = context.operands[0].tensor?.element else { return [nil] }
        let values = (0..<(a.count == 1 ? b.count : a.count)).map { i in
            function.evaluate(a[a.count == 1 ? 0 : i], b[b.count == 1 ? 0 : i], element)
        }
        let known = values.compactMap { $0 }
        return [known.count == values.count ? known : nil]
    }

    public var layoutBehavior: LayoutBehavior { .uniform }
    public var elementCost: ElementCost { function == .power || function == .atan2 ? .expensive : .cheap }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        .binary(function, try operands.broadcast(0, at: index, in: &builder), try operands.broadcast(1, at: index, in: &builder))
    }
}

/// Maps flat indices of a broadcast result to flat indices of an operand.
public struct BroadcastIndex {
    private let shape: [Int]
    private let strides: [Int]
    private let isIdentity: Bool

    public init(_ operand: [Int], to shape: [Int]) {
        var strides = [Int](repeating: 0, count: shape.count)
        var stride = 1
        for axis in Swift.stride(from: operand.count - 1, through: 0, by: -1) {
            strides[axis + shape.count - operand.count] = operand[axis] == 1 ? 0 : stride
            stride *= operand[axis]
        }
        self.shape = shape
        self.strides = strides
        isIdentity = operand == shape
    }

    public subscript(flat: Int) -> Int {
        if isIdentity { return flat }
        var rest = flat, address = 0
        for axis in Swift.stride(from: shape.count - 1, through: 0, by: -1) {
            address += rest % shape[axis] * strides[axis]
            rest /= shape[axis]
        }
        return address
    }
}
