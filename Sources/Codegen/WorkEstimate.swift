import GlmcIR

/// How long kernels take, roughly, to decide which are worth dividing between threads. The unit is one operation of a contraction at
/// full speed, about 10 ps.
public enum WorkEstimate {
    /// The least work of a launch that is divided (15 us): handing out less costs more than it saves on a busy machine.
    public static let minParallelWork = 1_500_000

    /// The cost of one element, in units: read or combined from a cache, through a function, by a loop that is not vectorised.
    private static let cheap = 8, expensive = 60, scalar = 100

    static func of(_ id: NodeID, in function: Function) -> Extent {
        let node = function[id], op = node.op
        if let products = function.multiplyAdds(of: id) { return Extent(2) * products }
        let made = elements(node.results, function)
        guard let pointwise = op as? any PointwiseOp else {
            let isVectorised = (op as? any LoopOp)?.runsInVectors ?? false
            return (made + elements(node.operands, function)) * Extent(isVectorised ? expensive : scalar)
        }
        return switch pointwise.elementCost {
        case .cheap: made * Extent(cheap)
        case .expensive: made * Extent(expensive)
        case .many: (made + elements(node.operands, function)) * Extent(cheap)
        }
    }

    private static func elements(_ values: [ValueID], _ function: Function) -> Extent {
        values.reduce(0) { sum, value in
            guard case .tensor(let type) = function.type(value) else { return sum }
            return sum + type.elementCount
        }
    }
}
