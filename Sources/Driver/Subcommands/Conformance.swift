import Foundation
import GlmcCodegen
import GlmcFrontend
import GlmcIR

extension Subcommand {
    static let conformance = Subcommand(
        "conformance", "ROOT [--filter GLOB] [-O…] [--dynamic] [-j N] [--json FILE]",
        summary: "run every ONNX test case under a folder through emitted code",
        details: """
            A test case is a folder with model.onnx and test_data_set_*/{input,output}_*.pb; tolerance.txt may hold `rtol atol`.
            Each runs in a process of its own. A line per case that does not pass says why; the last line is `N passed, N failed, N skipped`.
            Skipped: the model needs something unsupported. Inputs that an operator needs at compile time are built in from the data set, with
            --dynamic also sizes (`sizes of NAME`) that neither the operators nor the file fix.
            """,
        positionals: 1...1,
        flags: [
            Flag("filter", .value("GLOB"), repeated: true, "only cases whose folder's name matches"),
            Flag("dynamic", "leave the sizes of inputs free"),
            Flag("json", .value("FILE"), "write every result there"),
            Flag("timeout", .value("S"), "seconds that a case may take (default 120)"),
            Flag("list-passed", "print a line for passing cases too"),
        ] + Compilation.flags
    ) { arguments, console in
        _ = try Compilation(arguments, console)
        if let file = arguments.string("json") { try Files.checkTarget(file) }
        let root = arguments.positionals[0]
        let folders = try find(root, filters: arguments.all("filter"))
        let limit = try arguments.double("timeout") ?? 120
        let jobs = try arguments.int("jobs", in: 1...1024) ?? ProcessInfo.processInfo.activeProcessorCount
        guard let program = Bundle.main.executablePath else { throw Diagnostic(.internal, "cannot find the path of glmc itself") }
        let flags = passedOn(arguments)

        let outcomes = Outcomes(count: folders.count), bar = ProgressBar(console)
        let queue = OperationQueue()
        queue.maxConcurrentOperationCount = jobs
        for (index, folder) in folders.enumerated() {
            queue.addOperation {
                let start = now()
                let result = outcome([program, "conformance-case", folder, "-j1"] + flags, limit)
                let done = outcomes.set(index, result, seconds: now() - start)
                bar.show("of \(folders.count) cases", share: Double(done) / Double(folders.count))
            }
        }
        queue.waitUntilAllOperationsAreFinished()
        bar.finish()

        let results = zip(folders, outcomes.all).map { (name: URL(fileURLWithPath: $0).lastPathComponent, result: $1.result, seconds: $1.seconds) }
        for (name, result, _) in results where result.status != .passed || arguments.has("list-passed") {
            let bound = result.boundInputs.isEmpty ? "" : "built in: \(result.boundInputs.joined(separator: ", "))"
            console.print("\(result.status.rawValue) \(name): \([result.reason, bound].filter { !$0.isEmpty }.joined(separator: "; "))".printableOnOneLine)
        }
        func count(_ status: CaseResult.Status) -> Int { results.count { $0.result.status == status } }
        if let file = arguments.string("json") {
            let document = JSONValue.object([
                "passed": .int(Int64(count(.passed))), "failed": .int(Int64(count(.failed))), "skipped": .int(Int64(count(.skipped))),
                "cases": .array(results.map { name, result, seconds in
                    guard case .object(let members) = result.json else { return .null }
                    return .object([.init(key: "name", value: .string(name))] + members + [.init(key: "seconds", value: .double(seconds.rounded(toPlaces: 3)))])
                }),
            ])
            try Array((document.text(pretty: true) + "\n").utf8).withUnsafeBytes { try Files.replace(file, with: [$0]) }
        }
        let built = results.count { $0.result.status == .passed && !$0.result.boundInputs.isEmpty }
        if built > 0 { console.note("\(built) of those that passed have inputs built in from their data set, because an operator needs them at compile time") }
        console.print("\(count(.passed)) passed, \(count(.failed)) failed, \(count(.skipped)) skipped")
        return count(.failed) == 0 ? .done : .differs
    }

    /// The test cases under `root` (or `root` itself), by name.
    private static func find(_ root: String, filters: [String]) throws -> [String] {
        guard Files.isFolder(root) else { throw Diagnostic(.invalid, "is not a folder", at: [root]) }
        var folders: [String] = []
        if TestCase.isOne(root) {
            folders = [root]
        } else {
            let base = root.hasSuffix("/") ? String(root.dropLast()) : root
            for case let path as String in FileManager.default.enumerator(atPath: base) ?? .init() where path.hasSuffix("/model.onnx") {
                folders.append(base + "/" + path.dropLast("/model.onnx".count))
            }
        }
        folders = folders.filter { folder in
            filters.isEmpty || filters.contains { fnmatch($0, URL(fileURLWithPath: folder).lastPathComponent, 0) == 0 }
        }.sorted()
        guard !folders.isEmpty else {
            throw Diagnostic(.invalid, "holds no test case\(filters.isEmpty ? "" : " that matches")", at: [root], hint: "a test case is a folder with model.onnx and test_data_set_*")
        }
        return folders
    }

    /// The compilation flags as they were given, for the child processes.
    private static func passedOn(_ arguments: Arguments) -> [String] {
        var words = arguments.has("dynamic") ? ["--dynamic"] : []
        for flag in Compilation.flags where flag.name != "jobs" {
            for value in arguments.all(flag.name) {
                switch flag.form {
                case .toggle: words.append(flag.spelling)
                case .value, .optional: words.append("\(flag.spelling)=\(value)")
                case .attached: words.append(flag.spelling + value)
                }
            }
        }
        return words
    }

    private static func outcome(_ command: [String], _ limit: Double) -> CaseResult {
        do {
            let child = try ChildProcess.run(command, limit: limit)
            switch child.end {
            case .timedOut: return CaseResult(.failed, "took longer than \(brief(limit)) s")
            case .crashed(let signal): return CaseResult(.failed, "crashed: \(String(cString: strsignal(signal)))")
            case .exited:
                let line = child.output.split(separator: "\n").last.map(String.init) ?? ""
                if let json = try? JSONValue(parsing: line), let result = CaseResult(json: json) { return result }
                return CaseResult(.failed, "ended without a result: \(child.errors.suffix(300))")
            }
        } catch {
            return CaseResult(.failed, "\(error)")
        }
    }

    private final class Outcomes: @unchecked Sendable {
        private let lock = NSLock()
        private var done = 0
        private(set) var all: [(result: CaseResult, seconds: Double)]

        init(count: Int) { all = Array(repeating: (CaseResult(.failed, "was not run"), 0), count: count) }

        /// Returns how many have ended.
        func set(_ index: Int, _ result: CaseResult, seconds: Double) -> Int {
            lock.lock()
            defer { lock.unlock() }
            all[index] = (result, seconds)
            done += 1
            return done
        }
    }
}
