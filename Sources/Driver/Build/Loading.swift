import Foundation
import GlmcIR
import GlmcRuntime

/// Opens what a user named as an artifact.
enum Loading {
    static func artifact(_ path: String, _ console: Console) throws -> Artifact {
        guard let head = FileManager.default.contents(atPath: path, first: 4) else { throw Diagnostic(.invalid, "cannot be read", at: [path]) }
        guard isLibrary(head) else {
            throw Diagnostic(.invalid, "is not a compiled model", at: [path])
        }
        return try Artifact(path: path)
    }

    /// Whether a file that begins with these bytes is native code (ELF or Mach-O).
    static func isLibrary(_ head: [UInt8]) -> Bool {
        head == [0x7f, 0x45, 0x4c, 0x46] || head == [0xcf, 0xfa, 0xed, 0xfe]
    }
}

extension FileManager {
    /// The first `count` bytes of a regular file; fewer when it is shorter, nil when it cannot be read.
    func contents(atPath path: String, first count: Int) -> [UInt8]? {
        guard let file = FileHandle(forReadingAtPath: path), let data = try? file.read(upToCount: count) else {
            return FileHandle(forReadingAtPath: path) != nil && !isFolder(path) ? [] : nil
        }
        return Array(data)
    }

    func isFolder(_ path: String) -> Bool {
        var isFolder: ObjCBool = false
        return fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
    }
}
