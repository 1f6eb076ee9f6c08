/// What a pass did at a node, or why it did nothing there.
public struct Remark: Hashable, Sendable {
    public var message: String
    public var op: String
    /// The source nodes that the node computed at that time.
    public var provenance: [String]
    /// Whether an opportunity was missed.
    public var missed: Bool
}

/// The only way to change a function. Keeps use lists, infers result types, refuses ill-typed nodes, and counts rewrites so that
/// a pass can be stopped after the m-th one.
public struct Rewriter {
    public private(set) var function: Function
    /// How many rewrites have been made.
    public private(set) var rewrites = 0
    /// No rewrite is made beyond this number.
    public let limit: Int
    /// What passes had to say about nodes.
    public private(set) var remarks: [Remark] = []

    public init(_ function: Function, limit: Int = .max) {
        self.function = function
        self.limit = limit
    }

    /// Where new nodes go.
    public enum Position: Sendable {
        case before(NodeID)
        case after(NodeID)
        case end(BlockID)
    }

    /// Counts one rewrite; false when the limit is reached and nothing may be changed. Ask before mutating.
    public mutating func beginRewrite() -> Bool {
        guard rewrites < limit else { return false }
        rewrites += 1
        return true
    }

    /// Notes for `glmc explain` what was done at a node, or why not.
    public mutating func remark(_ message: String, at node: NodeID, missed: Bool = false) {
        let node = function[node]
        remarks.append(Remark(message: message, op: node.op.mnemonic, provenance: node.provenance, missed: missed))
    }

    // MARK: Building

    /// Adds an argument to a block: an input of the function, or of a region.
    public mutating func addArgument(_ type: ValueType, name: String, to block: BlockID? = nil) -> ValueID {
        let block = block ?? function.body
        let value = ValueID(index: function.valueArena.count)
        function.valueArena.append(Value(type: type, definition: .argument(block, function[block].arguments.count), name: name, uses: []))
        function.blockArena[block.index].arguments.append(value)
        return value
    }

    /// Adds an input of the function that is `value` where the caller leaves it out.
    public mutating func addInput(default value: Tensor, name: String) -> ValueID {
        let input = addArgument(.tensor(value.type), name: name)
        function.defaults[input] = value
        return input
    }

    /// Makes constants of all inputs that have a default.
    public mutating func freezeDefaults() throws {
        let body = function.body, inputs = function.inputs
        for input in inputs.reversed() {
            guard let value = function.defaults[input] else { continue }
            let position: Position = function.nodes(in: body).first.map { .before($0) } ?? .end(body)
            try replaceUses(of: input, with: create1(Constant(value), [], at: position))
        }
        let kept = inputs.filter { function.defaults[$0] == nil }
        for (i, input) in kept.enumerated() { function.valueArena[input.index].definition = .argument(body, i) }
        function.dimensions = function.dimensions.map { name, info in
            switch info.source {
            case .input(let old, let axis): (name, kept.firstIndex(of: inputs[old]).map { DimensionInfo(.input($0, axis: axis)) } ?? info)
            case .value(let old, let element): (name, kept.firstIndex(of: inputs[old]).map { DimensionInfo(.value($0, element: element)) } ?? info)
            case .dataDependent: (name, info)
            }
        }
        function.blockArena[body.index].arguments = kept
        function.defaults = [:]
    }

    /// Makes output `output` the new value of the state that `input` is.
    public mutating func addState(_ input: ValueID, output: Int) {
        function.states.append(StateBinding(input: input, output: output))
    }

    /// Makes dimensions of what an input holds, an i64 of fixed shape: `names` has one for each element.
    public mutating func addDimensions(_ names: [String], heldBy input: ValueID) {
        guard let position = function.inputs.firstIndex(of: input) else { return }
        for (element, name) in names.enumerated() { addDimension(name, DimensionInfo(.value(position, element: element))) }
        function.valueArena[input.index].contents = names.map { .dimension($0) }
    }

