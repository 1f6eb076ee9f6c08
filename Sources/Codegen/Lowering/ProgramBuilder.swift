import GlmcIR

/// Lowers a function to a program: groups, places, and emits every kernel.
struct ProgramBuilder {
    let function: Function
    private let target: Target
    private let threads: Int
    private let grouping: Grouping
    private var program: Program
    var placements: Placements
    private var groups: [BlockID: [Group]] = [:]
    /// In which panels the module's constants lie.
    private var formats = PanelFormats()

    /// Lowers every function of a module; the programs share their code.
    /// - Throws: `Diagnostics` naming every node that has no lowering.
    static func build(_ module: Module, target: Target, threads: Int, families: [KernelFamily] = KernelFamily.all) throws -> [Program] {
        for function in module.functions {
            let open = function.foundSizeBounds().open
            if !open.isEmpty { throw Diagnostic(.invalid, "the bounds of the dimensions \(open.joined(separator: ", ")) mention each other") }
        }
        let builders = try module.functions.concurrentMap { ProgramBuilder($0, target: target, threads: threads, families: families) }
        let formats = PanelFormats(builders.flatMap(\.panelRequests), functions: module.functions)
        var programs: [Program] = [], code = SharedCode()
        for var builder in builders {
            builder.formats = formats
            builder.program.code = code
            try builder.lower()
            programs.append(builder.program)
            code = builder.program.code
        }
        for i in programs.indices { programs[i].code = code }
        return programs
    }

    /// Lowers a module of one function.
    static func build(_ function: Function, target: Target, threads: Int, families: [KernelFamily] = KernelFamily.all) throws -> Program {
        let programs = try build(Module(function), target: target, threads: threads, families: families)
        guard let program = programs.first else { throw Diagnostic(.internal, "a module of one function has no program") }
        return program
    }

    private mutating func lower() throws {
        try checkConstants()
        program.steps = try lower(function.body) + copyOutputs()
        program.storages = placements.storages
        try program.verifySizeOrder()
    }

    /// What the tuned kernels want of their constants.
    private var panelRequests: [PanelRequest] {
        groups.values.joined().compactMap { group in
            if case .tuned(let kernel, _) = group.kind { kernel.plan.panels } else { nil }
        }
    }

    private init(_ function: Function, target: Target, threads: Int, families: [KernelFamily]) {
        self.function = function
        self.target = target
        self.threads = threads
        grouping = Grouping(function: function, target: target, families: families)
        program = Program(function: function, target: target)
        var blocks = [function.body]
        for id in function.allNodes { blocks += function[id].regions }
        for block in blocks { groups[block] = grouping.groups(in: block) }
        let grouped = groups
        placements = Placements(function, groups: blocks.map { grouped[$0] ?? [] }, blocks: blocks)
    }

    /// Branches and loops may never run, so only the body's own nodes are asked.
    private func checkConstants() throws {
        let failures = function.nodes(in: function.body).compactMap { id -> Diagnostic? in
            let node = function[id], types = node.operands.compactMap { function.type($0).tensor }
            guard types.count == node.operands.count, !types.isEmpty else { return nil }
            do {
                try node.op.checkConstants(node.operands.map { function.definingOp($0, as: Constant.self)?.value }, types: types)
                return nil
            } catch {
                return (error as? Diagnostic)?.inside(name(of: id))
            }
        }
        if !failures.isEmpty { throw Diagnostics(failures) }
    }

    /// An op and the nodes of the model that it comes from, for messages.
    private func name(of id: NodeID) -> String {
        let node = function[id]
        return node.op.mnemonic + (node.provenance.isEmpty ? "" : " (node \(node.provenance.joined(separator: ", ")))")
    }

    mutating func lower(_ block: BlockID) throws -> [Step] {
        var steps: [Step] = []
        var failures: [Diagnostic] = []
        var demanded: Set<SizeDemand.Rule> = []
        for group in groups[block] ?? [] {
            do {
                let demands = function.foundSizeDemands(of: group.nodes.sorted { $0.index < $1.index }).filter { demanded.insert($0.rule).inserted }
                if !demands.isEmpty { steps.append(.demand(demands)) }
                steps += try lower(group)
            } catch let error as Diagnostic {
                failures.append(error.inside(name(of: group.root)))
            } catch let error as Diagnostics {
                failures += error.all
            }
        }
        if !failures.isEmpty { throw Diagnostics(failures) }
        return steps
    }

