/// Runs a function on concrete tensors through `Op.evaluate`: slow, simple, and the oracle of everything else.
public struct Interpreter {
    private let function: Function

    public init(_ function: Function) { self.function = function }

    /// The outputs for `inputs`, of which those may be nil that have a default.
    ///
    /// Named dimensions are read off the inputs' shapes; `dimensions` may fix further ones.
    /// - Throws: `Diagnostic` where the inputs do not fit the function's types, or an op refuses its operands.
    public static func run(_ function: Function, _ inputs: [Tensor?], dimensions: [String: Int] = [:]) throws -> [Tensor] {
        try Interpreter(function).run(inputs, dimensions: dimensions)
    }

    /// Exchanges one result of a node for what the run goes on with.
    public typealias Disturbance = (_ node: Node, _ operands: [Tensor], _ result: Tensor) -> Tensor

    /// The outputs for `inputs`, of which those may be nil that have a default; `observe` sees every value when it is computed, and `disturb` may change what nodes compute, which
    /// shows how far an error of theirs reaches.
    public func run(
        _ given: [Tensor?], dimensions: [String: Int] = [:], observe: ((ValueID, Tensor) throws -> Void)? = nil, disturb: Disturbance? = nil
    ) throws -> [Tensor] {
        let arguments = function.inputs
        guard given.count == arguments.count else {
            throw Diagnostic(.invalid, "\(function.name) takes \(arguments.count) inputs, not \(given.count)")
        }
        let inputs = try zip(arguments, given).map { argument, tensor in
            guard let tensor = tensor ?? function.defaults[argument] else { throw Diagnostic(.invalid, "is missing and has no default", at: ["input \(function[argument].name)"]) }
            return tensor
        }
        let frame = Frame(function, dimensions: dimensions, observe: observe, disturb: disturb)
        for (name, info) in function.dimensions {
            guard case .value(let position, let element) = info.source else { continue }
            guard inputs[position].element == .i64, inputs[position].count > element else {
                throw Diagnostic(.invalid, "must be \(function.type(arguments[position]))", at: ["input \(function[arguments[position]].name)"])
            }
            try frame.bind(name, to: inputs[position].integers[element], of: function[arguments[position]].name)
        }
        for (argument, tensor) in zip(arguments, inputs) {
            do {
                try frame.bindDimensions(of: function.type(argument), to: tensor)
            } catch let error as Diagnostic {
                throw error.inside("input \(function[argument].name)")
            }
        }
        for (argument, tensor) in zip(arguments, inputs) {
            do {
                try frame.check(function.type(argument), against: tensor)
            } catch let error as Diagnostic {
                throw error.inside("input \(function[argument].name)")
            }
        }
        return try frame.run(function.body, inputs)
    }
}

/// The values and dimensions of one run. Values are dropped after their last use.
private final class Frame {
    private let function: Function
    private var values: [Tensor?]
    private var dimensions: [String: Int]
    private let dataDependentDimensions: Set<String>
    private let observe: ((ValueID, Tensor) throws -> Void)?
    private let disturb: Interpreter.Disturbance?
    /// By block: the values to drop after the node at each position.
    private var lastUses: [BlockID: [[ValueID]]] = [:]

    init(_ function: Function, dimensions: [String: Int], observe: ((ValueID, Tensor) throws -> Void)?, disturb: Interpreter.Disturbance?) {
        self.function = function
        self.dimensions = dimensions
        self.observe = observe
        self.disturb = disturb
        values = Array(repeating: nil, count: function.valueCount)
        dataDependentDimensions = Set(function.dimensions.filter { if case .dataDependent = $0.info.source { true } else { false } }.map(\.name))
    }

    /// Gives a dimension the size that an input holds.
    func bind(_ dimension: String, to size: Int, of input: String) throws {
        guard size >= 0 else { throw Diagnostic(.invalid, "is \(size); the dimension '\(dimension)' cannot be negative", at: ["input \(input)"]) }
        dimensions[dimension] = size
    }

    /// Gives dimensions that stand alone in `type` their size in `tensor`, unless they have one from an input already.
    func bindDimensions(of type: ValueType, to tensor: Tensor) throws {
        guard let type = type.tensor, type.rank == tensor.rank else { return }
        for (extent, size) in zip(type.shape, tensor.shape) {
            guard let name = extent.dimensionName else { continue }
            if dimensions[name] == nil || dataDependentDimensions.contains(name) { dimensions[name] = size }
        }
    }

    /// Checks element type, rank and every extent that is known.
    func check(_ type: ValueType, against tensor: Tensor) throws {
        guard let type = type.tensor else { throw Diagnostic(.unsupported, "a value of type \(type) cannot be interpreted") }
        guard type.element == tensor.element, type.rank == tensor.rank else {
            throw Diagnostic(.invalid, "expected \(type), not \(tensor.type)")
        }
        for (axis, extent) in type.shape.enumerated() {
            if let size = extent.evaluate(dimensions), size != tensor.shape[axis] {
                throw Diagnostic(.invalid, "expected \(type), where axis \(axis) is \(size), not \(tensor.type)")
            }
        }
    }

