import Testing

@testable import GlmcFuzz
@testable import GlmcIR

@Suite struct ExtentTests {
    static let a = Extent.dimension("a"), b = Extent.dimension("b")

    @Test func rangesHoldForEveryValue() {
        let (a, b) = (Self.a, Self.b)
        let samples: [Extent] = [
            a, a - 1, 3 * a + 2, 5 - a, a * b, (a - 1).floorDivided(by: 2) + 1, (7 - 2 * a).floorDivided(by: 3), (a - b).modulo(4), .maximum(a - 3, 0),
            .minimum(a, 7), .maximum(.minimum(a - b, 2), -1), .minimum(a, 7) * .minimum(b, 3), 2 * Extent.maximum(a - 3, 0) - 4, (a - 10).floorDivided(by: 5),
        ]
        for extent in samples {
            let range = extent.range
            for x in 0..<12 {
                for y in 0..<12 {
                    guard let value = extent.evaluate(["a": x, "b": y]) else { Issue.record("\(extent) has no value"); continue }
                    #expect(range.low ?? .min <= value && value <= range.high ?? .max, "\(extent) is \(value) for \(x), \(y), not in \(range)")
                }
            }
        }
        #expect(((a - 1).floorDivided(by: 2) + 1).isNeverNegative, "⌊-1/2⌋ is -1")
        #expect(!((a - 3).floorDivided(by: 2) + 1).isNeverNegative && !(a - b).isNeverNegative && !(a - 1).isNeverNegative)
        #expect((a - b).modulo(4).range == ExtentRange(0, 3) && Extent.minimum(a, 7).range == ExtentRange(0, 7))
    }

    /// Comparisons of sizes are decided where they hold whatever the sizes, and only there.
    @Test func comparisonsKnowThatSizesAreNotNegative() {
        let (a, b) = (Self.a, Self.b)
        #expect(BinaryOperator.equal.evaluate(a, -1, .i64) == 0 && BinaryOperator.notEqual.evaluate(a, -1, .i64) == 1)
        #expect(BinaryOperator.less.evaluate(a, 0, .i64) == 0 && BinaryOperator.greaterOrEqual.evaluate(a, 0, .i64) == 1 && BinaryOperator.greater.evaluate(a, -1, .i64) == 1)
        #expect(BinaryOperator.lessOrEqual.evaluate(-1, a, .i64) == 1 && BinaryOperator.less.evaluate(a + b, a, .i64) == 0 && BinaryOperator.equal.evaluate(a + 1, a, .i64) == 0)
        #expect(BinaryOperator.equal.evaluate(a, 0, .i64) == nil && BinaryOperator.less.evaluate(a, b, .i64) == nil && BinaryOperator.greater.evaluate(a, 0, .i64) == nil)
        #expect(BinaryOperator.equal.evaluate(a * b, a * b, .i64) == 1)
        // What constants give is what the operator gives on integers.
        let (minus, two, zero) = (Extent(-7), Extent(2), Extent(0))
        #expect(BinaryOperator.divide.evaluate(minus, two, .i64) == -3 && BinaryOperator.remainder.evaluate(minus, two, .i64) == -1 && BinaryOperator.divide.evaluate(two, zero, .i64) == nil)
    }

    /// The largest and smallest integers go through all arithmetic.
    @Test func arithmeticSaturates() {
        let extremes = [Int.min, Int.min + 1, -(1 << 62), -1 << 31, -1, 0, 1, 3, 1 << 31, 1 << 62, Int.max]
        for x in extremes {
            for y in extremes {
                for p in [Extent(x), Self.a + Extent(x), Extent(x) * Self.a] {
                    for q in [Extent(y), Self.b + Extent(y), Extent(y) * Self.b] {
                        let results = [p + q, p - q, p * q, p.floorDivided(by: q), p.ceilDivided(by: q), p.modulo(q), .maximum(p, q), .minimum(p, q), p.exactQuotient(by: q) ?? 0]
                        #expect(results.allSatisfy { !$0.description.isEmpty && $0.range.low ?? .min <= $0.range.high ?? .max })
                        _ = results.map { $0.evaluate(["a": 3, "b": 5]) }
                    }
                }
            }
        }
        #expect(floorModulo(-7, 3) == 2 && floorModulo(7, -3) == -2 && floorModulo(.min, -1) == 0 && floorModulo(.min, 3) == 1)
    }

    /// Expressions that double are given up instead of followed.
    @Test func whatIsTooLargeIsNotKept() {
        var power = Self.a, sum = Self.a + Self.b, nested = Self.a
        for _ in 0..<60 {
            power = power * power
            sum = sum * (sum + 1)
            nested = (nested * 2 + 1).floorDivided(by: 3) * .maximum(nested - 5, 0)
        }
        for extent in [power, sum, nested] {
            #expect(extent.isTooComplex && (extent + 1).isTooComplex && (Self.a * extent).isTooComplex && extent.evaluate(["a": 1, "b": 1]) == nil)
            #expect(throws: Diagnostic.self) { try Verifier.checkType(.tensor(TensorType(.f32, [extent]))) }
        }
        #expect(throws: Diagnostic.self) { try Verifier.checkType(.tensor(TensorType(.f32, [Extent](repeating: 1, count: 65)))) }
        #expect(throws: Diagnostic.self) { try Verifier.checkType(.tensor(TensorType(.f32, [0, Extent(1 << 40), Extent(1 << 40)]))) }
        // Each size is short, their product is not.
        let sizes = (0..<16).map { Extent.dimension("d\($0)") + 1 }
        #expect(throws: Diagnostic.self) { try Verifier.checkType(.tensor(TensorType(.f32, sizes))) }
    }

