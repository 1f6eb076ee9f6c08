import Foundation
import GlmcCodegen
import GlmcFrontend
import GlmcIR

/// Writing textual IR.
enum TextualIR {
    /// Writes a module; its large constants, if there are any, go to a file beside it whose name is the text's with `.weights` behind: no artifact's weights are called so.
    static func write(_ module: Module, to path: String) throws {
        let weights = path + ".weights"
        let text = Printer.module(module.functions, weights: .external(fileName: URL(fileURLWithPath: weights).lastPathComponent))
        try write(text.resources.isEmpty ? Printer.module(module.functions, weights: .inline) : text, to: path, weights: weights)
    }

    /// Writes a module whose large constants go to a file of their own, of which the text names the digest; each file is written whole or not at all.
    static func write(_ module: Printer.Text, to path: String, weights: String) throws {
        var digest: String?
        if !module.resources.isEmpty {
            var hash = SHA256()
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
                try withExtendedLifetime(module) {
                    for chunk in chunks { hash.update(chunk) }
                    try Files.replace(weights, with: chunks)
                }
            }
            digest = hash.finish()
        }
        try Array(module.text(sha256: digest).utf8).withUnsafeBytes { try Files.replace(path, with: [$0]) }
    }

    /// Opens the file of the constants of the text at `path`.
    /// - Throws: `Diagnostic` for a file outside of the text's folder, and for another one than was written with the text.
    static func resources(_ name: String, sha256: String?, of path: String) throws -> TensorStorage {
        guard let file = Files.inside(Files.folder(of: path), name) else { throw Diagnostic(.invalid, "the file '\(name)' of its constants is not in its folder", at: [path]) }
        let map = try Files.map(file)
        guard let sha256 else { return map.owner }
        var hash = SHA256()
        map.withUnsafeBytes { MappedPages.visit($0) { hash.update($0) } }
        guard hash.finish() == sha256 else {
            throw Diagnostic(.invalid, "the file '\(name)' is not the one of its constants, or is damaged", at: [path], hint: "write both files again, or copy both")
        }
        return map.owner
    }
}
