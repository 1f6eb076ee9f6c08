import GlmcIR

extension RegisterModel {
    /// The registers of a compilation target.
    init(_ target: Target) {
        self.init(lanes: target.lanes(ofBytes: 4), registers: target.registers, cacheBytes: target.cacheBytes)
    }

    /// Those for a contraction of a kind: bytes that are widened take a second register per vector of weights, and one per row.
    init(_ target: Target, _ kind: ContractionKind) {
        self.init(target)
        if kind.isDot && kind.inputElement != .bf16 && !target.addsBytesAtOnce { registers -= 3 }
    }
}

/// Stores a value through the fused epilogue: value, index in the node's result, axis of the lanes, lanes that exist.
typealias SiteStore = (_ builder: inout KernelBuilder, _ value: Expr, _ index: [Expr], _ axis: Int, _ count: Expr?) throws -> Void

extension KernelSite {
    /// Runs `body` with the site's builder and a closure that stores results through the epilogue.
    mutating func generate(_ body: (inout KernelBuilder, @escaping SiteStore) throws -> Void) throws {
        let epilogue = epilogue
        try body(&builder) { builder, value, index, axis, count in try epilogue.store(value, at: index, along: axis, count: count, in: &builder) }
    }

    /// The form of a product that the family's `match` has found to have one.
    func contractionKind(_ input: ElementType, _ weights: ElementType, contiguous: Bool) throws -> ContractionKind {
        guard let kind = ContractionKind(input, weights, target: target, contiguous: contiguous) else {
            throw Diagnostic(.internal, "no tile form for \(input.rawValue) times \(weights.rawValue)")
        }
        return kind
    }
}

extension KernelFamily {
    /// Whether a node multiplies floats that the tile generator knows.
    static func isFloatProduct(_ query: KernelQuery) -> Bool {
        ContractionKind(query.operandType(0).element, query.operandType(1).element, target: query.target, contiguous: true)?.accumulator == .f32
    }
}

extension ContractionKind {
    /// How elements of two types are multiplied on `target`; nil where the tile generator has no form.
    /// - Parameter contiguous: whether the input's reduction elements follow each other in memory.
    init?(_ input: ElementType, _ weights: ElementType, target: Target, contiguous: Bool) {
        switch (input, weights) {
        case (.u8, .i8) where target.dots.contains(.u8) && contiguous, (.bf16, .bf16) where target.dots.contains(.bf16) && contiguous:
            self = .dot(input, weights)
        case (.u8, .u8), (.u8, .i8), (.i8, .u8), (.i8, .i8), (.f32, .f32), (.f32, .f16), (.f32, .bf16), (.f32, .i8), (.f16, .f16), (.bf16, .bf16):
            self = .multiplyAdd(input, weights)
        default: return nil
        }
    }
}
