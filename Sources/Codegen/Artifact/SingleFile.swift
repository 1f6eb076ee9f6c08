import GlmcIR

/// A whole artifact as one C file, for people who compile it themselves: support text, kernels and main file, in this order.
enum SingleFile {
    /// A CUDA source and the support text that it includes.
    static func cudaText(_ source: String, blob: String, target: Target) -> String {
        var support = SupportText(RuntimeSupport.cudaFiles)
        return """
            /* The weights are in \(blob): copy them to the device once and pass their address as `c`. Compile with
             *     nvcc -std=c++17 -O3 \(target.compilerFlags.joined(separator: " ")) -c FILE.cu */
            \(support.expanding(source))
            """
    }

    /// - Parameter blob: the file of weights, which lies beside; the assembler includes it.
    static func text(main: String, kernels: [KernelFiles.File], name: String, blob: String, target: Target) -> String {
        var support = SupportText(RuntimeSupport.files + RuntimeSupport.kernelFiles)
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
            \(kernels.map { support.expanding($0.text.replacing("#define GLMC_VECTOR_BITS", with: "#undef GLMC_VECTOR_BITS\n#define GLMC_VECTOR_BITS")) }.joined(separator: "\n"))
            \(support.expanding(main))
            __asm__(".pushsection .rodata.\(name)_weights,\\"a\\"\\n.balign 64\\n.globl \(name)_weights\\n.hidden \(name)_weights\\n"
                    "\(name)_weights:\\n.incbin \\"\(blob)\\"\\n.popsection\\n");

            """
    }
}

/// Support files, each put into the text where it is first included.
struct SupportText {
    private let files: [String: String]
    private var included: Set<String> = []

    init(_ files: [RuntimeSupport]) {
        self.files = Dictionary(files.map { ($0.name, String(decoding: $0.text, as: UTF8.self)) }) { first, _ in first }
    }

    mutating func expanding(_ text: String) -> String {
        var lines: [String] = []
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            let name = line.hasPrefix("#include \"") ? String(line.dropFirst(10).prefix { $0 != "\"" }) : ""
            if let file = files[name] {
                if included.insert(name).inserted { lines.append(expanding(file)) }
            } else {
                lines.append(String(line))
            }
        }
        return lines.joined(separator: "\n")
    }
}