    /// A random expression over `a`, which is known, and `n` and `m`, which are found while the model runs.
    private static func expression(_ depth: Int, _ noise: inout Noise) -> Extent {
        guard depth > 0 else { return noise.pick([a, .dimension("n"), .dimension("m"), Extent(noise.int(-5...5))]) }
        let x = expression(depth - 1, &noise), y = expression(depth - 1, &noise), divisor = Extent(noise.int(1...4))
        switch noise.int(0...7) {
        case 0: return x + y
        case 1: return x - y
        case 2: return x * y
        case 3: return .maximum(x, y)
        case 4: return .minimum(x, y)
        case 5: return x.floorDivided(by: divisor)
        case 6: return x.modulo(divisor)
        default: return x.floorDivided(by: .maximum(y, 1))
        }
    }

    @Test func boundsHoldForEverySizeThatIsFound() throws {
        var noise = Noise(5)
        let n = Extent.dimension("n"), limits = ["n": Self.a + 3, "m": 2 * Self.a + 6]
        // Between the whole and nothing, what every second element of a slice leaves is most.
        let slice = Extent.maximum((Extent.minimum(33, n) - Extent.maximum(n - 33, 0) + 1).floorDivided(by: 2), 0)
        var extents = [slice, 7 - n, n * (3 - n)]
        for i in 0..<2000 { extents.append(Self.expression(i % 4, &noise)) }
        for extent in extents where !extent.isTooComplex {
            let bounds = extent.bounds(limits)
            for a in 0...3 {
                let low = try #require(bounds.low.evaluate(["a": a])), high = try #require(bounds.high.evaluate(["a": a]))
                for n in 0...(a + 3) {
                    for m in 0...(2 * n) {
                        let value = try #require(extent.evaluate(["a": a, "n": n, "m": m]))
                        if value < low || value > high { Issue.record("\(extent) is \(value) for a = \(a), n = \(n), m = \(m), not within \(low)...\(high)") }
                    }
                }
            }
        }
    }

    /// Kernels divide towards zero; sizes are divided towards minus infinity.
    @Test(arguments: [-7, -6, -5, -1, 0, 1, 4, 5, 9]) func kernelsComputeTheSameSizes(_ offset: Int) {
        let extents = [(Self.a + Extent(offset)).floorDivided(by: 5) + 2, (Self.a + Extent(offset)).modulo(5), (Self.a - 9).floorDivided(by: Self.b + 1)]
        for size in 0..<12 {
            for extent in extents {
                #expect(Self.value(Expr(extent), ["a": size, "b": 2]) == extent.evaluate(["a": size, "b": 2]), "\(extent) for \(size)")
            }
        }
    }

    /// Index arithmetic as C has it.
    private static func value(_ expression: Expr, _ dimensions: [String: Int]) -> Int? {
        func value(_ e: Expr) -> Int? { Self.value(e, dimensions) }
        switch expression {
        case .integer(let number, _): return number
        case .dimension(let name): return dimensions[name]
        case .select(let c, let x, let y): return value(c).flatMap { $0 != 0 ? value(x) : value(y) }
        case .binary(let op, let x, let y):
            guard let x = value(x), let y = value(y) else { return nil }
            switch op {
            case .divide: return x / y
            case .remainder: return x % y
            default: return try? op.evaluate(x, y, .i64)
            }
        default: return nil
        }
    }

    /// What a slice demands of its sizes holds exactly where it reads inside its operand; one of nothing may be somewhat outside.
    @Test func slicesDemandThatTheyReadInside() {
        let names = ["start", "size", "extent"]
        for step in [-3, -1, 1, 2] {
            let slice = Slice(starts: [.dimension("start") - 3], sizes: [.dimension("size") - 2], steps: [step])
            let demands = slice.nonNegativeSizes(in: InferenceContext(operands: [.tensor(TensorType(.f32, [.dimension("extent")]))]))
            for start in 0...8 {
                for size in 0...6 {
                    for extent in 0...5 {
                        let values = Dictionary(uniqueKeysWithValues: zip(names, [start, size, extent]))
                        let holds = demands.allSatisfy { ($0.evaluate(values) ?? -1) >= 0 }
                        let first = start - 3, count = size - 2, last = first + (count - 1) * step
                        let isInside = count > 0 && [first, last].allSatisfy { (0..<extent).contains($0) }
                        if count != 0 { #expect(holds == isInside) }
                        if count == 0, first == (step > 0 ? 0 : extent - 1) { #expect(holds) }
                    }
                }
            }
        }
    }
}
