/// How `cast` rounds to f8e8m0, whose values are powers of two. Other types round to nearest, ties to even.
public enum ScaleRounding: String, Hashable, Sendable, CaseIterable, EnumAttribute {
    case up, down, nearest
}

/// Converts elements to another type, as ONNX's Cast does.
///
/// Floats become integers by truncation; where ONNX leaves the result open, values outside the range of i32, i64 and u64 saturate
/// (NaN gives 0), and narrower types wrap. Integers wrap. Everything but zero becomes true. Floats round to the nearest value; the 8-bit kinds turn
/// overflow into their largest value with `saturate`, else into infinity or, where they have none, NaN.
public struct Cast: PointwiseOp {
    public static let mnemonic = "cast"
    public static let summary = "Converts elements to another type"
    public static var attributes: [Attribute<Self>] {
        [Attribute("to", \.to), Attribute("saturate", \.saturate), Attribute("rounding", \.rounding)]
    }

    public var to: ElementType
    public var saturate: Bool
    public var rounding: ScaleRounding

    public init() { self.init(to: .f32) }
    public init(to: ElementType, saturate: Bool = true, rounding: ScaleRounding = .up) {
        self.to = to
        self.saturate = saturate
        self.rounding = rounding
    }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let type = try context.tensors(1)[0]
        guard type.element == to || !(type.element == .string || to == .string || type.element.isComplex || to.isComplex) else {
            throw Diagnostic(.unsupported, "\(type.element.rawValue) does not convert to \(to.rawValue)")
        }
        return [.tensor(type.with(element: to))]
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let x = operands[0], reader = x.reader
        if x.element == to { return [x] }
        if to.isInteger || to == .bool {
            guard x.element.isFloat else { return [Tensor(to, x.shape, integers: { reader.loadInteger(at: $0) })] }
            return [Tensor(to, x.shape, values: { reader.load(at: $0) })]
        }
        if let format = NarrowFloat.format(of: to) {
            return [Tensor(to, x.shape) { bytes in
                for i in 0..<x.count {
                    let value = reader.load(at: i)
                    bytes[i] = to == .f8e8m0
                        ? NarrowFloat.scale(Float(value), saturate: saturate, rounding: rounding)
                        : format.encode(value, saturate: saturate)
                }
            }]
        }
        if x.element == .u64 && to == .f32 {
            // Straight to f32: through f64, it would be rounded twice.
            return [Tensor(to, x.shape, values: { Double(Float(UInt(bitPattern: reader.loadInteger(at: $0)))) })]
        }
        if x.element.isFloat || x.element == .u64 { return [Tensor(to, x.shape, values: { reader.load(at: $0) })] }
        return [Tensor(to, x.shape, integers: { reader.loadInteger(at: $0) })]
    }

    public func symbolicContents(_ operands: [[Extent]?], in context: InferenceContext) -> [[Extent]?] {
        guard let values = operands[0] else { return [nil] }
        switch to {
        case .i64, .f64, .f32: return [values]
        case .bool:
            let truths = values.compactMap { $0.constant.map { Extent($0 == 0 ? 0 : 1) } }
            return [truths.count == values.count ? truths : nil]
        default:
            // Sizes that depend on dimensions are assumed to fit 32 bits (`Function.assumptions`); others must be seen to fit.
            guard let range = to.integerRange else { return [nil] }
            return [values.allSatisfy { $0.constant.map(range.contains) ?? (to == .i32) } ? values : nil]
        }
    }

    public var layoutBehavior: LayoutBehavior { .uniform }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        let x = try operands.load(0, at: index, in: &builder)
        return convert(x, from: operands.types[0].element, in: &builder)
    }

    /// `x`, the compute value of an element of type `from`, as the compute value of the result.
    public func convert(_ x: Expr, from: ElementType, in builder: inout KernelBuilder) -> Expr {
        let target = to.computeType
        if from == to { return x }
        if to == .f8e8m0 {
            return scale(x.converted(to: .f32), in: &builder).converted(to: target)
        }
        if to.bitWidth < 8, to.isInteger {
            return x.converted(to: target).converted(to: to).converted(to: target)
        }
        guard let format = NarrowFloat.format(of: to) else { return x.converted(to: to).converted(to: target) }
        let value = builder.bind(x.converted(to: x.type.element == .f64 ? .f64 : .f32), "x")
        let element = value.type.element, limit = Expr.float(format.largestFinite, element)
        let magnitude = Expr.unary(.absolute, value)
        let beyond: BinaryOperator = format.largestIsEven ? .greater : .greaterOrEqual
        let overflows = Expr.binary(beyond, magnitude, .float(format.overflowThreshold, element))
        let special: Expr = format.hasInfinity ? .float(.infinity, element) : .float(.nan, element)
        let top = saturate || to == .f4e2m1 ? limit : special
        let signed = Expr.select(value < .float(0, element), .unary(.negate, top), top)
        let result = Expr.cast(.select(overflows, .float(0, element), value), to).converted(to: target)
        return .select(overflows, signed.converted(to: target), result)
    }

    /// The power of two for an f32, by its bits.
    private func scale(_ x: Expr, in builder: inout KernelBuilder) -> Expr {
        func u(_ value: Int) -> Expr { .integer(value, .u32) }
        let bits = builder.bind(.binary(.and, .bitcast(x, KernelType(.u32)), u(0x7FFF_FFFF)), "bits")
        let exponent = Expr.binary(.shiftRight, bits, u(23)), mantissa = builder.bind(.binary(.and, bits, u(0x7F_FFFF)), "mantissa")
        // Below the smallest normal f32, the scale 2^-127 has the mantissa 0x400000.
        let subnormal = Expr.binary(.equal, exponent, u(0))
        let roundsUp: Expr = switch rounding {
        case .down: .binary(.notEqual, u(0), u(0))
        case .up: .binary(.greater, mantissa, .select(subnormal, u(0x40_0000), u(0)))
        case .nearest: .binary(.greaterOrEqual, mantissa, .select(subnormal, u(0x60_0000), u(0x40_0000)))
        }
        let rounded = builder.bind(.binary(.add, exponent, .select(roundsUp, u(1), u(0))), "scale")
        let isNaN = Expr.binary(.greater, bits, u(0x7F80_0000))
        let limited = Expr.select(.binary(.greater, rounded, u(0xFE)), u(saturate ? 0xFE : 0xFF), rounded)
        return .bitcast(.cast(.select(isNaN, u(0xFF), limited), .u8), KernelType(.f8e8m0))
    }
}

