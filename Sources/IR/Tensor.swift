#if canImport(Glibc)
import Glibc
#endif

/// Immutable bytes, owned or mapped, shared by reference. Never written after they are there; some are made when they are first asked for.
public final class TensorStorage: @unchecked Sendable {
    public let byteCount: Int
    private var known: UnsafeRawBufferPointer?
    private var release: @Sendable () -> Void
    private var fill: (@Sendable (UnsafeMutableRawBufferPointer) -> Void)?
    /// Whether the bytes are those of a file, which can be read again.
    private let isMapped: Bool
    private let lock: UnsafeMutablePointer<pthread_mutex_t>?

    /// Wraps bytes that stay valid and unchanged until `release` is called.
    /// - Parameter isMapped: whether they are a private mapping of a file, which starts at a page.
    public init(_ bytes: UnsafeRawBufferPointer, isMapped: Bool = false, release: @escaping @Sendable () -> Void) {
        byteCount = bytes.count
        self.isMapped = isMapped
        known = bytes
        self.release = release
        lock = nil
    }

    /// `count` bytes, 64-byte aligned, written once by `fill` (they start as zeros).
    public convenience init(count: Int, fill: (UnsafeMutableRawBufferPointer) throws -> Void) rethrows {
        let bytes = try Self.allocate(count, fill)
        nonisolated(unsafe) let owned = bytes
        self.init(bytes, release: { owned.deallocate() })
    }

    /// `count` bytes, 64-byte aligned, that `fill` writes when they are first asked for (they start as zeros).
    public static func deferred(count: Int, fill: @escaping @Sendable (UnsafeMutableRawBufferPointer) -> Void) -> TensorStorage {
        TensorStorage(deferring: count, fill)
    }

    private init(deferring count: Int, _ fill: @escaping @Sendable (UnsafeMutableRawBufferPointer) -> Void) {
        byteCount = count
        isMapped = false
        self.fill = fill
        release = {}
        lock = .allocate(capacity: 1)
        if let lock { pthread_mutex_init(lock, nil) }
    }

    public var bytes: UnsafeRawBufferPointer {
        guard let lock else { return known ?? UnsafeRawBufferPointer(start: nil, count: 0) }
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        if let known { return known }
        let bytes = Self.allocate(byteCount) { fill?($0) }
        nonisolated(unsafe) let owned = bytes
        (known, fill, release) = (bytes, nil, { owned.deallocate() })
        return bytes
    }

    /// Gives back the memory of a range whose bytes will not be needed soon, where they can be read again from a file.
    func evict(_ range: Range<Int>) {
        if isMapped, let known { MappedPages.evict(UnsafeRawBufferPointer(rebasing: known[range])) }
    }

    private static func allocate(_ count: Int, _ fill: (UnsafeMutableRawBufferPointer) throws -> Void) rethrows -> UnsafeRawBufferPointer {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(count, 1), alignment: 64)
        memset(buffer.baseAddress!, 0, max(count, 1))
        do {
            try fill(UnsafeMutableRawBufferPointer(rebasing: buffer[0..<count]))
        } catch {
            buffer.deallocate()
            throw error
        }
        return UnsafeRawBufferPointer(rebasing: buffer[0..<count])
    }

    deinit {
        release()
        if let lock {
            pthread_mutex_destroy(lock)
            lock.deallocate()
        }
    }
}

/// Memory that shows a file.
public enum MappedPages {
    /// Gives back the pages that lie wholly inside `bytes`, a part of a mapping that is not private and written: the file keeps what they hold.
    public static func evict(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        let page = Int(sysconf(Int32(_SC_PAGESIZE))), start = Int(bitPattern: base)
        let first = (start + page - 1) / page * page, last = (start + bytes.count) / page * page
        if first < last, let address = UnsafeMutableRawPointer(bitPattern: first) { madvise(address, last - first, MADV_DONTNEED) }
    }

    /// Calls `body` with the parts of `bytes` in their order, each out of memory again before the next comes: a mapping may be larger than memory.
    public static func visit(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws -> Void) rethrows {
        let most = 1 << 24
        for start in stride(from: 0, to: bytes.count, by: most) {
            let part = UnsafeRawBufferPointer(rebasing: bytes[start..<min(start + most, bytes.count)])
            try body(part)
            evict(part)
        }
    }
}

/// Where a tensor's elements lie: element `index` at `byteOffset`, plus Σ index[axis]·strides[axis] elements.
public struct StoredElements: Sendable {
    public let storage: TensorStorage
    public let byteOffset: Int
    public let strides: [Int]

    /// The bytes from the first element on. Valid while the storage lives.
    public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: storage.bytes[byteOffset...]) }
}

