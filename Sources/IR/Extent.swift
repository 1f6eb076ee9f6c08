/// A size along one axis: an integer, or a symbolic expression over named dimensions (`batch`, `4*h+1`).
///
/// Extents are kept in a normal form (a sorted sum of products), so equal polynomials compare equal. Arithmetic saturates at
/// `Int.max`/`Int.min` instead of trapping, and what would take more than `largestWeight` atoms to write is `tooComplex`, as is
/// everything computed from it; the verifier refuses shapes that large or complex.
public struct Extent: Hashable, Sendable, ExpressibleByIntegerLiteral {
    /// A factor that cannot be expanded further.
    public indirect enum Atom: Hashable, Sendable {
        case dimension(String)
        case floorDivide(Extent, Extent)
        case modulo(Extent, Extent)
        case maximum(Extent, Extent)
        case minimum(Extent, Extent)
        /// An expression that nobody writes down.
        case tooComplex
    }

    /// `coefficient * factors[0] * factors[1] * …`; no factors for the constant term.
    public struct Term: Hashable, Sendable {
        public var coefficient: Int
        public var factors: [Atom]
    }

    /// The non-constant terms in canonical order; coefficients are never zero.
    public private(set) var terms: [Term]
    /// The constant term.
    public private(set) var offset: Int
    /// How many atoms it takes to write the expression, nested ones included.
    public private(set) var weight: Int

    /// What every expression that would weigh more than `largestWeight` becomes.
    public static let tooComplex = Extent(atom: .tooComplex)
    static let largestWeight = 4096
    /// Whether the expression was too large to be kept.
    public var isTooComplex: Bool { if case .tooComplex? = terms.first?.factors.first { true } else { false } }

    public init(_ value: Int) { terms = []; offset = value; weight = 0 }
    public init(integerLiteral value: Int) { self.init(value) }
    /// The named dimension `name`.
    public static func dimension(_ name: String) -> Extent { Extent(atom: .dimension(name)) }

    public init(atom: Atom) {
        terms = [Term(coefficient: 1, factors: [atom])]
        offset = 0
        weight = atom.weight
        if weight > Self.largestWeight { self = .tooComplex }
    }

    init(terms: [Term], offset: Int) {
        self.offset = offset
        weight = 0
        defer {
            weight = self.terms.reduce(0) { $1.factors.reduce($0) { $0 + $1.weight } }
            if weight > Self.largestWeight { self = .tooComplex }
        }
        if terms.count < 2 {
            self.terms = terms.filter { $0.coefficient != 0 }
            return
        }
        var sums: [[Atom]: Int] = [:]
        for term in terms { sums[term.factors] = saturatingSum(sums[term.factors, default: 0], term.coefficient) }
        self.terms = sums.filter { $0.value != 0 }.map { Term(coefficient: $0.value, factors: $0.key) }
            .sorted { Extent.order($0.factors) < Extent.order($1.factors) }
    }

    private static func order(_ factors: [Atom]) -> String { factors.map(\.description).joined(separator: "*") }

    /// The value, where it does not depend on any dimension.
    public var constant: Int? { terms.isEmpty ? offset : nil }
    public var isConstant: Bool { terms.isEmpty }

    /// The names of all dimensions that the expression mentions.
    public var dimensions: Set<String> {
        var names: Set<String> = []
        for term in terms { for factor in term.factors { factor.collect(into: &names) } }
        return names
    }

    /// The value under `bindings`; nil where a dimension is unbound or a divisor is zero.
    public func evaluate(_ bindings: [String: Int]) -> Int? {
        substitute { bindings[$0].map { Extent($0) } }.constant
    }

    /// Replaces every dimension for which `replacement` has an answer.
    public func substitute(_ replacement: (String) -> Extent?) -> Extent {
        if isConstant { return self }
        var sum = Extent(offset)
        for term in terms {
            var product = Extent(term.coefficient)
            for factor in term.factors { product = product * factor.substitute(replacement) }
            sum = sum + product
        }
        return sum
    }

    public static func + (a: Extent, b: Extent) -> Extent {
        if a.isConstant && b.isConstant { return Extent(saturatingSum(a.offset, b.offset)) }
        if a.isTooComplex || b.isTooComplex { return .tooComplex }
        return Extent(terms: a.terms + b.terms, offset: saturatingSum(a.offset, b.offset))
    }

    public static prefix func - (a: Extent) -> Extent { a * Extent(-1) }
    public static func - (a: Extent, b: Extent) -> Extent { a + -b }

