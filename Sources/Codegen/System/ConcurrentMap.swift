import Dispatch

extension Array where Element: Sendable {
    /// The results of `transform` for all elements, in order, several at once.
    /// - Throws: the error of the first element, in order, whose transformation throws.
    public func concurrentMap<Result>(_ transform: @Sendable (Element) throws -> Result) throws -> [Result] {
        var results = [Swift.Result<Result, any Error>?](repeating: nil, count: count)
        results.withUnsafeMutableBufferPointer { slots in
            nonisolated(unsafe) let slots = slots
            DispatchQueue.concurrentPerform(iterations: count) { i in
                slots[i] = Swift.Result { try transform(self[i]) }
            }
        }
        return try results.compactMap { try $0?.get() }
    }
}
