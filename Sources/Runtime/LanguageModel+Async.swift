import Foundation

extension LanguageModel {
    /// The continuation of tokens, as pieces that come while they are computed, on a thread of its own. What ends the iteration ends the computation.
    /// - Parameter threads: as of `Session`.
    public func pieces(after tokens: [Int32], _ how: Sampling = Sampling(), threads: Int = 0) -> AsyncThrowingStream<Generator.Piece, any Error> {
        AsyncThrowingStream { continuation in
            let cancelled = Cancellation()
            continuation.onTermination = { _ in cancelled.set() }
            let thread = Thread {
                do {
                    let generator = try self.generator(threads: threads)
                    try generator.start(tokens, how)
                    while !cancelled.isSet {
                        let piece = try generator.next()
                        continuation.yield(piece)
                        if piece.end != nil { break }
                    }
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            thread.stackSize = 8 << 20
            thread.start()
        }
    }

    /// The continuation of a text, as text.
    public func text(after prompt: String, _ how: Sampling = Sampling(), threads: Int = 0) throws(RuntimeError) -> some AsyncSequence<String, any Error> {
        pieces(after: try tokens(of: prompt), how, threads: threads).map(\.text)
    }

    /// The answer in a conversation, as text; see `tokens(ofChat:system:)`.
    public func answer(to contents: [String], system: String? = nil, _ how: Sampling = Sampling(), threads: Int = 0) throws(RuntimeError) -> some AsyncSequence<String, any Error> {
        pieces(after: try tokens(ofChat: contents, system: system), how, threads: threads).map(\.text)
    }
}

/// Set once, read from another thread.
private final class Cancellation: @unchecked Sendable {
    private let lock = NSLock()
    private var value = false
    var isSet: Bool { lock.withLock { value } }
    func set() { lock.withLock { value = true } }
}
