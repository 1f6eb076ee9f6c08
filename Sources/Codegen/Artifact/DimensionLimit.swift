import GlmcIR

/// The largest size of a free dimension that an artifact accepts: with it, no size of the entry point, in elements or bytes, leaves the 128 bits in which
/// sizes are computed.
struct DimensionLimit {
    /// Sizes that a few products of stay far below 2^127, where nothing asks for less.
    private static let usualBits = 24
    /// Leaves room for elements of 16 bytes, rounding up, and sums of all areas.
    private static let mostBits = 112.0

    let size: Int

    init(_ program: Program) {
        let function = program.function
        var seen: Set<Extent> = []
        for id in function.allNodes {
            for type in function[id].results.compactMap({ function.type($0).tensor }) { seen.formUnion(type.shape + [type.shape.product]) }
        }
        for value in function.inputs + function.outputs { seen.formUnion(function.tensorType(value).shape + [function.tensorType(value).shape.product]) }
        seen.formUnion(program.storages.lazy.filter { if case .scratch = $0.owner { true } else { false } }.map(\.byteCount))
        let sizes = Set(seen.map(program.bounded).filter { !$0.isConstant && !$0.isTooComplex })
        let bits = (1...Self.usualBits).last { bits in sizes.allSatisfy { $0.bits(ofDimensions: Double(bits)) <= Self.mostBits } } ?? 1
        size = 1 << bits
    }
}

extension Extent {
    /// An upper bound of the logarithm to base 2 of the magnitude, where every dimension has at most `bits` bits.
    fileprivate func bits(ofDimensions bits: Double) -> Double {
        let parts = terms.map { term in
            term.factors.reduce(Self.logarithm(term.coefficient)) { $0 + $1.bits(ofDimensions: bits) }
        } + [Self.logarithm(offset)]
        return (parts.max() ?? 0) + Self.logarithm(parts.count)
    }

    fileprivate static func logarithm(_ value: Int) -> Double { Double(UInt.bitWidth - value.magnitude.leadingZeroBitCount) }
}

extension Extent.Atom {
    fileprivate func bits(ofDimensions bits: Double) -> Double {
        switch self {
        case .dimension: bits
        // A divisor that is no constant may be as little as 1.
        case .floorDivide(let a, _): a.bits(ofDimensions: bits)
        case .modulo(_, let b): b.bits(ofDimensions: bits)
        case .maximum(let a, let b), .minimum(let a, let b): max(a.bits(ofDimensions: bits), b.bits(ofDimensions: bits))
        case .tooComplex: 80
        }
    }
}