    /// Lets results of output `output` lack those of the axes that have one element (`Function.squeezedAxes`).
    public mutating func squeeze(_ axes: [Int], ofOutput output: Int) {
        function.squeezedAxes[output] = axes.sorted()
    }

    /// A new empty block to pass to `create` as a region.
    public mutating func addBlock() -> BlockID {
        function.blockArena.append(Block(arguments: [], results: [], owner: nil))
        return BlockID(index: function.blockArena.count - 1)
    }

    /// Sets what a block yields. Outputs of the function take their names from `names`, else from the values.
    public mutating func setResults(_ results: [ValueID], of block: BlockID? = nil, names: [String]? = nil) {
        let block = block ?? function.body
        for (i, value) in function[block].results.enumerated() { removeUse(.result(block, i), of: value) }
        function.blockArena[block.index].results = results
        for (i, value) in results.enumerated() { function.valueArena[value.index].uses.append(.result(block, i)) }
        if block == function.body {
            function.outputNames = names ?? results.enumerated().map { function[$1].name.isEmpty ? "output\($0)" : function[$1].name }
        }
    }

    /// Adds a node, infers its result types, and returns its results.
    /// - Throws: `Diagnostic` where the op refuses the operands; the function is unchanged then.
    @discardableResult
    public mutating func create(
        _ op: any Op, _ operands: [ValueID], at position: Position, regions: [BlockID] = [], provenance: [String] = [], names: [String] = []
    ) throws -> [ValueID] {
        let context = function.inferenceContext(operands: operands, regions: regions, resultCount: Swift.max(names.count, 1))
        let types: [ValueType]
        do {
            types = try op.infer(context)
            try types.forEach(Verifier.checkType)
        } catch let error as Diagnostic {
            throw error.inside(op.mnemonic)
        }
        let id = NodeID(index: function.nodeArena.count)
        let block = switch position {
        case .before(let node), .after(let node): function[node].block
        case .end(let block): block
        }
        let results = types.enumerated().map { i, type -> ValueID in
            function.valueArena.append(Value(type: type, definition: .node(id, i), name: names.indices.contains(i) ? names[i] : "", uses: []))
            return ValueID(index: function.valueArena.count - 1)
        }
        function.nodeArena.append(Node(op: op, operands: operands, results: results, regions: regions, block: block, provenance: provenance))
        for region in regions { function.blockArena[region.index].owner = id }
        for (i, value) in operands.enumerated() { function.valueArena[value.index].uses.append(.operand(id, i)) }
        link(id, at: position)
        follow(id)
        return results
    }

    /// Adds a node with one result.
    public mutating func create1(_ op: any Op, _ operands: [ValueID], at position: Position, provenance: [String] = [], name: String = "") throws -> ValueID {
        try create(op, operands, at: position, provenance: provenance, names: [name])[0]
    }

    // MARK: Changing

    /// Makes every use of `old` read `new` instead. Types must be equal.
    /// - Throws: `Diagnostic` where the types differ.
    public mutating func replaceUses(of old: ValueID, with new: ValueID) throws {
        guard old != new else { return }
        guard function.type(old) == function.type(new) else {
            throw Diagnostic(.internal, "a rewrite replaces a value of type \(function.type(old)) with one of type \(function.type(new))")
        }
        let uses = function[old].uses
        for use in uses { redirect(use, to: new) }
        function.valueArena[old.index].uses = []
        function.valueArena[new.index].uses += uses
        if function[new].name.isEmpty { function.valueArena[new.index].name = function[old].name }
    }

    /// Replaces a node by values of the same types and erases it. Provenance moves to the nodes that define the values. A value in another layout is copied
    /// into that of the result.
    public mutating func replace(_ node: NodeID, with values: [ValueID]) throws {
        let old = function[node]
        let values = try zip(old.results, values).map { result, value in
            guard let wanted = function.type(result).tensor, let given = function.type(value).tensor, given != wanted, given.with(layout: wanted.layout) == wanted else { return value }
            return try create1(Relayout(wanted.layout), [value], at: .before(node), provenance: old.provenance)
        }
        for (result, value) in zip(old.results, values) { try replaceUses(of: result, with: value) }
        for value in values {
            guard let definition = function.definingNode(value), definition != node else { continue }
            let known = function[definition].provenance
            let missing = old.provenance.filter { !known.contains($0) }
            function.nodeArena[definition.index]?.provenance += missing
        }
        erase(node)
    }

