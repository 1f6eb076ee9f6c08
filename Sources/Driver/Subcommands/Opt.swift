import Foundation
import GlmcFrontend
import GlmcIR

extension Subcommand {
    static let opt = Subcommand(
        "opt", "FILE.glm [--passes=A,B] [-o OUT.glm]",
        summary: "run passes on textual IR",
        details: "Prints the result unless -o is given. MODEL may also be an .onnx file or a folder of safetensors, whose IR is then the input.",
        positionals: 1...1,
        flags: [Flag("output", .value("OUT.glm"), short: "o", "the file to write; large constants go to a .weights file beside it"), Flag("time-passes", "print how long each pass took")]
            + Compilation.modelFlags + Quantization.flags + Compilation.passFlags
    ) { arguments, console in
        if let output = arguments.string("output") { try Files.checkTarget(output) }
        let compilation = try Compilation(arguments, console)
        var module = try compilation.load(arguments.positionals[0]).module
        let reports = try compilation.optimise(&module)
        if arguments.has("time-passes") { console.note(PassTable.text(reports)) }
        if let output = arguments.string("output") {
            try TextualIR.write(module, to: output)
        } else {
            console.print(String(Printer.module(module.functions, weights: .elided).text.trimmingSuffix("\n")))
        }
        return .done
    }
}

extension String {
    func trimmingSuffix(_ character: Character) -> Substring { hasSuffix(String(character)) ? dropLast().description.trimmingSuffix(character) : self[...] }
}
