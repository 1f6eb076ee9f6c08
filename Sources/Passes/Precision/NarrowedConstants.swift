import Foundation
import GlmcIR

/// Constants rounded to a narrower float type: what lies in one place does so afterwards too, whichever functions read it and in whatever order of axes.
final class NarrowedConstants: @unchecked Sendable {
    private struct Place: Hashable {
        var storage: ObjectIdentifier
        var offset: Int
        var shape: [Int]
    }

    private let cast: Cast
    private let lock = NSLock()
    /// With the constants that they were made of, which their places belong to as long as they live.
    private var known: [Place: (source: Tensor, result: Tensor)] = [:]

    init(to element: ElementType) { cast = Cast(to: element) }

    subscript(constant: Tensor) -> Tensor {
        get throws {
            try constant.inStoredOrder { dense in
                let place = Place(storage: ObjectIdentifier(dense.storage), offset: dense.byteOffset, shape: dense.shape)
                lock.lock()
                defer { lock.unlock() }
                if let known = known[place] { return known.result }
                let types = try cast.infer(InferenceContext(operands: [.tensor(dense.type)]))
                guard let result = try cast.evaluate([dense], in: EvaluationContext(resultTypes: types)).first else { throw Diagnostic(.internal, "a cast has no result") }
                known[place] = (dense, result)
                return result
            }
        }
    }
}
