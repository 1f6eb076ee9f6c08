/// The type of a loop-language expression: one element type and a number of vector lanes (1 = scalar).
///
/// Scalars of narrow float types (f16, bf16, f8…) exist only between a load or cast and the next cast: arithmetic is defined
/// on f32, f64, the 8- to 64-bit integers and bool.
public struct KernelType: Hashable, Sendable {
    public var element: ElementType
    public var lanes: Int

    public init(_ element: ElementType, lanes: Int = 1) {
        self.element = element
        self.lanes = lanes
    }

    /// Loop variables, addresses and extents.
    public static let index = KernelType(.i64)
}

/// A named scalar or vector register, or a loop variable.
public struct Variable: Hashable, Sendable {
    public var name: String
    public var type: KernelType

    public init(_ name: String, _ type: KernelType) {
        self.name = name
        self.type = type
    }
}

public enum UnaryOperator: String, Hashable, Sendable, CaseIterable {
    case negate, absolute, sign
    case sqrt, reciprocal, reciprocalSqrt, exp, log, log1p, expm1
    case sin, cos, tan, asin, acos, atan, sinh, cosh, tanh, asinh, acosh, atanh, erf
    case floor, ceil, truncate
    /// Round half to even.
    case round
    case isNaN, isPositiveInfinity, isNegativeInfinity
    /// Logical negation of a bool.
    case not
    case bitwiseNot
    case popcount

    /// Whether the result is a bool whatever the operand.
    public var isPredicate: Bool { self == .isNaN || self == .isPositiveInfinity || self == .isNegativeInfinity }
}

public enum BinaryOperator: String, Hashable, Sendable, CaseIterable {
    /// Integer arithmetic wraps; integer division truncates like C's and must not divide by zero.
    case add, subtract, multiply, divide
    /// C's remainder (sign of the dividend; `fmod` for floats).
    case remainder
    /// If either operand is NaN, the result is NaN.
    case minimum, maximum
    case power, atan2
    case and, or, xor, shiftLeft, shiftRight
    case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual

    public var isComparison: Bool {
        switch self {
        case .equal, .notEqual, .less, .lessOrEqual, .greater, .greaterOrEqual: true
        default: false
        }
    }
}

/// How a reduction combines two partial results.
public enum ReductionOperator: String, Hashable, Sendable, CaseIterable {
    case add, multiply, minimum, maximum, and, or

    public var binary: BinaryOperator {
        switch self {
        case .add: .add
        case .multiply: .multiply
        case .minimum: .minimum
        case .maximum: .maximum
        case .and: .and
        case .or: .or
        }
    }
}

/// A reference to `type.lanes` consecutive elements of a buffer.
///
/// `index` counts elements of the buffer's element type and is a scalar i64. With a `mask`, only the first `mask` lanes exist
/// (a scalar i64 count); lanes beyond it load as zero and are not stored.
public struct Access: Hashable, Sendable {
    public var buffer: BufferID
    public var index: Expr
    public var type: KernelType
    public var mask: Expr?

    public init(_ buffer: BufferID, _ index: Expr, _ type: KernelType, mask: Expr? = nil) {
        self.buffer = buffer
        self.index = index
        self.type = type
        self.mask = mask
    }
}

/// A parameter or scratch area of a kernel, by its position in `KernelFunction.buffers`.
public struct BufferID: Hashable, Sendable {
    public var index: Int
    public init(_ index: Int) { self.index = index }
}

