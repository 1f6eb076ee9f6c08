import GlmcIR

/// Rules about slices, concatenations and gathers.
let sliceRules: [Rule] = [
    identitySlice, composedSlice, sliceOfConcat, singleConcat, nestedConcat, concatOfSlices, gatherOfRange,
]

/// A slice of everything → its operand.
private let identitySlice = Rule("identity-slice", on: Slice.self) { function, id, op in
    let node = function[id]
    guard op.starts.allSatisfy({ $0 == 0 }), op.steps.allSatisfy({ $0 == 1 }),
          function.type(node.operands[0]) == function.type(node.results[0]) else { return nil }
    return { try $0.replace(id, with: node.operands) }
}

/// `slice(slice(x))` → `slice(x)`.
private let composedSlice = Rule("composed-slice", on: Slice.self) { function, id, op in
    guard let (_, inner, operands) = function.match(function[id].operands[0], Slice.self) else { return nil }
    let axes = op.starts.indices
    guard !axes.contains(where: { inner.steps[$0].multipliedReportingOverflow(by: op.steps[$0]).overflow }) else { return nil }
    let composed = Slice(
        starts: axes.map { inner.starts[$0] + op.starts[$0] * Extent(inner.steps[$0]) }, sizes: op.sizes,
        steps: axes.map { inner.steps[$0] * op.steps[$0] })
    return { try $0.replace(id, with: composed, operands) }
}

/// A slice that lies inside one operand of a concat → a slice of that operand.
private let sliceOfConcat = Rule("slice-of-concat", on: Slice.self) { function, id, op in
    guard let (_, concat, operands) = function.match(function[id].operands[0], Concat.self), op.steps[concat.axis] == 1,
          let start = op.starts[concat.axis].constant, let size = op.sizes[concat.axis].constant else { return nil }
    var offset = 0
    for operand in operands {
        guard let extent = function.tensorType(operand).shape[concat.axis].constant else { return nil }
        if start >= offset, saturatingSum(start, size) <= offset + extent {
            var inner = op
            inner.starts[concat.axis] = Extent(start - offset)
            let slice = inner
            return { try $0.replace(id, with: slice, [operand]) }
        }
        offset += extent
    }
    return nil
}

/// A concat of one operand → the operand; operands without elements are left out.
private let singleConcat = Rule("single-concat", on: Concat.self) { function, id, op in
    let node = function[id]
    if node.operands.count == 1, function.type(node.operands[0]) == function.type(node.results[0]) {
        return { try $0.replace(id, with: node.operands) }
    }
    let kept = node.operands.filter { function.tensorType($0).shape[op.axis] != 0 }
    // An operand without elements may be the one that says what another axis is.
    let types = try? op.infer(InferenceContext(operands: kept.map { function.type($0) }))
    guard kept.count < node.operands.count, !kept.isEmpty, types == [function.type(node.results[0])] else { return nil }
    return { try $0.replace(id, with: op, kept) }
}

/// `concat(concat(x, y), z)` → `concat(x, y, z)` along one axis, where nobody else reads the inner one. The outermost of a nest takes
/// all of it at once: one by one, the operands of the innermost would be copied for each that stands around.
private let nestedConcat = Rule("nested-concat", on: Concat.self) { function, id, op in
    func isInner(_ value: ValueID) -> Bool { function.definingOp(value, as: Concat.self) == op && function.hasOneUse(value) }
    let node = function[id]
    if isInner(node.results[0]), let reader = function.users(of: node.results[0]).first, function[reader].op as? Concat == op { return nil }
    guard node.operands.contains(where: isInner) else { return nil }
    var flat: [ValueID] = [], rest = Array(node.operands.reversed())
    while let operand = rest.popLast() {
        if isInner(operand), let inner = function.definingNode(operand) { rest += function[inner].operands.reversed() } else { flat.append(operand) }
    }
    return { try $0.replace(id, with: op, flat) }
}

/// A concat of adjacent slices of one tensor → one slice.
private let concatOfSlices = Rule("concat-of-slices", on: Concat.self) { function, id, op in
    let node = function[id]
    let slices = node.operands.compactMap { function.match($0, Slice.self) }
    guard let first = slices.first, slices.count == node.operands.count, slices.count > 1 else { return nil }
    var whole = first.op
    whole.sizes[op.axis] = 0
    for (_, slice, operands) in slices {
        guard operands == first.operands, slice.steps == whole.steps, slice.steps[op.axis] == 1,
              slice.starts[op.axis] == whole.starts[op.axis] + whole.sizes[op.axis] else { return nil }
        for axis in slice.starts.indices where axis != op.axis {
            guard slice.starts[axis] == whole.starts[axis], slice.sizes[axis] == whole.sizes[axis] else { return nil }
        }
        whole.sizes[op.axis] = whole.sizes[op.axis] + slice.sizes[op.axis]
    }
    let slice = whole
    return { try $0.replace(id, with: slice, first.operands) }
}

/// A gather of one constant index, or of consecutive ones → a slice, which is a view.
private let gatherOfRange = Rule("gather-of-range", on: Gather.self) { function, id, op in
    let node = function[id], type = function.tensorType(node.operands[0])
    guard let indices = function.constant(node.operands[1]), indices.count > 0, indices.count <= 1 << 16,
          function.constant(node.operands[0]) == nil else { return nil }
    let values = indices.integers
    // Indices from the end need a known extent.
    guard let first = values[0] >= 0 ? Extent(values[0]) : type.shape[op.axis].constant.map({ Extent($0 + values[0]) }),
          values.enumerated().allSatisfy({ $1 == values[0] &+ $0 }), values[0] >= 0 || values[values.count - 1] < 0 else { return nil }
    // What is out of range is an error of the data, which a slice does not look for; of free sizes only what always runs is checked.
    let room = type.shape[op.axis] - first - Extent(values.count)
    guard first.isNeverNegative, room.isNeverNegative || !room.isConstant && node.block == function.body else { return nil }
    var slice = Slice(starts: type.shape.map { _ in 0 }, sizes: type.shape)
    slice.starts[op.axis] = first
    slice.sizes[op.axis] = Extent(values.count)
    let (view, result) = (slice, function.tensorType(node.results[0]))
    return { rewriter in
        let part = try rewriter.create1(view, [node.operands[0]], at: .before(id), provenance: node.provenance)
        try rewriter.replace(id, with: Reshape(result.shape), [part])
    }
}