/// A constant tensor: dense, row-major, little-endian, of known shape.
public struct Tensor: Sendable {
    public let element: ElementType
    public let shape: [Int]
    public let storage: TensorStorage
    /// Where the first element lies in the storage.
    public let byteOffset: Int
    /// Where the elements of a transposed tensor lie, whose own storage is a copy that is made when somebody reads it.
    private let source: StoredElements?

    public var count: Int { shape.reduce(1, *) }
    public var byteCount: Int { count * element.byteCount }
    public var rank: Int { shape.count }
    public var type: TensorType { TensorType(element, shape.map { Extent($0) }) }

    /// The elements as raw bytes. Valid while the tensor lives.
    public var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: storage.bytes[byteOffset..<byteOffset + byteCount])
    }

    /// Where the elements lie without being copied.
    public var stored: StoredElements {
        source ?? StoredElements(storage: storage, byteOffset: byteOffset, strides: rowMajorStrides(shape))
    }

    /// Gives back the memory of elements that will not be needed soon, where they can be read again from a file.
    public func evict() { stored.storage.evict(stored.byteOffset..<stored.byteOffset + byteCount) }

    /// Views `storage` as a tensor.
    /// - Throws: `Diagnostic` where the shape is negative, overflows, or needs more bytes than there are.
    public init(_ element: ElementType, _ shape: [Int], storage: TensorStorage, byteOffset: Int = 0) throws(Diagnostic) {
        guard let bytes = Tensor.byteCount(element, shape), byteOffset >= 0, bytes <= storage.byteCount - byteOffset else {
            throw Diagnostic(.invalid, "a tensor of type \(element.rawValue)\(shape) does not fit its \(storage.byteCount) bytes of data")
        }
        self.init(unchecked: element, shape, storage: storage, byteOffset: byteOffset)
    }

    init(unchecked element: ElementType, _ shape: [Int], storage: TensorStorage, byteOffset: Int = 0, source: StoredElements? = nil) {
        self.element = element
        self.shape = shape
        self.storage = storage
        self.byteOffset = byteOffset
        self.source = source
    }

    /// A new tensor whose bytes, zero at first, `fill` writes.
    public init(_ element: ElementType, _ shape: [Int], fill: (UnsafeMutableRawBufferPointer) throws -> Void) rethrows {
        let count = Tensor.byteCount(element, shape) ?? 0
        self.init(unchecked: element, shape, storage: try TensorStorage(count: count, fill: fill))
    }

    /// A new tensor computed element by element, in row-major order, from the flat index.
    public init(_ element: ElementType, _ shape: [Int], values: (Int) throws -> Double) rethrows {
        try self.init(element, shape) { bytes in
            let writer = ElementWriter(element, bytes)
            for i in 0..<shape.reduce(1, *) { writer.store(try values(i), at: i) }
        }
    }

    /// A new tensor of an integer or bool type computed from the flat index; values wrap to the width of the type.
    public init(_ element: ElementType, _ shape: [Int], integers: (Int) throws -> Int) rethrows {
        try self.init(element, shape) { bytes in
            let writer = ElementWriter(element, bytes)
            for i in 0..<shape.reduce(1, *) { writer.store(integer: try integers(i), at: i) }
        }
    }

    public init(_ values: [Float], shape: [Int]? = nil) {
        self.init(.f32, shape ?? [values.count]) { bytes in values.withUnsafeBytes { bytes.copyMemory(from: $0) } }
    }

    public init(_ values: [Int], shape: [Int]? = nil) {
        self.init(.i64, shape ?? [values.count]) { bytes in values.withUnsafeBytes { bytes.copyMemory(from: $0) } }
    }

    /// A rank-0 tensor.
    public static func scalar(_ value: Double, _ element: ElementType) -> Tensor {
        element.isFloat ? Tensor(element, [], values: { _ in value }) : Tensor(element, [], integers: { _ in Int(exactly: value) ?? 0 })
    }

    /// The same elements in another shape of equal count; nil where the counts differ.
    public func reshaped(_ shape: [Int]) -> Tensor? {
        guard shape.reduce(1, *) == count else { return nil }
        return Tensor(unchecked: element, shape, storage: storage, byteOffset: byteOffset, source: shape == self.shape ? source : nil)
    }

    /// The same elements with permuted axes: axis `i` of the result is axis `permutation[i]` of this tensor. Nothing is copied before somebody asks for the
    /// result's bytes.
    public func transposed(_ permutation: [Int]) -> Tensor {
        let (stored, element, shape) = (stored, element, permutation.map { self.shape[$0] })
        let source = StoredElements(storage: stored.storage, byteOffset: stored.byteOffset, strides: permutation.map { stored.strides[$0] })
        let storage = TensorStorage.deferred(count: byteCount) { bytes in
            guard !shape.contains(0), let copier = ElementCopier(element, from: source.bytes, to: bytes) else { return }
            copier.copy(window: shape, strides: source.strides)
        }
        return Tensor(unchecked: element, shape, storage: storage, source: source)
    }

    /// What `body`, which keeps shapes, makes of the elements in the order in which they lie, with this tensor's axes: nothing is copied for a transposed tensor.
    public func inStoredOrder(_ body: (Tensor) throws -> Tensor) rethrows -> Tensor {
        let stored = stored
        let order = shape.indices.sorted { (stored.strides[$0], $1) > (stored.strides[$1], $0) }
        let result = try body(Tensor(unchecked: element, order.map { shape[$0] }, storage: stored.storage, byteOffset: stored.byteOffset))
        return order.elementsEqual(shape.indices) ? result : result.transposed(shape.indices.map { axis in order.firstIndex(of: axis) ?? axis })
    }

    /// The same bytes read as another type of the same width.
    public func bitcast(to other: ElementType) -> Tensor? {
        other.byteCount == element.byteCount ? Tensor(unchecked: other, shape, storage: storage, byteOffset: byteOffset, source: source) : nil
    }

    /// Reads elements as numbers, as long as the tensor lives: not of one that has no name.
    public var reader: ElementReader { ElementReader(element, bytes) }

    /// All elements as f64; complex types give (real, imaginary) pairs.
    public var doubles: [Double] {
        let reader = reader
        return (0..<count * (element.isComplex ? 2 : 1)).map { reader.load(at: $0) }
    }

    /// All elements as integers (floats truncate).
    public var integers: [Int] {
        let reader = reader
        return (0..<count).map { reader.loadInteger(at: $0) }
    }

    /// The value of every element, where all have the same one.
    public var splat: Double? {
        guard count > 0, !element.isComplex, element != .string else { return nil }
        // The order does not matter.
        let stored = stored.bytes
        if count > 1, memcmp(stored.baseAddress!, stored.baseAddress! + element.byteCount, byteCount - element.byteCount) != 0 { return nil }
        return ElementReader(element, stored).load(at: 0)
    }

    /// Bytes of a tensor; nil where an extent is negative or the product overflows.
    public static func byteCount(_ element: ElementType, _ shape: [Int]) -> Int? {
        var total = element.byteCount
        for extent in shape {
            if extent < 0 { return nil }
            let (product, overflow) = total.multipliedReportingOverflow(by: extent)
            if overflow { return nil }
            total = product
        }
        return total
    }
}

