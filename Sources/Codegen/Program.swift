import GlmcIR

/// A step from iteration to iteration of an enclosing loop.
struct LoopOffset: Hashable {
    var loop: LoopID
    /// Elements per iteration.
    var stride: Extent
}

/// Names a loop among the steps of a program.
struct LoopID: Hashable { let index: Int }

/// What a kernel parameter receives at a call: the start of a storage, or what that is moved to by the loops around the call.
struct Argument: Hashable {
    var storage: StorageID
    var loopOffsets: [LoopOffset] = []
}

/// One call of a kernel.
struct Launch {
    /// By position in `SharedCode.kernels`.
    var kernel: Int
    var arguments: [Argument]
    /// The ops whose demands on the data the kernel checks, by name, as its `Statement.report` number them.
    var origins: [String]
    /// What it touches that other launches may touch too (`Storage.isShared`).
    var reads: Set<StorageID>
    var writes: Set<StorageID>
    /// Whether only thread 0 does anything.
    var isSingle: Bool
    /// Whether it writes only what no other launch writes: the halo around an interior that producers write.
    var isFill = false
    var provenance: [String]
    var family: String
    var operations: Extent
    var bytes: Extent
    /// How long it takes, in `WorkEstimate`'s unit.
    var work: Extent = 0
}

/// What the threads do, in order.
indirect enum Step {
    case launch(Launch)
    /// Gives a data-dependent dimension its size.
    case define(dimension: String, Extent)
    case conditional(TensorPlacement, then: [Step], otherwise: [Step])
    /// Ends the run with an error where a demand is not met: one of a region's ops at the region's start, one of sizes that are found while running before the
    /// ops that have them.
    case demand([SizeDemand])
    case loop(LoopStep)
}

/// Iterations of `body`, while the iteration's number is below the limit and the condition holds.
struct LoopStep {
    enum Limit {
        case extent(Extent)
        /// Where an i64 lies; read once, before the first iteration.
        case value(TensorPlacement)
    }
    var id: LoopID
    var limit: Limit
    /// Where a bool lies that must hold for an iteration to start.
    var condition: TensorPlacement?
    /// Where each iteration finds its number (i64).
    var counter: TensorPlacement?
    /// The data-dependent dimension that is the number of iterations.
    var iterations: String?
    var body: [Step]

    /// The memory that the loop itself reads and writes.
    var storages: [StorageID] {
        var places = [condition, counter].compactMap { $0 }
        if case .value(let place) = limit { places.append(place) }
        return places.map(\.storage)
    }
}

/// The kernels, which all entry points of a module share.
struct SharedCode {
    /// A kernel, and the dimensions that it reads by their position; none where it reads none.
    struct Kernel: Hashable {
        var function: KernelFunction
        var dimensions: [String]

        var dimensionIndex: [String: Int] { Dictionary(uniqueKeysWithValues: dimensions.enumerated().map { ($1, $0) }) }
    }
    /// Distinct kernels; equal code is shared.
    private(set) var kernels: [Kernel] = []
    private var kernelIndex: [Kernel: Int] = [:]

    /// The number of a kernel of a function with these dimensions; equal code is emitted once.
    mutating func index(of function: KernelFunction, dimensions: [String]) -> Int {
        let kernel = Kernel(function: function, dimensions: function.readsDimensions ? dimensions : [])
        let index = kernelIndex[kernel] ?? kernels.count
        if index == kernels.count {
            kernels.append(kernel)
            kernelIndex[kernel] = index
        }
        return index
    }
}

/// An entry point lowered to kernels over memory: everything but addresses and text.
struct Program {
    var function: Function
    var target: Target
    /// What launches name kernels in: the same for all entry points of a module.
    var code = SharedCode()
    var steps: [Step] = []
    var storages: [Storage] = []
    /// The bounds of data-dependent dimensions, in terms of the sizes of inputs.
    let bounds: [String: Extent]

    init(function: Function, target: Target) {
        self.function = function
        self.target = target
        bounds = function.foundSizeBounds().known
    }

    /// The kernel that a launch calls.
    func kernel(of launch: Launch) -> KernelFunction { code.kernels[launch.kernel].function }

    /// All launches in order, those of branches and loop bodies included.
    var launches: [Launch] { allSteps.compactMap { if case .launch(let launch) = $0 { launch } else { nil } } }

    subscript(storage: StorageID) -> Storage { storages[storage.index] }

    /// The memory that steps read and write: what kernels are given, and conditions and counters of control flow.
    var usedStorages: Set<StorageID> {
        var used: Set<StorageID> = []
        for step in allSteps {
            switch step {
            case .launch(let launch): used.formUnion(launch.arguments.map(\.storage))
            case .conditional(let place, _, _): used.insert(place.storage)
            case .loop(let loop): used.formUnion(loop.storages)
            case .define, .demand: break
            }
        }
        return used
    }

    /// All steps in order, each before those inside it.
    private var allSteps: [Step] {
        func all(_ steps: [Step]) -> [Step] {
            steps.flatMap { step -> [Step] in
                switch step {
                case .launch, .define, .demand: [step]
                case .conditional(_, let a, let b): [step] + all(a) + all(b)
                case .loop(let loop): [step] + all(loop.body)
                }
            }
        }
        return all(steps)
    }

    /// The most that a size can be, whatever the data-dependent dimensions turn out to be.
    func bounded(_ extent: Extent) -> Extent { extent.bounds(bounds).high }
}