    public static func * (a: Extent, b: Extent) -> Extent {
        if a.isConstant && b.isConstant { return Extent(saturatingProduct(a.offset, b.offset)) }
        if a.isTooComplex || b.isTooComplex || a.terms.count * b.terms.count > largestWeight { return .tooComplex }
        var products: [Term] = []
        for x in a.terms + [Term(coefficient: a.offset, factors: [])] where x.coefficient != 0 {
            for y in b.terms + [Term(coefficient: b.offset, factors: [])] where y.coefficient != 0 {
                products.append(Term(
                    coefficient: saturatingProduct(x.coefficient, y.coefficient),
                    factors: (x.factors + y.factors).sorted { $0.description < $1.description }))
            }
        }
        let constant = products.filter(\.factors.isEmpty).reduce(0) { saturatingSum($0, $1.coefficient) }
        return Extent(terms: products.filter { !$0.factors.isEmpty }, offset: constant)
    }

    /// Division rounding towards negative infinity. Exact where the divisor divides every coefficient, or is a common factor.
    public func floorDivided(by divisor: Extent) -> Extent {
        if isTooComplex || divisor.isTooComplex { return .tooComplex }
        if let quotient = exactQuotient(by: divisor) { return quotient }
        guard let b = divisor.constant, b > 0 else {
            if let a = constant, let b = divisor.constant, b != 0 { return Extent(floorDivision(a, b)) }
            return Extent(atom: .floorDivide(self, divisor))
        }
        // ⌊(b·q + r) / b⌋ = q + ⌊r / b⌋: what the divisor divides leaves the division.
        let whole = Extent(terms: terms.filter { $0.coefficient % b == 0 }.map { Term(coefficient: $0.coefficient / b, factors: $0.factors) },
            offset: floorDivision(offset, b))
        let rest = Extent(terms: terms.filter { $0.coefficient % b != 0 }, offset: floorModulo(offset, b))
        if rest.isConstant { return whole + Extent(floorDivision(rest.offset, b)) }
        // ⌊(⌊x / a⌋ + c) / b⌋ = ⌊(x + a·c) / (a·b)⌋ for positive a and b.
        if rest.terms.count == 1, rest.terms[0].coefficient == 1, rest.terms[0].factors.count == 1,
           case .floorDivide(let x, let inner) = rest.terms[0].factors[0], let a = inner.constant, a > 0 {
            let (product, overflow) = a.multipliedReportingOverflow(by: b)
            if !overflow { return whole + (x + Extent(saturatingProduct(a, rest.offset))).floorDivided(by: Extent(product)) }
        }
        return whole + Extent(atom: .floorDivide(rest, divisor))
    }

    /// Division rounding towards positive infinity.
    public func ceilDivided(by divisor: Extent) -> Extent {
        if let quotient = exactQuotient(by: divisor) { return quotient }
        return (self + divisor - 1).floorDivided(by: divisor)
    }

    /// `self / divisor` where it is exact for every value of the dimensions, else nil.
    public func exactQuotient(by divisor: Extent) -> Extent? {
        if isTooComplex || divisor.isTooComplex { return nil }
        if divisor == 1 { return self }
        if self == divisor { return 1 }
        if let a = constant, let b = divisor.constant { return b != 0 && b != -1 && a % b == 0 ? Extent(a / b) : nil }
        if self == 0 { return 0 }
        guard divisor.terms.count + (divisor.offset == 0 ? 0 : 1) == 1 else { return nil }
        let coefficient = divisor.terms.first?.coefficient ?? divisor.offset
        let factors = divisor.terms.first?.factors ?? []
        guard coefficient != 0, coefficient != -1 else { return nil }
        var quotient: [Term] = []
        for term in terms + (offset == 0 ? [] : [Term(coefficient: offset, factors: [])]) {
            guard term.coefficient % coefficient == 0 else { return nil }
            var rest = term.factors
            for factor in factors {
                guard let position = rest.firstIndex(of: factor) else { return nil }
                rest.remove(at: position)
            }
            quotient.append(Term(coefficient: term.coefficient / coefficient, factors: rest))
        }
        let constant = quotient.filter(\.factors.isEmpty).reduce(0) { saturatingSum($0, $1.coefficient) }
        return Extent(terms: quotient.filter { !$0.factors.isEmpty }, offset: constant)
    }

    /// Remainder with the sign of the divisor.
    public func modulo(_ divisor: Extent) -> Extent {
        if isTooComplex || divisor.isTooComplex { return .tooComplex }
        if exactQuotient(by: divisor) != nil { return 0 }
        if let a = constant, let b = divisor.constant, b != 0 { return Extent(floorModulo(a, b)) }
        return Extent(atom: .modulo(self, divisor))
    }

