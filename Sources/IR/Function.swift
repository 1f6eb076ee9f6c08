public struct NodeID: Hashable, Sendable {
    public let index: Int
    public init(index: Int) { self.index = index }
}
public struct ValueID: Hashable, Sendable { public let index: Int }
public struct BlockID: Hashable, Sendable { public let index: Int }

/// One application of an op.
public struct Node: Sendable {
    public internal(set) var op: any Op
    public internal(set) var operands: [ValueID]
    public internal(set) var results: [ValueID]
    public internal(set) var regions: [BlockID]
    public internal(set) var block: BlockID
    /// Names of the source nodes that this one computes.
    public var provenance: [String]
    var previous: NodeID?
    var next: NodeID?
}

/// One operand position that reads a value: of a node, or of a block's results.
public enum Use: Hashable, Sendable {
    case operand(NodeID, Int)
    case result(BlockID, Int)
}

public struct Value: Sendable {
    public enum Definition: Hashable, Sendable {
        case node(NodeID, Int)
        case argument(BlockID, Int)
    }
    public internal(set) var type: ValueType
    public internal(set) var definition: Definition
    /// A name for printing, profiles and the artifact's interface; unique names are made when printing.
    public var name: String
    public internal(set) var uses: [Use]
    /// What `Function.symbolicContents` knows of the value, kept by `Rewriter`.
    var contents: [Extent]?
}

/// A list of nodes with arguments and results. The function's body and every region is one block.
public struct Block: Sendable {
    public internal(set) var arguments: [ValueID]
    public internal(set) var results: [ValueID]
    /// The node whose region this block is; nil for the body.
    public internal(set) var owner: NodeID?
    var first: NodeID?
    var last: NodeID?
}

/// A named dimension of a function.
public struct DimensionInfo: Hashable, Sendable {
    public enum Source: Hashable, Sendable {
        /// Read off axis `axis` of input `input` (position among the arguments).
        case input(Int, axis: Int)
        /// Element `element` of input `input`, an i64 of fixed shape: how much of a cache is filled, or a shape that the caller chooses.
        case value(Int, element: Int = 0)
        /// Computed while the model runs; never larger than the bound.
        case dataDependent(bound: Extent)
    }
    public var source: Source
    public init(_ source: Source) { self.source = source }
}

/// What a function keeps between calls: an input in whose memory the caller finds an output's value afterwards.
public struct StateBinding: Hashable, Sendable {
    public let input: ValueID
    /// By position among the outputs.
    public let output: Int
}

/// A size that is taken not to be negative.
public struct Assumption: Hashable, Sendable {
    public var size: Extent
    /// What the size must fit, for people.
    public var place: String
}

/// A function in SSA form. A value: copies are snapshots. Nodes, values and blocks live in arenas and are named by handles that
/// stay valid until the node is erased. Mutation goes through `Rewriter`.
public struct Function: Sendable {
    public var name: String
    public private(set) var body: BlockID
    /// Named dimensions in order of appearance.
    public var dimensions: [(name: String, info: DimensionInfo)] = []
    /// What is taken not to be negative, whatever the inputs, by what is said about sizes elsewhere in the function: a run checks it.
    public internal(set) var assumptions: [Assumption] = []
    /// Inputs that a caller may leave out, and what they are then. Their types are those of the tensors.
    public internal(set) var defaults: [ValueID: Tensor] = [:]
    /// Inputs that outputs update in place: the states that the module keeps, by the inputs' names.
    public internal(set) var states: [StateBinding] = []
    /// Axes of outputs, by the output's position, that a run's result lacks where they have one element: what exporters write as a squeeze that depends on
    /// the size. In ascending order.
    public internal(set) var squeezedAxes: [Int: [Int]] = [:]
    /// Free-form facts about the model: producer, opset, SHA-256, …
    public var metadata: [String: String] = [:]

    var nodeArena: [Node?] = []
    var valueArena: [Value] = []
    var blockArena: [Block] = []

    public init(_ name: String) {
        self.name = name
        blockArena.append(Block(arguments: [], results: [], owner: nil))
        body = BlockID(index: 0)
    }

    public subscript(id: NodeID) -> Node {
        guard let node = nodeArena[id.index] else { preconditionFailure("node \(id.index) was erased") }
        return node
    }
    public subscript(id: ValueID) -> Value { valueArena[id.index] }
    public subscript(id: BlockID) -> Block { blockArena[id.index] }

    public func contains(_ id: NodeID) -> Bool { nodeArena.indices.contains(id.index) && nodeArena[id.index] != nil }
    public func type(_ id: ValueID) -> ValueType { valueArena[id.index].type }
    /// The tensor type of a value; an empty f32 type for values that are no tensors (the verifier keeps those away from tensor ops).
    public func tensorType(_ id: ValueID) -> TensorType { valueArena[id.index].type.tensor ?? TensorType(.f32, [0]) }
    public func definingNode(_ id: ValueID) -> NodeID? {
        if case .node(let node, _) = valueArena[id.index].definition { node } else { nil }
    }
    /// The op that defines the value, if it is of type `O`.
    public func definingOp<O: Op>(_ id: ValueID, as type: O.Type = O.self) -> O? {
        definingNode(id).flatMap { self[$0].op as? O }
    }

    /// The bound of a dimension that is known only while the model runs; nil for others.
    public func dataDependentBound(_ dimension: String) -> Extent? {
        guard case .dataDependent(let bound)? = dimensions.first(where: { $0.name == dimension })?.info.source else { return nil }
        return bound
    }

    /// Whether a dimension is known only while the model runs.
    public func isDataDependent(_ dimension: String) -> Bool {
        dimensions.contains { name, info in
            if case .dataDependent = info.source { name == dimension } else { false }
        }
    }

    public var inputs: [ValueID] { self[body].arguments }
    public var outputs: [ValueID] { self[body].results }

    /// The nodes of a block in order, not entering regions.
    public func nodes(in block: BlockID) -> [NodeID] {
        var list: [NodeID] = []
        var current = self[block].first
        while let id = current {
            list.append(id)
            current = self[id].next
        }
        return list
    }

    /// All nodes, regions included, each owner before the nodes of its regions.
    public var allNodes: [NodeID] { nodesDeep(in: body) }

    public func nodesDeep(in block: BlockID) -> [NodeID] {
        nodes(in: block).flatMap { id in [id] + self[id].regions.flatMap { nodesDeep(in: $0) } }
    }

    /// The names under which inputs and outputs appear in the artifact. Outputs have names of their own, because one value may be
    /// several outputs, or an input as well.
    public var inputNames: [String] { inputs.map { self[$0].name } }
    public internal(set) var outputNames: [String] = []

    /// What inference may know about a node.
    public func inferenceContext(operands: [ValueID], regions: [BlockID], resultCount: Int) -> InferenceContext {
        InferenceContext(
            operands: operands.map { type($0) },
            regions: regions.map { region in
                InferenceContext.RegionType(arguments: self[region].arguments.map { type($0) }, results: self[region].results.map { type($0) })
            },
            resultCount: resultCount)
    }
}
