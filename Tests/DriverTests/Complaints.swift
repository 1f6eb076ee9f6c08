import Foundation
import GlmcTestSupport

/// What went wrong in a row of trials.
final class Complaints: @unchecked Sendable {
    private let lock = NSLock()
    private var all: [String] = []

    private func add(_ text: String) {
        lock.lock()
        all.append(text)
        lock.unlock()
    }

    /// Trials number 0 ..< `count`, two at a time, each with a generator that its number and `salt` determine.
    static func collect(_ count: Int, salt: UInt64, _ trial: @Sendable (Int, inout TestGenerator) throws -> String?) -> [String] {
        let complaints = Complaints()
        DispatchQueue.concurrentPerform(iterations: 2) { worker in
            for number in stride(from: worker, to: count, by: 2) {
                var generator = TestGenerator(state: UInt64(number) &* 7919 &+ salt)
                do {
                    if let complaint = try trial(number, &generator) { complaints.add("\(number): \(complaint)") }
                } catch { complaints.add("\(number): \(error)") }
            }
        }
        return complaints.all
    }
}
