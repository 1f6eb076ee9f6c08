import GlmcIR

/// The kernels as C files: few enough that headers cost little, many enough that all cores compile.
enum KernelFiles {
    struct File: Sendable {
        var name: String
        var kernels: String
        var vectorBits: Int

        /// The file as it is compiled by itself.
        var text: String { KernelFiles.header(vectorBits: vectorBits) + kernels }
    }

    /// A file is closed when it exceeds this many characters.
    static let fileSize = 24_000

    /// - Parameter programs: the entry points of a module, which share their code.
    static func split(_ programs: [Program], name: ModelName) throws -> [File] {
        guard let code = programs.first?.code, let target = programs.first?.target else { return [] }
        var sources: [Int: [String]] = [:]
        for launch in programs.flatMap(\.launches) { sources[launch.kernel, default: []] += launch.provenance }
        var files: [File] = []
        var body = "", usesVectors = false
        func close() {
            if body.isEmpty { return }
            files.append(File(name: "kernels\(files.count).c", kernels: body, vectorBits: usesVectors ? target.vectorBits : 0))
            (body, usesVectors) = ("", false)
        }
        for (i, shared) in code.kernels.enumerated() {
            let kernel = shared.function
            usesVectors = usesVectors || kernel.usesVectors
            body += "\n\(comment(kernel.name, sources[i] ?? []))\n" + (try definition(kernel, symbol: name.kernel(i), dimensionIndex: shared.dimensionIndex))
            if body.utf8.count > fileSize { close() }
        }
        close()
        return files
    }

    /// A kernel as a function that launches call (`glmc_kernel`). Its body stays a function of its own: parameters keep that they do not overlap, which
    /// inlined ones may lose.
    static func definition(_ kernel: KernelFunction, symbol: String, dimensionIndex: [String: Int]) throws -> String {
        var printer = SourcePrinter(kernel, dialect: .c, dimensionIndex: dimensionIndex)
        let body = symbol + "_body", count = kernel.buffers.count + (kernel.reports ? 1 : 0)
        let arguments = (["f"] + (0..<count).map { "a[\($0)]" } + ["part", "parts"]).joined(separator: ", ")
        return try printer.text(symbol: body) + """
            __attribute__((visibility("hidden"))) void \(symbol)(glmc_frame *f, void *const *a, int part, int parts);
            void \(symbol)(glmc_frame *f, void *const *a, int part, int parts) { (void)a; \(body)(\(arguments)); }

            """
    }

    /// Files without vectors go without the compiler's intrinsics, which take longer to read than all else.
    static func header(vectorBits: Int) -> String {
        """
        #define GLMC_VECTOR_BITS \(vectorBits)
        #include "glmc_frame.h"
        #include "glmc_vector.h"

        """
    }

    private static func comment(_ kernel: String, _ nodes: [String]) -> String {
        let shown = nodes.prefix(8).joined(separator: ", ") + (nodes.count > 8 ? ", ... (\(nodes.count) nodes)" : "")
        return ForeignText.comment(kernel + (nodes.isEmpty ? "" : ": " + shown), limit: 1000)
    }
}

extension KernelFunction {
    /// Whether any value is a vector.
    fileprivate var usesVectors: Bool {
        body.contains { statement in statement.anyExpression { $0.type.lanes > 1 } }
    }
}
