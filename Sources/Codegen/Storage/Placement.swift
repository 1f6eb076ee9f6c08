import GlmcIR

/// Where a value lies: a strided window of a storage, strides and offset counted in elements by logical axis. Inside a loop the window
/// may move from iteration to iteration.
struct TensorPlacement: Hashable {
    var storage: StorageID
    var element: ElementType
    var shape: [Extent]
    var strides: [Extent]
    var offset: Extent
    var loopOffsets: [LoopOffset] = []

    var view: TensorView { TensorView(BufferID(0), element, shape: shape, strides: strides, offset: offset) }

    /// The window that `view`, derived from this placement's view, shows.
    func showing(_ view: TensorView) -> TensorPlacement {
        TensorPlacement(storage: storage, element: view.element, shape: view.shape, strides: view.strides, offset: view.offset, loopOffsets: loopOffsets)
    }

    /// One slice for each of `count` iterations of a loop.
    func slice(along axis: Int, isReversed: Bool, count: Extent, of loop: LoopID) -> TensorPlacement {
        var result = self
        let stride = result.strides.remove(at: axis)
        result.shape.remove(at: axis)
        if isReversed { result.offset = result.offset + (count - 1) * stride }
        result.loopOffsets.append(LoopOffset(loop: loop, stride: isReversed ? 0 - stride : stride))
        return result
    }
}

/// Decides where every value that crosses a kernel border lies, sharing memory between views, parts of concatenations, interiors
/// of padded tensors, and elementwise results that overwrite a dead operand.
struct Placements {
    private(set) var storages: [Storage] = []
    private(set) var placements: [ValueID: TensorPlacement] = [:]
    /// How many values lie in each storage.
    private var residents: [StorageID: Int] = [:]
    private var weights: [StoredWeight: StorageID] = [:]
    private var outputs: [Int: StorageID] = [:]
    /// All values that lie, or lay once, in each storage.
    private var values: [StorageID: [ValueID]] = [:]
    /// Operands of placement ops that were written in place by their producers.
    private var placedInside: Set<Use> = []
    private let function: Function
    private let groups: [Group]
    /// The position in `groups` of each node's group.
    private var groupOf: [NodeID: Int] = [:]
    /// The position in `groups` of what finds each size that the data make.
    private var finders: [String: Int] = [:]
    private let internalValues: Set<ValueID>
    /// The block of each group.
    private let blockOf: [BlockID]

    /// - Parameter groups: all groups of all blocks.
    init(_ function: Function, groups: [[Group]], blocks: [BlockID]) {
        self.function = function
        self.groups = groups.flatMap { $0 }
        blockOf = zip(groups, blocks).flatMap { list, block in list.map { _ in block } }
        internalValues = Set(self.groups.flatMap { group in
            group.nodes.filter { $0 != group.root }.flatMap { function[$0].results }
        })
        for (i, group) in self.groups.enumerated() {
            for node in group.nodes {
                groupOf[node] = i
                for name in function[node].op.foundSizes.flatMap(\.dimensions) { finders[name] = i }
            }
        }
        let states = Set(function.states.map(\.input)), updates = Set(function.states.map { function.outputs[$0.output] })
        for (i, input) in function.inputs.enumerated() {
            let type = function.tensorType(input)
            set(input, dense(type, in: add(states.contains(input) ? .state(input: i) : .input(i), type.byteCount)))
        }
        for (i, output) in function.outputs.enumerated() where placements[output] == nil && isComputed(output) && !updates.contains(output) {
            let type = function.tensorType(output)
            if type.layout == .rowMajor || Layout.rowMajor.strides(of: type.shape) == type.layout.strides(of: type.shape) {
                set(output, dense(type.with(layout: .rowMajor), in: add(.output(i), type.byteCount)))
            }
        }
        for list in groups.reversed() { for group in list.reversed() { placeOperands(of: group) } }
        for list in groups { for group in list { placeResults(of: group) } }
    }

