import Foundation
import GlmcIR

/// Where an artifact's weights lie.
public enum WeightsPlace: String, Sendable, CaseIterable {
    /// In the artifact, unless they are large.
    case auto
    case embed
    /// In a file beside the artifact, which sessions map.
    case external

    /// Larger weights go beside the artifact unless they are asked for inside.
    static let largestEmbedded = 1_500_000_000
    /// What 32-bit distances between code and constants reach; beyond it no linker goes.
    static let mostEmbedded = 1_900_000_000

    /// - Throws: `Diagnostic` where `byteCount` bytes cannot lie inside an artifact.
    func isExternal(_ byteCount: Int) throws(Diagnostic) -> Bool {
        switch self {
        case .auto: return byteCount > Self.largestEmbedded
        case .external: return true
        case .embed:
            guard byteCount <= Self.mostEmbedded else {
                throw Diagnostic(.unsupported, "\(byteCount) bytes of weights do not fit into an artifact, which holds \(Self.mostEmbedded)", hint: "--weights=external puts them beside it")
            }
            return false
        }
    }
}

/// A file of weights: "GLMCWTS1", the id of its artifact in 64 hexadecimal digits, zeros up to byte 128, the blob, a checksum trailer (see docs/artifact.md).
enum WeightsFile {
    static let headerBytes = 128

    /// Where the weights of an artifact at `path` lie when they lie beside it.
    static func beside(_ path: String) -> String { URL(fileURLWithPath: path).deletingPathExtension().appendingPathExtension("weights").path }

    /// Writes the header of a file that holds the blob, and the trailer behind it.
    /// - Parameter artifact: text that says what else the artifact is, so that its weights are no other's.
    /// - Returns: the id.
    static func complete(_ path: String, artifact: String) throws(Diagnostic) -> String {
        do {
            let blob = try Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped).dropFirst(headerBytes)
            let id = SHA256.hex("\(artifact)\n\(ChecksumTrailer.checksum(blob))")
            let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
            try file.write(contentsOf: Data("GLMCWTS1\(id)".utf8))
            try file.close()
            try ChecksumTrailer.append(to: path)
            return id
        } catch let error as Diagnostic {
            throw error
        } catch {
            throw Diagnostic(.invalid, "cannot write \(path): \(error.localizedDescription)", hint: "is there room?")
        }
    }
}
