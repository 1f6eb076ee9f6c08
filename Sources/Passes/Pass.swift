import GlmcIR

/// A transformation of a function: a documented value, not a class. Each pass of the library is a static constant in a file of its own.
///
/// ```swift
/// extension Pass {
///     /// Says what, shows IR before and after, and why this is a pass of its own.
///     static let example = Pass("example", "One line for `glmc passes`") { rewriter, context in … }
/// }
/// ```
public struct Pass: Sendable {
    public typealias Body = @Sendable (inout Rewriter, PassContext) throws -> Void

    /// What `--passes`, `--print-ir-after` and `--disable-pass` call it: lower-case words joined by dashes.
    public let name: String
    /// One line for `glmc passes`.
    public let summary: String
    /// Changes the function. May throw a `Diagnostic`, which ends the compilation.
    public let run: Body

    public init(_ name: String, _ summary: String, run: @escaping Body) {
        self.name = name
        self.summary = summary
        self.run = run
    }

    /// A pass that applies `rules` until none of them fires.
    public init(_ name: String, _ summary: String, rules: [Rule]) {
        self.init(name, summary) { rewriter, context in try RuleDriver(rules).run(&rewriter, context) }
    }
}

/// The optimisation level of a pipeline.
public enum OptimizationLevel: Int, Hashable, Sendable, CaseIterable, Comparable {
    case o0, o1, o2, o3
    public static func < (a: OptimizationLevel, b: OptimizationLevel) -> Bool { a.rawValue < b.rawValue }
}

/// What a pass may know besides the function.
public struct PassContext: Sendable {
    public var level: OptimizationLevel
    /// Constants that folding makes larger than their operands stay below this many bytes.
    public var foldingLimit = 64 << 10

    public init(level: OptimizationLevel = .o2) { self.level = level }
}
