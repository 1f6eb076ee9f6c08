import GlmcIR

/// Sizes as C: expressions over an array of dimensions.
enum SizeText {
    /// Helpers of the C expressions below.
    static func helpers(minParallelWork: Int) -> String {
        """
        /* Arithmetic on sizes, in 128 bits so that nothing overflows. A divisor of 0 occurs only for shapes that are refused. */
        typedef __int128 glmc_size;
        __attribute__((unused)) static inline glmc_size glmc_quotient(glmc_size a, glmc_size b) { return b == 0 ? 0 : a / b - (a % b != 0 && (a < 0) != (b < 0)); }
        __attribute__((unused)) static inline glmc_size glmc_modulo(glmc_size a, glmc_size b) { return b == 0 ? 0 : a % b + (a % b != 0 && (a < 0) != (b < 0) ? b : 0); }
        __attribute__((unused)) static inline glmc_size glmc_larger(glmc_size a, glmc_size b) { return a > b ? a : b; }
        __attribute__((unused)) static inline int64_t glmc_fit(glmc_size a) { return a > INT64_MAX ? INT64_MAX : a < INT64_MIN ? INT64_MIN : (int64_t)a; }
        __attribute__((unused)) static inline int64_t glmc_work(glmc_size a) { return a > INT64_MAX ? INT64_MAX : (int64_t)a; }
        __attribute__((unused)) static inline glmc_size glmc_cut(int64_t work) { return work < \(minParallelWork) ? 0 : work; }
        __attribute__((unused)) static inline glmc_size glmc_smaller(glmc_size a, glmc_size b) { return a < b ? a : b; }
        """
    }
}

extension EntryText {
    /// An extent as a C expression of type `glmc_size` over the dimensions in `array`.
    func text(_ extent: Extent, _ array: String) -> String {
        var terms = extent.terms.map { term -> String in
            let factors = term.factors.map { factor -> String in
                switch factor {
                case .dimension(let dimension): return "(glmc_size)\(array)[\(dimensionIndex[dimension] ?? 0)]"
                case .floorDivide(let a, let b): return "glmc_quotient(\(text(a, array)), \(text(b, array)))"
                case .modulo(let a, let b): return "glmc_modulo(\(text(a, array)), \(text(b, array)))"
                // No type with such a size gets past the verifier, but a bound of one that does may be: more than any run is given.
                case .tooComplex: return "((glmc_size)1 << 80)"
                case .maximum(let a, let b): return "glmc_larger(\(text(a, array)), \(text(b, array)))"
                case .minimum(let a, let b): return "glmc_smaller(\(text(a, array)), \(text(b, array)))"
                }
            }
            return (term.coefficient == 1 ? factors : ["(glmc_size)\(term.coefficient)"] + factors).joined(separator: " * ")
        }
        if extent.offset != 0 || terms.isEmpty { terms.append("(glmc_size)\(extent.offset)") }
        return terms.count == 1 ? terms[0] : "(\(terms.joined(separator: " + ")))"
    }

    /// The largest of `extents`.
    func largest(_ extents: [Extent], _ array: String) -> String {
        extents.dropFirst().reduce(text(extents.first ?? 0, array)) { "glmc_larger(\($0), \(text($1, array)))" }
    }
}
