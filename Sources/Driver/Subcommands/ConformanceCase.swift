import GlmcFrontend

extension Subcommand {
    /// One test case in a process of its own, for `glmc conformance`: whatever happens here ends only this process.
    static let conformanceCase = Subcommand(
        "conformance-case", "DIR", summary: "run one ONNX test case and print how it ended as JSON", positionals: 1...1,
        flags: [Flag("dynamic", "leave the sizes of inputs free")] + Compilation.flags, isHidden: true
    ) { arguments, console in
        let runner = CaseRunner(compilation: try Compilation(arguments, console), isDynamic: arguments.has("dynamic"))
        console.print(runner.run(arguments.positionals[0]).json.text())
        return .done
    }
}
