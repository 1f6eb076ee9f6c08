/// Writes attribute values and constants, and collects those that go to an external file.
struct TensorPrinter {
    let weights: Printer.Weights
    private(set) var resources: [Printer.Resource] = []
    private var size = 0

    init(_ weights: Printer.Weights) { self.weights = weights }

    mutating func spell(_ value: AttributeValue) -> String {
        switch value {
        case .bool(let x): String(x)
        case .integer(let x): String(x)
        case .integers(let x): "[\(x.map(String.init).joined(separator: ", "))]"
        case .float(let x): TensorPrinter.spell(x.wrappedValue)
        case .floats(let x): "[\(x.wrappedValue.map(TensorPrinter.spell).joined(separator: ", "))]"
        case .string(let x): Quoting.isIdentifier(x) && !TensorPrinter.reserved.contains(x) ? x : Quoting.quoted(x)
        case .strings(let x): "[\(x.map(Quoting.quoted).joined(separator: ", "))]"
        case .extents(let x): "[\(x.map(\.description).joined(separator: ", "))]"
        case .tensor(let x): spell(x)
        }
    }

    /// Words that the parser does not take for strings.
    static let reserved: Set<String> = ["true", "false", "inf", "nan"]

    /// The shortest text that reads back as the same number; always recognisable as a float.
    static func spell(_ value: Double) -> String { value.isNaN ? "nan" : value.description }

    /// `f32[2](1.0, 2.0)`, `f32[64] splat(0.5)`, `f32[100] hex("…")`, `f32[768, 768] resource(4096)` or `… elided("…")`.
    private mutating func spell(_ tensor: Tensor) -> String {
        let type = tensor.type.description
        let hasNaN = (tensor.element.isFloat || tensor.element.isComplex) && tensor.count <= Printer.denseLimit && tensor.doubles.contains(where: \.isNaN)
        if tensor.count <= Printer.denseLimit && !hasNaN { return "\(type)(\(numbers(tensor)))" }
        if let splat = tensor.splat, !splat.isNaN { return "\(type) splat(\(number(tensor, 0)))" }
        switch weights {
        case .elided where tensor.count > Printer.denseLimit: return "\(type) elided(\"\(tensor.fingerprint)\")"
        case .external where tensor.byteCount > Printer.inlineLimit: return "\(type) resource(\(offset(of: tensor)))"
        default: return "\(type) hex(\"\(TensorPrinter.hex(tensor.bytes))\")"
        }
    }

    private func numbers(_ tensor: Tensor) -> String {
        (0..<tensor.count * (tensor.element.isComplex ? 2 : 1)).map { number(tensor, $0) }.joined(separator: ", ")
    }

    private func number(_ tensor: Tensor, _ i: Int) -> String {
        let reader = tensor.reader
        return switch tensor.element {
        case .bool: String(reader.loadInteger(at: i) != 0)
        case .u64: String(UInt(bitPattern: reader.loadInteger(at: i)))
        case .f64, .c128: TensorPrinter.spell(reader.load(at: i))
        case _ where tensor.element.isInteger: String(reader.loadInteger(at: i))
        default: Float(reader.load(at: i)).description
        }
    }

    /// Where the tensor lies in the external file; every distinct piece of memory is written once.
    private mutating func offset(of tensor: Tensor) -> Int {
        let known = resources.first { $0.tensor.isSameMemory(as: tensor) && $0.tensor.byteCount == tensor.byteCount }
        if let known { return known.offset }
        let offset = (size + 63) / 64 * 64
        resources.append(Printer.Resource(offset: offset, tensor: tensor))
        size = offset + tensor.byteCount
        return offset
    }

    private static func hex(_ bytes: UnsafeRawBufferPointer) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(bytes.count * 2)
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }
}

extension Tensor {
    /// A short text that tells tensors of different elements apart: FNV-1a over a bounded sample of the bytes.
    public var fingerprint: String {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        let bytes = bytes
        let step = max(bytes.count / 65536, 1)
        for i in stride(from: 0, to: bytes.count, by: step) { hash = (hash ^ UInt64(bytes[i])) &* 0x100_0000_01B3 }
        let text = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text
    }
}
