/// How the parameters of a quantisation are laid over a tensor.
struct QuantizationGrid: Hashable, Sendable {
    /// The axis of per-axis and blocked parameters; negative values count from the back.
    var axis: Int
    /// Elements along `axis` that share a parameter; 0 where parameters are per tensor or per axis.
    var blockSize: Int

    /// - Throws: `Diagnostic` where a parameter's shape fits neither per-tensor, per-axis nor blocked quantisation of `x`.
    func check(_ x: [Extent], parameter: [Extent]) throws {
        if parameter.allSatisfy({ $0 == 1 }) && parameter.count <= 1 { return }
        let axis = try normalizedAxis(axis, rank: x.count)
        if parameter.count == 1 && blockSize == 0 {
            guard parameter[0] == x[axis] || !parameter[0].isConstant || !x[axis].isConstant else {
                throw Diagnostic(.invalid, "\(parameter[0]) parameters for \(x[axis]) elements of axis \(axis)")
            }
            return
        }
        guard blockSize > 0, parameter.count == x.count else {
            throw Diagnostic(.invalid, "parameters of shape \(parameter) fit neither per-tensor, per-axis nor blocked quantisation of \(x)")
        }
        for (i, pair) in zip(x, parameter).enumerated() {
            let expected = i == axis ? pair.0.ceilDivided(by: Extent(blockSize)) : pair.0
            guard expected == pair.1 || !expected.isConstant || !pair.1.isConstant else {
                throw Diagnostic(.invalid, "blocks of \(blockSize) along axis \(axis) of \(x) need parameters of extent \(expected) on axis \(i), not \(pair.1)")
            }
        }
    }

    /// What must be equal in the shapes of a tensor, its scale and its zero point.
    func equations(_ shapes: [[Extent]]) -> [SizeEquation] {
        guard shapes.count == 3, let axis = try? normalizedAxis(axis, rank: shapes[0].count) else { return [] }
        let (x, scale) = (shapes[0], shapes[1]), alike = SizeEquation.pairs(shapes[2], scale)
        if scale.count == 1 && blockSize == 0 { return alike + [SizeEquation(scale[0], x[axis], leftMayBeOne: true)] }
        guard blockSize > 0, scale.count == x.count else { return alike }
        return alike + x.indices.map { SizeEquation(scale[$0], $0 == axis ? x[$0].ceilDivided(by: Extent(blockSize)) : x[$0]) }
    }

    /// The index of the parameter of the element at `index`.
    func index(_ index: [Expr], parameter: [Extent]) throws -> [Expr] {
        if parameter.allSatisfy({ $0 == 1 }) { return parameter.map { _ in .int(0) } }
        let axis = try normalizedAxis(axis, rank: index.count)
        if parameter.count == 1 && blockSize == 0 {
            // A free size may be 1 when the model runs.
            return [parameter[0].isConstant ? index[axis] : .select(.binary(.equal, Expr(parameter[0]), .int(1)), .int(0), index[axis])]
        }
        var blocked = index
        blocked[axis] = index[axis] / .int(Swift.max(blockSize, 1))
        return blocked
    }

    /// The flat index of the parameter for every element, as strides: the parameter of flat element `i` of `x`.
    func flatIndex(_ x: [Int], parameter: [Int]) throws -> (Int) -> Int {
        if parameter.allSatisfy({ $0 == 1 }) && parameter.count <= 1 { return { _ in 0 } }
        let axis = try normalizedAxis(axis, rank: x.count)
        let inner = x[(axis + 1)...].reduce(1, *), extent = x[axis], block = Swift.max(blockSize, 1)
        if parameter.count == 1 && blockSize == 0 { return { $0 / inner % extent } }
        let blocks = parameter[axis]
        return { flat in (flat / (inner * extent) * blocks + flat / inner % extent / block) * inner + flat % inner }
    }
}

/// Quantisation to integers or narrow floats: `saturate(roundHalfToEven(x / scale) + zeroPoint)`; of NaN, the least integer. Scale and zero point are
/// scalars, vectors along `axis`, or, with a block size, tensors of `x`'s rank. The zero point has the result's type.
public struct Quantize: PointwiseOp {
    public static let mnemonic = "quantize"
    public static let summary = "Divides by a scale, rounds half to even, adds a zero point, saturates"
    public static var attributes: [Attribute<Self>] {
        [Attribute("axis", \.axis), Attribute("to", \.element), Attribute("saturate", \.saturate), Attribute("block", \.blockSize)]
    }

    public var axis: Int
    /// The result's element type.
    public var element: ElementType
    /// Whether 8-bit floats saturate instead of overflowing to infinity or NaN; integers always saturate.
    public var saturate: Bool
    public var blockSize: Int

    public init() { self.init(element: .u8) }
    public init(element: ElementType, axis: Int = 1, saturate: Bool = true, blockSize: Int = 0) {
        self.axis = axis
        self.element = element
        self.saturate = saturate
        self.blockSize = blockSize
    }

