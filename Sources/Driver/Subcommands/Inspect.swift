import Foundation
import GlmcFrontend
import GlmcIR
import GlmcRuntime

extension Subcommand {
    static let inspect = Subcommand(
        "inspect", "ART [--json]", summary: "describe an artifact: inputs, outputs, dimensions, memory, kernels", positionals: 1...1,
        flags: [Flag("json", "print JSON"), Flag("kernels", "list every kernel and the nodes it came from")]
    ) { arguments, console in
        let artifact = try Artifact(path: arguments.positionals[0])
        if arguments.has("json") {
            console.print(artifact.manifest)
        } else {
            console.print(describe(artifact, listKernels: arguments.has("kernels")))
        }
        return .done
    }

    private static func describe(_ artifact: Artifact, listKernels: Bool) -> String {
        let manifest = try? JSONValue(parsing: artifact.manifest)
        var rows: [[String]] = [["model", artifact.name]]
        for (key, label) in [("glmc", "compiled by glmc"), ("target", "target"), ("flags", "flags")] {
            if let text = manifest?[key]?.string ?? manifest?[key]?.array?.compactMap(\.string).joined(separator: " ") { rows.append([label, text]) }
        }
        rows.append(["processor needs", artifact.cpuFeatures.isEmpty ? "nothing special" : artifact.cpuFeatures.joined(separator: " ")])
        rows.append(["weights", bytesText(artifact.weightsByteCount)])
        var sections = [columns(rows)]
        for entry in artifact.entryPoints {
            var lines: [[String]] = []
            for info in entry.inputs { lines.append(["input", info.name, Inputs.describe(info), ""]) }
            for info in entry.outputs { lines.append(["output", info.name, Inputs.describe(info), info.isDataDependent ? "size found while running" : ""]) }
            for dimension in entry.dimensions where !dimension.isDataDependent {
                lines.append(["dimension", dimension.name, "\(dimension.minimum) to \(dimension.maximum.map(String.init) ?? "any size")", ""])
            }
            let record = manifest?["entries"]?.array?.first { $0["name"]?.string == entry.name }
            if let arena = record?["arena"], let bytes = arena["bytes"]?.int {
                lines.append(["memory", bytesText(bytes), arena["lower_bound"]?.int.map { "live at once: \(bytesText($0))" } ?? "", ""])
            }
            lines.append(["kernels", "\(entry.kernelCount)", "", ""])
            sections.append("\(entry.name):\n" + columns(lines, indent: "  "))
            if listKernels, let kernels = record?["kernels"]?.array {
                sections.append(columns(kernels.enumerated().map { index, kernel in
                    ["\(index)", kernel["name"]?.string ?? "", kernel["nodes"]?.array?.compactMap(\.string).joined(separator: ", ") ?? ""]
                }, indent: "  "))
            }
        }
        return sections.joined(separator: "\n")
    }
}