    subscript(value: ValueID) -> TensorPlacement? { placements[value] }
    func isPlacedInside(_ use: Use) -> Bool { placedInside.contains(use) }

    /// The placement of an operand, giving constants memory when they are first read.
    mutating func placement(ofOperand value: ValueID) throws -> TensorPlacement {
        if let known = placements[value] { return known }
        guard let constant = function.definingOp(value, as: Constant.self) else {
            throw Diagnostic(.internal, "the value '\(function[value].name)' of type \(function.type(value)) has no memory")
        }
        let result = dense(function.tensorType(value), in: storage(of: StoredWeight(dense: constant.value)))
        set(value, result)
        return result
    }

    /// The caller's buffer for output `i`: that of a state for its new value.
    mutating func outputPlacement(_ i: Int, _ type: TensorType) -> TensorPlacement {
        if let state = function.states.first(where: { $0.output == i }), let home = placements[state.input] { return home }
        return dense(type.with(layout: .rowMajor), in: outputs[i] ?? add(.output(i), type.byteCount))
    }

    private func isRoot(_ node: NodeID) -> Bool { groupOf[node].map { groups[$0].root == node } ?? false }

    private func isComputed(_ value: ValueID) -> Bool {
        guard let node = function.definingNode(value) else { return false }
        return !(function[node].op is Constant)
    }

    private mutating func add(_ owner: Storage.Owner, _ byteCount: Extent) -> StorageID {
        let new = StorageID(index: storages.count)
        if case .output(let i) = owner { outputs[i] = new }
        storages.append(Storage(owner: owner, byteCount: byteCount))
        return new
    }

    /// Where a weight lies: equal ones lie in one place.
    mutating func storage(of weight: StoredWeight) -> StorageID {
        if let known = weights[weight] { return known }
        let new = add(.weight(weight), Extent(weight.byteCount))
        weights[weight] = new
        return new
    }

    /// A private area of a launch.
    mutating func scratch(_ byteCount: Extent, perThread: Bool) -> StorageID { add(.scratch(perThread: perThread), byteCount) }

    subscript(storage: StorageID) -> Storage { storages[storage.index] }

    private mutating func set(_ value: ValueID, _ placement: TensorPlacement) {
        if let old = placements.updateValue(placement, forKey: value) { residents[old.storage, default: 0] -= 1 }
        residents[placement.storage, default: 0] += 1
        values[placement.storage, default: []].append(value)
    }

    private func dense(_ type: TensorType, in storage: StorageID) -> TensorPlacement {
        TensorPlacement(storage: storage, element: type.element, shape: type.shape, strides: type.layout.strides(of: type.shape), offset: 0)
    }

    /// A fresh dense area for a value, if it has no place yet.
    @discardableResult
    private mutating func place(_ value: ValueID) -> TensorPlacement {
        if let known = placements[value] { return known }
        let type = function.tensorType(value)
        let result = spaced(value, type) ?? dense(type, in: add(.arena, type.byteCount))
        set(value, result)
        return result
    }

    /// A placement with a gap after every row of the innermost axis, for tensors whose dense rows would fall into few sets of a
    /// processor's first-level cache and that kernels read many rows of at once. Only where nobody needs dense memory.
    private mutating func spaced(_ value: ValueID, _ type: TensorType) -> TensorPlacement? {
        let order = type.layout.axisOrder(rank: type.rank)
        guard let inner = order.last, let length = type.shape[inner].constant, length > 0, length * type.element.byteCount % 2048 == 0,
              type.element.byteCount > 0, order.dropLast().contains(where: { type.shape[$0] != 1 }) else { return nil }
        var isReadByRows = false
        for use in function[value].uses {
            guard case .operand(let user, let position) = use, let group = groupOf[user].map({ groups[$0] }),
                  case .tuned(let kernel, let anchor) = group.kind else { return nil }
            if user == anchor {
                guard position == 0, kernel.plan.readsManyRows else { return nil }
                isReadByRows = true
            } else if function[user].op.layoutBehavior != .uniform {
                return nil
            }
        }
        guard isReadByRows else { return nil }
        var wide = type
        wide.shape[inner] = Extent(length + 64 / type.element.byteCount)
        var result = dense(wide, in: add(.arena, wide.byteCount))
        result.shape = type.shape
        return result
    }

