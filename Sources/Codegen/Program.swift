import GlmcIR

/// What a kernel parameter receives at a call.
enum Argument: Hashable {
    case root(RootID)
    /// By position in `Program.packed`.
    case packed(Int)
    /// By position in `Program.scratch`.
    case scratch(Int)
}

/// A private area of one launch.
struct ScratchArea: Hashable {
    var byteCount: Extent
    var perThread: Bool
}

/// One call of a kernel.
struct Launch {
    /// By position in `Program.kernels`.
    var kernel: Int
    var arguments: [Argument]
    var reads: Set<RootID>
    var writes: Set<RootID>
    /// Whether only thread 0 does anything.
    var isSingle: Bool
    /// Whether it writes only what no other launch writes: the halo around an interior that producers write.
    var isFill = false
    var provenance: [String]
    var family: String
    var operations: Extent
    var bytes: Extent
}

/// What the threads do, in order.
indirect enum Step {
    case launch(Launch)
    case conditional(TensorPlacement, then: [Step], otherwise: [Step])
    /// Runs `body` while the iteration number is below the trip count and the condition holds; see `ControlLowering`.
    case loop(LoopStep)
}

struct LoopStep {
    /// Where the trip count (i64) and the continuation condition (bool) lie; nil = no bound.
    var tripCount: TensorPlacement?
    var condition: TensorPlacement?
    /// Where each iteration finds its number (i64).
    var counter: TensorPlacement
    var body: [Step]
}

/// A model lowered to kernels over memory: everything but addresses and text.
struct Program {
    var function: Function
    var target: Target
    /// Distinct kernels; equal code is shared.
    var kernels: [KernelFunction] = []
    var steps: [Step] = []
    var roots: [Root] = []
    var packed: [PackedConstant] = []
    var scratch: [ScratchArea] = []

    /// All launches in order, those of branches and loop bodies included.
    var launches: [Launch] { Self.launches(steps) }

    private static func launches(_ steps: [Step]) -> [Launch] {
        steps.flatMap { step -> [Launch] in
            switch step {
            case .launch(let launch): [launch]
            case .conditional(_, let a, let b): launches(a) + launches(b)
            case .loop(let loop): launches(loop.body)
            }
        }
    }

    /// Sizes with data-dependent dimensions replaced by their bounds.
    func bounded(_ extent: Extent) -> Extent {
        var result = extent
        for _ in 0..<8 where !result.isConstant {
            let next = result.substitute { name in
                guard let dimension = function.dimensions.first(where: { $0.name == name }), case .runtime(let bound) = dimension.info.source else { return nil }
                return bound
            }
            if next == result { break }
            result = next
        }
        return result
    }
}