    /// The larger of two extents, decided where their difference is known not to be negative.
    public static func maximum(_ a: Extent, _ b: Extent) -> Extent {
        extreme(a, b, covers: { ($0 - $1).isNeverNegative }, parts: \.maximumParts) { .maximum($0, $1) }
    }

    /// The smaller of two extents, decided where their difference is known not to be negative.
    public static func minimum(_ a: Extent, _ b: Extent) -> Extent {
        extreme(a, b, covers: { ($1 - $0).isNeverNegative }, parts: \.minimumParts) { .minimum($0, $1) }
    }

    /// Parts that another part covers are left out, so that sizes which meet again and again do not grow.
    private static func extreme(
        _ a: Extent, _ b: Extent, covers: (Extent, Extent) -> Bool, parts: (Extent) -> [Extent], atom: (Extent, Extent) -> Atom
    ) -> Extent {
        if a.isTooComplex || b.isTooComplex { return .tooComplex }
        let (ours, theirs) = (parts(a), parts(b))
        let new = theirs.filter { part in !ours.contains { covers($0, part) } }
        if new.isEmpty { return a }
        if ours.allSatisfy({ part in theirs.contains { covers($0, part) } }) { return b }
        return new.reduce(a) { Extent(atom: atom($0, $1)) }
    }

    private var maximumParts: [Extent] {
        if let atom = onlyAtom, case .maximum(let a, let b) = atom { a.maximumParts + b.maximumParts } else { [self] }
    }
    private var minimumParts: [Extent] {
        if let atom = onlyAtom, case .minimum(let a, let b) = atom { a.minimumParts + b.minimumParts } else { [self] }
    }
    /// The atom that the extent is, if it is one.
    private var onlyAtom: Atom? {
        offset == 0 && terms.count == 1 && terms[0].coefficient == 1 && terms[0].factors.count == 1 ? terms[0].factors[0] : nil
    }

    /// Whether the value is known to be 0 or more whatever the dimensions, which are never negative themselves.
    public var isNeverNegative: Bool { range.isNeverNegative }

    /// Between which numbers the value lies whatever the dimensions.
    public var range: ExtentRange {
        terms.reduce(ExtentRange(offset, offset)) { sum, term in
            let product = term.factors.dropFirst().reduce(term.factors.first?.range ?? ExtentRange(1, 1)) { $0 * $1.range }
            return sum + product * ExtentRange(term.coefficient, term.coefficient)
        }
    }
}

/// The numbers between which an extent lies, both included; nil where nothing is known.
public struct ExtentRange: Hashable, Sendable {
    public var low: Int?
    public var high: Int?

    public init(_ low: Int?, _ high: Int?) { (self.low, self.high) = (low, high) }

    /// Whether nothing below 0 is possible.
    public var isNeverNegative: Bool { low.map { $0 >= 0 } ?? false }

    static func + (a: ExtentRange, b: ExtentRange) -> ExtentRange {
        ExtentRange(both(a.low, b.low, saturatingSum), both(a.high, b.high, saturatingSum))
    }

    static func * (a: ExtentRange, b: ExtentRange) -> ExtentRange {
        if a.isNeverNegative && b.isNeverNegative { return ExtentRange(both(a.low, b.low, saturatingProduct), both(a.high, b.high, saturatingProduct)) }
        // A number times a range; of other products with negative parts nothing is said.
        guard let factor = b.low, factor == b.high else { return a.low != nil && a.low == a.high ? b * a : ExtentRange(nil, nil) }
        let ends = [a.low, a.high].map { $0.map { saturatingProduct($0, factor) } }
        return factor >= 0 ? ExtentRange(ends[0], ends[1]) : ExtentRange(ends[1], ends[0])
    }

    fileprivate static func both(_ a: Int?, _ b: Int?, _ combine: (Int, Int) -> Int) -> Int? {
        if let a, let b { combine(a, b) } else { nil }
    }
    fileprivate static func either(_ a: Int?, _ b: Int?, _ combine: (Int, Int) -> Int) -> Int? { both(a, b, combine) ?? a ?? b }
}

