/// An operator. The value holds only the attributes; operands and results live on the node.
///
/// Everything about an op is declared in one file under `Ops/`: this protocol, and one of the lowering protocols below.
/// `evaluate` is the oracle of the tests and is never derived from the lowering.
public protocol Op: Hashable, Sendable {
    /// The op's name in the textual IR.
    static var mnemonic: String { get }
    /// One line for `glmc ops` and the documentation.
    static var summary: String { get }
    static var attributes: [Attribute<Self>] { get }
    /// An op with default attributes, for the parser to fill in.
    init()

    /// The result types, or why the operands are not acceptable. Doubles as the op's verifier.
    /// - Throws: `Diagnostic`.
    func infer(_ context: InferenceContext) throws -> [ValueType]

    /// Sizes of the operands that must be equal for the op to be defined. Where types leave it open, importers bind dimensions by
    /// them, and artifacts check the rest when they run; `infer` refuses what cannot be equal. Operands may be anything, also what
    /// `infer` refuses. Default: none.
    func equalSizes(in context: InferenceContext) -> [SizeEquation]

    /// Expressions over sizes that must not be negative for the op to be defined, beyond the sizes of its results. Artifacts check what is not
    /// known when they run. Operands may be anything. Default: none.
    func nonNegativeSizes(in context: InferenceContext) -> [Extent]

    /// Computes the results naively on constants.
    /// - Throws: `Diagnostic` where the values are not acceptable.
    func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor]

    /// Refuses constant operands (nil: computed ones) with which the result is undefined whatever the others are, such as an index
    /// out of range. Asked about nodes that run in any case, when a function is compiled. Default: nothing.
    func checkConstants(_ constants: [Tensor?], types: [TensorType]) throws

    /// For integer tensors that hold sizes: the results' elements as symbolic extents, in row-major order, where they follow
    /// from the operands' (nil = unknown). Default: unknown.
    func symbolicContents(_ operands: [[Extent]?], in context: InferenceContext) -> [[Extent]?]

    /// Whether the op may be removed when unused, merged with an equal one, and evaluated at compile time. Default: true.
    var isPure: Bool { get }
    /// Sizes that are known once the op has run: named dimensions that it defines. Default: none.
    var foundSizes: [Extent] { get }
    /// The most that each of `foundSizes` can be, in the same order and in terms of sizes that are known before; nil for one that needs no room.
    /// - Throws: `Diagnostic` where nothing bounds a size, or a size that is said to be known before is not what the op finds.
    func mostFound(_ node: Node, in function: Function) throws -> [Extent?]
    /// The operand that result 0 is but for some elements which the op writes. Where nothing reads it later, the result takes over its memory, and `lower`,
    /// which gets the same view twice then, must not copy it (see `KernelBuilder.beginUpdate`). Only for `LoopOp`s. Default: none.
    var updatedOperand: Int? { get }
    /// Whether a `uniform` op treats all axes alike (only broadcasting looks at them), so that axes may be merged. Default: true;
    /// an op with per-axis parameters says false.
    var isAxisAgnostic: Bool { get }
    /// How the op relates to physical layouts. Default: `.rowMajor`.
    var layoutBehavior: LayoutBehavior { get }
}

extension Op {
    public static var attributes: [Attribute<Self>] { [] }
    public func symbolicContents(_ operands: [[Extent]?], in context: InferenceContext) -> [[Extent]?] {
        Array(repeating: nil, count: context.resultCount)
    }
    public func equalSizes(in context: InferenceContext) -> [SizeEquation] { [] }
    public func nonNegativeSizes(in context: InferenceContext) -> [Extent] { [] }
    public func checkConstants(_ constants: [Tensor?], types: [TensorType]) throws {}
    public var isPure: Bool { true }
    public var foundSizes: [Extent] { [] }
    public func mostFound(_ node: Node, in function: Function) throws -> [Extent?] { [] }
    public var updatedOperand: Int? { nil }
    public var layoutBehavior: LayoutBehavior { .rowMajor }
    public var isAxisAgnostic: Bool { true }
    /// Whether every result element depends only on the operand elements at its own, or the broadcast, index.
    public var isElementwise: Bool {
        layoutBehavior == .uniform && self is any PointwiseOp && !(self is any ViewOp) && !(self is any DestinationOp)
    }
    public var mnemonic: String { Self.mnemonic }
}

/// What an op says in the layout negotiation.
public enum LayoutBehavior: Hashable, Sendable {
    /// All tensors must be row-major.
    case rowMajor
    /// Any layout, but the same for every operand and result of the result's rank (elementwise ops).
    case uniform
    /// Runs best with channels last on operand 0 and result 0; the remaining operands are packed weights or row-major.
    case prefersChannelsLast
    /// Reads and writes any mix of layouts at no extra cost.
    case any
}

