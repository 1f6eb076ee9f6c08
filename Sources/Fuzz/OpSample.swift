import GlmcIR

/// One op with operands that it accepts.
public struct OpSample {
    public var op: any Op
    public var operands: [Tensor]
    /// Named dimensions that the op's attributes mention.
    public var dimensions: [String: Int] = [:]
    /// How far floats may lie apart, relative to the largest magnitude.
    public var tolerance: Double?

    public init(op: any Op, operands: [Tensor], dimensions: [String: Int] = [:], tolerance: Double? = nil) {
        self.op = op
        self.operands = operands
        self.dimensions = dimensions
        self.tolerance = tolerance
    }

    /// What went wrong with a result, if anything: it should have the values of `expected`, floats up to the tolerance.
    public func difference(_ result: Tensor, _ expected: Tensor) -> String? {
        guard result.element == expected.element, result.shape == expected.shape else { return "is \(result.type), not \(expected.type)" }
        let element = expected.element
        let tolerance = tolerance ?? (element == .f32 ? 1e-5 : element == .f64 ? 1e-12 : element == .bf16 ? 1e-2 : 2e-3)
        let scale = element.isFloat ? expected.doubles.filter(\.isFinite).map(abs).max() ?? 0 : 0
        for i in 0..<expected.count {
            if element.isFloat {
                let (a, b) = (result.reader.load(at: i), expected.reader.load(at: i))
                if a != b && !(a.isNaN && b.isNaN) && !(abs(a - b) <= tolerance * scale) { return "has \(a) at \(i), not \(b)" }
            } else {
                let (a, b) = (result.reader.loadInteger(at: i), expected.reader.loadInteger(at: i))
                if a != b { return "has \(a) at \(i), not \(b)" }
            }
        }
        return nil
    }
}

extension OpSample: CustomStringConvertible {
    public var description: String { "\(op) on \(operands.map { "\($0.type)" }.joined(separator: ", "))" }
}

