import GlmcIR

/// A whole artifact as one C file, for people who compile it themselves: support text, kernels and main file, in this order.
enum SingleFile {
    /// - Parameter blob: the file of weights, which lies beside; the assembler includes it.
    static func text(main: String, kernels: [KernelFiles.File], name: String, blob: String, target: Target) -> String {
        var included: Set<String> = []
        let support = Dictionary((RuntimeSupport.files + RuntimeSupport.kernelFiles).map { ($0.name, String(decoding: $0.text, as: UTF8.self)) }) { first, _ in first }

        /// The text with each support file in the place where it is first included.
        func expanded(_ text: String) -> String {
            text.split(separator: "\n", omittingEmptySubsequences: false).compactMap { line -> String? in
                guard line.hasPrefix("#include \""), let end = line.lastIndex(of: "\"") else { return String(line) }
                let file = String(line[line.index(line.startIndex, offsetBy: 10)..<end])
                guard let text = support[file] else { return String(line) }
                return included.insert(file).inserted ? expanded(text) : nil
            }.joined(separator: "\n")
        }

        let flags = (["-std=gnu11", "-O3", "-fno-math-errno", "-fno-trapping-math", "-fwrapv", "-fopenmp-simd"] + target.compilerFlags).joined(separator: " ")
        return """
            /* The model '\(name)'. Its weights are in \(blob); compile it in this folder, and link with -pthread -lm:
             *     cc \(flags) -c \(name).c */
            #ifndef _GNU_SOURCE
            #define _GNU_SOURCE
            #endif
            /* The support text is whole, whatever this model uses of it; a loop that is not vectorised is no defect. */
            #pragma GCC diagnostic ignored "-Wunused-function"
            #ifdef __clang__
            #pragma clang diagnostic ignored "-Wpass-failed"
            #endif
            \(kernels.map { expanded($0.text.replacing("#define GLMC_VECTOR_BITS", with: "#undef GLMC_VECTOR_BITS\n#define GLMC_VECTOR_BITS")) }.joined(separator: "\n"))
            \(expanded(main))
            __asm__(".pushsection .rodata.\(name)_weights,\\"a\\"\\n.balign 64\\n.globl \(name)_weights\\n.hidden \(name)_weights\\n"
                    "\(name)_weights:\\n.incbin \\"\(blob)\\"\\n.popsection\\n");

            """
    }
}