/// What type inference may look at.
public struct InferenceContext: Sendable {
    public var operands: [ValueType]
    /// Argument and result types of the node's regions.
    public var regions: [RegionType]
    public var resultCount: Int

    public struct RegionType: Hashable, Sendable {
        public var arguments: [ValueType]
        public var results: [ValueType]
        public init(arguments: [ValueType], results: [ValueType]) {
            self.arguments = arguments
            self.results = results
        }
    }

    public init(operands: [ValueType], regions: [RegionType] = [], resultCount: Int = 1) {
        self.operands = operands
        self.regions = regions
        self.resultCount = resultCount
    }

    /// The type of operand `i`, which must be a tensor.
    /// - Throws: `Diagnostic` where the operand is missing or no tensor.
    public func tensor(_ i: Int) throws -> TensorType {
        guard operands.indices.contains(i) else { throw Diagnostic(.invalid, "operand \(i) is missing") }
        guard let type = operands[i].tensor else { throw Diagnostic(.invalid, "operand \(i) is \(operands[i]), not a tensor") }
        return type
    }

    /// The shapes of the operands; an empty one for what is no tensor.
    var shapes: [[Extent]] { operands.map { $0.tensor?.shape ?? [] } }

    /// The types of all operands, which must be `count` tensors.
    public func tensors(_ count: Int) throws -> [TensorType] {
        guard operands.count == count else { throw Diagnostic(.invalid, "takes \(count) operands, not \(operands.count)") }
        return try (0..<count).map { try tensor($0) }
    }
}

/// What `evaluate` may look at besides the operands.
public struct EvaluationContext {
    /// Values of named dimensions; data-dependent ones are added as they become known.
    public var dimensions: [String: Int]
    public var resultTypes: [ValueType]
    /// Evaluates region `i` on arguments.
    public var region: (Int, [Tensor]) throws -> [Tensor]

    public init(dimensions: [String: Int] = [:], resultTypes: [ValueType], region: @escaping (Int, [Tensor]) throws -> [Tensor] = { i, _ in
        throw Diagnostic(.internal, "there is no region \(i) to evaluate")
    }) {
        self.dimensions = dimensions
        self.resultTypes = resultTypes
        self.region = region
    }

    /// The value of an extent under the current dimensions.
    /// - Throws: `Diagnostic` where a dimension is unknown.
    public func value(_ extent: Extent) throws -> Int {
        guard let value = extent.evaluate(dimensions) else { throw Diagnostic(.internal, "the extent \(extent) is not known here") }
        return value
    }
}

// MARK: - Lowering

/// An op whose result elements can each be computed on their own: elementwise ops, data movement, gathers, reductions. Such ops
/// fuse with their neighbours.
public protocol PointwiseOp: Op {
    /// The value of result `result` at `index` (one i64 expression per logical axis, in bounds), in the compute type of the
    /// result's element type. May emit statements (loops of reductions, bindings) before.
    func element(of result: Int, at index: [Expr], from operands: OperandElements, in builder: inout KernelBuilder) throws -> Expr
    /// Roughly how many operand elements are read per result element: 1 fuses freely, more than that is recomputed only when
    /// it has a single consumer. Reductions report `.many`.
    var elementCost: ElementCost { get }
    /// Whether computing all result elements reads some operand element more than a few times, so that a producer must not be
    /// fused in as a recomputed expression. Default: true for `.many`, else false.
    var rereadsOperands: Bool { get }
}

public enum ElementCost: Int, Hashable, Sendable, Comparable {
    /// Moves or cheaply combines elements.
    case cheap
    /// Evaluates a transcendental function.
    case expensive
    /// Loops over operand elements.
    case many
    public static func < (a: ElementCost, b: ElementCost) -> Bool { a.rawValue < b.rawValue }
}

extension PointwiseOp {
    public var elementCost: ElementCost { .cheap }
    public var rereadsOperands: Bool { elementCost == .many }
}

/// An op that writes its results with loops of its own.
public protocol LoopOp: Op {
    /// Emits statements that compute all results. Statements at the outermost level run on every thread: use parallel loops,
    /// `single` and `barrier`.
    func lower(_ operands: [TensorView], to results: [TensorView], in builder: inout KernelBuilder) throws
    /// Whether its rows are computed in vectors, which says how long it takes. Default: false.
    var runsInVectors: Bool { get }
}

extension LoopOp {
    public var runsInVectors: Bool { false }
}

