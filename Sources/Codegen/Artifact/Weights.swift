import Foundation
import GlmcIR

/// All constant data of a module as one blob: packed weights first, then constants that kernels read as they are, then defaults of inputs. What
/// several entry points read stands in it once.
struct Weights {
    private(set) var packedOffsets: [Int] = []
    /// By entry point.
    private(set) var constantOffsets: [[RootID: Int]] = []
    /// Where the defaults of inputs lie, by entry point and position of the input.
    private(set) var defaultOffsets: [[Int: Int]] = []
    private(set) var byteCount = 0
    /// Bytes behind every constant that nothing may touch, where the blob is watched.
    private(set) var gaps: [Range<Int>] = []
    private let gap: Int
    private var segments: [(offset: Int, byteCount: Int, write: @Sendable (UnsafeMutableRawBufferPointer) -> Void)] = []

    /// Lays out the blob.
    /// - Parameters:
    ///   - programs: the entry points, which share their code.
    ///   - isWatched: leaves gaps, for tools that find stray accesses.
    init(_ programs: [Program], isWatched: Bool = false) {
        gap = isWatched ? 64 : 0
        for constant in programs.first?.code.packed ?? [] {
            packedOffsets.append(add(constant.byteCount, constant.pack))
        }
        var known: [Tensor: Int] = [:]
        for program in programs {
            var used: Set<RootID> = [], offsets: [RootID: Int] = [:]
            for launch in program.launches { for case .root(let root, _) in launch.arguments { used.insert(root) } }
            for (i, root) in program.roots.enumerated() where used.contains(RootID(index: i)) {
                guard case .constant(let tensor) = root.kind else { continue }
                let offset = known[tensor] ?? add(tensor.byteCount) { $0.copyMemory(from: tensor.bytes) }
                known[tensor] = offset
                offsets[RootID(index: i)] = offset
            }
            constantOffsets.append(offsets)
        }
        for program in programs {
            var offsets: [Int: Int] = [:]
            for (i, input) in program.function.inputs.enumerated() {
                guard let tensor = program.function.defaults[input] else { continue }
                offsets[i] = add(tensor.byteCount) { $0.copyMemory(from: tensor.bytes) }
            }
            defaultOffsets.append(offsets)
        }
    }

    private mutating func add(_ bytes: Int, _ write: @escaping @Sendable (UnsafeMutableRawBufferPointer) -> Void) -> Int {
        let offset = byteCount
        segments.append((offset, bytes, write))
        byteCount = (offset + bytes + gap + 63) / 64 * 64
        if gap > 0 { gaps.append(offset + bytes..<byteCount) }
        return offset
    }

    /// Assembler text that makes a file a read-only section: constants are never written as C.
    static func assembly(_ name: ModelName, file: String) -> String {
        """
            .section .rodata.\(name.weights),"a"
            .balign 64
            .globl \(name.weights)
            .hidden \(name.weights)
            .type \(name.weights), %object
        \(name.weights):
            .incbin \(ForeignText.literal(file))
            .size \(name.weights), .-\(name.weights)
            .section .note.GNU-stack,"",%progbits

        """
    }

    /// Writes the blob to a new file, packing on all cores. `progress` gets the share that is done.
    /// - Throws: `Diagnostic` where the file cannot be written.
    func write(to path: String, progress: @Sendable (Double) -> Void) throws {
        let descriptor = open(path, O_RDWR | O_CREAT | O_TRUNC, 0o600)
        guard descriptor >= 0 else { throw Diagnostic(.invalid, "cannot write \(path): \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        let total = max(byteCount, 64)
        guard posix_fallocate(descriptor, 0, off_t(total)) == 0 else {
            throw Diagnostic(.invalid, "no room for \(total) bytes of weights in \((path as NSString).deletingLastPathComponent)", hint: "set TMPDIR to a folder with more space")
        }
        guard let base = mmap(nil, total, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), base != MAP_FAILED else {
            throw Diagnostic(.invalid, "cannot map \(path): \(String(cString: strerror(errno)))")
        }
        defer { munmap(base, total) }
        nonisolated(unsafe) let memory = UnsafeMutableRawBufferPointer(start: base, count: total)
        let segments = segments
        let done = Counter()
        DispatchQueue.concurrentPerform(iterations: segments.count) { i in
            let segment = segments[i]
            segment.write(UnsafeMutableRawBufferPointer(rebasing: memory[segment.offset..<segment.offset + segment.byteCount]))
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
