import CGlmcABI
import Foundation
import GlmcIR

/// The check value behind a shared library that glmc wrote (`glmc_checksum.h` has its format): loaders refuse a library whose bytes have changed since.
enum ChecksumTrailer {
    /// The CRC-32 of a mapped file, or of a part of it.
    static func checksum(_ content: Data) -> UInt32 {
        var crc: UInt32 = 0
        content.withUnsafeBytes { MappedPages.visit($0) { crc = glmc_crc_continued(crc, $0.bindMemory(to: UInt8.self).baseAddress, UInt64($0.count)) } }
        return crc
    }

    /// Puts the trailer behind a finished file.
    static func append(to path: String) throws(Diagnostic) {
        do {
            let content = try Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped)
            var trailer = [UInt8](repeating: 0, count: Int(GLMC_TRAILER_BYTES))
            glmc_trailer_write(checksum(content), UInt64(content.count), &trailer)
            let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
            try file.seekToEnd()
            try file.write(contentsOf: trailer)
            try file.close()
        } catch {
            throw Diagnostic(.invalid, "cannot write \(path): \(error.localizedDescription)", hint: "is there room?")
        }
    }
}
