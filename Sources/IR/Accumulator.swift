/// A Swift number type in which `evaluate` computes on whole buffers: f64 for all floats, wrapping integers for the rest.
protocol Accumulator {
    static var zero: Self { get }
    mutating func add(_ a: Self, times b: Self)
    static func load(_ reader: ElementReader, _ i: Int) -> Self
    func store(_ writer: ElementWriter, _ i: Int)
}

extension Double: Accumulator {
    mutating func add(_ a: Double, times b: Double) { self += a * b }
    static func load(_ reader: ElementReader, _ i: Int) -> Double { reader.load(at: i) }
    func store(_ writer: ElementWriter, _ i: Int) { writer.store(self, at: i) }
}

extension Int32: Accumulator {
    mutating func add(_ a: Int32, times b: Int32) { self = self &+ a &* b }
    static func load(_ reader: ElementReader, _ i: Int) -> Int32 { Int32(truncatingIfNeeded: reader.loadInteger(at: i)) }
    func store(_ writer: ElementWriter, _ i: Int) { writer.store(integer: Int(self), at: i) }
}

extension Int: Accumulator {
    mutating func add(_ a: Int, times b: Int) { self = self &+ a &* b }
    static func load(_ reader: ElementReader, _ i: Int) -> Int { reader.loadInteger(at: i) }
    func store(_ writer: ElementWriter, _ i: Int) { writer.store(integer: self, at: i) }
}

extension ElementType {
    /// The accumulator that `evaluate` uses for results of this type.
    enum AccumulatorKind { case double, int32, int }
    var accumulator: AccumulatorKind { isFloat ? .double : byteCount <= 4 ? .int32 : .int }
    /// The type in which kernels accumulate products of elements of this type: f32 or f64 for floats, i32 for narrow integers.
    var productType: ElementType { computeType.isFloat || byteCount >= 4 ? computeType : .i32 }
}

extension Tensor {
    /// Calls `body` with all elements in row-major order, converted to `T`.
    func withValues<T: Accumulator, R>(as type: T.Type, _ body: (UnsafePointer<T>) throws -> R) rethrows -> R {
        if (T.self == Double.self && element == .f64) || (T.self == Int32.self && element == .i32) || (T.self == Int.self && element == .i64),
           let base = bytes.baseAddress, Int(bitPattern: base) % MemoryLayout<T>.alignment == 0 {
            return try withExtendedLifetime(storage) { try body(base.assumingMemoryBound(to: T.self)) }
        }
        let buffer = UnsafeMutablePointer<T>.allocate(capacity: Swift.max(count, 1))
        defer { buffer.deallocate() }
        let reader = reader
        for i in 0..<count { buffer[i] = T.load(reader, i) }
        return try body(buffer)
    }

    /// A tensor that `body` computes in `T` (from zeros, in row-major order), converted to `element` at the end.
    static func computed<T: Accumulator>(
        _ element: ElementType, _ shape: [Int], in type: T.Type, _ body: (UnsafeMutablePointer<T>) throws -> Void
    ) rethrows -> Tensor {
        let count = shape.reduce(1, *)
        let buffer = UnsafeMutablePointer<T>.allocate(capacity: Swift.max(count, 1))
        defer { buffer.deallocate() }
        buffer.initialize(repeating: .zero, count: Swift.max(count, 1))
        try body(buffer)
        return Tensor(element, shape) { bytes in
            let writer = ElementWriter(element, bytes)
            for i in 0..<count { buffer[i].store(writer, i) }
        }
    }
}
