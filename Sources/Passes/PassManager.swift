import GlmcIR

/// Runs passes in order, and helps people to see what they do.
public struct PassManager: Sendable {
    public struct Options: Sendable {
        /// Verify the function after every pass, and find the rewrite to blame if it is broken.
        public var verifiesEach: Bool
        /// Names of passes after which the function is printed if they changed it; `all` for every pass.
        public var printAfter: Set<String> = []
        /// Receives what `printAfter` prints.
        public var output: @Sendable (String) -> Void = { _ in }
        /// Stop after rewrite m of pass n (both from 1); rewrite 0 stops before the pass.
        public var stopAfter: (pass: Int, rewrite: Int)?
        /// Names of passes to leave out.
        public var disabled: Set<String> = []
        /// Called with the position and the name of every pass before it runs.
        public var progress: @Sendable (Int, String) -> Void = { _, _ in }

        public init(verifiesEach: Bool = Options.isDebugBuild) { self.verifiesEach = verifiesEach }

        public static var isDebugBuild: Bool {
            #if DEBUG
            true
            #else
            false
            #endif
        }
    }

    /// What one pass did.
    public struct PassReport: Sendable {
        public var name: String
        public var rewrites: Int
        public var duration: Duration
        /// What it had to say about single nodes, for `glmc explain`.
        public var remarks: [Remark]

        /// Adds what the same pass did to another function of the module. What it said of both is said once.
        public mutating func add(_ other: PassReport) {
            rewrites += other.rewrites
            duration += other.duration
            let known = Set(remarks)
            remarks += other.remarks.filter { !known.contains($0) }
        }
    }

    /// A pass threw, or left an invalid function behind. Holds everything to run it again.
    public struct Failure: Error, CustomStringConvertible, Sendable {
        public var diagnostic: Diagnostic
        /// Position of the pass in the pipeline, from 1, and the rewrite that broke the function, if that could be found.
        public var pass: Int
        public var rewrite: Int?
        public var reproducer: Reproducer
        public var description: String { diagnostic.description }
    }

    /// A function and the passes that fail on it.
    public struct Reproducer: Sendable {
        public var function: Function
        public var passes: [String]
        public var level: OptimizationLevel

        /// The text form, with the command that runs it in its first line.
        public func module(fileName: String, weightsFileName: String) -> Printer.Text {
            var module = Printer.module([function], weights: .external(fileName: weightsFileName))
            module.comments = "// glmc opt \(fileName) -O\(level.rawValue) --passes=\(passes.joined(separator: ","))\n"
            return module
        }
    }

    public var options: Options

    public init(_ options: Options = Options()) { self.options = options }

    /// Runs the passes on a function.
    /// - Throws: `Failure`.
    @discardableResult
    public func run(_ passes: [Pass], on function: inout Function, _ context: PassContext) throws(Failure) -> [PassReport] {
        var reports: [PassReport] = []
        let clock = ContinuousClock()
        for (position, pass) in passes.enumerated() where !options.disabled.contains(pass.name) {
            let number = position + 1
            if let stop = options.stopAfter, stop.pass < number { break }
            options.progress(position, pass.name)
            let limit = options.stopAfter.flatMap { $0.pass == number ? $0.rewrite : nil } ?? .max
            let before = function
            let start = clock.now
            // What is no defect of a pass, such as bad calibration data, says itself where it is.
            func failure(_ diagnostic: Diagnostic, isDefect: Bool = true, rewrite: Int? = nil) -> Failure {
                let names = passes[position...].map(\.name).filter { !options.disabled.contains($0) }
                let place = "pass \(number) (\(pass.name))" + (rewrite.map { ", rewrite \($0)" } ?? "")
                return Failure(
                    diagnostic: isDefect ? diagnostic.inside(place) : diagnostic, pass: number, rewrite: rewrite,
                    reproducer: Reproducer(function: before, passes: names, level: context.level))
            }
            var rewriter = Rewriter(function, limit: limit)
            do {
                try pass.run(&rewriter, context)
            } catch {
                let problem = error as? Diagnostic ?? Diagnostic(.internal, "\(error)")
                throw failure(problem, isDefect: problem.kind == .internal)
            }
            if options.verifiesEach, let problem = PassManager.problem(rewriter.function) {
                throw failure(problem, rewrite: blame(pass, on: before, context, rewrites: rewriter.rewrites))
            }
            function = rewriter.function
            reports.append(PassReport(name: pass.name, rewrites: rewriter.rewrites, duration: clock.now - start, remarks: rewriter.remarks))
            if options.printAfter.contains("all") || options.printAfter.contains(pass.name) { printChange(pass, number, before, function) }
        }
        return reports
    }

    private static func problem(_ function: Function) -> Diagnostic? {
        do {
            try Verifier.verify(function)
            return nil
        } catch {
            return error as? Diagnostic ?? Diagnostic(.internal, "\(error)")
        }
    }

    /// The first rewrite after which the function is invalid, by bisection.
    private func blame(_ pass: Pass, on function: Function, _ context: PassContext, rewrites: Int) -> Int? {
        func isBroken(after limit: Int) -> Bool {
            var rewriter = Rewriter(function, limit: limit)
            do { try pass.run(&rewriter, context) } catch { return true }
            return PassManager.problem(rewriter.function) != nil
        }
        guard rewrites > 0, !isBroken(after: 0) else { return nil }
        var good = 0, bad = rewrites
        while bad - good > 1 {
            let middle = good + (bad - good) / 2
            if isBroken(after: middle) { bad = middle } else { good = middle }
        }
        return bad
    }

    private func printChange(_ pass: Pass, _ number: Int, _ before: Function, _ after: Function) {
        let text = Printer.print(after)
        let unchanged = text == Printer.print(before)
        options.output("// after pass \(number), \(pass.name)\(unchanged ? ": unchanged\n" : "\n" + text)")
    }
}