    private mutating func lower(_ group: Group) throws -> [Step] {
        switch group.kind {
        case .pointwise: return try function[group.root].results.flatMap { try pointwise(group, $0) }
        case .tuned(let kernel, let anchor): return try tuned(group, kernel, anchor)
        case .loops: return try loops(group.root)
        case .movement: return try movement(group)
        case .control: return try control(group.root)
        }
    }

    // MARK: Kinds of groups

    private mutating func pointwise(_ group: Group, _ value: ValueID) throws -> [Step] {
        var assembly = KernelAssembly()
        let (expression, result) = try prepare(nodes: group.nodes, shared: group.shared, value, &assembly)
        let lowering = PointwiseLowering(expression: expression, value: value, result: result, cost: cost(of: group.nodes), target: target)
        try lowering.emit(in: &assembly.builder)
        return try launch(assembly, name: function[group.root].op.mnemonic, nodes: group.nodes, operations: operations(of: group.nodes), results: [result])
    }

    private mutating func tuned(_ group: Group, _ kernel: TunedKernel, _ anchor: NodeID) throws -> [Step] {
        let node = function[anchor]
        var assembly = KernelAssembly()
        assembly.builder.origin = anchor.index
        let fused = group.nodes.subtracting([anchor])
        let (expression, result) = try prepare(nodes: fused, shared: group.shared, function[group.root].results[0], &assembly, known: node.results)
        var operands: [TensorPlacement?] = []
        for operand in node.operands { operands.append(try? placements.placement(ofOperand: operand)) }
        var site = KernelSite(
            node: node, target: target,
            operandTypes: node.operands.map { function.tensorType($0) }, resultTypes: node.results.map { function.tensorType($0) },
            threads: threads, assembly: assembly, placements: operands,
            results: group.root == anchor ? try node.results.map { try place($0) } : [],
            epilogue: Epilogue(expression: expression, anchor: node.results[0], root: function[group.root].results[0], result: result), formats: formats)
        try kernel.plan.emit(&site)
        let results = group.root == anchor ? try node.results.map { site.assembly.view(try place($0), isWritten: true) } : [result]
        return try launch(site.assembly, name: kernel.family, nodes: group.nodes, operations: operations(of: group.nodes), results: results)
    }

    private mutating func loops(_ id: NodeID) throws -> [Step] {
        let node = function[id]
        guard let op = node.op as? any LoopOp else { throw Diagnostic.unsupported("\(node.op.mnemonic) has no lowering yet") }
        var assembly = KernelAssembly()
        let operands = try node.operands.map { assembly.view(try placements.placement(ofOperand: $0), isWritten: false) }
        let results = try node.results.map { assembly.view(try place($0), isWritten: true) }
        assembly.builder.origin = id.index
        try op.lower(operands, to: results, in: &assembly.builder)
        // Of what is updated in place, only some elements are stored.
        let whole = op.updatedOperand.map { operands[$0] == results[0] } ?? false ? Array(results.dropFirst()) : results
        return try launch(assembly, name: node.op.mnemonic, nodes: [id], operations: operations(of: [id]), results: whole)
    }

    /// Copies what could not be shared, and fills what no operand covers.
    private mutating func movement(_ group: Group) throws -> [Step] {
        let node = function[group.root]
        let home = try place(node.results[0])
        if let view = node.op as? any ViewOp {
            if placements.isPlacedInside(.operand(group.root, 0)) { return [] }
            if let source = placements[node.operands[0]],
               let shown = view.view(of: source.view, resultType: function.tensorType(node.results[0])), source.showing(shown) == home { return [] }
            return try pointwise(group, node.results[0])
        }
        guard let op = node.op as? any DestinationOp else { return try pointwise(group, node.results[0]) }
        let types = node.operands.map { function.tensorType($0) }
        guard let views = op.placements(ofOperands: types, in: home.view) else { return try pointwise(group, node.results[0]) }
        var steps: [Step] = []
        for (i, operand) in node.operands.enumerated() where !placements.isPlacedInside(.operand(group.root, i)) {
            steps += try copy(operand, to: home.showing(views[i]), nodes: [group.root])
        }
        var assembly = KernelAssembly()
        let view = assembly.view(home, isWritten: true)
        let statements = try assembly.builder.block { try op.fill(view, operandTypes: types, in: &$0) }
        if !statements.isEmpty {
            assembly.builder.emit(statements)
            steps += try launch(assembly, name: "\(node.op.mnemonic)_fill", nodes: [group.root], operations: 0, isFill: true)
        }
        return steps
    }

