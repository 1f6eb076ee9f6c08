/// Which vector expressions of the loop language exist: the contract between what lowering may emit, what `KernelVerifier` accepts and what
/// `glmc_vector.h` defines. Everything else is written for one element and repeated.
///
/// Registers hold 32-bit lanes (f32, i32), and as many of the narrower types that are converted from and to them. Only the operands of `dot` and
/// `dotNibbles` have more lanes: they fill a register. A vector of bool is no value of its own: it stands as the condition of a `select` and nowhere else.
public struct VectorForms: Hashable, Sendable {
    /// The numbers of 32-bit lanes that registers have.
    public var lanes: Set<Int>
    /// The types of first operands that `dot` takes.
    public var dots: Set<ElementType>
    public var hasNibbleDots: Bool

    public init(lanes: Set<Int>, dots: Set<ElementType>, hasNibbleDots: Bool = false) {
        self.lanes = lanes
        self.dots = dots
        self.hasNibbleDots = hasNibbleDots
    }

    /// What some target has.
    public static let any = VectorForms(lanes: [4, 8, 16], dots: [.u8, .i8, .bf16], hasNibbleDots: true)

    // MARK: The table

    /// What can be loaded, stored and held, whole and masked.
    private static let registers: Set<ElementType> = [.f32, .i32, .f16, .bf16, .u8, .i8]
    /// What a scalar can be spread over.
    private static let broadcasts: Set<ElementType> = [.f32, .i32, .u8, .i8]
    /// What is computed with, compared and selected.
    private static let numbers: Set<ElementType> = [.f32, .i32]

    private static let unary: [UnaryOperator: Set<ElementType>] = [
        .negate: numbers, .absolute: [.f32], .sqrt: [.f32], .reciprocal: [.f32], .reciprocalSqrt: [.f32], .floor: [.f32], .ceil: [.f32], .truncate: [.f32],
        .round: [.f32], .exp: [.f32], .log: [.f32], .tanh: [.f32], .erf: [.f32],
    ]
    private static let binary: [BinaryOperator: Set<ElementType>] = [
        .add: numbers, .subtract: numbers, .multiply: numbers, .minimum: numbers, .maximum: numbers, .divide: [.f32], .and: [.i32], .shiftRight: [.i32],
    ]
    /// From the key's type. The truncation of f32 to i32 is defined only where the result is in range.
    private static let casts: [ElementType: Set<ElementType>] = [
        .i32: [.f32], .u8: [.f32, .i32], .i8: [.f32, .i32], .f16: [.f32], .bf16: [.f32], .f32: [.f16, .bf16, .i32],
    ]
    private static let saturations: [ElementType: Set<ElementType>] = [.f32: [.u8, .i8]]
    private static let horizontals: [ReductionOperator: Set<ElementType>] = [.add: [.f32], .minimum: [.f32], .maximum: [.f32]]

    private typealias Group = (first: ElementType, second: ElementType, count: Int, accumulator: ElementType)
    /// Operands of `dot`: how many fill one 32-bit lane, and what the lane accumulates.
    private static let groups: [Group] = [(.u8, .i8, 4, .i32), (.i8, .i8, 4, .i32), (.bf16, .bf16, 2, .f32)]

    // MARK: Questions

    /// Whether a variable can have this type.
    public func holds(_ type: KernelType) -> Bool {
        type.lanes == 1 || isRegister(type) || isOperandOfDot(type)
    }

    /// Whether `type.lanes` elements can be loaded or stored at once.
    public func accesses(_ type: KernelType, isMasked: Bool) -> Bool {
        type.lanes == 1 ? !isMasked : isRegister(type) || (!isMasked && isOperandOfDot(type))
    }