    /// Makes one operand position read another value of the same type.
    public mutating func setOperand(_ position: Int, of node: NodeID, to value: ValueID) { set(.operand(node, position), to: value) }

    /// Exchanges the op of a node and re-infers its result types.
    /// - Throws: `Diagnostic` where the op refuses the operands.
    public mutating func setOp(_ op: any Op, of node: NodeID) throws {
        let old = function[node]
        let context = function.inferenceContext(operands: old.operands, regions: old.regions, resultCount: old.results.count)
        let types = try op.infer(context)
        guard types.count == old.results.count else { throw Diagnostic(.internal, "\(op.mnemonic) has another number of results than \(old.op.mnemonic)") }
        function.nodeArena[node.index]?.op = op
        for (result, type) in zip(old.results, types) { function.valueArena[result.index].type = type }
        follow(node)
    }

    /// Changes the physical layout of a value; the layout pass's tool.
    public mutating func setLayout(_ layout: Layout, of value: ValueID) {
        if let type = function.type(value).tensor { function.valueArena[value.index].type = .tensor(type.with(layout: layout)) }
    }

    public mutating func setType(_ type: ValueType, of value: ValueID) { function.valueArena[value.index].type = type }
    public mutating func setName(_ name: String, of value: ValueID) { function.valueArena[value.index].name = name }
    public mutating func setProvenance(_ provenance: [String], of node: NodeID) { function.nodeArena[node.index]?.provenance = provenance }
    public mutating func addDimension(_ name: String, _ info: DimensionInfo) {
        if !function.dimensions.contains(where: { $0.name == name }) { function.dimensions.append((name, info)) }
    }
    /// Takes `size` not to be negative.
    /// - Parameter place: what it must fit.
    public mutating func assume(_ size: Extent, for place: String) {
        if !size.isNeverNegative, !function.assumptions.contains(where: { $0.size == size }) { function.assumptions.append(Assumption(size: size, place: place)) }
    }

    /// Substitutes in the declared dimensions and assumptions, dropping those that have a value now.
    mutating func bindDeclarations(_ values: [String: Extent]) {
        let assumed = function.assumptions
        function.assumptions = []
        for one in assumed { assume(one.size.substitute { values[$0] }, for: one.place) }
        function.dimensions = function.dimensions.compactMap { name, info in
            guard values[name] == nil else { return nil }
            guard case .dataDependent(let bound) = info.source else { return (name, info) }
            return (name, DimensionInfo(.dataDependent(bound: bound.substitute { values[$0] })))
        }
    }

    /// Exchanges the op of a node whose result types are set separately.
    mutating func setAttributes(_ op: any Op, of node: NodeID) { function.nodeArena[node.index]?.op = op }

    /// Exchanges the inferred types of a node's results.
    mutating func setResultTypes(_ types: [ValueType], of node: NodeID) {
        for (result, type) in zip(function[node].results, types) { setType(type, of: result) }
        follow(node)
    }

    public mutating func setMetadata(_ key: String, _ value: String) { function.metadata[key] = value }

    /// Moves a node before another of the same block.
    public mutating func move(_ node: NodeID, before other: NodeID) {
        unlink(node)
        let block = function[other].block
        function.nodeArena[node.index]?.block = block
        link(node, at: .before(other))
    }

    /// Replaces a node with regions by one with another op, operands or number of results that takes over the regions. The old
    /// node's results must be replaced and the node erased by the caller.
    /// - Throws: `Diagnostic` where the op refuses the operands or regions; the function is unchanged then.
    public mutating func takeOverRegions(of node: NodeID, by op: any Op, _ operands: [ValueID]) throws -> [ValueID] {
        let old = function[node]
        let results = try create(op, operands, at: .before(node), regions: old.regions, provenance: old.provenance)
        function.nodeArena[node.index]?.regions = []
        return results
    }

