import Foundation
import GlmcIR

/// A folder that goes away with the value, or when glmc is interrupted.
public final class TemporaryFolder: Sendable {
    public let path: String

    /// - Throws: when there is no place for one.
    public init() throws(Diagnostic) {
        let parent = FileManager.default.temporaryDirectory.path
        // Compilers write the names of their files into assembler text, some as they are.
        guard !parent.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f || $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") }) else {
            throw Diagnostic(.invalid, "the folder for temporary files has a name that compilers do not take", at: [parent], hint: "set TMPDIR to a folder without quotes, backslashes and control characters")
        }
        var template = Array((parent + "/glmc-XXXXXX").utf8CString)
        guard mkdtemp(&template) != nil else {
            throw Diagnostic(.invalid, "cannot make a folder in \(parent): \(String(cString: strerror(errno)))", hint: "set TMPDIR to a folder that can be written")
        }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        Interruption.add(unfinished: path)
    }

    public func file(_ name: String) -> String { path + "/" + name }

    func write(_ name: String, _ bytes: [UInt8]) throws(Diagnostic) {
        do {
            try Data(bytes).write(to: URL(fileURLWithPath: file(name)))
        } catch {
            throw Diagnostic(.invalid, "cannot write \(file(name)): \(error.localizedDescription)")
        }
    }

    /// Puts a copy of a file of it at `target`, which is written whole or not at all.
    func place(_ name: String, at target: String) throws(Diagnostic) { try WholeFile.place(file(name), at: target) }

    /// Copies everything in it but some to `folder`, which is made where it does not exist.
    func copyAll(to folder: String, except left: Set<String> = []) throws(Diagnostic) {
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            for name in try FileManager.default.contentsOfDirectory(atPath: path) where !left.contains(name) {
                try? FileManager.default.removeItem(atPath: "\(folder)/\(name)")
                try FileManager.default.copyItem(atPath: "\(path)/\(name)", toPath: "\(folder)/\(name)")
            }
        } catch {
            throw Diagnostic(.invalid, "cannot save the emitted files in \(folder): \(error.localizedDescription)")
        }
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
        Interruption.remove(unfinished: path)
    }
}
