import GlmcIR

/// The passes that a compiler knows: those of glmc, and those that a package from outside adds.
///
/// ```swift
/// var library = PassLibrary.standard
/// library.add(myPass, after: "recognize-norms", from: .o2)
/// ```
public struct PassLibrary: Sendable {
    /// A pass from outside and its place in the pipelines.
    public struct Extension: Sendable {
        public let pass: Pass
        /// The name of the pass behind which it runs, at its first occurrence.
        public let anchor: String
        /// The lowest level at which it runs.
        public let level: OptimizationLevel
    }

    /// All passes by name, in the order in which `glmc passes` lists them.
    public private(set) var passes: [Pass]
    public private(set) var extensions: [Extension] = []

    public init(_ passes: [Pass]) { self.passes = passes }

    /// The passes of glmc.
    public static let standard = PassLibrary(Pipelines.allPasses)

    /// Makes a pass known for `--passes` and, with an anchor, part of the pipelines.
    public mutating func add(_ pass: Pass, after anchor: String? = nil, from level: OptimizationLevel = .o2) {
        passes.append(pass)
        if let anchor { extensions.append(Extension(pass: pass, anchor: anchor, level: level)) }
    }

    /// The passes of a level with the extensions in their places. An extension whose anchor does not occur runs before layouts
    /// are assigned.
    /// - Parameters: as of `Pipelines.passes`.
    public func pipeline(_ level: OptimizationLevel, quantization: [Pass] = [], narrowing: [Pass] = []) -> [Pass] {
        var list = Pipelines.passes(level, quantization: quantization, narrowing: narrowing)
        for added in extensions where added.level <= level {
            let end = list.firstIndex { $0.name == Pass.assignLayouts.name } ?? list.count
            let position = list.firstIndex { $0.name == added.anchor }.map { $0 + 1 } ?? end
            list.insert(added.pass, at: position)
        }
        return list
    }

    /// Passes by name, as `--passes=a,b` gives them.
    /// - Throws: `Diagnostic` for an unknown name.
    public func passes(named names: [String]) throws -> [Pass] {
        try names.map { name in
            guard let pass = passes.first(where: { $0.name == name }) else {
                throw Diagnostic(.usage, "there is no pass '\(name)'", hint: "`glmc passes` lists them all")
            }
            return pass
        }
    }
}
