import Foundation
import GlmcIR

/// All constant data of a module as one blob: weights in formats of their own first, then those that kernels read as they are, then defaults of inputs. What
/// several entry points read stands in it once.
struct Weights {
    private var offsets: [StoredWeight: Int] = [:]
    /// Where the defaults of inputs lie, by entry point and position of the input.
    private(set) var defaultOffsets: [[Int: Int]] = []
    private(set) var byteCount = 0
    /// The file that the blob lies in, and its id, where that is not the artifact.
    var external: (file: String, id: String)?
    /// Bytes behind every constant that nothing may touch, where the blob has red zones.
    private(set) var redZones: [Range<Int>] = []
    private let redZone: Int
    private var segments: [Segment] = []

    private struct Segment {
        var range: Range<Int>
        var weight: StoredWeight
    }

    /// Lays out the blob.
    /// - Parameters:
    ///   - programs: the entry points, which share their code.
    ///   - hasRedZones: leaves red zones, for tools that find stray accesses.
    init(_ programs: [Program], hasRedZones: Bool = false) {
        redZone = hasRedZones ? 64 : 0
        let weights = programs.flatMap { program in
            let used = program.usedStorages
            return program.storages.enumerated().compactMap { i, storage -> StoredWeight? in
                guard case .weight(let weight) = storage.owner, used.contains(StorageID(index: i)) else { return nil }
                return weight
            }
        }
        for weight in weights.filter({ !$0.isDense }) + weights.filter(\.isDense) where offsets[weight] == nil { offsets[weight] = add(weight) }
        for program in programs {
            var offsets: [Int: Int] = [:]
            for (i, input) in program.function.inputs.enumerated() {
                guard let tensor = program.function.defaults[input] else { continue }
                offsets[i] = add(StoredWeight(dense: tensor))
            }
            defaultOffsets.append(offsets)
        }
    }

    /// Where a weight begins in the blob.
    /// - Throws: an internal `Diagnostic` for one that no launch reads.
    func offset(of weight: StoredWeight) throws -> Int {
        guard let offset = offsets[weight] else { throw Diagnostic(.internal, "the weight \(weight) is read and has no place in the artifact") }
        return offset
    }

    private mutating func add(_ weight: StoredWeight) -> Int {
        let offset = byteCount, bytes = weight.byteCount
        segments.append(Segment(range: offset..<offset + bytes, weight: weight))
        byteCount = (offset + bytes + redZone + 63) / 64 * 64
        if redZone > 0 { redZones.append(offset + bytes..<byteCount) }
        return offset
    }

    /// Bytes of the blob in a file: there is always something to point at.
    var storedBytes: Int { max(byteCount, 64) }

    /// The blob as a C expression; null where it lies in a file of its own.
    func symbol(_ name: ModelName) -> String { external == nil ? name.weights : "0" }

    /// Assembler text that makes the blob in a file of weights a read-only section: constants are never written as C.
    func assembly(_ name: ModelName, file: String) -> String {
        BinarySection.assembly(name.weights, file: file, part: WeightsFile.headerBytes..<WeightsFile.headerBytes + storedBytes)
    }

    /// Writes a new file of weights, packing on all cores; `WeightsFile.complete` gives it what tells it from others. `progress` gets the share that is done.
    /// - Throws: `Diagnostic` where the file cannot be written.
    func write(to path: String, progress: @Sendable (Double) -> Void) throws {
        let descriptor = open(path, O_RDWR | O_CREAT | O_TRUNC, 0o600)
        guard descriptor >= 0 else { throw Diagnostic(.invalid, "cannot write \(path): \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        let total = WeightsFile.headerBytes + storedBytes
        guard posix_fallocate(descriptor, 0, off_t(total)) == 0 else {
            throw Diagnostic(.invalid, "no room for \(total) bytes of weights in \((path as NSString).deletingLastPathComponent)", hint: "set TMPDIR to a folder with more space")
        }
        guard let base = mmap(nil, total, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), base != MAP_FAILED else {
            throw Diagnostic(.invalid, "cannot map \(path): \(String(cString: strerror(errno)))")
        }
        defer { munmap(base, total) }
        nonisolated(unsafe) let memory = UnsafeMutableRawBufferPointer(start: base + WeightsFile.headerBytes, count: storedBytes)
        let segments = segments
        let done = Counter()
        DispatchQueue.concurrentPerform(iterations: segments.count) { i in
            let segment = segments[i]
            let target = UnsafeMutableRawBufferPointer(rebasing: memory[segment.range])
            segment.weight.write(to: target)
            // The file holds what was written: neither it nor what was read has to stay in memory.
            for source in segment.weight.sources { source.evict() }
            MappedPages.evict(UnsafeRawBufferPointer(target))
            progress(Double(done.increment()) / Double(segments.count))
        }
    }
}

/// A count that several threads advance.
final class Counter: @unchecked Sendable {
    private let lock = NSLock()
    private var value = 0

    func increment() -> Int {
        lock.lock()
        defer { lock.unlock() }
        value += 1
        return value
    }
}
