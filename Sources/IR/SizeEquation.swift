/// Two sizes that must be equal when the model runs: what an op demands of its operands' shapes beyond what their types say.
public struct SizeEquation: Hashable, Sendable {
    public var left: Extent
    public var right: Extent
    /// Whether `left` may be 1 instead, as broadcasting allows; never where it is another number.
    public var leftMayBeOne: Bool { isBroadcast && (!left.isConstant || left == 1) }
    private var isBroadcast: Bool

    public init(_ left: Extent, _ right: Extent, leftMayBeOne: Bool = false) {
        self.left = left
        self.right = right
        isBroadcast = leftMayBeOne
    }

    /// Whether the equation holds whatever the dimensions are.
    public var holds: Bool { left == right || leftMayBeOne && left == 1 }

    /// Equations between the sizes of two shapes, axis by axis from the front; axes that only one of them has are left out.
    public static func pairs(_ a: some Collection<Extent>, _ b: some Collection<Extent>) -> [SizeEquation] {
        zip(a, b).map { SizeEquation($0, $1) }
    }

    /// What numpy broadcasting demands of `operand` in a result of shape `result`; axes are aligned at the end.
    public static func broadcast(_ operand: [Extent], to result: [Extent]) -> [SizeEquation] {
        zip(operand.reversed(), result.reversed()).map { SizeEquation($0, $1, leftMayBeOne: true) }
    }

    /// What numpy broadcasting of all `operands` against each other demands; nothing where they cannot be broadcast at all.
    public static func commonBroadcast(_ operands: [[Extent]]) -> [SizeEquation] {
        guard let first = operands.first, let common = try? operands.dropFirst().reduce(first, { try TensorType.broadcast($0, $1) }) else { return [] }
        return operands.flatMap { broadcast($0, to: common) }
    }

    /// What one dimension must be for the equation to hold, the others being free: `4*a = b` gives `b := 4*a`.
    ///
    /// Nil where the equation holds already, and where it fixes no dimension: there are none, `left` may be 1, the equation is not
    /// linear in any, or only a negative size would do. The larger of two dimensions, which is how the common size of two operands is
    /// written, is taken to be equal to both.
    /// - Parameter eliminationRank: how little a dimension should be given up for another expression; nil for one that cannot be.
    public func solution(_ eliminationRank: (String) -> Int?) -> (dimension: String, value: Extent)? {
        guard !leftMayBeOne, left != right else { return nil }
        for (whole, part) in [(left, right), (right, left)] {
            if let (a, b) = whole.largerOfDimensions, part == a || part == b { return SizeEquation(a, b).solution(eliminationRank) }
        }
        let difference = left - right
        guard difference.dimensions.allSatisfy({ eliminationRank($0) != nil }) else { return nil }
        var best: (dimension: String, value: Extent, cost: Int)?
        for name in difference.dimensions.sorted() {
            guard let value = difference.root(of: name), value.constant ?? 0 >= 0, let own = eliminationRank(name) else { continue }
            // An expression that may become negative would refuse more than it must.
            let cost = value.isNeverNegative ? own : own + 1 << 32
            if best.map({ cost < $0.cost }) ?? true { best = (name, value, cost) }
        }
        return best.map { ($0.dimension, $0.value) }
    }
}

extension SizeEquation {
    /// What must not be negative for the two sizes to be equal, where they differ only in that one is written as 0 for negative values and
    /// the other is not: `max(f-1, 0) = f-1` gives `f-1`. Empty where that is not the difference.
    public var clamped: Set<Extent> {
        var inner: Set<Extent> = []
        guard !holds, left.hasClamp || right.hasClamp, left.unclamped(&inner) == right.unclamped(&inner) else { return [] }
        // Where a size may also be 1, only what is a size itself has to be one.
        return leftMayBeOne && !inner.isSubset(of: [left, right]) ? [] : inner
    }
}

extension Extent {
    /// Whether a maximum with 0 stands anywhere in the extent.
    fileprivate var hasClamp: Bool {
        terms.contains { term in
            term.factors.contains { factor in
                switch factor {
                case .maximum(_, 0), .maximum(0, _): true
                case .maximum(let a, let b), .minimum(let a, let b), .floorDivide(let a, let b), .modulo(let a, let b): a.hasClamp || b.hasClamp
                case .dimension, .tooComplex: false
                }
            }
        }
    }

    /// The extent without the maxima with 0 in it, whose other parts are added to `inner`.
    fileprivate func unclamped(_ inner: inout Set<Extent>) -> Extent {
        if isConstant { return self }
        return terms.reduce(Extent(offset)) { sum, term in
            sum + term.factors.reduce(Extent(term.coefficient)) { product, factor in
                switch factor {
                case .maximum(let a, 0), .maximum(0, let a):
                    let part = a.unclamped(&inner)
                    inner.insert(part)
                    return product * part
                case .floorDivide(let a, let b): return product * a.unclamped(&inner).floorDivided(by: b.unclamped(&inner))
                case .modulo(let a, let b): return product * a.unclamped(&inner).modulo(b.unclamped(&inner))
                case .maximum(let a, let b): return product * .maximum(a.unclamped(&inner), b.unclamped(&inner))
                case .minimum(let a, let b): return product * .minimum(a.unclamped(&inner), b.unclamped(&inner))
                case .dimension, .tooComplex: return product * Extent(atom: factor)
                }
            }
        }
    }

    /// The two dimensions of which the extent is the larger one.
    fileprivate var largerOfDimensions: (Extent, Extent)? {
        guard offset == 0, terms.count == 1, terms[0].coefficient == 1, terms[0].factors.count == 1, case .maximum(let a, let b) = terms[0].factors[0],
              a.dimensionName != nil, b.dimensionName != nil else { return nil }
        return (a, b)
    }

    /// The value of the dimension `name` for which the extent is 0, where it is linear in that dimension and the value is whole.
    fileprivate func root(of name: String) -> Extent? {
        guard let own = terms.first(where: { $0.factors == [.dimension(name)] }), own.coefficient != .min else { return nil }
        let rest = self - Extent(own.coefficient) * .dimension(name)
        guard !rest.dimensions.contains(name) else { return nil }
        return (own.coefficient > 0 ? -rest : rest).exactQuotient(by: Extent(abs(own.coefficient)))
    }
}
