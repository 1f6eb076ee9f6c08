import Foundation
import GlmcIR

/// A folder that goes away with the value, or when glmc is interrupted.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws(Diagnostic) {
        var template = Array((FileManager.default.temporaryDirectory.path + "/glmc-XXXXXX").utf8CString)
        guard mkdtemp(&template) != nil else {
            throw Diagnostic(.invalid, "cannot make a folder in \(FileManager.default.temporaryDirectory.path): \(String(cString: strerror(errno)))", hint: "set TMPDIR to a folder that can be written")
        }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        Interruption.add(unfinished: path)
    }

    func file(_ name: String) -> String { path + "/" + name }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
        Interruption.remove(unfinished: path)
    }
}