/// A pure expression of the loop language.
public indirect enum Expr: Hashable, Sendable {
    case integer(Int, ElementType)
    case float(Bitwise<Double>, ElementType)
    case variable(Variable)
    /// The value of a named dimension, i64.
    case dimension(String)
    /// The number of this thread (i64, from 0) and how many there are, inside a parallel kernel.
    case threadIndex, threadCount
    case unary(UnaryOperator, Expr)
    case binary(BinaryOperator, Expr, Expr)
    /// `condition ? a : b`; scalars evaluate only the chosen branch. For vectors, the condition is a comparison of vectors.
    case select(Expr, Expr, Expr)
    /// Numeric conversion lane by lane. Floats to integers truncate: i32, i64 and u64 saturate and take NaN as 0, narrower types
    /// keep the low bits of the i64. Integers to narrower integers wrap. To narrow floats rounds to nearest even; the 8-bit kinds
    /// saturate, but keep infinity where they have one (else it becomes NaN). To bool tests `!= 0`.
    case cast(Expr, ElementType)
    /// Float to integer rounding half to even and saturating to the integer's range: the requantisation step.
    case roundSaturate(Expr, ElementType)
    case load(Access)
    /// A scalar in every lane.
    case broadcast(Expr, Int)
    /// One scalar loaded from memory into every lane (a load with an embedded broadcast).
    case loadBroadcast(Access, Int)
    /// Horizontal reduction of a vector to a scalar.
    case horizontal(ReductionOperator, Expr)
    /// `a * b + c`, rounded once.
    case fma(Expr, Expr, Expr)
    /// Dot products of neighbouring lanes with accumulation: lane i of the result is `c[i] + Σ_{j<g} a[g·i+j] * b[g·i+j]`. Either
    /// u8 or i8 times i8 into i32, four per lane (g = 4, exact; of i8 times i8 where no element of the second is −128), or bf16 times bf16 into f32, two per lane (g = 2; the order of the
    /// sum and its roundings are the processor's, and numbers below the normal range count as zero).
    case dot(Expr, Expr, Expr)
    /// The dot products of codes of four bits, two in each byte of u8, with accumulation into i32: the lower ones times the second operand, of i8, and the
    /// upper ones times the third; lane i of the result is `d[i] + Σ_{j<4} lower(a[4i+j]) * b[4i+j] + upper(a[4i+j]) * c[4i+j]`, exact.
    case dotNibbles(Expr, Expr, Expr, Expr)
    /// The same bits as another type of equal total width; or the first lanes, where only their number differs.
    case bitcast(Expr, KernelType)
}

extension Expr {
    /// The type of the expression; loads and variables carry theirs, everything else follows from the operands.
    public var type: KernelType {
        switch self {
        case .integer(_, let element), .float(_, let element): KernelType(element)
        case .variable(let variable): variable.type
        case .dimension, .threadIndex, .threadCount: .index
        case .unary(let op, let a): op.isPredicate ? KernelType(.bool, lanes: a.type.lanes) : a.type
        case .binary(let op, let a, _): op.isComparison ? KernelType(.bool, lanes: a.type.lanes) : a.type
        case .select(_, let a, _): a.type
        case .cast(let a, let element), .roundSaturate(let a, let element): KernelType(element, lanes: a.type.lanes)
        case .load(let access): access.type
        case .broadcast(let a, let lanes): KernelType(a.type.element, lanes: lanes)
        case .loadBroadcast(let access, let lanes): KernelType(access.type.element, lanes: lanes)
        case .horizontal(_, let a): KernelType(a.type.element)
        case .fma(let a, _, _): a.type
        case .dot(_, _, let sum), .dotNibbles(_, _, _, let sum): sum.type
        case .bitcast(_, let type): type
        }
    }

    public static func int(_ value: Int) -> Expr { .integer(value, .i64) }
    public static func float(_ value: Double, _ element: ElementType) -> Expr { .float(Bitwise(value), element) }

    /// A constant of any arithmetic type.
    public static func constant(_ value: Double, _ element: ElementType) -> Expr {
        element.isFloat ? .float(value, element) : .integer(ElementWriter.truncate(value), element)
    }

    /// The expression for a symbolic extent.
    public init(_ extent: Extent) {
        var sum: Expr?
        for term in extent.terms {
            var product: Expr?
            for factor in term.factors { product = product.map { $0 * Expr(factor) } ?? Expr(factor) }
            let value = (product ?? .int(1)) * .int(term.coefficient)
            sum = sum.map { $0 + value } ?? value
        }
        self = (sum ?? .int(0)) + .int(extent.offset)
    }

