import Foundation
import GlmcIR
import Testing

@testable import GlmcCodegen

/// What lies in the cache is linked only if it is, to the bit, what was put there by its owner.
@Suite final class ObjectCacheTests {
    let folder: TemporaryFolder
    private let object = Data((0..<40).map { UInt8($0 * 5) })

    init() throws { folder = try TemporaryFolder() }

    private func cache(_ name: String = "cache") throws -> ObjectCache { try #require(try ObjectCache.open(folder.file(name))) }

    /// What a compilation through the cache gives, and whether the compiler ran.
    private func get(_ cache: ObjectCache, _ key: String = "key") throws -> (object: Data, isCompiled: Bool) {
        let path = folder.file("object.o")
        try? FileManager.default.removeItem(atPath: path)
        let hit = try cache.object(key, at: path) { try self.object.write(to: URL(fileURLWithPath: $0)) }
        return (try Data(contentsOf: URL(fileURLWithPath: path)), !hit)
    }

    private func entry(_ key: String = "key") -> URL { URL(fileURLWithPath: folder.file("cache/objects/\(key).o")) }

    @Test func noticesEveryFlippedBitAndEveryCut() throws {
        let cache = try cache()
        #expect(try get(cache).isCompiled && !get(cache).isCompiled)
        let whole = try Data(contentsOf: entry())
        var damaged = (0..<whole.count * 8).map { bit in
            var copy = whole
            copy[bit / 8] ^= 1 << UInt8(bit % 8)
            return copy
        }
        damaged += (0..<whole.count).map { whole.prefix($0) } + [whole + [0], object]
        for content in damaged {
            try content.write(to: entry())
            let result = try get(cache)
            #expect(result.isCompiled && result.object == object)
            // And is replaced.
            #expect(try Data(contentsOf: entry()) == whole)
        }
        #expect(try !get(cache).isCompiled)
        try whole.write(to: entry("other"))
        #expect(try get(cache, "other").isCompiled, "an entry under another name")
    }

    @Test func readsNoLinksAndNoPipes() throws {
        let cache = try cache()
        #expect(try get(cache).isCompiled)
        try FileManager.default.moveItem(at: entry(), to: URL(fileURLWithPath: folder.file("elsewhere")))
        try FileManager.default.createSymbolicLink(at: entry(), withDestinationURL: URL(fileURLWithPath: folder.file("elsewhere")))
        #expect(try get(cache).isCompiled && !get(cache).isCompiled)
        try FileManager.default.removeItem(at: entry())
        #expect(mkfifo(entry().path, 0o600) == 0)
        #expect(try get(cache).isCompiled && !get(cache).isCompiled)
    }

    /// A file system that lost its mind leaves files of any size; none of them is read.
    @Test func readsNothingOfAbsurdSize() throws {
        let cache = try cache()
        #expect(try get(cache).isCompiled && truncate(entry().path, 1 << 40) == 0)
        #expect(try get(cache).isCompiled && !get(cache).isCompiled)
    }

    @Test func isClosedToOthers() throws {
        _ = try cache()
        for path in ["cache", "cache/objects"].map(folder.file) {
            #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o700)
            for mode: mode_t in [0o720, 0o702, 0o777] {
                #expect(chmod(path, mode) == 0)
                #expect(throws: Diagnostic.self) { try ObjectCache.open(folder.file("cache")) }
            }
            #expect(chmod(path, 0o755) == 0)
            _ = try cache()
        }
        try FileManager.default.moveItem(atPath: folder.file("cache/objects"), toPath: folder.file("objects"))
        try FileManager.default.createSymbolicLink(atPath: folder.file("cache/objects"), withDestinationPath: folder.file("objects"))
        #expect(throws: Diagnostic.self) { try ObjectCache.open(folder.file("cache")) }
        #expect(try ObjectCache.open("/proc/none/of/that") == nil)
        if geteuid() == 0 {
            let foreign = folder.file("foreign")
            #expect(mkdir(foreign, 0o700) == 0 && chown(foreign, 12345, 12345) == 0)
            #expect(throws: Diagnostic.self) { try ObjectCache.open(foreign) }
        }
    }

    @Test func trimsOnlyItsOwnFiles() throws {
        let cache = try cache(), outside = folder.file("outside")
        try FileManager.default.createDirectory(atPath: outside, withIntermediateDirectories: true)
        try Data(count: 1000).write(to: URL(fileURLWithPath: outside + "/kept"))
        try FileManager.default.createSymbolicLink(atPath: folder.file("cache/objects/folder"), withDestinationPath: outside)
        try FileManager.default.createSymbolicLink(atPath: folder.file("cache/objects/file"), withDestinationPath: outside + "/kept")
        for i in 0..<4 {
            _ = try get(cache, "key\(i)")
            var times = [timeval(tv_sec: 1000 + i, tv_usec: 0), timeval(tv_sec: 1000 + i, tv_usec: 0)]
            #expect(utimes(entry("key\(i)").path, &times) == 0)
        }
        let bytes = cache.byteCount
        #expect(bytes == 4 * (object.count + 72))
        cache.trim(to: bytes - 1)
        #expect(cache.byteCount <= bytes * 3 / 4)
        #expect(!FileManager.default.fileExists(atPath: entry("key0").path) && FileManager.default.fileExists(atPath: entry("key3").path))
        cache.trim(to: 0)
        #expect(cache.byteCount == 0 && FileManager.default.contents(atPath: outside + "/kept")?.count == 1000)
    }
}
