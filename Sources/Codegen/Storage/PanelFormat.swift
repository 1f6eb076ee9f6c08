import Dispatch
import GlmcIR

/// Weights in panels: `[outer][panel][step][panel width][step depth]`.
///
/// A panel is as many columns as one register tile has; panels are padded with zeros to whole vectors, and innermost runs of the
/// reduction to whole steps, so reduction loops need no masks.
public struct PanelFormat: WeightFormat {
    /// Weights of independent problems, such as groups; `outerStride` source elements apart.
    public var outer: Int
    public var outerStride: Int
    /// The source element of column 0, step 0 of outer index 0.
    public var sourceOffset: Int
    public var columns: Int
    public var columnStride: Int
    /// Counts and source strides of the reduction axes, slowest first, before merging; `inputStrides` decide the merging.
    public var counts: [Int]
    public var strides: [Int]
    /// Steps of each innermost run, and how many elements it really has.
    public var runLength: Int
    public var stepDepth: Int
    public var lanes: Int
    /// Vectors per panel.
    public var panels: AxisCut
    public var elementBytes: Int
    /// Whether strides are those of the elements as they are stored (`Tensor.stored`), not of their dense row-major order.
    public var readsStored = false

    /// - Parameters:
    ///   - axes: the reduction of the contraction, with a source stride for each.
    public init(
        kind: ContractionKind, axes: [(axis: ReductionAxis, sourceStride: Int)], columns: Int, columnStride: Int, outer: Int = 1, outerStride: Int = 0,
        sourceOffset: Int = 0, lanes: Int, panels: AxisCut
    ) {
        self.outer = outer
        self.outerStride = outerStride
        self.sourceOffset = sourceOffset
        self.columns = columns
        self.columnStride = columnStride
        counts = axes.map { $0.axis.count.constant ?? 0 }
        strides = axes.map(\.sourceStride)
        runLength = Contraction.merged(axes.map(\.axis)).last?.count.constant ?? 1
        stepDepth = kind.stepDepth
        self.lanes = lanes
        self.panels = panels
        elementBytes = kind.weightElement.byteCount
    }

    /// Panels of a matrix [K, N], or of several behind each other.
    init(matrix weights: Tensor, kind: ContractionKind, lanes: Int, panels: AxisCut) {
        // Several matrices must lie behind each other, which only their dense order promises.
        let (k, n) = (weights.rank - 2, weights.rank - 1), isOne = weights.rank == 2
        let strides = isOne ? weights.stored.strides : rowMajorStrides(weights.shape)
        self.init(
            kind: kind, axes: [(ReductionAxis(Extent(weights.shape[k]), stride: 1), strides[k])], columns: weights.shape[n], columnStride: strides[n],
            outer: weights.shape.dropLast(2).reduce(1, *), outerStride: weights.shape[k] * weights.shape[n], lanes: lanes, panels: panels)
        readsStored = isOne
    }

    public func byteCount(of sources: [Tensor]) -> Int { count * elementBytes }

    public func verify(_ sources: [Tensor]) throws {
        guard sources.count == 1, sources[0].element.byteCount == elementBytes else {
            throw Diagnostic(.internal, "panels of elements of \(elementBytes) bytes are made of \(sources.map(\.type.description))")
        }
        let steps = [(outer, outerStride), (columns, columnStride)] + zip(counts, strides), bytes = readsStored ? sources[0].stored.bytes.count : sources[0].byteCount
        if steps.contains(where: { $0.0 == 0 }) { return }
        // Strides may be negative; every element must lie within the source.
        let ends = steps.map { ($0.0 - 1) * $0.1 }, first = ends.reduce(sourceOffset) { $0 + Swift.min($1, 0) }, last = ends.reduce(sourceOffset) { $0 + Swift.max($1, 0) }
        guard first >= 0, (last + 1) * elementBytes <= bytes else {
            throw Diagnostic(.internal, "\(self) reads the elements \(first) to \(last) of \(sources[0].type)")
        }
    }