extension Extent.Atom {
    var range: ExtentRange {
        switch self {
        case .dimension: return ExtentRange(0, nil)
        case .tooComplex: return ExtentRange(nil, nil)
        case .floorDivide(let a, let b):
            guard let divisor = b.constant, divisor > 0 else { return ExtentRange(nil, nil) }
            let range = a.range
            return ExtentRange(range.low.map { floorDivision($0, divisor) }, range.high.map { floorDivision($0, divisor) })
        case .modulo(_, let b):
            guard let divisor = b.constant, divisor > 0 else { return ExtentRange(nil, nil) }
            return ExtentRange(0, divisor - 1)
        case .maximum(let a, let b):
            let (x, y) = (a.range, b.range)
            return ExtentRange(ExtentRange.either(x.low, y.low, Swift.max), ExtentRange.both(x.high, y.high, Swift.max))
        case .minimum(let a, let b):
            let (x, y) = (a.range, b.range)
            return ExtentRange(ExtentRange.both(x.low, y.low, Swift.min), ExtentRange.either(x.high, y.high, Swift.min))
        }
    }

    var weight: Int {
        switch self {
        case .dimension, .tooComplex: 1
        case .floorDivide(let a, let b), .modulo(let a, let b), .maximum(let a, let b), .minimum(let a, let b): 1 + a.weight + b.weight
        }
    }

    func collect(into names: inout Set<String>) {
        switch self {
        case .dimension(let name): names.insert(name)
        case .tooComplex: break
        case .floorDivide(let a, let b), .modulo(let a, let b), .maximum(let a, let b), .minimum(let a, let b):
            names.formUnion(a.dimensions)
            names.formUnion(b.dimensions)
        }
    }

    func substitute(_ replacement: (String) -> Extent?) -> Extent {
        switch self {
        case .dimension(let name): replacement(name) ?? Extent(atom: self)
        case .tooComplex: .tooComplex
        case .floorDivide(let a, let b): a.substitute(replacement).floorDivided(by: b.substitute(replacement))
        case .modulo(let a, let b): a.substitute(replacement).modulo(b.substitute(replacement))
        case .maximum(let a, let b): Extent.maximum(a.substitute(replacement), b.substitute(replacement))
        case .minimum(let a, let b): Extent.minimum(a.substitute(replacement), b.substitute(replacement))
        }
    }
}

extension Extent.Atom: CustomStringConvertible {
    public var description: String {
        switch self {
        case .dimension(let name): Quoting.identifierOrQuoted(name)
        case .tooComplex: "(too complex)"
        case .floorDivide(let a, let b): "floordiv(\(a), \(b))"
        case .modulo(let a, let b): "mod(\(a), \(b))"
        case .maximum(let a, let b): "max(\(a), \(b))"
        case .minimum(let a, let b): "min(\(a), \(b))"
        }
    }
}

extension Extent: CustomStringConvertible {
    public var description: String {
        if terms.isEmpty { return String(offset) }
        var text = ""
        for term in terms {
            let product = term.factors.map(\.description).joined(separator: "*")
            let magnitude = term.coefficient.magnitude == 1 ? product : "\(term.coefficient.magnitude)*\(product)"
            text += term.coefficient < 0 ? "-\(magnitude)" : text.isEmpty ? magnitude : "+\(magnitude)"
        }
        return offset == 0 ? text : offset < 0 ? text + String(offset) : text + "+\(offset)"
    }
}

extension Array where Element == Extent {
    /// By how much each size but that of `axis` exceeds that of `other`, a shape of the same rank; nothing for one of another rank.
    func room(for other: [Extent], besides axis: Int) -> [Extent] {
        count == other.count ? indices.filter { $0 != axis }.map { self[$0] - other[$0] } : []
    }

    /// The values, where all of them are constants.
    public var constants: [Int]? {
        var values: [Int] = []
        values.reserveCapacity(count)
        for extent in self {
            guard let value = extent.constant else { return nil }
            values.append(value)
        }
        return values
    }

    /// The product of all extents.
    public var product: Extent { reduce(1) { $0 * $1 } }
}

func floorDivision(_ a: Int, _ b: Int) -> Int {
    let (quotient, overflow) = a.dividedReportingOverflow(by: b)
    if overflow { return Int.max }
    return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient
}

/// The remainder that goes with `floorDivision`; `b` is not 0.
func floorModulo(_ a: Int, _ b: Int) -> Int {
    let rest = a.remainderReportingOverflow(dividingBy: b).partialValue
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest
}

/// `a + b`, or the integer nearest to it.
public func saturatingSum(_ a: Int, _ b: Int) -> Int {
    let (value, overflow) = a.addingReportingOverflow(b)
    return overflow ? (a < 0 ? Int.min : Int.max) : value
}

/// `a * b`, or the integer nearest to it.
public func saturatingProduct(_ a: Int, _ b: Int) -> Int {
    let (value, overflow) = a.multipliedReportingOverflow(by: b)
    return overflow ? ((a < 0) != (b < 0) ? Int.min : Int.max) : value
}