    /// Moves the nodes of a region in front of the node that owns it, and returns what the region yields. Its arguments become
    /// `arguments`.
    /// - Throws: `Diagnostic` where their types differ.
    public mutating func inline(region: BlockID, of node: NodeID, arguments: [ValueID]) throws -> [ValueID] {
        for (argument, value) in zip(function[region].arguments, arguments) { try replaceUses(of: argument, with: value) }
        for id in function.nodes(in: region) { move(id, before: node) }
        return function[region].results
    }

    /// Removes a node, its regions' nodes, and its uses of other values. Its results must be unused.
    public mutating func erase(_ node: NodeID) {
        let old = function[node]
        for region in old.regions {
            for (i, value) in function[region].results.enumerated() { removeUse(.result(region, i), of: value) }
            function.blockArena[region.index].results = []
            for inner in function.nodes(in: region).reversed() { erase(inner) }
        }
        for (i, value) in old.operands.enumerated() { removeUse(.operand(node, i), of: value) }
        unlink(node)
        function.nodeArena[node.index] = nil
    }

    // MARK: Bookkeeping

    private mutating func set(_ use: Use, to value: ValueID) {
        let old = switch use {
        case .operand(let node, let i): function[node].operands[i]
        case .result(let block, let i): function[block].results[i]
        }
        removeUse(use, of: old)
        redirect(use, to: value)
        function.valueArena[value.index].uses.append(use)
    }

    /// Notes what a node's results hold, where that was not known, and what follows from it for those that read them.
    private mutating func follow(_ node: NodeID) {
        var changed = [node]
        while let id = changed.popLast() {
            let node = function[id]
            for (result, contents) in zip(node.results, function.derivedContents(node)) {
                guard let contents, function[result].contents == nil else { continue }
                function.valueArena[result.index].contents = contents
                for case .operand(let user, _) in function[result].uses { changed.append(user) }
            }
        }
    }

    /// Substitutes in what a value is known to hold.
    mutating func substituteContents(of value: ValueID, _ substitute: (Extent) -> Extent) {
        guard let contents = function[value].contents else { return }
        function.valueArena[value.index].contents = contents.map(substitute)
    }

    /// Makes a use read a value; the use lists are the caller's.
    private mutating func redirect(_ use: Use, to value: ValueID) {
        switch use {
        case .operand(let node, let i):
            function.nodeArena[node.index]?.operands[i] = value
            follow(node)
        case .result(let block, let i): function.blockArena[block.index].results[i] = value
        }
    }

    /// Looks from both ends, since uses come and go in order.
    private mutating func removeUse(_ use: Use, of value: ValueID) {
        func position(in uses: [Use]) -> Int? {
            for i in 0..<(uses.count + 1) / 2 {
                if uses[i] == use { return i }
                if uses[uses.count - 1 - i] == use { return uses.count - 1 - i }
            }
            return nil
        }
        if let position = position(in: function.valueArena[value.index].uses) { function.valueArena[value.index].uses.remove(at: position) }
    }

    private mutating func link(_ id: NodeID, at position: Position) {
        let (previous, next): (NodeID?, NodeID?) = switch position {
        case .before(let node): (function[node].previous, node)
        case .after(let node): (node, function[node].next)
        case .end(let block): (function[block].last, nil)
        }
        let block = function[id].block
        function.nodeArena[id.index]?.previous = previous
        function.nodeArena[id.index]?.next = next
        if let previous { function.nodeArena[previous.index]?.next = id } else { function.blockArena[block.index].first = id }
        if let next { function.nodeArena[next.index]?.previous = id } else { function.blockArena[block.index].last = id }
    }

    private mutating func unlink(_ id: NodeID) {
        let (previous, next, block) = (function[id].previous, function[id].next, function[id].block)
        if let previous { function.nodeArena[previous.index]?.next = next } else { function.blockArena[block.index].first = next }
        if let next { function.nodeArena[next.index]?.previous = previous } else { function.blockArena[block.index].last = previous }
    }
}