    // MARK: Backwards: operands inside results

    private mutating func placeOperands(of group: Group) {
        guard case .movement = group.kind, let op = function[group.root].op as? any DestinationOp else { return }
        let node = function[group.root]
        let result = node.results[0]
        let isView = op is any ViewOp
        if isView && placements[result] == nil && !wantsDenseResult(node) { return }
        let eligible = node.operands.indices.filter { mayLieInside(node.operands[$0]) }
        if eligible.isEmpty { return }
        let home = place(result)
        guard let views = op.placements(ofOperands: node.operands.map { function.tensorType($0) }, in: home.view) else { return }
        for i in eligible where placements[node.operands[i]] == nil {
            // What is computed once may not lie in memory that moves from iteration to iteration.
            guard let producer = function.definingNode(node.operands[i]), function[producer].block == node.block else { continue }
            let place = home.showing(views[i])
            guard isKnown([place.offset] + place.strides, before: groupOf[producer]) else { continue }
            set(node.operands[i], place)
            placedInside.insert(.operand(group.root, i))
        }
    }

    /// Whether no kernel from `group` on has yet to find one of the sizes: results may not lie where such a size says.
    private func isKnown(_ sizes: [Extent], before group: Int?) -> Bool {
        sizes.allSatisfy { size in
            size.dimensions.allSatisfy { name in
                guard let finder = finders[name] else { return true }
                return group.map { finder < $0 } ?? false
            }
        }
    }

    /// A value that some kernel computes, that no view of other memory defines, and that is not shared with the outside.
    private func mayLieInside(_ value: ValueID) -> Bool {
        guard placements[value] == nil, isComputed(value), !internalValues.contains(value), let definition = function.definingNode(value) else { return false }
        if function[definition].op is any ViewOp { return function[definition].op is any DestinationOp && !definesView(definition) }
        return function[definition].regions.isEmpty && isRoot(definition)
    }

    /// Whether a view op will show its operand's memory, which is then not free to lie elsewhere.
    private func definesView(_ node: NodeID) -> Bool {
        let operand = function[node].operands[0]
        return placements[operand] != nil || !isComputed(operand) || function[operand].uses.count > 1
    }

    /// A transposition between a kernel and a reshape: writing the transposed order directly saves the copy that the reshape
    /// would need, as long as the contiguous axis stays.
    private func wantsDenseResult(_ node: Node) -> Bool {
        guard let definition = function.definingNode(node.operands[0]), !(function[definition].op is any ViewOp),
              function[node.operands[0]].uses.count == 1, let view = node.op as? any ViewOp else { return false }
        let operand = dense(function.tensorType(node.operands[0]), in: StorageID(index: 0))
        guard let shown = view.view(of: operand.view, resultType: function.tensorType(node.results[0])), shown.strides.last == 1, !shown.isContiguous else { return false }
        return function[node.results[0]].uses.contains { use in
            if case .operand(let user, _) = use { function[user].op is any ViewOp } else { false }
        }
    }

    // MARK: Forwards: views, reuse, fresh memory

