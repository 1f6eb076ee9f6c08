import GlmcIR

/// A real polynomial in one value: what `0.044715·x³ + x` is, however it was written.
struct Polynomial {
    /// By power; without zeros at the end.
    private var coefficients: [Double]

    private static let largestDegree = 4

    /// Reads the expression `value` as a polynomial in `x`; nil where it is none of a low degree.
    init?(_ value: ValueID, in x: ValueID, of function: Function) {
        guard let polynomial = Polynomial.read(value, x, function, depth: 0) else { return nil }
        self = polynomial
    }

    private init(_ coefficients: [Double]) {
        self.coefficients = coefficients
        while self.coefficients.last == 0 { self.coefficients.removeLast() }
    }

    var degree: Int { coefficients.count - 1 }
    subscript(power: Int) -> Double { coefficients.indices.contains(power) ? coefficients[power] : 0 }

    /// Whether all coefficients agree with `expected` up to the digits that exporters write.
    func isClose(to expected: [Double]) -> Bool {
        (0..<max(expected.count, coefficients.count)).allSatisfy { GlmcPasses.isClose(self[$0], expected.indices.contains($0) ? expected[$0] : 0) }
    }

    private static func read(_ value: ValueID, _ x: ValueID, _ function: Function, depth: Int) -> Polynomial? {
        if value == x { return Polynomial([0, 1]) }
        if let c = function.splat(value) { return Polynomial([c]) }
        guard depth < 8 else { return nil }
        if let inner = function.unary(value, .negate) {
            return read(inner, x, function, depth: depth + 1).map { Polynomial($0.coefficients.map { -$0 }) }
        }
        guard let (_, op, operands) = function.match(value, Binary.self), let a = read(operands[0], x, function, depth: depth + 1),
              let b = read(operands[1], x, function, depth: depth + 1) else { return nil }
        switch op.function {
        case .add: return a + b
        case .subtract: return a + Polynomial(b.coefficients.map { -$0 })
        case .multiply: return a * b
        case .divide:
            guard b.degree == 0 else { return nil }
            return Polynomial(a.coefficients.map { $0 / b[0] })
        case .power:
            guard b.degree <= 0, let power = Int(exactly: b[0]), (1...largestDegree).contains(power) else { return nil }
            return (1..<power).reduce(a) { product, _ in product.flatMap { $0 * a } }
        default: return nil
        }
    }

    static func + (a: Polynomial, b: Polynomial) -> Polynomial {
        Polynomial((0..<max(a.coefficients.count, b.coefficients.count)).map { a[$0] + b[$0] })
    }

    static func * (a: Polynomial, b: Polynomial) -> Polynomial? {
        guard a.degree + b.degree <= largestDegree else { return nil }
        var product = [Double](repeating: 0, count: max(a.coefficients.count + b.coefficients.count - 1, 0))
        for (i, p) in a.coefficients.enumerated() { for (j, q) in b.coefficients.enumerated() { product[i + j] += p * q } }
        return Polynomial(product)
    }
}

/// Whether two constants are the same but for the digits that exporters write (`0.7071` for 1/√2, half precision included).
func isClose(_ a: Double, _ b: Double) -> Bool { abs(a - b) <= 5e-4 * max(abs(a), abs(b)) }

/// The decimal number that `value` was before it became an f32: 1e-5 instead of 9.99999974738e-06.
func decimal(_ value: Double) -> Double {
    let narrow = Float(value)
    return abs(Double(narrow) - value) <= 1e-12 * abs(value) ? Double(narrow.description) ?? value : value
}

/// A product as a constant and a list of values, whatever its order and grouping.
struct Factors {
    private(set) var constant = 1.0
    private(set) var values: [ValueID] = []

    /// - Parameter whole: values that are not taken apart.
    init(_ value: ValueID, in function: Function, keeping whole: Set<ValueID> = []) {
        collect(value, function, whole, depth: 0)
    }

    private mutating func collect(_ value: ValueID, _ function: Function, _ whole: Set<ValueID>, depth: Int) {
        if !whole.contains(value), depth < 5 {
            if let c = function.splat(value) {
                constant *= c
                return
            }
            if let (a, b) = function.binary(value, .multiply) {
                collect(a, function, whole, depth: depth + 1)
                collect(b, function, whole, depth: depth + 1)
                return
            }
            if let (a, b) = function.binary(value, .divide), let c = function.splat(b) {
                collect(a, function, whole, depth: depth + 1)
                constant /= c
                return
            }
            if let inner = function.unary(value, .negate) {
                collect(inner, function, whole, depth: depth + 1)
                constant = -constant
                return
            }
        }
        values.append(value)
    }
}

extension Function {
    /// The values inside an arithmetic expression that it might be a polynomial in, outermost first.
    func candidates(_ value: ValueID, depth: Int = 0) -> [ValueID] {
        guard depth < 6, constant(value) == nil else { return [] }
        var list = [value]
        if let inner = unary(value, .negate) {
            list += candidates(inner, depth: depth + 1)
        } else if let (_, op, operands) = match(value, Binary.self), [.add, .subtract, .multiply, .divide, .power].contains(op.function) {
            for operand in operands { for x in candidates(operand, depth: depth + 1) where !list.contains(x) { list.append(x) } }
        }
        return list
    }
}
