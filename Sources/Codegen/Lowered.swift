import GlmcIR

/// What a module is lowered to, as text: for people and for tests.
public struct Lowered {
    public enum Form: String, CaseIterable, Sendable {
        /// The memory of every entry point, with owners and formats, and the launches.
        case program
        /// The kernels in the loop language, in the order in which they are called first.
        case kernels
        /// The kernels in the target's C dialect, without what a file has around them.
        case source
    }

    private let programs: [Program]
    private let target: Target

    /// - Throws: `Diagnostics` naming every node that has no lowering.
    public init(_ module: Module, target: Target, threads: Int, families: [KernelFamily] = KernelFamily.all) throws {
        self.target = target
        programs = try ProgramBuilder.build(module, target: target, threads: threads, families: families)
    }

    public func text(_ form: Form) throws -> String {
        let kernels = programs.first?.code.kernels ?? []
        let parts = switch form {
        case .program: programs.map(ProgramPrinter.print)
        case .kernels: kernels.map { KernelPrinter.print($0.function) }
        case .source:
            try kernels.map { kernel in
                var printer = SourcePrinter(kernel.function, dialect: target.family == .cuda ? .cuda : .c, dimensionIndex: kernel.dimensionIndex)
                return try printer.text(symbol: kernel.function.name)
            }
        }
        return parts.joined(separator: "\n")
    }
}
