import GlmcIR

/// Turns scalar code that computes one element into vector code that computes `lanes` consecutive ones.
///
/// The scalar code mentions a lane variable; lane 0 is `lane = 0`. A load whose address moves by one element per lane becomes a
/// vector load, one that does not move becomes a broadcast, everything else is refused.
struct Vectorizer {
    let lane: Variable
    let lanes: Int
    /// Number of valid lanes, where it may be fewer than `lanes`.
    let mask: Expr?
    /// Scalar variables and the vectors that stand for them.
    var replacements: [Variable: Expr]
    private var forms: VectorForms { VectorForms(lanes: [lanes], dots: []) }

    init(lane: Variable, lanes: Int, mask: Expr?, replacements: [Variable: Expr]) {
        self.lane = lane
        self.lanes = lanes
        self.mask = mask
        self.replacements = replacements
    }

    /// The statements in vector form; nil where something has no vector form.
    mutating func vectorized(_ statements: [Statement]) -> [Statement]? {
        var result: [Statement] = []
        for statement in statements {
            switch statement {
            case .bind(let variable, let value):
                guard let wide = vectorized(value) else { return nil }
                if wide.type.lanes == 1 {
                    result.append(.bind(variable, wide))
                } else {
                    let vector = Variable(variable.name, wide.type)
                    replacements[variable] = .variable(vector)
                    result.append(.bind(vector, wide))
                }
            case .store(let access, let value):
                let type = KernelType(access.type.element, lanes: lanes)
                guard coefficient(access.index) == .int(1), forms.accesses(type, isMasked: mask != nil), let wide = vectorized(value), let stored = vector(wide) else { return nil }
                result.append(.store(Access(access.buffer, atLaneZero(access.index), type, mask: mask), stored))
            case .comment: result.append(statement)
            default: return nil
            }
        }
        return result
    }

    /// The expression in vector form; a scalar where it does not depend on the lane; nil where some operation has no vector form.
    func vectorized(_ expr: Expr) -> Expr? {
        if let wide = spread(expr), forms.allows(wide) { wide } else { nil }
    }

    /// The same operation on vector operands, whether or not it has that form.
    private func spread(_ expr: Expr) -> Expr? {
        switch expr {
        case .integer, .float, .dimension, .threadIndex, .threadCount: return expr
        case .variable(let variable):
            if variable == lane { return nil }
            return replacements[variable] ?? expr
        case .load(let access):
            guard access.type.lanes == 1, let step = coefficient(access.index) else { return nil }
            if step == .int(0) {
                // What cannot be spread over lanes stays a scalar, until a conversion makes it something that can.
                let scalar = Access(access.buffer, atLaneZero(access.index), access.type), wide = Expr.loadBroadcast(scalar, lanes)
                return forms.allows(wide) ? wide : .load(scalar)
            }
            guard step == .int(1) else { return nil }
            return .load(Access(access.buffer, atLaneZero(access.index), KernelType(access.type.element, lanes: lanes), mask: mask))
        case .select(let condition, let a, let b):
            guard case .binary(let op, let x, let y) = condition, op.isComparison, let (wx, wy) = pair(x, y), let (wa, wb) = pair(a, b) else { return nil }
            if wx.type.lanes == wa.type.lanes { return .select(.binary(op, wx, wy), wa, wb) }
            guard let vx = vector(wx), let vy = vector(wy), let va = vector(wa), let vb = vector(wb) else { return nil }
            return .select(.binary(op, vx, vy), va, vb)
        case .binary(let op, let a, let b):
            // The result of a comparison is no vector.
            guard let (wa, wb) = pair(a, b), wa.type.lanes == 1 || !op.isComparison else { return nil }
            return .binary(op, wa, wb)
        case .unary(let op, let a): return vectorized(a).map { .unary(op, $0) }
        case .cast(let a, let element):
            guard let wide = vectorized(a) else { return nil }
            // Truncation saturates, which the vector form does not.
            if wide.type.lanes > 1 && wide.type.element.isFloat && element.isInteger { return nil }
            return .cast(wide, element)
        case .roundSaturate(let a, let element): return vectorized(a).map { .roundSaturate($0, element) }
        case .fma(let a, let b, let c):
            guard let wa = vectorized(a), let wb = vectorized(b), let wc = vectorized(c) else { return nil }
            if [wa, wb, wc].allSatisfy({ $0.type.lanes == 1 }) { return .fma(wa, wb, wc) }
            guard let va = vector(wa), let vb = vector(wb), let vc = vector(wc) else { return nil }
            return .fma(va, vb, vc)
        case .broadcast, .loadBroadcast, .horizontal, .dot, .dotNibbles, .bitcast: return nil
        }
    }

    /// Two operands in vector form, or as scalars where both are.
    private func pair(_ a: Expr, _ b: Expr) -> (Expr, Expr)? {
        guard let wa = vectorized(a), let wb = vectorized(b) else { return nil }
        if wa.type.lanes == 1 && wb.type.lanes == 1 { return (wa, wb) }
        guard let va = vector(wa), let vb = vector(wb) else { return nil }
        return (va, vb)
    }

    /// The expression with a value in every lane; nil where its type cannot be spread.
    private func vector(_ expr: Expr) -> Expr? {
        if expr.type.lanes > 1 { return expr }
        let wide = Expr.broadcast(expr, lanes)
        return forms.allows(wide) ? wide : nil
    }

    /// By how much `expr` grows per lane; nil where it is not linear in the lane.
    private func coefficient(_ expr: Expr) -> Expr? { Affine.coefficient(of: lane, in: expr) }
    private func atLaneZero(_ expr: Expr) -> Expr { Affine.substitute(lane, with: .int(0), in: expr) }
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
