import GlmcIR

/// The transforms of Winograd's minimal filtering F(4×4, 3×3) along one axis: six inputs and three filter taps become six factors
/// each, whose products give four outputs (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015).
///
/// Both factors are values of polynomials at 0, ±`near`, ±`far` and infinity. The points 3/4 and 3/2 are exact in binary and keep the
/// rounding error of a convolution at 1.5 times that of the direct sum; the usual 1 and 2 triple it.
enum WinogradTransform {
    /// Outputs and inputs of one tile along an axis.
    static let outputs = 4, inputs = 6

    private static let near = 0.75, far = 1.5
    private static let near2 = near * near, far2 = far * far

    /// Bᵀd: the input's polynomial times what vanishes at all other points.
    static func input(_ d: [Expr], into builder: inout KernelBuilder) -> [Expr] {
        let (sum, product) = (near2 + far2, near2 * far2)
        func edge(_ low: Expr, _ middle: Expr, _ high: Expr) -> Expr { .fma(low, same(product, low), .fma(middle, same(-sum, middle), high)) }
        func pair(_ point: Double, other: Double) -> [Expr] {
            let even = builder.bind(.fma(d[2], same(-other, d[2]), d[4]), "e"), odd = builder.bind(.fma(d[1], same(-other, d[1]), d[3]), "o")
            return [.fma(odd, same(point, odd), even), .fma(odd, same(-point, odd), even)]
        }
        return bound([edge(d[0], d[2], d[4])] + pair(near, other: far2) + pair(far, other: near2) + [edge(d[1], d[3], d[5])], into: &builder)
    }

    /// Gg: the filter's polynomial at each point, divided by what the input's factors carry too much.
    static func filter(_ g: [Expr], into builder: inout KernelBuilder) -> [Expr] {
        bound(filterRows.map { row in
            zip(row, g).filter { $0.0 != 0 }.reduce(nil as Expr?) { sum, term in
                let factor = same(term.0, term.1)
                return sum.map { .fma(term.1, factor, $0) } ?? (term.0 == 1 ? term.1 : term.1 * factor)
            } ?? g[0]
        }, into: &builder)
    }

    /// G as f32.
    static let filterMatrix = Tensor(.f32, [filterRows.count, filterRows[0].count], values: { i in filterRows[i / filterRows[0].count][i % filterRows[0].count] })

    /// G, one row of three factors per point.
    static let filterRows: [[Double]] = {
        func row(_ point: Double, _ square: Double, _ other: Double) -> [Double] {
            let scale = 1 / (2 * square * (square - other))
            return [scale, point * scale, square * scale]
        }
        return [[1 / (near2 * far2), 0, 0], row(near, near2, far2), row(-near, near2, far2), row(far, far2, near2), row(-far, far2, near2), [0, 0, 1]]
    }()

    /// Aᵀm: the product's coefficients.
    static func output(_ m: [Expr], into builder: inout KernelBuilder) -> [Expr] {
        let evens = [1, 3].map { builder.bind(m[$0] + m[$0 + 1], "e") }, odds = [1, 3].map { builder.bind(m[$0] - m[$0 + 1], "o") }
        func sum(_ parts: [Expr], _ a: Double, _ b: Double) -> Expr { .fma(parts[0], same(a, m[0]), parts[1] * same(b, m[0])) }
        return bound([
            m[0] + (evens[0] + evens[1]), sum(odds, near, far), sum(evens, near2, far2), m[5] + sum(odds, near2 * near, far2 * far),
        ], into: &builder)
    }

    /// Both axes of a square of values: `transform` along columns, then along rows.
    static func square(
        _ values: [[Expr]], into builder: inout KernelBuilder, _ transform: ([Expr], inout KernelBuilder) -> [Expr]
    ) -> [[Expr]] {
        let columns = values[0].indices.map { x in transform(values.map { $0[x] }, &builder) }
        return columns[0].indices.map { y in transform(columns.map { $0[y] }, &builder) }
    }

    private static func bound(_ values: [Expr], into builder: inout KernelBuilder) -> [Expr] { values.map { builder.bind($0, "t") } }

    /// A constant in as many lanes as `value` has.
    private static func same(_ constant: Double, _ value: Expr) -> Expr {
        value.type.lanes == 1 ? .float(constant, .f32) : .broadcast(.float(constant, .f32), value.type.lanes)
    }
}
