import GlmcIR

/// The state of an import: the function under construction, what each name stands for, and what stands in the way.
struct GraphImporter: GraphBuilding {
    let model: OnnxModel
    let options: ImportOptions
    var rewriter: Rewriter
    /// Where new nodes go.
    var block: BlockID
    /// The ONNX node being imported, which new nodes will name as their source.
    var provenance: [String] = []
    /// Names in scope, innermost graph last.
    var scopes: [[String: Imported]] = [[:]]
    /// Operator set versions that apply: the model's, or those of the function being inlined.
    var opsets: [String: Int]
    /// Attributes of the call of the function being inlined, for references to them.
    var callAttributes: [String: OnnxAttribute.Value] = [:]
    /// The functions being inlined, to notice recursion, and their names.
    var callStack: [String] = []
    var callNames: [String] = []
    let budget: ImportBudget
    var errors: [Diagnostic] = []
    var warnings: [Diagnostic] = []
    /// Bound inputs by value, and the names of those whose value was used.
    var bound: [ValueID: (name: String, value: Tensor)] = [:]
    var consumed: Set<String> = []
    /// Values known at compile time, with the bound inputs that they depend on; nil for what is known to be unknown.
    var knownConstants: [ValueID: KnownConstant?] = [:]
    var freshDimensions = 0
    /// Names of dimensions that are in use, once new ones are made up.
    var takenDimensions: Set<String> = []
    /// Iterations of loops unrolled so far.
    var unrolledIterations = 0
    /// The initializers that are inputs too.
    let defaults: Defaults
    /// What free sizes of inputs have to be, as far as it is known before the import.
    let sizes: SizeBindings
    /// The free sizes for which the file has no name.
    var unnamed: Set<String> = []
    /// The sizes that bound inputs have, with their names, by dimension; and those of them that operators need.
    var givenSizes: [String: (input: String, size: Int)] = [:]
    var neededSizes: Set<String> = []
    /// What the import finds out about them.
    var equations: [SizeEquation] = []
    /// Sizes of tensors that are always there, as far as it takes this to know that they are not negative.
    var neverNegative: Set<Extent> = []
    /// The inputs whose elements are dimensions.
    let sizeInputs: Set<String>
    /// Whether results whose rank depends on a size may stay so, and whether there is one.
    let keepsRanks: Bool
    var hasSqueezed = false
    /// Whether nodes are imported that may never run, so that nothing follows from what they demand.
    var mayNotRun = false
    private let functions: [String: OnnxFunction]

