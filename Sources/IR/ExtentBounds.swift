// Between which sizes an expression lies where some of its dimensions are not known yet.

extension Extent {
    /// The least and the greatest value, in terms of the other dimensions, where each dimension in `limits` is anything from 0 to its limit, which mentions
    /// none of them. An expression need not grow with its dimensions: what is left of `n` behind a slice does not.
    public func bounds(_ limits: [String: Extent]) -> (low: Extent, high: Extent) {
        guard dimensions.contains(where: { limits[$0] != nil }) else { return (self, self) }
        return terms.reduce((Extent(offset), Extent(offset))) { sum, term in
            let coefficient = Extent(term.coefficient)
            let product = term.factors.reduce((coefficient, coefficient)) { Extent.product($0, $1.bounds(limits)) }
            return (sum.0 + product.0, sum.1 + product.1)
        }
    }

    private static func product(_ a: (Extent, Extent), _ b: (Extent, Extent)) -> (Extent, Extent) {
        if a.0.isNeverNegative && b.0.isNeverNegative { return (a.0 * b.0, a.1 * b.1) }
        if let factor = a.0.constant, a.1.constant == factor { return factor < 0 ? (a.0 * b.1, a.0 * b.0) : (a.0 * b.0, a.0 * b.1) }
        let corners = [a.0 * b.1, a.1 * b.0, a.1 * b.1]
        return (corners.reduce(a.0 * b.0, minimum), corners.reduce(a.0 * b.0, maximum))
    }
}

extension Function {
    /// What the dimensions that are found while the model runs can be at most, in terms of the sizes of inputs; `open` are those whose bounds mention each other.
    public func foundSizeBounds() -> (known: [String: Extent], open: [String]) {
        var open: [(name: String, bound: Extent)] = dimensions.compactMap { dimension in
            if case .dataDependent(let bound) = dimension.info.source { (dimension.name, bound) } else { nil }
        }
        // A bound may mention what was found before; declarations mostly stand in that order.
        var known: [String: Extent] = [:], names = Set(open.map(\.name)), count = -1
        while count != open.count {
            count = open.count
            open.removeAll { name, bound in
                guard names.isDisjoint(with: bound.dimensions) else { return false }
                known[name] = bound.bounds(known).high
                names.remove(name)
                return true
            }
        }
        return (known, open.map(\.name))
    }
}

extension Extent.Atom {
    fileprivate func bounds(_ limits: [String: Extent]) -> (low: Extent, high: Extent) {
        switch self {
        case .dimension(let name):
            guard let limit = limits[name] else { break }
            return (0, limit)
        case .tooComplex: break
        case .floorDivide(let a, let b):
            let dividend = a.bounds(limits), divisor = b.bounds(limits)
            if divisor.low == divisor.high, divisor.low.isNeverNegative {
                return (dividend.low.floorDivided(by: divisor.low), dividend.high.floorDivided(by: divisor.low))
            }
            // A divisor of at least 1 brings a number towards 0, or -1.
            return (.minimum(dividend.low, -1), .maximum(dividend.high, 0))
        case .modulo(_, let b):
            return (0, .maximum(b.bounds(limits).high - 1, 0))
        case .maximum(let a, let b):
            let (x, y) = (a.bounds(limits), b.bounds(limits))
            return (.maximum(x.low, y.low), .maximum(x.high, y.high))
        case .minimum(let a, let b):
            let (x, y) = (a.bounds(limits), b.bounds(limits))
            return (.minimum(x.low, y.low), .minimum(x.high, y.high))
        }
        return (Extent(atom: self), Extent(atom: self))
    }
}