    private mutating func placeResults(of group: Group) {
        let node = function[group.root]
        if case .movement = group.kind, let op = node.op as? any ViewOp, placements[node.results[0]] == nil {
            let operand = node.operands[0]
            if placements[operand] != nil || function.definingOp(operand, as: Constant.self) != nil,
               let source = try? placement(ofOperand: operand),
               let view = op.view(of: source.view, resultType: function.tensorType(node.results[0])) {
                set(node.results[0], source.showing(view))
                return
            }
        }
        for result in node.results where placements[result] == nil {
            if case .control = group.kind {
                place(result)
            } else if let operand = reusableOperand(of: group) ?? updatableOperand(of: group), let place = placements[operand] {
                set(result, place)
            } else {
                place(result)
            }
        }
        if let op = node.op as? any ControlOp, case .loop(let form) = op.control(node, in: function) { placeArguments(of: form, group.root) }
    }

    /// States live where the loop leaves them, so the last iteration's need no copy; slices show the sequences.
    private mutating func placeArguments(of loop: LoopForm, _ node: NodeID) {
        for state in loop.states {
            if let result = state.result, let home = placements[result], function.type(result) == function.type(state.argument) {
                set(state.argument, home)
            } else {
                place(state.argument)
            }
        }
        for sequence in loop.sequences {
            guard let whole = try? placement(ofOperand: sequence.whole) else { continue }
            set(sequence.part, whole.slice(
                along: sequence.axis, isReversed: sequence.isReversed, count: whole.shape[sequence.axis], of: LoopID(index: node.index)))
        }
        if let counter = loop.counter { place(counter) }
    }

    /// Fresh memory for a value of `type`.
    mutating func temporary(_ type: TensorType) -> TensorPlacement { dense(type, in: add(.arena, type.byteCount)) }

    /// The operand in whose memory an op may write its result's new elements: memory of this run or a state, which holds every element by itself, and all of
    /// whose other readers come before.
    private func updatableOperand(of group: Group) -> ValueID? {
        let node = function[group.root]
        guard case .loops = group.kind, let position = node.op.updatedOperand, let place = placements[node.operands[position]], place.loopOffsets.isEmpty,
              !place.view.repeatsElements else { return nil }
        switch self[place.storage].owner {
        case .arena, .state: break
        case .input, .output, .weight, .scratch: return nil
        }
        let operand = node.operands[position]
        guard function.definingNode(operand).map({ function[$0].block == node.block }) ?? (function.inputs.contains(operand) && node.block == function.body),
              function.tensorType(operand) == function.tensorType(node.results[0]), let own = groupOf[group.root] else { return nil }
        let block = blockOf[own]
        let isFree = values[place.storage, default: []].allSatisfy { value in
            function[value].uses.allSatisfy { use in
                guard case .operand(let user, let at) = use else { return false }
                if user == group.root { return value == operand && at == position }
                return groupOf[user].map { blockOf[$0] == block && $0 < own } ?? false
            }
        }
        return isFree ? operand : nil
    }

    /// An operand that only this purely elementwise group reads and whose memory the result may take over element by element.
    private func reusableOperand(of group: Group) -> ValueID? {
        guard case .pointwise = group.kind, function[group.root].results.count == 1,
              group.nodes.allSatisfy({ function[$0].op.isElementwise }) else { return nil }
        let result = function.tensorType(function[group.root].results[0])
        for id in group.nodes.sorted(by: { $0.index < $1.index }) {
            for operand in function[id].operands where !internalValues.contains(operand) {
                // What outer blocks or other iterations compute is read again.
                guard let definition = function.definingNode(operand), function[definition].block == function[group.root].block,
                      let place = placements[operand], self[place.storage].owner == .arena,
                      function.tensorType(operand).shape == result.shape, function.tensorType(operand).layout == result.layout,
                      place.element.byteCount == result.element.byteCount, place.element == result.element,
                      place.view.strides(matchDenseOf: result.layout), place.offset == 0,
                      residents[place.storage] == 1,
                      function[operand].uses.allSatisfy({ use in
                          if case .operand(let user, _) = use { group.nodes.contains(user) } else { false }
                      }) else { continue }
                return operand
            }
        }
        return nil
    }
}