    /// `⌊a / b⌋` for a positive `b`, where kernels divide towards zero.
    private static func floored(_ a: Extent, _ b: Extent) -> Expr {
        let whole = Expr(a), divisor = Expr(b)
        if a.isNeverNegative { return .binary(.divide, whole, divisor) }
        return .binary(.divide, .select(.binary(.less, whole, .int(0)), whole - divisor + .int(1), whole), divisor)
    }

    /// `quotient`, or 0 where its divisor is a size that turns out to be 0, which is how sizes are computed everywhere.
    private static func unlessZero(_ divisor: Extent, _ quotient: Expr) -> Expr {
        (divisor - 1).isNeverNegative ? quotient : .select(.binary(.equal, Expr(divisor), .int(0)), .int(0), quotient)
    }

    private init(_ atom: Extent.Atom) {
        self = switch atom {
        case .dimension(let name): .dimension(name)
        case .floorDivide(let a, let b): Self.unlessZero(b, Self.floored(a, b))
        case .modulo(let a, let b): Self.unlessZero(b, a.isNeverNegative ? .binary(.remainder, Expr(a), Expr(b)) : Expr(a) - Self.floored(a, b) * Expr(b))
        // No type with such a size gets past the verifier.
        case .tooComplex: .int(0)
        case .maximum(let a, let b): .binary(.maximum, Expr(a), Expr(b))
        case .minimum(let a, let b): .binary(.minimum, Expr(a), Expr(b))
        }
    }

    /// The value of an i64 constant.
    public var constantInteger: Int? {
        if case .integer(let value, _) = self { value } else { nil }
    }

    // Index arithmetic folds constants as it is built, so generated code stays readable. Only i64 operands are folded.

    public static func + (a: Expr, b: Expr) -> Expr {
        switch (a, b) {
        case (.integer(let x, .i64), .integer(let y, .i64)): .int(saturatingSum(x, y))
        case (.integer(0, .i64), _): b
        case (_, .integer(0, .i64)): a
        case (.integer(_, .i64), _): b + a
        case (.binary(.add, let c, .integer(let x, .i64)), .integer(let y, .i64)): c + .int(saturatingSum(x, y))
        case (.binary(.add, let c, .integer(let x, .i64)), _) where b.type == .index: (c + b) + .int(x)
        default: .binary(.add, a, b)
        }
    }

    public static func - (a: Expr, b: Expr) -> Expr {
        if case .integer(let y, .i64) = b, y != Int.min { return a + .int(-y) }
        if a == b && a.type == .index { return .int(0) }
        return .binary(.subtract, a, b)
    }

    public static func * (a: Expr, b: Expr) -> Expr {
        switch (a, b) {
        case (.integer(let x, .i64), .integer(let y, .i64)): .int(saturatingProduct(x, y))
        case (.integer(0, .i64), _), (_, .integer(0, .i64)): .int(0)
        case (.integer(1, .i64), _): b
        case (_, .integer(1, .i64)): a
        case (.integer(_, .i64), _): b * a
        case (.binary(.multiply, let c, .integer(let x, .i64)), .integer(let y, .i64)): c * .int(saturatingProduct(x, y))
        default: .binary(.multiply, a, b)
        }
    }

    /// Truncating division of non-negative indices.
    public static func / (a: Expr, b: Expr) -> Expr {
        switch (a, b) {
        case (_, .integer(1, .i64)): a
        case (.integer(let x, .i64), .integer(let y, .i64)) where y != 0: .int(x.dividedReportingOverflow(by: y).partialValue)
        default: .binary(.divide, a, b)
        }
    }

    /// Remainder of non-negative indices.
    public static func % (a: Expr, b: Expr) -> Expr {
        switch (a, b) {
        case (_, .integer(1, .i64)): .int(0)
        case (.integer(let x, .i64), .integer(let y, .i64)) where y != 0: .int(x.remainderReportingOverflow(dividingBy: y).partialValue)
        default: .binary(.remainder, a, b)
        }
    }

