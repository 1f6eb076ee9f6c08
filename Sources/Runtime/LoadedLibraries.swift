import Foundation
import Synchronization

/// Opens shared libraries so that a file that replaced another under its name is not taken for it.
///
/// The loader remembers libraries by the path that they were opened with, for as long as they are open: of a file that was written beside and
/// renamed, as `glmc compile` does, it would give the old one. So every file of a name gets a spelling of its own: `/m.so`, `//m.so`, `///m.so`, …
enum LoadedLibraries {
    private struct Identity: Equatable {
        let device: UInt64
        let file: UInt64
    }

    private static let identities = Mutex<[String: Identity]>([:])

    /// The handle of the library at the absolute `path`; nil where the loader refuses it, which `dlerror` explains.
    static func open(_ path: String) -> UnsafeMutableRawPointer? {
        var status = stat()
        guard stat(path, &status) == 0 else { return dlopen(path, RTLD_NOW | RTLD_LOCAL) }
        let identity = Identity(device: UInt64(status.st_dev), file: UInt64(status.st_ino))
        let spelling = identities.withLock { identities in
            var spelling = path
            while let known = identities[spelling], known != identity { spelling = "/" + spelling }
            identities[spelling] = identity
            return spelling
        }
        return dlopen(spelling, RTLD_NOW | RTLD_LOCAL)
    }
}