    func run(_ block: BlockID, _ arguments: [Tensor]) throws -> [Tensor] {
        for (argument, tensor) in zip(function[block].arguments, arguments) { try set(argument, tensor) }
        for one in block == function.body ? function.assumptions : [] {
            if let value = one.size.evaluate(dimensions), value < 0 { throw Diagnostic(.invalid, "the inputs do not fit \(one.place): \(one.size) is \(value)") }
        }
        let dead = deadValues(in: block)
        for (position, id) in function.nodes(in: block).enumerated() {
            try run(function[id])
            for value in dead[position] { values[value.index] = nil }
        }
        let results = try function[block].results.map { try get($0) }
        return block == function.body ? try results.enumerated().map { try squeezed($1, along: function.squeezedAxes[$0] ?? []) } : results
    }

    private func squeezed(_ result: Tensor, along axes: [Int]) throws -> Tensor {
        let kept = result.shape.indices.filter { result.shape[$0] != 1 || !axes.contains($0) }
        guard let squeezed = result.reshaped(kept.map { result.shape[$0] }) else { throw Diagnostic(.internal, "\(result.type) cannot be squeezed along \(axes)") }
        return squeezed
    }

    private func run(_ node: Node) throws {
        let context = EvaluationContext(dimensions: dimensions, resultTypes: node.results.map { function.type($0) }) { region, arguments in
            guard node.regions.indices.contains(region) else { throw Diagnostic(.internal, "there is no region \(region) to evaluate") }
            return try self.run(node.regions[region], arguments)
        }
        do {
            let operands = try node.operands.map { try get($0) }
            try checkSizes(of: node, operands)
            var results = try node.op.evaluate(operands, in: context)
            guard results.count == node.results.count else {
                throw Diagnostic(.internal, "evaluation gives \(results.count) results, not \(node.results.count)")
            }
            if let disturb { results = results.map { disturb(node, operands, $0) } }
            for (value, tensor) in zip(node.results, results) {
                try bindDimensions(of: function.type(value), to: tensor)
                try set(value, tensor)
            }
        } catch let error as Diagnostic {
            throw error.inside(node.op.mnemonic + (node.provenance.isEmpty ? "" : " (\(node.provenance.joined(separator: ", ")))"))
        }
    }

    /// Refuses operands whose sizes do not go together; what types alone say is checked as values are set.
    private func checkSizes(of node: Node, _ operands: [Tensor]) throws {
        if function.dimensions.isEmpty || !node.regions.isEmpty { return }
        let context = InferenceContext(operands: operands.map { .tensor($0.type) }, resultCount: node.results.count)
        for equation in node.op.equalSizes(in: context) {
            guard let left = equation.left.evaluate(dimensions), let right = equation.right.evaluate(dimensions) else { continue }
            if left != right && !(equation.leftMayBeOne && left == 1) { throw Diagnostic(.invalid, "sizes that must be equal are \(left) and \(right)") }
        }
        for size in node.op.nonNegativeSizes(in: context) {
            if let value = size.evaluate(dimensions), value < 0 { throw Diagnostic(.invalid, "a size that must not be negative is \(value)") }
        }
    }

    private func get(_ value: ValueID) throws -> Tensor {
        guard let tensor = values[value.index] else { throw Diagnostic(.internal, "a value is read before it is computed") }
        return tensor
    }

    private func set(_ value: ValueID, _ tensor: Tensor) throws {
        try check(function.type(value), against: tensor)
        values[value.index] = tensor
        try observe?(value, tensor)
    }

    /// The values that each node of a block, with its regions, reads last. Only values of the block itself: those of outer
    /// blocks may be read again by the next iteration of a loop.
    private func deadValues(in block: BlockID) -> [[ValueID]] {
        if let known = lastUses[block] { return known }
        let nodes = function.nodes(in: block)
        var last: [ValueID: Int] = [:]
        for argument in function[block].arguments { last[argument] = 0 }
        for (position, id) in nodes.enumerated() {
            for result in function[id].results { last[result] = position }
            for value in reads(of: id) where last[value] != nil { last[value] = position }
        }
        for result in function[block].results { last[result] = nil }
        var dead = [[ValueID]](repeating: [], count: nodes.count)
        if !nodes.isEmpty { for (value, position) in last { dead[position].append(value) } }
        lastUses[block] = dead
        return dead
    }

    private func reads(of id: NodeID) -> [ValueID] {
        let node = function[id]
        return node.operands + node.regions.flatMap { region in
            function[region].results + function.nodes(in: region).flatMap { reads(of: $0) }
        }
    }
}

extension Function {
    /// Whether evaluating a node on constants is a matter of seconds at most. Ops that read operand elements many times are judged by the root of
    /// the product of all sizes, which is the number of multiplications of a matrix product.
    public func isCheapToEvaluate(_ node: Node) -> Bool {
        if let op = node.op as? any PointwiseOp, op.elementCost != .many { return true }
        let work = (node.operands + node.results).reduce(1.0) { $0 * Double(tensorType($1).volume) }
        return work.squareRoot() <= 0x1p30
    }

    /// The number of values ever created, dead ones included: an upper bound of `ValueID.index`.
    public var valueCount: Int { valueArena.count }
    /// The number of nodes ever created, erased ones included: an upper bound of `NodeID.index`.
    public var nodeCount: Int { nodeArena.count }
}