    init(_ model: OnnxModel, options: ImportOptions, sizes: SizeBindings, defaults: Defaults, keepsRanks: Bool, sizeInputs: Set<String>, budget: ImportBudget) {
        self.model = model
        self.options = options
        self.sizes = sizes
        self.defaults = defaults
        self.keepsRanks = keepsRanks
        self.sizeInputs = sizeInputs
        neverNegative = sizes.neverNegative
        self.budget = budget
        let name = model.graph.name.filter { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
        rewriter = Rewriter(Function(name.first?.isLetter == true ? name : "main"))
        block = rewriter.function.body
        opsets = model.opsets.mapValues { Int($0) }
        functions = Dictionary(model.functions.map { (Self.key($0.domain, $0.name, $0.overload), $0) }, uniquingKeysWith: { first, _ in first })
    }

    private static func key(_ domain: String, _ name: String, _ overload: String) -> String { "\(domain)|\(name)|\(overload)" }

    // MARK: The model

    mutating func importModel() throws {
        let version = opsets[""] ?? 0
        if version > OnnxImporter.opsets.upperBound {
            warnings.append(Diagnostic(.unsupported, "operator set \(version) is newer than \(OnnxImporter.opsets.upperBound); operators are read by their rules for the latter"))
        }
        try defineInputs()
        try importBody(defaults.withoutInitializers(model.graph))
        if errors.isEmpty {
            var results: [ValueID] = [], squeezes: [(axes: [Int], output: Int)] = []
            var names: Set<String> = [], taken = Set(rewriter.function.inputs)
            for output in model.graph.outputs {
                guard let value = lookup(output.name) else { throw Diagnostic(.invalid, "no node computes it", at: ["output '\(output.name)'"]) }
                guard names.insert(output.name).inserted else { throw Diagnostic(.invalid, "is listed twice", at: ["output '\(output.name)'"]) }
                let parts = try tensors(of: value, named: output.name)
                if case .tensor(let declared, _)? = output.type, declared != .undefined, parts.count == 1, try declared.irType() != element(parts[0].1) {
                    throw Diagnostic(.invalid, "is declared as \(try declared.irType().rawValue), and its node gives \(element(parts[0].1).rawValue)", at: ["output '\(output.name)'"])
                }
                for (name, tensor, axes) in parts {
                    var id = tensor
                    if !axes.isEmpty { squeezes.append((axes, results.count)) }
                    // Two outputs, or an input and an output, may be one value: each needs a name of its own.
                    if taken.contains(id) || rewriter.function.definingOp(id, as: Constant.self) != nil {
                        id = try copy(id)
                    }
                    rewriter.setName(name, of: id)
                    results.append(id)
                    taken.insert(id)
                }
            }
            guard !model.graph.outputs.isEmpty else { throw Diagnostic(.invalid, "the model has no outputs") }
            guard !results.isEmpty else { throw Diagnostic(.unsupported, "the model returns no tensor: every output is an empty sequence or optional") }
            rewriter.setResults(results)
            for (axes, output) in squeezes { rewriter.squeeze(axes, ofOutput: output) }
        }
        guard errors.isEmpty else { throw Diagnostics(errors) }
        rewriter.setMetadata("producer", model.producer + (model.producerVersion.isEmpty ? "" : " " + model.producerVersion))
        rewriter.setMetadata("opset", opsets.keys.sorted().map { "\($0.isEmpty ? "ai.onnx" : $0) \(opsets[$0] ?? 0)" }.joined(separator: ", "))
    }

    /// The tensors that an output is made of, with the axes along which they are squeezed: those of a sequence are named `NAME[0]`, `NAME[1]`, …
    private func tensors(of value: Imported, named name: String) throws -> [(String, ValueID, [Int])] {
        switch value {
        case .tensor(let id): [(name, id, [])]
        case .squeezed(let id, let axes): [(name, id, axes)]
        case .sequence(let items): try items.enumerated().flatMap { try tensors(of: $1, named: "\(name)[\($0)]") }
        case .optional(let inner): try inner.map { try tensors(of: $0, named: name) } ?? []
        case .strings, .failed: throw Diagnostic(.unsupported, "is a string tensor; artifacts return numbers only", at: ["output '\(name)'"])
        }
    }

    /// The nodes of a graph, its constants first. The caller opens a scope and defines the inputs.
    mutating func importBody(_ graph: OnnxGraph) throws {
        for tensor in graph.initializers { try define(tensor.name, constant(tensor), at: "initializer '\(tensor.name)'") }
        for sparse in graph.sparseInitializers {
            try define(sparse.values.name, .tensor(constant(try dense(sparse))), at: "initializer '\(sparse.values.name)'")
        }
        for node in try ordered(graph.nodes) { importNode(node) }
    }

    // MARK: Names

    func lookup(_ name: String) -> Imported? {
        for scope in scopes.reversed() {
            if let value = scope[name] { return value }
        }
        return nil
    }

    mutating func define(_ name: String, _ value: Imported, at place: String) throws {
        guard scopes[scopes.count - 1].updateValue(value, forKey: name) == nil else {
            throw Diagnostic(.invalid, "the name '\(name)' is defined twice", at: [place])
        }
        if case .tensor(let id) = value, rewriter.function[id].name.isEmpty { rewriter.setName(name, of: id) }
    }

    // MARK: Nodes

    /// Imports one node; what stands in the way is recorded and its outputs are marked.
    private mutating func importNode(_ node: OnnxNode) {
        guard budget.spend(1) else {
            if errors.last?.message != exhausted.message { errors.append(exhausted) }
            try? defineOutputs(node, nil, "")
            return
        }
        let label = node.name.isEmpty ? node.outputs.first { !$0.isEmpty } ?? "" : node.name
        let version = opsets[node.domain] ?? (node.domain.isEmpty ? 0 : 1)
        let opName = (node.domain.isEmpty ? "" : node.domain + ".") + node.op
        let place = "node '\(label)' (\(opName), opset \(version))"
        let outer = provenance
        provenance = outer.isEmpty ? [label] : [outer[0] + "/" + label]
        defer { provenance = outer }
        do {
            let results = try results(of: node, version: version)
            if results.count == 1, case .failed = results[0] {
                try defineOutputs(node, nil, place)
            } else {
                try defineOutputs(node, results, place)
            }
        } catch let error as Diagnostic {
            errors.append(error.location.first == place ? error : error.inside(place))
            try? defineOutputs(node, nil, place)
        } catch let error as Diagnostics {
            errors += error.all
            try? defineOutputs(node, nil, place)
        } catch {
            errors.append(Diagnostic(.internal, "\(error)", at: [place]))
            try? defineOutputs(node, nil, place)
        }
    }

    /// The values of a node's outputs; a single `.failed` when an input has failed.
    private mutating func results(of node: OnnxNode, version: Int) throws -> [Imported] {
        var resolved = node
        resolved.attributes = node.attributes.compactMap { attribute in
            guard case .reference(let name) = attribute.value else { return attribute }
            return callAttributes[name].map { OnnxAttribute(name: attribute.name, value: $0) }
        }
        var names: Set<String> = []
        if let twice = node.attributes.first(where: { !names.insert($0.name).inserted }) {
            throw Diagnostic(.invalid, "attribute '\(twice.name)' is given twice")
        }
        let function = functions[Self.key(node.domain, node.op, node.overload)]
        // Looked up before the inputs, so that an unknown operator is reported even behind another one.
        let rule = function == nil ? try OnnxRules.rule(node.domain, node.op, version: version) : nil
        if rule != nil { try checkAttributes(of: node, version: version) }
        let inputs: [Imported?] = try node.inputs.map { name in
            if name.isEmpty { return nil }
            guard let value = lookup(name) else { throw Diagnostic(.invalid, "its input '\(name)' is not defined") }
            return value
        }
        if inputs.contains(where: { $0?.isFailed ?? false }) { return [.failed] }
        if let function { return try inline(function, resolved, inputs) }
        let outputCount = (node.outputs.lastIndex { !$0.isEmpty } ?? -1) + 1
        func build(_ importer: inout Self, _ inputs: [Imported?]) throws -> [Imported] {
            try rule?.build(&importer, OnnxCall(node: resolved, inputs: inputs, version: version, outputCount: outputCount)) ?? []
        }
        return try throughElementwise(resolved, inputs, build) ?? build(&self, inputs)
    }

    /// Refuses attributes that the operator does not have: whoever wrote them meant something by them. Names that begin with two underscores are for
    /// the use of tools.
    private func checkAttributes(of node: OnnxNode, version: Int) throws {
        guard let known = OperatorAttributes.names(node.domain, node.op, version: version),
              let unknown = node.attributes.first(where: { attribute in !attribute.name.hasPrefix("__") && !known.contains { $0 == attribute.name } }) else { return }
        let list = known.isEmpty ? "none" : known.joined(separator: ", ")
        throw Diagnostic(.invalid, "\(node.op) has no attribute '\(unknown.name)' in version \(version) of its operator set",
            hint: "its attributes are: \(list)")
    }

    private mutating func defineOutputs(_ node: OnnxNode, _ values: [Imported]?, _ place: String) throws {
        for (i, name) in node.outputs.enumerated() where !name.isEmpty {
            guard let values else {
                try define(name, .failed, at: place)
                continue
            }
            guard values.indices.contains(i) else { throw Diagnostic.unsupported("output \(i) ('\(name)') is not supported").inside(place) }
            try define(name, values[i], at: place)
        }
    }

    // MARK: Functions and subgraphs

    private mutating func inline(_ function: OnnxFunction, _ call: OnnxNode, _ inputs: [Imported?]) throws -> [Imported] {
        let key = Self.key(function.domain, function.name, function.overload)
        guard !callStack.contains(key), callStack.count < 64 else { throw Diagnostic(.invalid, "the function '\(function.name)' calls itself") }
        let saved = (scopes, opsets, callAttributes)
        defer {
            (scopes, opsets, callAttributes) = saved
            callStack.removeLast()
            callNames.removeLast()
        }
        callStack.append(key)
        callNames.append(function.name)
        scopes = [[:]]
        if !function.opsets.isEmpty { opsets = function.opsets.mapValues { Int($0) } }
        callAttributes = [:]
        for attribute in function.defaults + call.attributes { callAttributes[attribute.name] = attribute.value }
        let known = errors.count
        for (i, name) in function.inputs.enumerated() where inputs.indices.contains(i) {
            if let value = inputs[i] { try define(name, value, at: "function '\(function.name)'") }
        }
        // An input that the call leaves out stays undefined, and so does an optional input of a node that names it.
        let absent = Set(function.inputs).subtracting(scopes[0].keys)
        for node in try ordered(function.nodes) {
            var node = node
            node.inputs = node.inputs.map { absent.contains($0) ? "" : $0 }
            importNode(node)
        }
        if errors.count > known { return [.failed] }
        return try function.outputs.map { name in
            guard let value = lookup(name) else { throw Diagnostic(.invalid, "the function '\(function.name)' does not compute its output '\(name)'") }
            return value
        }
    }

    /// Imports a subgraph into the current block. `inputs` are the values of its formal inputs.
    mutating func importSubgraph(_ graph: OnnxGraph, inputs: [Imported]) throws -> [Imported] {
        guard graph.inputs.count == inputs.count else {
            throw Diagnostic(.invalid, "a subgraph has \(graph.inputs.count) inputs where \(inputs.count) are given")
        }
        scopes.append([:])
        defer { scopes.removeLast() }
        for (info, value) in zip(graph.inputs, inputs) { try define(info.name, value, at: "subgraph '\(graph.name)'") }
        let known = errors.count
        try importBody(graph)
        if errors.count > known { return graph.outputs.map { _ in .failed } }
        return try graph.outputs.map { output in
            guard let value = lookup(output.name) else { throw Diagnostic(.invalid, "the subgraph's output '\(output.name)' is not defined") }
            return value
        }
    }

    /// Builds a region: a block of its own with arguments of the given types. Values that are known of outer blocks stay known.
    /// - Returns: the block, nil where `build` has none (and has recorded why).
    mutating func importRegion(
        _ arguments: [ValueType], names: [String], mayNotRun: Bool, _ build: (inout Self, [ValueID]) throws -> [ValueID]?
    ) throws -> BlockID? {
        let outer = (block, self.mayNotRun)
        defer { (block, self.mayNotRun) = outer }
        self.mayNotRun = self.mayNotRun || mayNotRun
        block = rewriter.addBlock()
        let values = zip(arguments, names).map { rewriter.addArgument($0, name: $1, to: block) }
        guard let results = try build(&self, values) else { return nil }
        rewriter.setResults(results, of: block)
        return block
    }
}
