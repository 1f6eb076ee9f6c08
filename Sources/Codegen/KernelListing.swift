import GlmcIR

/// The kernels of a function as text, for people and for tests.
public enum KernelListing {
    /// In the loop language, in the order in which they are called first.
    public static func loops(of function: Function, target: Target, families: [KernelFamily] = KernelFamily.all) throws -> String {
        try kernels(of: function, target, families).map { KernelPrinter.print($0.function) }.joined(separator: "\n")
    }

    /// In the target's C dialect, without what a file has around them.
    public static func source(of function: Function, target: Target, families: [KernelFamily] = KernelFamily.all) throws -> String {
        try kernels(of: function, target, families).map { kernel in
            var printer = SourcePrinter(kernel.function, dialect: target.family == .cuda ? .cuda : .c, dimensionIndex: kernel.dimensionIndex)
            return try printer.text(symbol: kernel.function.name)
        }.joined(separator: "\n")
    }

    private static func kernels(of function: Function, _ target: Target, _ families: [KernelFamily]) throws -> [SharedCode.Kernel] {
        try ProgramBuilder.build(function, target: target, threads: 1, families: families).code.kernels
    }
}
