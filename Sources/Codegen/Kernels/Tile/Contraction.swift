import GlmcIR

/// The arithmetic of one reduction step, on an element of the input and one of the weights.
public enum ContractionKind: Hashable, Sendable {
    /// One product per step, of factors widened to the accumulator.
    case multiplyAdd(ElementType, ElementType)
    /// One instruction for the neighbouring products that fill 32 bits: four of u8 times i8, two of bf16.
    case dot(ElementType, ElementType)

    /// Fused multiply-adds of f32.
    public static let float = ContractionKind.multiplyAdd(.f32, .f32)

    public var inputElement: ElementType {
        switch self {
        case .multiplyAdd(let element, _), .dot(let element, _): element
        }
    }
    public var weightElement: ElementType {
        switch self {
        case .multiplyAdd(_, let element), .dot(_, let element): element
        }
    }
    public var isDot: Bool {
        if case .dot = self { true } else { false }
    }
    public var accumulator: ElementType { inputElement.isFloat ? .f32 : .i32 }
    /// Reduction elements that one step consumes.
    public var stepDepth: Int { isDot ? 4 / inputElement.byteCount : 1 }
}

/// One axis of a reduction: how many steps, and how far apart they lie in the input.
public struct ReductionAxis: Hashable, Sendable {
    public var count: Extent
    public var stride: Extent
    public init(_ count: Extent, stride: Extent) {
        self.count = count
        self.stride = stride
    }
}

/// Where the second factor comes from.
public enum WeightSource: Hashable, Sendable {
    /// Packed by `PanelFormat`: `[outer][panel][depth][panel width]`, element 0 of outer index 0 at the buffer's start.
    /// `outerStride` is the number of elements per outer index that has weights of its own.
    case packed(BufferID)
    /// In memory with contiguous columns; `stride` elements from one reduction step to the next.
    case rows(BufferID, stride: Extent)
    /// Weights in blocks that share a scale, packed; the reduction has one axis, and all outer indices share the weights.
    case blocks(WeightBlocks)
}

/// The scales and sums of an input that is quantised in blocks along the reduction (`BlockQuantize`), whose elements are i8 then and lie behind each other.
public struct InputBlocks {
    /// One number per row and block.
    public struct Parameter {
        public var buffer: BufferID
        /// That of block 0 at an outer position and y = 0.
        public var base: (_ outer: [Expr]) -> Expr
        /// From one row to the next, and from one block to the next.
        public var rowStride: Extent
        public var blockStride: Extent
    }

    /// Steps of the reduction that share a scale; a multiple of 8.
    public var size: Int
    public var scales: Parameter
    /// For weights that have minimums.
    public var sums: Parameter?
}

/// A register-tiled contraction: `result[outer, y, x, n] = Σ_k input[outer, y, x, k] * weight[outer, k, n]`.
///
/// Matrix multiplication (y = row, x = 1), convolution of padded channels-last images as an implicit matrix multiplication
/// (k = kernel row, kernel column, channel), and every quantised form of them are instances.
public struct Contraction {
    /// Receives `lanes` consecutive results along the columns: a vector expression, the result's outer, y and x position, the
    /// first column, and how many lanes exist (nil: all).
    public typealias Store = (
        _ builder: inout KernelBuilder, _ outer: [Expr], _ y: Expr, _ x: Expr, _ column: Expr, _ value: Expr, _ count: Expr?
    ) throws -> Void

    public var kind: ContractionKind
    /// Independent problems: batches, groups.
    public var outer: [Extent]
    public var y: Extent
    public var x: Extent
    /// Columns of the result; the channels of one group.
    public var columns: Extent
    public var input: BufferID
    /// The input element of reduction step 0 at an outer position and y = x = 0.
    public var inputBase: (_ outer: [Expr]) -> Expr
    public var inputStrideY: Extent
    public var inputStrideX: Extent
    /// Slowest first; the last axis must have stride 1 and a known count for `dot`.
    public var reduction: [ReductionAxis]
    /// How many steps of a reduction of one axis count at an outer position, where that is known only when it runs; nil: all. Weights are not packed then.
    public var steps: ((_ builder: inout KernelBuilder, _ outer: [Expr]) -> Expr)?
    public var weights: WeightSource
    /// For a reduction of one axis and one position along x; sums are f32 then.
    public var inputBlocks: InputBlocks?
    /// The weight element of column 0, step 0 at an outer position.
    public var weightBase: (_ outer: [Expr]) -> Expr
    public var store: Store
    /// What the sums over the whole reduction are held in.
    var sumElement: ElementType { inputBlocks == nil ? kind.accumulator : .f32 }

    public init(
        kind: ContractionKind, outer: [Extent] = [], y: Extent, x: Extent, columns: Extent, input: BufferID,
        inputBase: @escaping (_ outer: [Expr]) -> Expr, inputStrideY: Extent, inputStrideX: Extent, reduction: [ReductionAxis],
        weights: WeightSource, weightBase: @escaping (_ outer: [Expr]) -> Expr = { _ in .int(0) }, store: @escaping Store
    ) {
        self.kind = kind
        self.outer = outer
        self.y = y
        self.x = x
        self.columns = columns
        self.input = input
        self.inputBase = inputBase
        self.inputStrideY = inputStrideY
        self.inputStrideX = inputStrideX
        self.reduction = Contraction.merged(reduction)
        self.weights = weights
        self.weightBase = weightBase
        self.store = store
    }

    /// Joins axes that are contiguous in memory (a kernel row over all channels is one run), so that the innermost loop is long.
    public static func merged(_ axes: [ReductionAxis]) -> [ReductionAxis] {
        var result: [ReductionAxis] = []
        for axis in axes where axis.count != 1 {
            if let last = result.last, last.stride == axis.count * axis.stride {
                result[result.count - 1] = ReductionAxis(last.count * axis.count, stride: axis.stride)
            } else {
                result.append(axis)
            }
        }
        return result.isEmpty ? [ReductionAxis(1, stride: 1)] : result
    }

    /// Reduction steps per innermost run after rounding up to whole steps of `kind`.
    public static func packedCounts(_ axes: [ReductionAxis], kind: ContractionKind) -> [Extent] {
        var counts = merged(axes).map(\.count)
        counts[counts.count - 1] = counts[counts.count - 1].ceilDivided(by: Extent(kind.stepDepth))
        return counts
    }
}