    private mutating func control(_ id: NodeID) throws -> [Step] {
        let node = function[id]
        guard let op = node.op as? any ControlOp else { throw Diagnostic.unsupported("\(node.op.mnemonic) is not compiled to native code yet") }
        switch op.control(node, in: function) {
        case .branch(let condition): return try branch(id, condition)
        case .loop(let form): return try loop(id, form)
        }
    }

    /// A kernel that copies a value elsewhere, from `source` if it is not where it was computed.
    mutating func copy(_ value: ValueID, from source: TensorPlacement? = nil, to place: TensorPlacement, nodes: Set<NodeID>) throws -> [Step] {
        var assembly = KernelAssembly()
        var expression = GroupExpression(function: function, inlined: [], views: [:])
        if !expression.isComputable(value) {
            expression.views[value] = assembly.view(try source ?? placements.placement(ofOperand: value), isWritten: false)
        }
        let result = assembly.view(place, isWritten: true)
        try PointwiseLowering(expression: expression, value: value, result: result, cost: 1, target: target).emit(in: &assembly.builder)
        return try launch(assembly, name: "copy", nodes: nodes, operations: 0, results: [result])
    }

    /// Outputs that are inputs, constants, views, or outputs already delivered elsewhere. States take their new values last, when all have been read: what
    /// lies in the memory of another state is set aside before.
    private mutating func copyOutputs() throws -> [Step] {
        var steps: [Step] = [], updates: [(value: ValueID, source: TensorPlacement?, home: TensorPlacement)] = []
        for (i, output) in function.outputs.enumerated() {
            let home = placements.outputPlacement(i, function.tensorType(output))
            if placements[output] == home { continue }
            guard case .state = placements[home.storage].owner else {
                steps += try copy(output, to: home, nodes: [])
                continue
            }
            var source = placements[output]
            if let place = source, case .state = placements[place.storage].owner {
                let aside = placements.temporary(function.tensorType(output).with(layout: .rowMajor))
                steps += try copy(output, to: aside, nodes: [])
                source = aside
            }
            updates.append((output, source, home))
        }
        for update in updates { steps += try copy(update.value, from: update.source, to: update.home, nodes: []) }
        return steps
    }

    // MARK: Parts

    func place(_ value: ValueID) throws -> TensorPlacement {
        guard let place = placements[value] else { throw Diagnostic(.internal, "the result '\(function[value].name)' has no memory") }
        return place
    }

    /// The expression of a group's value with all memory it reads as parameters, and the view where the value goes.
    private mutating func prepare(
        nodes: Set<NodeID>, shared: [NodeID], _ value: ValueID, _ assembly: inout KernelAssembly, known: [ValueID] = []
    ) throws -> (GroupExpression, TensorView) {
        var views: [ValueID: TensorView] = [:]
        let ordered = nodes.sorted { $0.index < $1.index }
        for operand in GroupExpression.externalOperands(of: ordered, in: function, inside: nodes) where !known.contains(operand) {
            views[operand] = try lookedUp(operand, &assembly) ?? assembly.view(try placements.placement(ofOperand: operand), isWritten: false)
        }
        let result = assembly.view(try place(value), isWritten: true)
        let repeated = shared.filter(nodes.contains).map { function[$0].results[0] }
        return (GroupExpression(function: function, inlined: nodes, views: views, shared: repeated), result)
    }