    /// Whether the outermost operation of an expression has a vector form; scalar operations always do. Says nothing about the operands.
    public func allows(_ expr: Expr) -> Bool {
        switch expr {
        case .integer, .float, .dimension, .threadIndex, .threadCount: return true
        case .variable(let variable): return holds(variable.type)
        case .load(let access): return accesses(access.type, isMasked: access.mask != nil)
        case .broadcast(let a, let lanes): return lanes == 1 || hasLanes(lanes) && Self.broadcasts.contains(a.type.element)
        case .loadBroadcast(let access, let lanes): return lanes == 1 || hasLanes(lanes) && access.type.lanes == 1 && Self.broadcasts.contains(access.type.element)
        case .unary(let op, let a): return isScalar(a) || isRegister(a.type) && Self.unary[op, default: []].contains(a.type.element)
        case .binary(let op, let a, _):
            return isScalar(a) || isRegister(a.type) && (op.isComparison ? Self.numbers : Self.binary[op, default: []]).contains(a.type.element)
        case .select(let condition, let a, _):
            if isScalar(a) { return isScalar(condition) }
            guard isRegister(a.type), Self.numbers.contains(a.type.element), case .binary(let op, let x, _) = condition, op.isComparison else { return false }
            return x.type == a.type
        case .cast(let a, let element): return isScalar(a) || isRegister(a.type) && (a.type.element == element || Self.casts[a.type.element, default: []].contains(element))
        case .roundSaturate(let a, let element): return isScalar(a) || isRegister(a.type) && Self.saturations[a.type.element, default: []].contains(element)
        case .horizontal(let op, let a): return isRegister(a.type) && Self.horizontals[op, default: []].contains(a.type.element)
        case .fma(let a, _, _): return isScalar(a) || isRegister(a.type) && a.type.element == .f32
        case .dot(let a, let b, let c):
            return dots.contains(a.type.element) && hasLanes(c.type.lanes) && Self.groups.contains {
                a.type == KernelType($0.first, lanes: $0.count * c.type.lanes) && b.type == KernelType($0.second, lanes: a.type.lanes) && c.type.element == $0.accumulator
            }
        case .dotNibbles(let a, let b, let c, let d):
            guard hasNibbleDots, hasLanes(d.type.lanes), d.type.element == .i32 else { return false }
            return a.type == KernelType(.u8, lanes: 4 * d.type.lanes) && [b, c].allSatisfy { $0.type == KernelType(.i8, lanes: a.type.lanes) }
        case .bitcast(let a, let type):
            if isScalar(a) && type.lanes == 1 { return true }
            if a.type.element == type.element { return isLowHalf(type, of: a.type) }
            // A lane of i32 shows the elements that a step of `dot` takes.
            return a.type.element == .i32 && isRegister(a.type) && isOperandOfDot(type) && type.lanes * type.element.byteCount == a.type.lanes * 4
        }
    }

    private func isScalar(_ expr: Expr) -> Bool { expr.type.lanes == 1 }
    private func hasLanes(_ count: Int) -> Bool { lanes.contains(count) }
    private func isRegister(_ type: KernelType) -> Bool { hasLanes(type.lanes) && Self.registers.contains(type.element) }

    /// Whether there are operations on operands of these types.
    private func exists(_ group: Group) -> Bool { dots.contains(group.first) || hasNibbleDots && group.first == .u8 }

    private var firstOperands: [KernelType] {
        Self.groups.filter(exists).flatMap { group in lanes.map { KernelType(group.first, lanes: group.count * $0) } }
    }

    private func isOperandOfDot(_ type: KernelType) -> Bool {
        Self.groups.contains { group in
            exists(group) && (type.element == group.first || type.element == group.second) && type.lanes % group.count == 0 && hasLanes(type.lanes / group.count)
        }
    }

    /// Where there are registers of half the lanes: numbers, and first operands of `dot`.
    private func isLowHalf(_ type: KernelType, of whole: KernelType) -> Bool {
        guard type.lanes * 2 == whole.lanes else { return false }
        if isRegister(whole) && hasLanes(type.lanes) && Self.numbers.contains(type.element) { return true }
        return firstOperands.contains(whole) && firstOperands.contains(type)
    }
}