    public func write(_ sources: [Tensor], to target: UnsafeMutableRawBufferPointer) {
        guard let weights = sources.first else { return }
        pack(readsStored ? weights.stored.bytes : weights.bytes, into: target)
    }

    public var description: String {
        let widths = panels.runs.map { "\($0.count)x\($0.size * lanes)" }.joined(separator: "+")
        return "panels<\(outer == 1 ? "" : "\(outer) of ")\(widths), depth \(paddedDepth), step \(stepDepth)>"
    }

    /// Where panels all have one width: that width in columns, and the strides of a panel and of a step of the reduction.
    var panelWidth: Int { panels.largest * lanes }
    var columnPanels: TensorView.Panels { TensorView.Panels(axis: 0, width: panelWidth, depthAxis: 1, depth: stepDepth) }
    var columnStrides: [Extent] { [Extent(panelWidth * paddedDepth), Extent(panelWidth)] }

    private var elements: Int { counts.reduce(1, *) }
    /// Reduction elements after rounding every run up to whole steps.
    public var paddedDepth: Int { runLength == 0 ? 0 : elements / runLength * ((runLength + stepDepth - 1) / stepDepth * stepDepth) }
    private var paddedColumns: Int { panels.runs.reduce(0) { $0 + $1.size * $1.count } * lanes }
    /// Elements that one outer index occupies.
    public var outerCount: Int { paddedDepth * paddedColumns }
    public var count: Int { outer * outerCount }

    /// The source offset of every padded reduction element; nil for padding.
    private var depthOffsets: [Int?] {
        let runs = runLength == 0 ? 0 : elements / runLength
        let padded = runs == 0 ? 0 : paddedDepth / runs
        var offsets = [Int?](repeating: nil, count: paddedDepth)
        for flat in 0..<elements {
            var rest = flat, offset = 0
            for axis in counts.indices.reversed() {
                offset += rest % counts[axis] * strides[axis]
                rest /= counts[axis]
            }
            offsets[flat / runLength * padded + flat % runLength] = offset
        }
        return offsets
    }

    /// Packs weights; `target` holds `count` elements, zero at first.
    func pack(_ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer) {
        switch elementBytes {
        case 1: pack(source.bindMemory(to: UInt8.self), into: target.bindMemory(to: UInt8.self))
        case 2: pack(source.bindMemory(to: UInt16.self), into: target.bindMemory(to: UInt16.self))
        case 4: pack(source.bindMemory(to: UInt32.self), into: target.bindMemory(to: UInt32.self))
        default: pack(source.bindMemory(to: UInt64.self), into: target.bindMemory(to: UInt64.self))
        }
    }

    private func pack<T>(_ source: UnsafeBufferPointer<T>, into target: UnsafeMutableBufferPointer<T>) {
        guard let from = source.baseAddress, let to = target.baseAddress else { return }
        nonisolated(unsafe) let (input, output) = (from, to)
        let offsets = depthOffsets
        let depth = paddedDepth
        DispatchQueue.concurrentPerform(iterations: outer * panels.tileCount) { unit in
            let (group, panel) = (unit / panels.tileCount, unit % panels.tileCount)
            let start = panels.start(ofTile: panel) * lanes
            let width = (panel < panels.runs[0].count ? panels.runs[0].size : panels.runs[1].size) * lanes
            let destination = output + group * outerCount + start * depth
            let origin = input + sourceOffset + group * outerStride + start * columnStride
            let valid = Swift.min(width, columns - start)
            offsets.withUnsafeBufferPointer { offsets in
                for k in 0..<depth {
                    guard let offset = offsets[k] else { continue }
                    let row = destination + k / stepDepth * stepDepth * width + k % stepDepth
                    let column = origin + offset
                    for n in 0..<valid { row[n * stepDepth] = column[n * columnStride] }
                }
            }
        }
    }
}
