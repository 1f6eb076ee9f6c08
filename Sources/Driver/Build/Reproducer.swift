import Foundation
import GlmcFrontend
import GlmcIR
import GlmcPasses

/// What a defect of glmc leaves behind: the IR that it was working on, and the command that shows it again.
enum Reproducer {
    /// Writes the files to the current folder, or to the folder of temporary files where that cannot be written.
    /// - Returns: the defect, with where the reproducer is.
    static func write(_ reproducer: PassManager.Reproducer, _ diagnostic: Diagnostic) -> Diagnostic {
        for folder in [".", FileManager.default.temporaryDirectory.path] {
            let name = "glmc-reproducer-\(getpid())", weights = name + ".weights"
            let module = reproducer.module(fileName: name + ".glm", weightsFileName: weights)
            do {
                try TextualIR.write(module, to: "\(folder)/\(name).glm", weights: "\(folder)/\(weights)")
            } catch { continue }
            var result = diagnostic
            result.hint = "this is a defect of glmc; please report it with \(folder)/\(name).glm\(module.resources.isEmpty ? "" : " and \(weights)"), which shows it: the first line is the command"
            return result
        }
        return diagnostic
    }
}
