import GlmcFrontend
import GlmcIR
import GlmcPasses

extension Subcommand {
    static let explain = Subcommand(
        "explain", "MODEL [flags]",
        summary: "say what would be fused and rewritten, and why not; list every blocker",
        details: "Exit code 4 when the model cannot be compiled: every node in the way is then listed.",
        positionals: 1...1,
        flags: [Flag("json", "print JSON"), Flag("missed", "only what was not done")] + Compilation.modelFlags + Compilation.precisionFlags + Compilation.passFlags
    ) { arguments, console in
        let compilation = try Compilation(arguments, console)
        var module = try compilation.load(arguments.positionals[0]).module
        let before = module.nodeCount
        let reports = try compilation.optimise(&module)
        let remarks = reports.flatMap { report in report.remarks.filter { $0.missed || !arguments.has("missed") }.map { (pass: report.name, remark: $0) } }
        if arguments.has("json") {
            console.print(JSONValue.object([
                "nodes_before": .int(Int64(before)), "nodes_after": .int(Int64(module.nodeCount)),
                "passes": .array(reports.map { .object(["name": .string($0.name), "rewrites": .int(Int64($0.rewrites))]) }),
                "remarks": .array(remarks.map { pass, remark in
                    .object([
                        "pass": .string(pass), "op": .string(remark.op), "nodes": .array(remark.provenance.map { .string($0) }), "message": .string(remark.message), "missed": .bool(remark.missed),
                    ])
                }),
            ]).text(pretty: true))
            return .done
        }
        console.print("\(before) nodes become \(module.nodeCount)\n\n\(PassTable.text(reports))")
        var counts: [String: Int] = [:]
        for function in module.functions { for node in function.allNodes { counts[function[node].op.mnemonic, default: 0] += 1 } }
        console.print("\nwhat remains:\n" + columns(counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { ["\($0.value)", $0.key] }, indent: "  "))
        if !remarks.isEmpty {
            console.print("\nremarks:\n" + columns(remarks.map { pass, remark in
                [remark.missed ? "missed" : "done", pass, "\(remark.op)\(remark.provenance.first.map { " '\($0)'" } ?? "")", remark.message]
            }, indent: "  "))
        }
        return .done
    }
}

extension Module {
    /// Of all entry points.
    fileprivate var nodeCount: Int { functions.reduce(0) { $0 + $1.allNodes.count } }
}

/// What passes did, for people.
enum PassTable {
    static func text(_ reports: [PassManager.PassReport]) -> String {
        columns(reports.map { [$0.name, "\($0.rewrites) rewrites", formatted("%.1f ms", $0.duration / .milliseconds(1))] }, indent: "  ")
    }
}
