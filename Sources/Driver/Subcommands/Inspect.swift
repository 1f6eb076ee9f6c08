import Foundation
import GlmcFrontend
import GlmcIR
import GlmcRuntime

extension Subcommand {
    static let inspect = Subcommand(
        "inspect", "MODEL|ART [--json]", summary: "describe a model or an artifact: inputs, outputs, dimensions, ops, parameters, memory, kernels", positionals: 1...1,
        flags: [Flag("json", "print JSON"), Flag("kernels", "list every kernel of an artifact and the nodes it came from")] + Compilation.modelFlags
    ) { arguments, console in
        let path = arguments.positionals[0]
        guard try ModelFile.kind(path) == .artifact else {
            let module = try Compilation(arguments, console).load(path).module
            let summaries = module.functions.map { ModelSummary(name: module.functions.count == 1 ? ModelFile.name(path) : $0.name, function: $0) }
            let json = summaries.count == 1 ? summaries[0].json : .array(summaries.map(\.json))
            console.print(arguments.has("json") ? json.text(pretty: true) : summaries.map(\.text).joined(separator: "\n\n"))
            return .done
        }
        let artifact = try ModelFile.open(path)
        if arguments.has("json") {
            console.print((try? JSONValue(parsing: artifact.manifest))?.text(pretty: true) ?? artifact.manifest)
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
            for info in entry.inputs { lines.append(["input", info.name, Inputs.describe(info), info.isOptional ? "optional" : info.holdsSizes ? "holds sizes" : ""]) }
            for info in entry.outputs { lines.append(["output", info.name, Inputs.describe(info), info.isDataDependent ? "size found while running" : info.squeezedAxes.isEmpty ? "" : "without axis \(info.squeezedAxes.map(String.init).joined(separator: ", ")) where it has one element"]) }
            for dimension in entry.dimensions where !dimension.isDataDependent {
                lines.append(["dimension", dimension.name, "\(dimension.minimum) to \(dimension.maximum.map(String.init) ?? "any size")", ""])
            }
            let record = manifest?["entries"]?.array?.first { $0["name"]?.string == entry.name }
            if let arena = record?["arena"], let bytes = arena["bytes"]?.int {
                lines.append(["memory", memoryText(bytes, hasFreeSizes: !entry.dimensions.isEmpty), arena["lower_bound"]?.int.map { "live at once: \(bytesText($0))" } ?? "", ""])
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
