import Foundation
import GlmcFrontend
import GlmcIR

/// Writing textual IR.
enum TextualIR {
    /// Writes a module; its large constants, if there are any, go to a file beside it that ends in `.weights`.
    static func write(_ module: Module, to path: String) throws {
        let weights = Files.path(path, withEnding: "weights")
        let text = Printer.module(module.functions, weights: .external(fileName: URL(fileURLWithPath: weights).lastPathComponent))
        try write(text.resources.isEmpty ? Printer.module(module.functions, weights: .inline) : text, to: path, weights: weights)
    }

    /// Writes a module whose large constants go to a file of their own; each file is written whole or not at all.
    static func write(_ module: Printer.Text, to path: String, weights: String) throws {
        if !module.resources.isEmpty {
            var chunks: [UnsafeRawBufferPointer] = [], end = 0
            let padding = [UInt8](repeating: 0, count: 4096)
            try padding.withUnsafeBytes { zeros in
                for resource in module.resources {
                    while end < resource.offset {
                        let gap = min(resource.offset - end, zeros.count)
                        chunks.append(UnsafeRawBufferPointer(rebasing: zeros.prefix(gap)))
                        end += gap
                    }
                    chunks.append(resource.tensor.bytes)
                    end += resource.tensor.byteCount
                }
                try withExtendedLifetime(module) { try Files.replace(weights, with: chunks) }
            }
        }
        try Array(module.text.utf8).withUnsafeBytes { try Files.replace(path, with: [$0]) }
    }
}
