/// ONNX's Loop: runs a region until a number of iterations or a condition ends it.
///
/// Operands: the largest number of iterations (one i64), the first condition (one bool), and the carried values. The region takes the
/// iteration (i64 scalar), the condition and the carried values, and yields the next condition, the next carried values, and any
/// number of values to stack. Results: the final carried values, then the stacked ones with a new axis 0 of `iterations` elements.
public struct Iterate: ControlOp {
    public static let mnemonic = "loop"
    public static let summary = "Repeats a region while a condition holds"
    public static var attributes: [Attribute<Self>] { [Attribute("iterations", \.iterations)] }

    /// How many iterations run: a size that is known before, or a dimension that is known afterwards. Where nothing is stacked it
    /// means nothing.
    public var iterations: Extent

    public init() { self.init(iterations: 0) }
    public init(iterations: Extent) { self.iterations = iterations }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let carried = context.operands.count - 2
        guard carried >= 0, context.regions.count == 1, context.regions[0].arguments.count == carried + 2, context.regions[0].results.count > carried else {
            throw Diagnostic(.invalid, "the region does not fit \(context.operands.count) operands")
        }
        let limit = try context.tensor(0), condition = try context.tensor(1), region = context.regions[0]
        guard limit.element == .i64, limit.elementCount == 1, condition.element == .bool, condition.elementCount == 1 else {
            throw Diagnostic(.invalid, "takes one i64 and one bool, not \(limit) and \(condition)")
        }
        guard let next = region.results[0].tensor, next.element == .bool, next.elementCount == 1 else {
            throw Diagnostic(.invalid, "the region's condition is \(region.results[0]), not one bool")
        }
        guard region.arguments[0] == .tensor(TensorType(.i64, [])), region.arguments[1] == .tensor(TensorType(.bool, [])) else {
            throw Diagnostic(.invalid, "the region takes \(region.arguments[0]) and \(region.arguments[1]) for the iteration and the condition")
        }
        var types = try (0..<carried).map { i in
            let ways = [context.operands[i + 2], region.arguments[i + 2], region.results[i + 1]], plain = ways.map(\.rowMajor)
            guard plain[0] == plain[1], plain[0] == plain[2] else { throw Diagnostic(.invalid, "value \(i) is \(ways[0]), \(ways[1]) in an iteration and \(ways[2]) behind it") }
            return ways[0] == ways[2] ? ways[0] : plain[0]
        }
        for result in region.results[(carried + 1)...] {
            guard let type = result.tensor else { throw Diagnostic(.invalid, "\(result) cannot be stacked") }
            types.append(.tensor(TensorType(type.element, [iterations] + type.shape)))
        }
        return types
    }

    public func control(_ node: Node, in function: Function) -> Control {
        let region = function[node.regions[0]], carried = node.operands.count - 2
        let limit = function.symbolicContents(node.operands[0])?.first.map(LoopForm.Limit.extent) ?? .value(node.operands[0])
        // The condition is a state that nobody reads afterwards; what always holds is none.
        let conditions = [node.operands[1], region.results[0]]
        let isUnconditional = conditions.allSatisfy { $0 == region.arguments[1] || function.definingOp($0, as: Constant.self)?.value.splat == 1 }
        var states = (0..<carried).map { i in
            LoopForm.State(initial: node.operands[i + 2], argument: region.arguments[i + 2], next: region.results[i + 1], result: node.results[i])
        }
        states.append(LoopForm.State(initial: node.operands[1], argument: region.arguments[1], next: region.results[0], result: nil))
        let scanOutputs = node.results.indices.dropFirst(carried).map { i in
            LoopForm.Slice(whole: node.results[i], part: region.results[i + 1], axis: 0, isReversed: false)
        }
        return .loop(LoopForm(
            limit: limit, counter: region.arguments[0], condition: isUnconditional ? nil : carried, states: states, scanOutputs: scanOutputs,
            iterations: iterations.dimensionName.flatMap { function.isDataDependent($0) ? $0 : nil }))
    }

    public var foundSizes: [Extent] { [iterations] }

    public func mostFound(_ node: Node, in function: Function) throws -> [Extent?] {
        guard node.results.count > node.operands.count - 2 else { return [nil] }
        guard let limit = function.symbolicContents(node.operands[0])?.first else {
            throw Diagnostic(.invalid, "nothing says how many iterations a loop runs at most that stacks values")
        }
        let most = limit.isNeverNegative ? limit : Extent.maximum(limit, 0)
        if let name = iterations.dimensionName, function.isDataDependent(name) { return [most] }
        guard case .loop(let form) = control(node, in: function), form.condition == nil, iterations == most else {
            throw Diagnostic(.invalid, "a loop stacks the values of \(iterations) iterations, which need not be as many as it runs")
        }
        return [nil]
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let limit = operands[0].reader.loadInteger(at: 0)
        var isRunning = operands[1].reader.loadInteger(at: 0) != 0
        var carried = Array(operands[2...]), iteration = 0
        var scanOutputs = [[Tensor]](repeating: [], count: context.resultTypes.count - carried.count)
        while isRunning && iteration < limit {
            let results = try context.region(0, [Tensor([iteration], shape: []), Tensor(.bool, [], integers: { _ in 1 })] + carried)
            isRunning = results[0].reader.loadInteger(at: 0) != 0
            for i in scanOutputs.indices { scanOutputs[i].append(results[1 + carried.count + i]) }
            carried = Array(results[1..<carried.count + 1])
            iteration += 1
        }
        return carried + (try scanOutputs.enumerated().map { try Tensor.stacked($1, axis: 0, like: context.resultTypes[carried.count + $0], in: context) })
    }
}

extension Tensor {
    /// Equal tensors side by side along a new axis; an empty tensor of type `type`, its unknown extents 0, if there are none.
    static func stacked(_ parts: [Tensor], axis: Int, like type: ValueType, in context: EvaluationContext) throws -> Tensor {
        guard let first = parts.first else {
            guard let type = type.tensor else { throw Diagnostic(.internal, "\(type) cannot be stacked") }
            var shape = type.shape.map { $0.evaluate(context.dimensions) ?? 0 }
            shape[axis] = 0
            return Tensor(type.element, shape, fill: { _ in })
        }
        guard parts.allSatisfy({ $0.shape == first.shape && $0.element == first.element }), axis <= first.rank else {
            throw Diagnostic(.invalid, "values of shapes \(parts.map(\.shape)) cannot be stacked")
        }
        var shape = first.shape
        shape.insert(1, at: axis)
        let rows = parts.compactMap { $0.reshaped(shape) }
        return try Concat(axis: axis).evaluate(rows, in: context)[0]
    }
}
