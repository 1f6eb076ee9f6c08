import GlmcIR

/// A range of immutable bytes that keeps its memory alive. Copying it copies a reference, never the bytes.
public struct ByteSpan: Sendable {
    public let owner: TensorStorage
    public let offset: Int
    public let count: Int

    /// The whole of `owner`.
    public init(_ owner: TensorStorage) {
        self.owner = owner
        offset = 0
        count = owner.byteCount
    }

    private init(owner: TensorStorage, offset: Int, count: Int) {
        self.owner = owner
        self.offset = offset
        self.count = count
    }

    /// A copy of `array` in memory of its own.
    public init(_ array: [UInt8]) {
        self.init(TensorStorage(count: array.count) { target in
            array.withUnsafeBytes { target.copyMemory(from: $0) }
        })
    }

    /// The bytes `offset ..< offset + count` of this span, or nil when they are not all inside.
    public func slice(offset start: Int, count length: Int) -> ByteSpan? {
        guard start >= 0, length >= 0, start <= count, length <= count - start else { return nil }
        return ByteSpan(owner: owner, offset: offset + start, count: length)
    }

    /// The bytes, valid inside `body` only.
    public func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try body(UnsafeRawBufferPointer(rebasing: owner.bytes[offset..<offset + count]))
    }

    /// A copy as an array, for small things.
    public var array: [UInt8] { withUnsafeBytes { Array($0) } }
}