/// An op whose result shows the operand's memory differently: no code, where strides can express it.
public protocol ViewOp: PointwiseOp {
    /// The result as a view of operand 0's memory; nil where it needs a copy.
    func view(of operand: TensorView, resultType: TensorType) -> TensorView?
}

/// An op whose operands can be placed inside its result's memory, so that producers write there directly.
public protocol DestinationOp: PointwiseOp {
    /// Where each operand lies inside the result's view; nil where that cannot be said.
    func placements(ofOperands operandTypes: [TensorType], in result: TensorView) -> [TensorView]?
    /// Emits what remains to be written when all operands are in place (a pad's halo); nothing for concat. As in `LoopOp.lower`,
    /// every thread runs the statements.
    func fill(_ result: TensorView, operandTypes: [TensorType], in builder: inout KernelBuilder) throws
}

/// Access to operand elements for `PointwiseOp.element`: from memory, or from a producer fused into the same kernel.
public struct OperandElements {
    public typealias Load = (_ index: [Expr], _ builder: inout KernelBuilder) throws -> Expr

    public let types: [TensorType]
    public let resultTypes: [TensorType]
    private let loads: [Load]

    public init(types: [TensorType], resultTypes: [TensorType], loads: [Load]) {
        self.types = types
        self.resultTypes = resultTypes
        self.loads = loads
    }

    public var count: Int { types.count }

    /// Operand `i` at `index` in its compute type.
    public func load(_ i: Int, at index: [Expr], in builder: inout KernelBuilder) throws -> Expr {
        try loads[i](index, &builder).converted(to: types[i].element.computeType)
    }

    /// Operand `i` at a result index under numpy broadcasting (axes aligned at the end).
    public func broadcast(_ i: Int, at index: [Expr], in builder: inout KernelBuilder) throws -> Expr {
        let shape = types[i].shape
        let aligned = zip(shape, index.suffix(shape.count)).enumerated().map { axis, pair -> Expr in
            let (extent, position) = pair
            if extent == 1 { return .int(0) }
            let resultExtent = resultTypes[0].shape[resultTypes[0].rank - shape.count + axis]
            return extent.isConstant || extent == resultExtent
                ? position : .select(.binary(.equal, Expr(extent), .int(1)), .int(0), position)
        }
        return try load(i, at: aligned, in: &builder)
    }
}

extension KernelBuilder {
    /// Reduces `body` over all indices of `shape`. Floats may be combined in any order.
    public mutating func reduce(
        _ op: ReductionOperator, over shape: [Extent], initial: Expr, _ body: (inout KernelBuilder, [Expr]) throws -> Expr
    ) rethrows -> Expr {
        let accumulator = declare(initial, "acc")
        if shape.isEmpty {
            emit(.assign(accumulator, .binary(op.binary, .variable(accumulator), try body(&self, []))))
            return .variable(accumulator)
        }
        try loops(over: Array(shape.dropLast())) { builder, outer in
            let kind = LoopKind.simd(reductions: [LoopKind.Reduction(accumulator, op)])
            try builder.loop("r", to: Expr(shape[shape.count - 1]), kind: kind) { builder, inner in
                let value = try body(&builder, outer + [inner])
                builder.emit(.assign(accumulator, .binary(op.binary, .variable(accumulator), value)))
            }
        }
        return .variable(accumulator)
    }

    /// `then` where `condition` holds, else `otherwise`; `then`'s statements and loads run only if it holds.
    public mutating func guarded(_ condition: Expr, otherwise: Expr, _ then: (inout KernelBuilder) throws -> Expr) rethrows -> Expr {
        let result = declare(otherwise, "g")
        try when(condition) { builder in
            let value = try then(&builder)
            builder.emit(.assign(result, value))
        }
        return .variable(result)
    }
}

extension TensorType {
    /// The common shape of `a` and `b` under numpy broadcasting.
    /// - Throws: `Diagnostic` where two constant extents disagree.
    public static func broadcast(_ a: [Extent], _ b: [Extent]) throws -> [Extent] {
        let rank = Swift.max(a.count, b.count)
        return try (0..<rank).map { axis in
            let i = axis - (rank - a.count), j = axis - (rank - b.count)
            guard i >= 0 else { return b[j] }
            guard j >= 0 else { return a[i] }
            let (x, y) = (a[i], b[j])
            if x == y || y == 1 { return x }
            if x == 1 { return y }
            if let m = x.constant, let n = y.constant {
                throw Diagnostic(.invalid, "shapes \(a) and \(b) do not broadcast: \(m) against \(n) on axis \(axis)")
            }
            if x.isConstant { return x }
            if y.isConstant { return y }
            return .maximum(x, y)
        }
    }
}
