/// ONNX's Scan: runs a region once for each slice of its sequences.
///
/// Operands: the initial states, then the sequences, one for each entry of `inputAxes`. The region takes the states and one slice
/// of every sequence (without the scanned axis), and yields the next states and the values to stack, one for each entry of
/// `outputAxes`. Results: the final states, then the scan outputs.
public struct Scan: ControlOp {
    public static let mnemonic = "scan"
    public static let summary = "Runs a region over slices of sequences"
    public static var attributes: [Attribute<Self>] {
        [
            Attribute("input_axes", \.inputAxes), Attribute("input_reversed", \.inputReversed),
            Attribute("output_axes", \.outputAxes), Attribute("output_reversed", \.outputReversed),
        ]
    }

    public var inputAxes: [Int]
    /// For each sequence, 1 where it runs from the last slice to the first, else 0.
    public var inputReversed: [Int]
    public var outputAxes: [Int]
    /// For each stack, 1 where values are put in front, else 0.
    public var outputReversed: [Int]

    public init() { self.init(inputAxes: [], outputAxes: []) }
    public init(inputAxes: [Int], inputReversed: [Int]? = nil, outputAxes: [Int], outputReversed: [Int]? = nil) {
        self.inputAxes = inputAxes
        self.inputReversed = inputReversed ?? [Int](repeating: 0, count: inputAxes.count)
        self.outputAxes = outputAxes
        self.outputReversed = outputReversed ?? [Int](repeating: 0, count: outputAxes.count)
    }

    public func infer(_ context: InferenceContext) throws -> [ValueType] {
        let states = context.operands.count - inputAxes.count
        guard states >= 0, !inputAxes.isEmpty, inputReversed.count == inputAxes.count, outputReversed.count == outputAxes.count,
              context.regions.count == 1, context.regions[0].arguments.count == context.operands.count,
              context.regions[0].results.count == states + outputAxes.count else {
            throw Diagnostic(.invalid, "the region and attributes do not fit \(context.operands.count) operands")
        }
        let region = context.regions[0]
        for i in 0..<states where context.operands[i] != region.arguments[i] || context.operands[i] != region.results[i] {
            throw Diagnostic(.invalid, "state \(i) is \(context.operands[i]), \(region.arguments[i]) and \(region.results[i])")
        }
        var length: Extent?
        for (i, axis) in inputAxes.enumerated() {
            let type = try context.tensor(states + i)
            try checkAxis(axis, of: type)
            if let length, length != type.shape[axis] { throw Diagnostic(.invalid, "the sequences have different lengths \(length) and \(type.shape[axis])") }
            length = type.shape[axis]
            var slice = TensorType(type.element, type.shape)
            slice.shape.remove(at: axis)
            guard region.arguments[states + i] == .tensor(slice) else {
                throw Diagnostic(.invalid, "a slice of \(type) is \(slice), but the region takes \(region.arguments[states + i])")
            }
        }
        return Array(region.results[..<states]) + (try outputAxes.enumerated().map { i, axis in
            guard var type = region.results[states + i].tensor, 0...type.rank ~= axis else {
                throw Diagnostic(.invalid, "\(region.results[states + i]) cannot be stacked along axis \(axis)")
            }
            type.shape.insert(length ?? 0, at: axis)
            return .tensor(type)
        })
    }

    public func equalSizes(in context: InferenceContext) -> [SizeEquation] {
        let shapes = context.shapes, states = shapes.count - inputAxes.count
        guard states >= 0 else { return [] }
        let lengths = zip(shapes[states...], inputAxes).compactMap { $0.indices.contains($1) ? $0[$1] : nil }
        return lengths.dropFirst().map { SizeEquation($0, lengths[0]) }
    }

    public func control(_ node: Node, in function: Function) -> Control {
        let region = function[node.regions[0]], states = node.operands.count - inputAxes.count
        return .loop(LoopForm(
            limit: .extent(function.tensorType(node.operands[states]).shape[inputAxes[0]]),
            states: (0..<states).map { i in
                LoopForm.State(initial: node.operands[i], argument: region.arguments[i], next: region.results[i], result: node.results[i])
            },
            sequences: inputAxes.indices.map { i in
                LoopForm.Slice(whole: node.operands[states + i], part: region.arguments[states + i], axis: inputAxes[i], isReversed: inputReversed[i] != 0)
            },
            scanOutputs: outputAxes.indices.map { i in
                LoopForm.Slice(whole: node.results[states + i], part: region.results[states + i], axis: outputAxes[i], isReversed: outputReversed[i] != 0)
            }))
    }

    public func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] {
        let states = operands.count - inputAxes.count
        let sequences = Array(operands[states...])
        let length = sequences[0].shape[inputAxes[0]]
        var carried = Array(operands[..<states])
        var scanOutputs = [[Tensor]](repeating: [], count: outputAxes.count)
        for iteration in 0..<length {
            let slices = try sequences.enumerated().map { i, sequence in
                let axis = inputAxes[i], strides = rowMajorStrides(sequence.shape)
                var shape = sequence.shape, kept = strides
                shape.remove(at: axis)
                kept.remove(at: axis)
                return try sequence.strided(shape, strides: kept, offset: (inputReversed[i] != 0 ? length - 1 - iteration : iteration) * strides[axis])
            }
            let results = try context.region(0, carried + slices)
            carried = Array(results[..<states])
            for i in scanOutputs.indices { scanOutputs[i].append(results[states + i]) }
        }
        return carried + (try scanOutputs.enumerated().map { i, parts in
            try Tensor.stacked(outputReversed[i] != 0 ? parts.reversed() : parts, axis: outputAxes[i], like: context.resultTypes[states + i], in: context)
        })
    }
}
