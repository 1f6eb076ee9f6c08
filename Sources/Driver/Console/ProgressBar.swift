import Foundation
import GlmcIR

/// Shows how far a long step is: a bar that redraws itself on a terminal, or a line per tenth with `--progress=plain`.
/// May be advanced from several threads.
final class ProgressBar: @unchecked Sendable {
    private let title: String
    private let total: Int
    private let mode: Console.ProgressMode
    private let lock = NSLock()
    private var done = 0
    private var lastDrawn = DispatchTime(uptimeNanoseconds: 1)
    private var lastTenth = -1
    private var isFinished = false

    init(_ title: String, total: Int, _ console: Console) {
        self.title = title
        self.total = max(total, 1)
        mode = console.progress
        advance(by: 0, "")
    }

    /// `what` names the piece that was just done.
    func advance(by steps: Int = 1, _ what: String) {
        guard mode != .none else { return }
        lock.lock()
        defer { lock.unlock() }
        done = min(done + steps, total)
        switch mode {
        case .none: break
        case .plain:
            let tenth = done * 10 / total
            if tenth > lastTenth { Console.write("\(title): \(done)/\(total)\n", to: 2) }
            lastTenth = tenth
        case .bar:
            let now = DispatchTime.now()
            guard done == total || now.uptimeNanoseconds - lastDrawn.uptimeNanoseconds > 50_000_000 else { return }
            lastDrawn = now
            let width = 28, filled = done * width / total
            let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled)
            Console.write("\r\u{1b}[K\(title) \(bar) \(done)/\(total) \(what.prefix(32))", to: 2)
        }
    }

    /// Takes the bar away.
    func finish() {
        lock.lock()
        defer { lock.unlock() }
        if mode == .bar && !isFinished { Console.write("\r\u{1b}[K", to: 2) }
        isFinished = true
    }

    deinit { finish() }
}
