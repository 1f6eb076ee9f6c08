import GlmcIR

/// Turns scalar code that computes one element into vector code that computes `lanes` consecutive ones.
///
/// The scalar code mentions a lane variable; lane 0 is `lane = 0`. A load whose address moves by one element per lane becomes a
/// vector load, one that does not move becomes a broadcast, everything else is refused.
struct Widen {
    let lane: Variable
    let lanes: Int
    /// Number of valid lanes, where it may be fewer than `lanes`.
    let mask: Expr?
    /// Scalar variables and the vectors that stand for them.
    var replacements: [Variable: Expr]

    init(lane: Variable, lanes: Int, mask: Expr?, replacements: [Variable: Expr]) {
        self.lane = lane
        self.lanes = lanes
        self.mask = mask
        self.replacements = replacements
    }

    /// The statements in vector form; nil where something has no vector form.
    mutating func widen(_ statements: [Statement]) -> [Statement]? {
        var result: [Statement] = []
        for statement in statements {
            switch statement {
            case .bind(let variable, let value):
                guard let wide = widen(value) else { return nil }
                if wide.type.lanes == 1 {
                    result.append(.bind(variable, wide))
                } else {
                    let vector = Variable(variable.name, wide.type)
                    replacements[variable] = .variable(vector)
                    result.append(.bind(vector, wide))
                }
            case .store(let access, let value):
                guard coefficient(access.index) == .int(1), let wide = widen(value), wide.type.lanes > 1 || VectorForms.broadcasts(wide.type.element) else { return nil }
                let type = KernelType(access.type.element, lanes: lanes)
                result.append(.store(Access(access.buffer, atLaneZero(access.index), type, mask: mask), vector(wide)))
            case .comment: result.append(statement)
            default: return nil
            }
        }
        return result
    }

    /// The expression in vector form; a scalar where it does not depend on the lane.
    func widen(_ expr: Expr) -> Expr? {
        switch expr {
        case .integer, .float, .dimension, .threadIndex, .threadCount: return expr
        case .variable(let variable):
            if variable == lane { return nil }
            return replacements[variable] ?? expr
        case .load(let access):
            guard access.type.lanes == 1, let step = coefficient(access.index) else { return nil }
            if step == .int(0) {
                // What cannot be spread over lanes stays a scalar, until a conversion makes it something that can.
                if !VectorForms.broadcasts(access.type.element) { return .load(Access(access.buffer, atLaneZero(access.index), access.type)) }
                return .loadBroadcast(Access(access.buffer, atLaneZero(access.index), access.type), lanes)
            }
            guard step == .int(1) else { return nil }
            return .load(Access(access.buffer, atLaneZero(access.index), KernelType(access.type.element, lanes: lanes), mask: mask))
        case .select(let condition, let a, let b):
            guard case .binary(let op, let x, let y) = condition, op.isComparison,
                  let wx = widen(x), let wy = widen(y), let wa = widen(a), let wb = widen(b) else { return nil }
            if [wx, wy, wa, wb].allSatisfy({ $0.type.lanes == 1 }) { return .select(.binary(op, wx, wy), wa, wb) }
            guard wx.type.element == wa.type.element else { return nil }
            return .select(.binary(op, vector(wx), vector(wy)), vector(wa), vector(wb))
        case .binary(let op, let a, let b):
            guard !op.isComparison, let wa = widen(a), let wb = widen(b) else { return nil }
            if wa.type.lanes == 1 && wb.type.lanes == 1 { return .binary(op, wa, wb) }
            guard VectorForms.supports(op, wa.type.element) else { return nil }
            return .binary(op, vector(wa), vector(wb))
        case .unary(let op, let a):
            guard let wide = widen(a) else { return nil }
            if wide.type.lanes == 1 { return .unary(op, wide) }
            return VectorForms.supports(op, wide.type.element) ? .unary(op, wide) : nil
        case .cast(let a, let element):
            guard let wide = widen(a) else { return nil }
            if wide.type.lanes == 1 { return .cast(wide, element) }
            return VectorForms.supportsCast(from: wide.type.element, to: element) ? .cast(wide, element) : nil
        case .roundSaturate(let a, let element):
            guard let wide = widen(a) else { return nil }
            if wide.type.lanes == 1 { return .roundSaturate(wide, element) }
            return wide.type.element == .f32 && (element == .u8 || element == .i8) ? .roundSaturate(wide, element) : nil
        case .fma(let a, let b, let c):
            guard let wa = widen(a), let wb = widen(b), let wc = widen(c) else { return nil }
            if [wa, wb, wc].allSatisfy({ $0.type.lanes == 1 }) { return .fma(wa, wb, wc) }
            return .fma(vector(wa), vector(wb), vector(wc))
        case .broadcast, .loadBroadcast, .horizontal, .dot, .bitcast: return nil
        }
    }

