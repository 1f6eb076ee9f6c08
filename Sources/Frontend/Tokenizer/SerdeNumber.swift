extension Double {
    /// This number as the Rust library serde_json reads it from JSON, which PyPI `tokenizers` does: the digits as one integer, times or by a power of ten, each
    /// rounded to a double (serde_json 1.0, `f64_from_parts`). The last bit is off in a quarter of all numbers, which decides between paths of equal sums.
    /// Infinite where that rounding overflows.
    var asSerdeReadsIt: Double {
        guard isFinite else { return self }
        // The shortest digits that stand for this number, as programs write it: 12.5, 1e-07.
        let parts = magnitude.description.split(separator: "e"), digits = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        let fraction = digits.count > 1 ? digits[1] : ""
        guard let whole = UInt64(digits[0] + fraction), var exponent = parts.count > 1 ? Int(parts[1]) : 0 else { return self }
        exponent -= fraction.count
        var value = Double(whole)
        while exponent < -308, value != 0 {
            value /= 1e308
            exponent += 308
        }
        guard value != 0, let power = Double("1e\(Swift.abs(exponent))") else { return value }
        value = exponent < 0 ? value / power : value * power
        return self < 0 ? -value : value
    }
}
