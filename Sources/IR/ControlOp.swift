/// An op with regions, described in the few terms that code generation needs.
public protocol ControlOp: Op {
    /// How the node runs its regions.
    func control(_ node: Node, in function: Function) -> Control
}

/// The two ways in which regions run. Values of the outer blocks may be read in both.
public enum Control {
    /// Region 0 where the condition (one bool) holds, else region 1. What the region yields are the node's results.
    case branch(condition: ValueID)
    case loop(LoopForm)
}

/// A loop over region 0 in the order of its steps: the iteration's number and slices are there, the region runs, what it stacks goes to
/// its place, and all states take their next values at once.
public struct LoopForm {
    /// How many iterations run at most.
    public enum Limit {
        case extent(Extent)
        /// One i64 that is known before the loop.
        case value(ValueID)
    }

    /// A value that goes from iteration to iteration.
    public struct State {
        /// What the first iteration takes.
        public var initial: ValueID
        /// What the region takes.
        public var argument: ValueID
        /// What the region yields for the next iteration.
        public var next: ValueID
        /// What the last iteration leaves; nil where nobody may read it.
        public var result: ValueID?

        public init(initial: ValueID, argument: ValueID, next: ValueID, result: ValueID?) {
            (self.initial, self.argument, self.next, self.result) = (initial, argument, next, result)
        }
    }

    /// One slice of a tensor for each iteration, without the axis along which it is taken.
    public struct Slice {
        /// The whole tensor.
        public var whole: ValueID
        /// What the region takes or yields.
        public var part: ValueID
        public var axis: Int
        /// Whether the first iteration has the last slice.
        public var isReversed: Bool

        public init(whole: ValueID, part: ValueID, axis: Int, isReversed: Bool) {
            (self.whole, self.part, self.axis, self.isReversed) = (whole, part, axis, isReversed)
        }
    }

    public var limit: Limit
    /// The argument that takes the iteration's number (i64, from 0).
    public var counter: ValueID?
    /// The position in `states` of the bool that must hold for an iteration to start.
    public var condition: Int?
    public var states: [State]
    /// What the region takes slices of.
    public var sequences: [Slice]
    /// What the region's values are put together to.
    public var scanOutputs: [Slice]
    /// The dimension that is the number of iterations, where only the loop finds it.
    public var iterations: String?

    public init(limit: Limit, counter: ValueID? = nil, condition: Int? = nil, states: [State], sequences: [Slice] = [], scanOutputs: [Slice] = [], iterations: String? = nil) {
        self.limit = limit
        self.counter = counter
        self.condition = condition
        self.states = states
        self.sequences = sequences
        self.scanOutputs = scanOutputs
        self.iterations = iterations
    }
}