extension Tensor: Hashable {
    public static func == (a: Tensor, b: Tensor) -> Bool {
        guard a.element == b.element, a.shape == b.shape else { return false }
        if a.byteCount == 0 || a.isSameMemory(as: b) { return true }
        guard a.hasSameSample(b) else { return false }
        let (x, y) = (a.stored, b.stored)
        // In one order elements compare where they lie.
        if x.strides == y.strides { return memcmp(x.bytes.baseAddress!, y.bytes.baseAddress!, a.byteCount) == 0 }
        return memcmp(a.bytes.baseAddress!, b.bytes.baseAddress!, a.byteCount) == 0
    }

    /// Hashes type, shape and a bounded sample of the elements, so that large weights cost little.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(element)
        hasher.combine(shape)
        for bytes in sample { hasher.combine(bytes: bytes) }
    }

    /// Whether two tensors of one type and shape lie at the same place in the same order.
    func isSameMemory(as other: Tensor) -> Bool {
        let (x, y) = (stored, other.stored)
        return x.storage === y.storage && x.byteOffset == y.byteOffset && x.strides == y.strides
    }

    private func hasSameSample(_ other: Tensor) -> Bool {
        zip(sample, other.sample).allSatisfy { memcmp($0.baseAddress!, $1.baseAddress!, $0.count) == 0 }
    }

    /// The bytes of some elements at the beginning and the end, in row-major order.
    private var sample: [UnsafeRawBufferPointer] {
        let most = 64, stored = stored, all = stored.bytes, width = element.byteCount
        let positions = count <= 2 * most ? Array(0..<count) : Array(0..<most) + Array(count - most..<count)
        return positions.map { flat in
            var rest = flat, place = 0
            for (extent, stride) in zip(shape, stored.strides).reversed() {
                place += rest % extent * stride
                rest /= extent
            }
            return UnsafeRawBufferPointer(rebasing: all[place * width..<(place + 1) * width])
        }
    }
}