    private func vector(_ expr: Expr) -> Expr { expr.type.lanes == 1 ? .broadcast(expr, lanes) : expr }

    /// By how much `expr` grows per lane; nil where it is not linear in the lane.
    private func coefficient(_ expr: Expr) -> Expr? { Affine.coefficient(of: lane, in: expr) }
    private func atLaneZero(_ expr: Expr) -> Expr { Affine.substitute(lane, with: .int(0), in: expr) }
}

/// Which operations the C dialect has for vectors.
enum VectorForms {
    /// Whether a scalar can be copied to all lanes of a vector.
    static func broadcasts(_ element: ElementType) -> Bool { element != .f16 && element != .bf16 }

    static func supports(_ op: UnaryOperator, _ element: ElementType) -> Bool {
        switch op {
        case .negate: element == .f32 || element == .i32
        case .absolute, .sqrt, .reciprocal, .reciprocalSqrt, .floor, .ceil, .truncate, .round, .exp, .log, .tanh, .erf: element == .f32
        default: false
        }
    }

    static func supports(_ op: BinaryOperator, _ element: ElementType) -> Bool {
        switch op {
        case .add, .subtract, .multiply, .minimum, .maximum: element == .f32 || element == .i32
        case .divide: element == .f32
        default: false
        }
    }

    static func supportsCast(from: ElementType, to: ElementType) -> Bool {
        switch (from, to) {
        case (.i32, .f32), (.u8, .f32), (.i8, .f32), (.u8, .i32), (.i8, .i32), (.f16, .f32), (.f32, .f16), (.bf16, .f32), (.f32, .bf16): true
        default: from == to
        }
    }
}

/// Facts about index expressions that are linear in a variable.
enum Affine {
    /// The factor of `variable` in `expr`; nil where `expr` is not linear in it.
    static func coefficient(of variable: Variable, in expr: Expr) -> Expr? {
        switch expr {
        case .variable(variable): return .int(1)
        case .binary(.add, let a, let b):
            guard let x = coefficient(of: variable, in: a), let y = coefficient(of: variable, in: b) else { return nil }
            return x + y
        case .binary(.subtract, let a, let b):
            guard let x = coefficient(of: variable, in: a), let y = coefficient(of: variable, in: b) else { return nil }
            return x - y
        case .binary(.multiply, let a, let b):
            if !mentions(variable, in: b), let x = coefficient(of: variable, in: a) { return x * b }
            if !mentions(variable, in: a), let y = coefficient(of: variable, in: b) { return a * y }
            return nil
        default: return mentions(variable, in: expr) ? nil : .int(0)
        }
    }

    static func mentions(_ variable: Variable, in expr: Expr) -> Bool {
        expr == .variable(variable) || expr.children.contains { mentions(variable, in: $0) }
    }

    static func substitute(_ variable: Variable, with replacement: Expr, in expr: Expr) -> Expr {
        if expr == .variable(variable) { return replacement }
        switch expr {
        case .binary(.add, let a, let b):
            return substitute(variable, with: replacement, in: a) + substitute(variable, with: replacement, in: b)
        case .binary(.multiply, let a, let b):
            return substitute(variable, with: replacement, in: a) * substitute(variable, with: replacement, in: b)
        default: return expr.mapChildren { substitute(variable, with: replacement, in: $0) }
        }
    }
}
