import Foundation

/// A tensor in host memory: an element type, a shape, and row-major, densely packed bytes. A value: copies do not share changes.
public struct TensorBuffer: Sendable {
    public let type: ScalarType
    public let shape: [Int]
    private var storage: Storage

    /// Memory aligned to 64 bytes. Immutable once shared: `TensorBuffer` copies it before a change when it is not the only owner.
    private final class Storage: @unchecked Sendable {
        let bytes: UnsafeMutableRawBufferPointer
        init(byteCount: Int) throws(RuntimeError) {
            // The C function, because Swift's own ends the program where there is no memory.
            guard let address = aligned_alloc(64, (byteCount / 64 + 1) * 64) else { throw RuntimeError(.noMemory, "no memory for a tensor of \(byteCount) bytes") }
            bytes = UnsafeMutableRawBufferPointer(start: address, count: byteCount)
        }
        /// A copy; like that of an array, it ends the program where there is no memory.
        init(copying source: UnsafeMutableRawBufferPointer) {
            bytes = UnsafeMutableRawBufferPointer(start: aligned_alloc(64, (source.count / 64 + 1) * 64)!, count: source.count)
            bytes.copyMemory(from: UnsafeRawBufferPointer(source))
        }
        deinit { free(bytes.baseAddress) }
    }

    /// A tensor of zeros.
    /// - Throws: `badShape` when a size is negative or the whole does not fit memory's address range; `badType` for strings.
    public init(zeros type: ScalarType, shape: [Int]) throws(RuntimeError) {
        guard type.byteCount != nil else { throw RuntimeError(.badType, "tensors of strings cannot be passed to an artifact") }
        guard let count = type.byteCount(shape: shape), count < 1 << 46 else { throw RuntimeError(.badShape, "a tensor of shape \(shape) cannot be allocated") }
        self.type = type
        self.shape = shape
        storage = try Storage(byteCount: count)
        storage.bytes.initializeMemory(as: UInt8.self, repeating: 0)
    }

    /// A tensor of `values` in row-major order.
    /// - Throws: `badShape` when their number is not the product of `shape`.
    public init<Element: TensorScalar>(_ values: [Element], shape: [Int]) throws(RuntimeError) {
        let bytes = Element.scalarType.byteCount(shape: shape)
        guard let bytes, bytes == values.count * MemoryLayout<Element>.stride else {
            throw RuntimeError(.badShape, "\(values.count) values do not fill a tensor of shape \(shape)")
        }
        type = Element.scalarType
        self.shape = shape
        storage = try Storage(byteCount: bytes)
        values.withUnsafeBytes { storage.bytes.copyMemory(from: $0) }
    }

    /// A tensor whose memory is a copy of `bytes`.
    /// - Throws: `tooSmall` when their number is not what `type` and `shape` need.
    public init(type: ScalarType, shape: [Int], bytes: UnsafeRawBufferPointer) throws(RuntimeError) {
        guard let count = type.byteCount(shape: shape), count == bytes.count else {
            throw RuntimeError(.tooSmall, "\(bytes.count) bytes do not fill a tensor of \(type) with shape \(shape)")
        }
        self.type = type
        self.shape = shape
        storage = try Storage(byteCount: count)
        storage.bytes.copyMemory(from: bytes)
    }

    public var byteCount: Int { storage.bytes.count }

    /// The elements in row-major order.
    /// - Throws: `badType` when the tensor is not of `Element`.
    public func array<Element: TensorScalar>(of: Element.Type = Element.self) throws(RuntimeError) -> [Element] {
        guard Element.scalarType == type else { throw RuntimeError(.badType, "the tensor holds \(type), not \(Element.scalarType)") }
        return storage.bytes.withMemoryRebound(to: Element.self) { Array($0) }
    }

    public func withUnsafeBytes<Result, Failure>(_ body: (UnsafeRawBufferPointer) throws(Failure) -> Result) throws(Failure) -> Result {
        try body(UnsafeRawBufferPointer(storage.bytes))
    }

    public mutating func withUnsafeMutableBytes<Result, Failure>(_ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Result) throws(Failure) -> Result {
        if !isKnownUniquelyReferenced(&storage) {
            storage = Storage(copying: storage.bytes)
        }
        return try body(storage.bytes)
    }

    /// Keeps the memory alive and gives its address, for bindings that outlive one call.
    var pinned: (owner: AnyObject, address: UnsafeMutableRawPointer?) { (storage, storage.bytes.baseAddress) }
}