    /// A constant that lies in a product's panels.
    private func lookedUp(_ operand: ValueID, _ assembly: inout KernelAssembly) throws -> TensorView? {
        guard let constant = function.definingOp(operand, as: Constant.self)?.value, let format = formats.lookup(constant) else { return nil }
        let packing = PanelFormat(matrix: format.weights, kind: format.kind, lanes: RegisterModel(target).lanes, panels: format.panels)
        let buffer = assembly.weight("w", constant.element, try StoredWeight([format.weights], as: packing))
        return TensorView(buffer, constant.element, shape: function.tensorType(operand).shape, strides: packing.columnStrides, panels: packing.columnPanels)
    }

    private func cost(of nodes: Set<NodeID>) -> Int {
        nodes.reduce(1) { sum, id in
            switch (function[id].op as? any PointwiseOp)?.elementCost ?? .cheap {
            case .cheap: return sum + 1
            case .expensive: return sum + 20
            case .many:
                let read = function[id].operands.map { function.tensorType($0).elementCount.constant ?? 4096 }.max() ?? 1
                let made = function.tensorType(function[id].results[0]).elementCount.constant ?? 1
                return sum + Swift.max(read / Swift.max(made, 1), 16)
            }
        }
    }

    private func operations(of nodes: Set<NodeID>) -> Extent {
        nodes.reduce(0) { $0 + function.operationCount(of: $1) }
    }

    /// The launches of a kernel, one for each of its phases: launches are what threads wait between.
    private mutating func launch(_ assembly: KernelAssembly, name: String, nodes: Set<NodeID>, operations: Extent, results: [TensorView] = [], isFill: Bool = false) throws -> [Step] {
        var builder = assembly.builder
        let ordered = nodes.sorted { $0.index < $1.index }
        let kernel = KernelFunction(name, buffers: builder.buffers, body: builder.finish())
        try KernelVerifier.verify(kernel, forms: target.vectorForms, results: results)
        let arguments = arguments(of: assembly, builder.buffers)
        let origins = builder.origins.map { origin in nodes.first { $0.index == origin }.map(self.name(of:)) ?? "" }
        var unique: [String] = []
        for source in ordered.flatMap({ function[$0].provenance }) where !unique.contains(source) { unique.append(source) }
        let work = isFill ? 0 : nodes.reduce(Extent(0)) { $0 + WorkEstimate.of($1, in: function) }
        let bytes = nodes.reduce(Extent(0)) { sum, id in sum + function[id].results.reduce(0) { $0 + function.tensorType($1).byteCount } }
        let phases = try kernel.phases(), dimensions = function.dimensions.map(\.name)
        return phases.enumerated().map { number, phase in
            // The last phase is the kernel proper; the others prepare its operands.
            let isProper = number == phases.count - 1
            var reads: Set<StorageID> = [], writes: Set<StorageID> = []
            for (i, argument) in arguments.enumerated() where placements[argument.storage].isShared {
                if phase.body.contains(where: { $0.stores(to: BufferID(i)) }) { writes.insert(argument.storage) }
                if phase.body.contains(where: { $0.loads(BufferID(i)) }) { reads.insert(argument.storage) }
            }
            return .launch(Launch(
                kernel: program.code.index(of: phase, dimensions: dimensions), arguments: arguments, origins: origins, reads: reads, writes: writes,
                isSingle: phase.body.allSatisfy { if case .single = $0 { true } else { false } }, isFill: isFill,
                provenance: unique, family: isProper ? name : "\(name)-prepare", operations: isProper ? operations : 0, bytes: bytes, work: work))
        }
    }

    /// What the parameters are bound to; weights and private areas get storages.
    private mutating func arguments(of assembly: KernelAssembly, _ buffers: [Buffer]) -> [Argument] {
        buffers.enumerated().compactMap { i, buffer in
            switch (buffer.role, assembly.bindings[BufferID(i)]) {
            case (.scratch(let count, let perThread), _):
                Argument(storage: placements.scratch(count * Extent(buffer.element.byteCount), perThread: perThread))
            case (_, .weight(let weight)): Argument(storage: placements.storage(of: weight))
            case (_, .placed(let argument)): argument
            case (_, nil): nil
            }
        }
    }
}
