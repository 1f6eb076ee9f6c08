import GlmcCodegen
import GlmcFrontend
import GlmcIR

extension Subcommand {
    static let lower = Subcommand(
        "lower", "MODEL [--form=FORM] [flags]",
        summary: "print what a model is lowered to: memory, launches, kernels",
        details: """
            FORM is program (every piece of memory with its owner and format, and the launches; the default), kernels (their
            loops) or source (their C or CUDA).
            """,
        positionals: 1...1,
        flags: [Flag("form", .value("FORM"), choices: Lowered.Form.allCases.map(\.rawValue), "what to print (default program)")] + Compilation.flags
    ) { arguments, console in
        let compilation = try Compilation(arguments, console)
        var module = try compilation.load(arguments.positionals[0]).module
        _ = try compilation.optimise(&module)
        let form = arguments.string("form").flatMap(Lowered.Form.init) ?? .program
        console.print(String(try compilation.lower(module).text(form).trimmingSuffix("\n")))
        return .done
    }
}
