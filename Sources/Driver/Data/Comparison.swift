import GlmcRuntime

/// How far a result is from what was expected.
struct Comparison: Sendable {
    /// Elements further apart than `atol + rtol * |expected|`; NaN equals NaN, infinities equal themselves.
    let mismatches: Int
    let count: Int
    /// Largest absolute difference of finite elements.
    let largestError: Double
    /// |result - expected|₂ / |expected|₂ over finite elements.
    let relativeL2: Double
    /// Cosine of the angle between the two; 1 when both are zero.
    let cosine: Double
    /// Set when type or shape differ: the elements were then not compared.
    let reason: String?

    var matches: Bool { mismatches == 0 && reason == nil }

    init(_ result: TensorBuffer, expected: TensorBuffer, atol: Double, rtol: Double) {
        guard result.type == expected.type, result.shape == expected.shape else {
            reason = "is \(result.type)\(result.shape), expected \(expected.type)\(expected.shape)"
            (mismatches, count, largestError, relativeL2, cosine) = (0, 0, .infinity, .infinity, 0)
            return
        }
        let a = result.doubles, b = expected.doubles
        var mismatches = 0, largest = 0.0, difference = 0.0, normA = 0.0, normB = 0.0, dot = 0.0
        // u64 and i64 beyond 2^53 lose bits as doubles: integers are compared by their bytes too.
        let sameBytes = result.withUnsafeBytes { x in expected.withUnsafeBytes { y in x.elementsEqual(y) } }
        for (x, y) in zip(a, b) {
            if x == y || (x.isNaN && y.isNaN) {
                if y.isFinite { (normA, normB, dot) = (normA + x * x, normB + y * y, dot + x * y) }
                continue
            }
            let error = abs(x - y)
            if !(y.isFinite && error <= atol + rtol * abs(y)) { mismatches += 1 }
            guard error.isFinite else { largest = .infinity; continue }
            largest = max(largest, error)
            difference += error * error
            (normA, normB, dot) = (normA + x * x, normB + y * y, dot + x * y)
        }
        if !sameBytes, largest == 0, mismatches == 0, atol == 0, rtol == 0, result.type == .i64 || result.type == .u64 { mismatches = 1 }
        self.mismatches = mismatches
        count = a.count
        largestError = largest
        relativeL2 = difference == 0 ? (largest.isFinite ? 0 : .infinity) : (difference / max(normB, 1e-300)).squareRoot()
        cosine = normA == 0 && normB == 0 ? 1 : dot / max((normA * normB).squareRoot(), 1e-300)
        reason = nil
    }

    /// One line for people.
    var summary: String {
        reason ?? "\(mismatches) of \(count) elements differ, largest error \(brief(largestError)), relative L2 \(brief(relativeL2)), cosine \(String(cosine.rounded(toPlaces: 6)))"
    }
}

extension Double {
    func rounded(toPlaces places: Int) -> Double {
        var scale = 1.0
        for _ in 0..<places { scale *= 10 }
        return isFinite && abs(self) < 1e12 ? (self * scale).rounded() / scale : self
    }
}

/// A number with four significant digits.
func brief(_ value: Double) -> String {
    guard value.isFinite else { return "\(value)" }
    if value == 0 { return "0" }
    return formatted("%.4g", value)
}
