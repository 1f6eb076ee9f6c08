#if canImport(Glibc)
import Glibc
#endif

/// Immutable bytes, owned or mapped, shared by reference. Never written after it is created.
public final class TensorStorage: @unchecked Sendable {
    public let bytes: UnsafeRawBufferPointer
    private let release: @Sendable () -> Void

    /// Wraps bytes that stay valid and unchanged until `release` is called.
    public init(_ bytes: UnsafeRawBufferPointer, release: @escaping @Sendable () -> Void) {
        self.bytes = bytes
        self.release = release
    }

    /// `count` bytes, 64-byte aligned, written once by `fill` (they start as zeros).
    public convenience init(count: Int, fill: (UnsafeMutableRawBufferPointer) throws -> Void) rethrows {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(count, 1), alignment: 64)
        memset(buffer.baseAddress!, 0, max(count, 1))
        nonisolated(unsafe) let owned = buffer
        do {
            try fill(UnsafeMutableRawBufferPointer(rebasing: buffer[0..<count]))
        } catch {
            buffer.deallocate()
            throw error
        }
        self.init(UnsafeRawBufferPointer(rebasing: buffer[0..<count]), release: { owned.deallocate() })
    }

    deinit { release() }
}

/// A constant tensor: dense, row-major, little-endian, of known shape.
public struct Tensor: Sendable {
    public let element: ElementType
    public let shape: [Int]
    public let storage: TensorStorage
    /// Where the first element lies in the storage.
    public let byteOffset: Int

    public var count: Int { shape.reduce(1, *) }
    public var byteCount: Int { count * element.byteCount }
    public var rank: Int { shape.count }
    public var type: TensorType { TensorType(element, shape.map { Extent($0) }) }

    /// The elements as raw bytes. Valid while the tensor lives.
    public var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: storage.bytes[byteOffset..<byteOffset + byteCount])
    }

    /// Views `storage` as a tensor.
    /// - Throws: `Diagnostic` where the shape is negative, overflows, or needs more bytes than there are.
    public init(_ element: ElementType, _ shape: [Int], storage: TensorStorage, byteOffset: Int = 0) throws(Diagnostic) {
        guard let bytes = Tensor.byteCount(element, shape), byteOffset >= 0, bytes <= storage.bytes.count - byteOffset else {
            throw Diagnostic(.invalid, "a tensor of type \(element.rawValue)\(shape) does not fit its \(storage.bytes.count) bytes of data")
        }
        self.init(unchecked: element, shape, storage: storage, byteOffset: byteOffset)
    }

    init(unchecked element: ElementType, _ shape: [Int], storage: TensorStorage, byteOffset: Int = 0) {
        self.element = element
        self.shape = shape
        self.storage = storage
        self.byteOffset = byteOffset
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
        shape.reduce(1, *) == count ? Tensor(unchecked: element, shape, storage: storage, byteOffset: byteOffset) : nil
    }

    /// The same bytes read as another type of the same width.
    public func bitcast(to other: ElementType) -> Tensor? {
        other.byteCount == element.byteCount ? Tensor(unchecked: other, shape, storage: storage, byteOffset: byteOffset) : nil
    }

    /// Reads elements as numbers.
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
        let reader = reader
        let first = reader.load(at: 0)
        if count > 1, memcmp(bytes.baseAddress!, bytes.baseAddress! + element.byteCount, byteCount - element.byteCount) != 0 { return nil }
        return first
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
        if a.storage === b.storage && a.byteOffset == b.byteOffset { return true }
        return a.byteCount == 0 || memcmp(a.bytes.baseAddress!, b.bytes.baseAddress!, a.byteCount) == 0
    }

    /// Hashes type, shape and a bounded sample of the bytes, so that large weights cost little.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(element)
        hasher.combine(shape)
        let sample = 256
        let bytes = self.bytes
        hasher.combine(bytes: UnsafeRawBufferPointer(rebasing: bytes.prefix(sample)))
        hasher.combine(bytes: UnsafeRawBufferPointer(rebasing: bytes.suffix(sample)))
    }
}
