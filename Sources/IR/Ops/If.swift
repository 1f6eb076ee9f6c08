/// Runs one of two regions. Operand: a bool. The regions take no arguments (they read outer values directly) and yield the results.
public struct If: ControlOp {
    public static let mnemonic = "if"
    public static let summary = "Runs one of two regions"
    public static var attributes: [Attribute<Self>] { [Attribute("joined", \.joined)] }

    /// The result extents on which the branches disagree, in order: dimensions that are known once a branch has run.
    public var joined: [Extent]

    public init() { joined = [] }
    public init(joined: [Extent] = []) { self.joined = joined }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let condition = try context.tensors(1)[0]
        guard condition.element == .bool, condition.elementCount == 1 else { throw Diagnostic(.invalid, "the condition is \(condition), not one bool") }
        guard context.regions.count == 2, context.regions.allSatisfy({ $0.arguments.isEmpty }),
              context.regions[0].results.count == context.regions[1].results.count else {
            throw Diagnostic(.invalid, "takes two regions without arguments and with equally many results")
        }
        var rest = joined[...]
        let types = try zip(context.regions[0].results, context.regions[1].results).map { try RegionTypes.join($0, $1, &rest) }
        guard rest.isEmpty else { throw Diagnostic(.invalid, "joins \(joined), of which \(Array(rest)) are not needed") }
        return types
    }

    public func control(_ node: Node, in function: Function) -> Control { .branch(condition: node.operands[0]) }

    public var foundSizes: [Extent] { joined }
    public func mostFound(_ node: Node, in function: Function) -> [Extent?] {
        zip(function[node.regions[0]].results, function[node.regions[1]].results).flatMap { a, b in
            zip(function.tensorType(a).shape, function.tensorType(b).shape).filter { $0 != $1 }.map { .maximum($0, $1) }
        }
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        try context.region(operands[0].reader.loadInteger(at: 0) != 0 ? 0 : 1, [])
    }
}

/// How the types of values that take different ways come together.
enum RegionTypes {
    /// The common type of two values; extents on which they disagree are taken from `joined`.
    /// - Throws: `Diagnostic` where the element types or ranks differ or `joined` runs out.
    static func join(_ a: ValueType, _ b: ValueType, _ joined: inout ArraySlice<Extent>) throws -> ValueType {
        if a == b { return a }
        guard var result = a.tensor, let other = b.tensor, result.element == other.element, result.rank == other.rank else {
            throw Diagnostic(.invalid, "a value would be \(a) or \(b)")
        }
        for axis in 0..<result.rank where result.shape[axis] != other.shape[axis] {
            guard let extent = joined.popFirst() else {
                throw Diagnostic(.invalid, "a value would be \(a) or \(b), and no extent is given for axis \(axis)")
            }
            result.shape[axis] = extent
        }
        result.layout = .rowMajor
        return .tensor(result)
    }
}
