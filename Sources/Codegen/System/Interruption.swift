import Foundation

/// What SIGINT, SIGTERM and SIGHUP have to clean up: child processes, and files and folders that are not finished yet.
public enum Interruption {
    private struct State {
        var groups: Set<pid_t> = []
        var unfinished: Set<String> = []
        var handler: (@Sendable () -> Void)?
    }

    private final class Box: @unchecked Sendable {
        let lock = NSLock()
        var state = State()
        var sources: [any DispatchSourceSignal] = []
        func with(_ change: (inout State) -> Void) {
            lock.lock()
            change(&state)
            lock.unlock()
        }
    }

    private static let box = Box()

    /// Starts to listen; the handlers run on a thread of their own, so they may take locks and delete files.
    public static func install() {
        for number in [SIGINT, SIGTERM, SIGHUP] {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { finish(number) }
            source.resume()
            box.sources.append(source)
        }
    }

    /// What SIGINT does once instead of ending the program; nil: it ends it.
    public static func onInterrupt(_ handler: (@Sendable () -> Void)?) { box.with { $0.handler = handler } }

    private static func finish(_ number: Int32) {
        var handler: (@Sendable () -> Void)?
        if number == SIGINT { box.with { (handler, $0.handler) = ($0.handler, nil) } }
        if let handler { return handler() }
        // The lock is never given back: nothing new starts or is renamed into place from here on.
        box.lock.lock()
        for group in box.state.groups { kill(-group, SIGKILL) }
        for path in box.state.unfinished {
            // A child that is not dead yet may put another file into a folder that is being emptied.
            for _ in 0..<50 where access(path, F_OK) == 0 {
                if (try? FileManager.default.removeItem(atPath: path)) == nil { usleep(2000) }
            }
        }
        // Ends by the signal itself, as whoever started this expects; the threads of a dispatch queue block signals.
        signal(number, SIG_DFL)
        var only = sigset_t()
        sigemptyset(&only)
        sigaddset(&only, number)
        pthread_sigmask(SIG_UNBLOCK, &only, nil)
        raise(number)
        _exit(128 + number)
    }

    static func add(group: pid_t) { box.with { $0.groups.insert(group) } }
    static func remove(group: pid_t) { box.with { $0.groups.remove(group) } }
    public static func add(unfinished path: String) { box.with { $0.unfinished.insert(path) } }
    public static func remove(unfinished path: String) { box.with { $0.unfinished.remove(path) } }
}
