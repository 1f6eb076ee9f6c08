import GlmcIR

/// An order in which constant data lies in an artifact. A format is a value: the same sources in equal formats are the same bytes.
public protocol WeightFormat: Hashable, Sendable, CustomStringConvertible {
    func byteCount(of sources: [Tensor]) -> Int
    /// - Throws: an internal `Diagnostic` where the format does not fit the sources, so that reading them would leave their memory.
    func verify(_ sources: [Tensor]) throws
    /// Writes all bytes; `target` is zero at first. Several weights are written at once.
    func write(_ sources: [Tensor], to target: UnsafeMutableRawBufferPointer)
}

/// One tensor in dense row-major order, as kernels read it that want nothing of it.
struct DenseFormat: WeightFormat {
    var description: String { "dense" }

    func byteCount(of sources: [Tensor]) -> Int { sources.reduce(0) { $0 + $1.byteCount } }

    func verify(_ sources: [Tensor]) throws {
        guard sources.count == 1 else { throw Diagnostic(.internal, "a dense weight is made of \(sources.count) tensors") }
    }

    func write(_ sources: [Tensor], to target: UnsafeMutableRawBufferPointer) { sources.first.map { target.copyMemory(from: $0.bytes) } }
}

/// A weight as it lies in an artifact: what it is made of, and in which format.
public struct StoredWeight: Sendable {
    public let sources: [Tensor]
    public let format: any WeightFormat
    public let byteCount: Int

    /// - Throws: an internal `Diagnostic` where the format does not fit the sources.
    public init(_ sources: [Tensor], as format: some WeightFormat) throws {
        try format.verify(sources)
        self.sources = sources
        self.format = format
        byteCount = format.byteCount(of: sources)
    }

    /// A tensor as it is.
    init(dense tensor: Tensor) {
        sources = [tensor]
        format = DenseFormat()
        byteCount = tensor.byteCount
    }

    var isDense: Bool { format is DenseFormat }

    func write(to target: UnsafeMutableRawBufferPointer) { format.write(sources, to: target) }
}

extension StoredWeight: Hashable {
    public static func == (a: StoredWeight, b: StoredWeight) -> Bool {
        AnyHashable(a.format) == AnyHashable(b.format) && a.sources == b.sources
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(AnyHashable(format))
        hasher.combine(sources)
    }
}

extension StoredWeight: CustomStringConvertible {
    public var description: String {
        "\(sources.map(\.type.description).joined(separator: ", ")) as \(format)"
    }
}