/// Reads the same bits as another type of equal width.
public struct Bitcast: PointwiseOp {
    public static let mnemonic = "bitcast"
    public static let summary = "Reads the same bits as another type of equal width"
    public static var attributes: [Attribute<Self>] { [Attribute("to", \.to)] }

    public var to: ElementType

    public init() { to = .f32 }
    public init(to: ElementType) { self.to = to }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let type = try context.tensors(1)[0]
        guard type.element.bitWidth == to.bitWidth, type.element != .string, type.element.isComplex == to.isComplex else {
            throw Diagnostic(.invalid, "\(type.element.rawValue) and \(to.rawValue) have different widths")
        }
        return [.tensor(type.with(element: to))]
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        if to == operands[0].element { return operands }
        guard to.bitWidth < 8 else {
            guard let result = operands[0].bitcast(to: to) else { throw Diagnostic(.invalid, "the widths differ") }
            return [result]
        }
        // Sub-byte values fill their byte by sign; only the low bits are theirs.
        let source = operands[0].bytes
        return [Tensor(to, operands[0].shape) { bytes in
            let writer = ElementWriter(to, bytes)
            for i in source.indices {
                if to == .f4e2m1 { bytes[i] = source[i] & 15 } else { writer.store(integer: Int(source[i]), at: i) }
            }
        }]
    }

    public var layoutBehavior: LayoutBehavior { .uniform }

    public func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr {
        let from = operands.types[0].element, value = try operands.load(0, at: index, in: &builder)
        if from == to { return value }
        let x = value.converted(to: from)
        if to == .f4e2m1 {
            let bits = Expr.binary(.and, x.converted(to: .u8), .integer(15, .u8))
            return Expr.bitcast(bits, KernelType(to)).converted(to: to.computeType)
        }
        if to.bitWidth < 8 {
            let bits = from == .f4e2m1 ? .bitcast(x, KernelType(.u8)) : x.converted(to: .u8)
            return bits.converted(to: to).converted(to: to.computeType)
        }
        return Expr.bitcast(x, KernelType(to)).converted(to: to.computeType)
    }
}