    private var grid: QuantizationGrid { QuantizationGrid(axis: axis, blockSize: blockSize) }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let types = try context.tensors(3)
        guard types[0].element.isFloat || types[0].element == .i32 else { throw Diagnostic(.invalid, "cannot quantise \(types[0].element.rawValue)") }
        guard types[1].element.isFloat else { throw Diagnostic(.invalid, "the scale is \(types[1].element.rawValue), not a float") }
        guard types[2].element == element, types[2].shape == types[1].shape else {
            throw Diagnostic(.invalid, "the zero point is \(types[2]), not \(types[1].with(element: element))")
        }
        guard Self.targets.contains(element) else { throw Diagnostic(.invalid, "cannot quantise to \(element.rawValue)") }
        try grid.check(types[0].shape, parameter: types[1].shape)
        return [.tensor(types[0].with(element: element))]
    }

    static let targets: Set<ElementType> = [
        .u8, .i8, .u16, .i16, .i32, .u4, .i4, .u2, .i2, .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f4e2m1,
    ]

    public func equalSizes(in context: InferenceContext) -> [SizeEquation] {
        grid.equations(context.shapes)
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let x = operands[0], reader = x.reader, scale = operands[1].reader, zero = operands[2].reader
        let parameter = try grid.flatIndex(x.shape, parameter: operands[1].shape)
        // The division is done in the precision of the kernels, so that ties fall the same way.
        let wide = operands[1].element == .f64 || x.element == .f64
        func quotient(_ i: Int) -> Double {
            let (a, b) = (reader.load(at: i), scale.load(at: parameter(i)))
            return wide ? a / b : Double(Float(a) / Float(b))
        }
        if element.isInteger {
            return [Tensor(element, x.shape, integers: { i in
                ElementWriter.roundSaturated(quotient(i).rounded(.toNearestOrEven) + zero.load(at: parameter(i)), to: element)
            })]
        }
        guard let format = NarrowFloat.format(of: element) else { throw Diagnostic(.internal, "cannot quantise to \(element.rawValue)") }
        return [Tensor(element, x.shape) { bytes in
            for i in 0..<x.count { bytes[i] = format.encode(quotient(i), saturate: saturate) }
        }]
    }

    public var layoutBehavior: LayoutBehavior { .uniform }
    public var isAxisAgnostic: Bool { false }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        let at = try grid.index(index, parameter: operands.types[1].shape)
        let type: ElementType = operands.types[0].element == .f64 || operands.types[1].element == .f64 ? .f64 : .f32
        let x = try operands.load(0, at: index, in: &builder).converted(to: type)
        let scale = try operands.load(1, at: at, in: &builder).converted(to: type)
        let quotient = scale.constantNumber == 1 ? x : Expr.binary(.divide, x, scale)
        guard let range = element.integerRange else {
            return Cast(to: element, saturate: saturate).convert(quotient, from: type, in: &builder)
        }
        let zero = try operands.load(2, at: at, in: &builder)
        let shifted = zero.constantNumber == 0 ? quotient : Expr.unary(.round, quotient) + zero.converted(to: type)
        let rounded = Expr.roundSaturate(shifted, element.computeType)
        if element.computeType == element { return rounded }
        // Sub-byte types saturate inside the byte that they compute in.
        return .min(.max(rounded, .integer(range.lowerBound, rounded.type.element)), .integer(range.upperBound, rounded.type.element))
    }
}

extension Expr {
    /// The value of a constant of any type.
    var constantNumber: Double? {
        switch self {
        case .integer(let value, _): Double(value)
        case .float(let value, _): value.wrappedValue
        default: nil
        }
    }
}

/// The inverse of `quantize`: `(x − zeroPoint) · scale`. The zero point has `x`'s type.
public struct Dequantize: PointwiseOp {
    public static let mnemonic = "dequantize"
    public static let summary = "Subtracts a zero point and multiplies by a scale"
    public static var attributes: [Attribute<Self>] {
        [Attribute("axis", \.axis), Attribute("to", \.element), Attribute("block", \.blockSize)]
    }

    public var axis: Int
    /// The result's element type.
    public var element: ElementType
    public var blockSize: Int

    public init() { self.init(element: .f32) }
    public init(element: ElementType = .f32, axis: Int = 1, blockSize: Int = 0) {
        self.axis = axis
        self.element = element
        self.blockSize = blockSize
    }

    private var grid: QuantizationGrid { QuantizationGrid(axis: axis, blockSize: blockSize) }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let types = try context.tensors(3)
        guard Quantize.targets.contains(types[0].element) else { throw Diagnostic(.invalid, "cannot dequantise \(types[0].element.rawValue)") }
        guard types[1].element.isFloat, element.isFloat else { throw Diagnostic(.invalid, "scale and result must be floats, not \(types[1].element.rawValue) and \(element.rawValue)") }
        guard types[2].element == types[0].element, types[2].shape == types[1].shape else {
            throw Diagnostic(.invalid, "the zero point is \(types[2]), not \(types[1].with(element: types[0].element))")
        }
        try grid.check(types[0].shape, parameter: types[1].shape)
        return [.tensor(types[0].with(element: element))]
    }

    public func equalSizes(in context: InferenceContext) -> [SizeEquation] {
        grid.equations(context.shapes)
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let x = operands[0], reader = x.reader, scale = operands[1].reader, zero = operands[2].reader
        let parameter = try grid.flatIndex(x.shape, parameter: operands[1].shape)
        return [Tensor(element, x.shape, values: { i in
            let p = parameter(i)
            return (reader.load(at: i) - zero.load(at: p)) * scale.load(at: p)
        })]
    }

    public var layoutBehavior: LayoutBehavior { .uniform }
    public var isAxisAgnostic: Bool { false }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        let at = try grid.index(index, parameter: operands.types[1].shape)
        let type = element.computeType
        let integer: ElementType = operands.types[0].element.isInteger ? .i32 : .f32
        let x = try operands.load(0, at: index, in: &builder).converted(to: integer)
        let zero = try operands.load(2, at: at, in: &builder)
        let centred = zero.constantNumber?.hasSameBits(as: 0) == true ? x : x - zero.converted(to: integer)
        return centred.converted(to: type) * (try operands.load(1, at: at, in: &builder).converted(to: type))
    }
}
