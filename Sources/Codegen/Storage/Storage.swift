import GlmcIR

/// Names a storage of an entry point.
public struct StorageID: Hashable, Sendable { let index: Int }

/// One piece of memory: whose it is, in which format bytes lie in it, and how many there are.
///
/// Every parameter of a kernel is the start of one. Values lie in them as strided windows (`TensorPlacement`), weights in a format of their own (`WeightFormat`).
struct Storage: Hashable {
    enum Owner: Hashable {
        /// The workspace, from the first launch that touches it to the last.
        case arena
        /// The workspace during one launch, which alone sees it; of `perThread` ones every thread has its own.
        case scratch(perThread: Bool)
        /// A caller's buffer.
        case input(Int)
        case output(Int)
        /// The caller's buffer of an input that is a state: an output, its new value, lies there too.
        case state(input: Int)
        /// The artifact, in which equal weights of all entry points lie once.
        case weight(StoredWeight)
    }

    var owner: Owner
    var byteCount: Extent

    /// Whether several launches may touch it and one of them may write.
    var isShared: Bool {
        switch owner {
        case .arena, .input, .output, .state: true
        case .scratch, .weight: false
        }
    }
}

extension Storage: CustomStringConvertible {
    var description: String {
        let place = switch owner {
        case .arena: "arena"
        case .scratch(let perThread): perThread ? "scratch per thread" : "scratch"
        case .input(let i): "input \(i)"
        case .output(let i): "output \(i)"
        case .state(let i): "state \(i)"
        case .weight(let weight): "weight \(weight)"
        }
        return "\(place), \(byteCount) bytes"
    }
}
