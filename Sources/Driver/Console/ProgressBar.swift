import Foundation
import GlmcIR

/// Shows how far a long step is: a bar that redraws itself on a terminal, or a line per tenth with `--progress=plain`.
/// May be told from several threads.
final class ProgressBar: @unchecked Sendable {
    private let mode: Console.ProgressMode
    private let lock = NSLock()
    private var stage = ""
    private var lastDrawn: UInt64 = 0
    private var lastTenth = -1
    private var isDrawn = false

    init(_ console: Console) { mode = console.progress }

    /// `share` of the stage is done, from 0 to 1.
    func show(_ stage: String, share: Double) {
        guard mode != .none else { return }
        lock.lock()
        defer { lock.unlock() }
        if stage != self.stage { (self.stage, lastTenth, lastDrawn) = (stage, -1, 0) }
        let share = share.isFinite ? min(max(share, 0), 1) : 0
        if mode == .plain {
            let tenth = Int(share * 10)
            if tenth > lastTenth { Console.write("\(stage): \(tenth * 10)%\n", to: 2) }
            lastTenth = tenth
        } else {
            let now = DispatchTime.now().uptimeNanoseconds
            guard share == 1 || now - lastDrawn > 50_000_000 else { return }
            lastDrawn = now
            isDrawn = true
            let width = 32, filled = Int(share * Double(width))
            let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled)
            Console.write("\r\u{1b}[K\(bar) \(Int(share * 100))% \(stage)", to: 2)
        }
    }

    /// Takes the bar away.
    func finish() {
        lock.lock()
        defer { lock.unlock() }
        if isDrawn { Console.write("\r\u{1b}[K", to: 2) }
        isDrawn = false
    }
}
