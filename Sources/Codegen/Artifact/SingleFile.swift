import GlmcIR

/// A whole artifact as one C file, for people who compile it themselves: support text, kernels and main file, in this order.
enum SingleFile {
    /// A CUDA source and the support text that it includes.
    static func cudaText(_ source: String, blob: String, target: Target) -> String {
        var support = SupportText(RuntimeSupport.cudaFiles)
        return """
            /* Copy the weights to the device once and pass their address as `c`. They are in this file, from byte \(WeightsFile.headerBytes) on: */
            \(ForeignText.comment(blob, limit: 1000))
            /* Compile with: */
            \(ForeignText.comment("nvcc -std=c++17 -O3 -fmad=false \(target.compilerFlags.joined(separator: " ")) -c FILE.cu", limit: 1000))
            \(support.expanding(source))
            """
    }

    /// - Parameter sections: assembler text that includes the files of weights and of a tokenizer, which lie beside; empty: sessions map the weights.
    static func text(main: String, kernels: [KernelFiles.File], name: ModelName, sections: [String], target: Target) -> String {
        var support = SupportText(RuntimeSupport.files + RuntimeSupport.kernelFiles)
        let flags = (["-O3"] + Toolchain.languageFlags + target.compilerFlags).joined(separator: " ")
        // The support text stands here once, for the widest of the kernels.
        let header = KernelFiles.header(vectorBits: kernels.map(\.vectorBits).max() ?? 0)
        let place = sections.isEmpty ? "Compile it" : "Compile it in the folder of its data,"
        let included = sections.map { text in
            """
            __asm__(".pushsection .text\\n"
            \(text.split(separator: "\n").map { "    \(ForeignText.literal($0 + "\n"))" }.joined(separator: "\n"))
                ".popsection\\n");
            """
        }
        return """
            \(ForeignText.comment("The model '\(name.text)'.", limit: 1000))
            /* \(place) and link with -pthread -lm: */
            \(ForeignText.comment("cc \(flags) -c FILE.c", limit: 1000))
            /* Compilers write a file's name into assembler text as it is, whatever it is: this one may stand there. */
            #line 1 "model.c"
            #ifndef _GNU_SOURCE
            #define _GNU_SOURCE
            #endif
            /* The support text is whole, whatever this model uses of it; a loop that is not vectorised is no defect. */
            #pragma GCC diagnostic ignored "-Wunused-function"
            #ifdef __clang__
            #pragma clang diagnostic ignored "-Wpass-failed"
            #endif
            \(support.expanding(header))
            \(kernels.map(\.kernels).joined(separator: "\n"))
            \(support.expanding(main))
            \(included.joined(separator: "\n"))

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