    public static func < (a: Expr, b: Expr) -> Expr { .binary(.less, a, b) }
    public static func >= (a: Expr, b: Expr) -> Expr { .binary(.greaterOrEqual, a, b) }
    public static func && (a: Expr, b: Expr) -> Expr { .binary(.and, a, b) }
    public static func || (a: Expr, b: Expr) -> Expr { .binary(.or, a, b) }
    public static func min(_ a: Expr, _ b: Expr) -> Expr {
        if let x = a.constantInteger, let y = b.constantInteger { return .int(Swift.min(x, y)) }
        return .binary(.minimum, a, b)
    }
    public static func max(_ a: Expr, _ b: Expr) -> Expr {
        if let x = a.constantInteger, let y = b.constantInteger { return .int(Swift.max(x, y)) }
        return .binary(.maximum, a, b)
    }

    /// The expression converted to `element`, if it is not of that type already. What was widened from a narrow float goes back to
    /// it unchanged.
    public func converted(to element: ElementType) -> Expr {
        if type.element == element { return self }
        if element.isFloat, case .cast(let narrow, element.computeType) = self, narrow.type.element == element { return narrow }
        return .cast(self, element)
    }

    /// The expression, of compute type, rounded or wrapped to a value that `element` holds: what reading it back from memory would
    /// give. Nothing where its form shows that it is one.
    public func held(in element: ElementType) -> Expr {
        let compute = element.computeType, value = converted(to: compute)
        return compute == element || value.isHeld(in: element) ? value : .cast(.cast(value, element), compute)
    }

    private func isHeld(in element: ElementType) -> Bool {
        switch self {
        case .cast(let narrow, _): narrow.type.element == element
        case .float(let value, _): Tensor(element, [1], values: { _ in value.wrappedValue }).doubles.allSatisfy { $0.hasSameBits(as: value.wrappedValue) }
        case .integer(let value, _): Tensor(element, [1], integers: { _ in value }).integers == [value]
        case .unary(.negate, let a), .unary(.absolute, let a): (element == .f16 || element == .bf16) && a.isHeld(in: element)
        case .binary(.minimum, let a, let b), .binary(.maximum, let a, let b), .select(_, let a, let b): a.isHeld(in: element) && b.isHeld(in: element)
        default: false
        }
    }

    /// The expression with every direct subexpression replaced.
    public func mapChildren(_ transform: (Expr) -> Expr) -> Expr {
        func map(_ access: Access) -> Access {
            Access(access.buffer, transform(access.index), access.type, mask: access.mask.map(transform))
        }
        return switch self {
        case .integer, .float, .variable, .dimension, .threadIndex, .threadCount: self
        case .unary(let op, let a): .unary(op, transform(a))
        case .binary(let op, let a, let b): .binary(op, transform(a), transform(b))
        case .select(let c, let a, let b): .select(transform(c), transform(a), transform(b))
        case .cast(let a, let element): .cast(transform(a), element)
        case .roundSaturate(let a, let element): .roundSaturate(transform(a), element)
        case .load(let access): .load(map(access))
        case .broadcast(let a, let lanes): .broadcast(transform(a), lanes)
        case .loadBroadcast(let access, let lanes): .loadBroadcast(map(access), lanes)
        case .horizontal(let op, let a): .horizontal(op, transform(a))
        case .fma(let a, let b, let c): .fma(transform(a), transform(b), transform(c))
        case .dot(let a, let b, let c): .dot(transform(a), transform(b), transform(c))
        case .dotNibbles(let a, let b, let c, let d): .dotNibbles(transform(a), transform(b), transform(c), transform(d))
        case .bitcast(let a, let type): .bitcast(transform(a), type)
        }
    }

    /// The direct subexpressions.
    public var children: [Expr] {
        switch self {
        case .integer, .float, .variable, .dimension, .threadIndex, .threadCount: []
        case .unary(_, let a), .cast(let a, _), .roundSaturate(let a, _), .broadcast(let a, _), .horizontal(_, let a), .bitcast(let a, _): [a]
        case .binary(_, let a, let b): [a, b]
        case .select(let a, let b, let c), .fma(let a, let b, let c), .dot(let a, let b, let c): [a, b, c]
        case .dotNibbles(let a, let b, let c, let d): [a, b, c, d]
        case .load(let access), .loadBroadcast(let access, _): [access.index] + (access.mask.map { [$0] } ?? [])
        }
    }
}
