import COnnx
import GlmcIR

extension OnnxCopier {
    /// A tensor with its bytes: in the mapped file (raw), in a mapped file beside it (external), or converted (typed fields).
    mutating func tensor(_ proto: Onnx__TensorProto) throws -> OnnxTensor {
        var tensor = OnnxTensor()
        tensor.name = text(proto.name)
        let place = "tensor '\(tensor.name)'"
        guard proto.segment == nil else {
            throw failure("is stored in segments", at: place, hint: "save the model again with whole tensors")
        }
        guard let element = OnnxElement(rawValue: proto.data_type) else {
            throw failure("element type \(proto.data_type) is not known", at: place)
        }
        tensor.element = element
        tensor.dims = try dimensions(proto.dims, proto.n_dims, of: place)
        let count = tensor.dims.reduce(1, *)  // `dimensions` has checked the product.
        if element == .string {
            let values = array(proto.string_data, proto.n_string_data).map { data($0) }
            guard values.count == count else {
                throw failure("has \(values.count) strings where its shape \(tensor.dims) needs \(count)", at: place)
            }
            tensor.data = .strings(values)
            return tensor
        }
        guard element != .undefined else {
            // An empty placeholder, as test cases use for optionals without a value.
            guard count == 0 || proto.n_dims == 0 else { throw failure("has no element type", at: place) }
            return tensor
        }
        let (bits, overflow) = count.multipliedReportingOverflow(by: element.bits)
        guard !overflow, bits <= Int.max - 7 else { throw failure("is too large: \(tensor.dims) of \(element)", at: place) }
        let needed = (bits + 7) / 8
        let span = try contents(proto, element, count: count, needed: needed, place: place)
        guard span.count == needed else {
            throw failure("has \(span.count) bytes where \(tensor.dims) of \(element) needs \(needed)", at: place)
        }
        tensor.data = .bytes(span)
        return tensor
    }

    private mutating func contents(
        _ proto: Onnx__TensorProto, _ element: OnnxElement, count: Int, needed: Int, place: String
    ) throws -> ByteSpan {
        if proto.has_data_location != 0, proto.data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL {
            return try external(proto, needed: needed, place: place)
        }
        if proto.has_raw_length != 0 {
            guard let offset = Int(exactly: proto.raw_offset), let length = Int(exactly: proto.raw_length),
                let span = bytes.slice(offset: offset, count: length)
            else { throw failure("lies outside the file", at: place) }
            return span
        }
        switch element {
        case .float, .complex64: return copied(proto.float_data, proto.n_float_data)
        case .double, .complex128: return copied(proto.double_data, proto.n_double_data)
        case .int64: return copied(proto.int64_data, proto.n_int64_data)
        case .uint64: return copied(proto.uint64_data, proto.n_uint64_data)
        case .uint32: return narrowed(array(proto.uint64_data, proto.n_uint64_data)) { UInt32(truncatingIfNeeded: $0) }
        case .int32: return copied(proto.int32_data, proto.n_int32_data)
        case .int16, .uint16, .float16, .bfloat16:
            return narrowed(array(proto.int32_data, proto.n_int32_data)) { UInt16(truncatingIfNeeded: $0) }
        case .float6e2m3, .float6e3m2: return sixBit(array(proto.int32_data, proto.n_int32_data))
        default: return narrowed(array(proto.int32_data, proto.n_int32_data)) { UInt8(truncatingIfNeeded: $0) }
        }
    }

    private func copied<Element>(_ pointer: UnsafeMutablePointer<Element>?, _ count: Int) -> ByteSpan {
        let source = UnsafeRawBufferPointer(UnsafeBufferPointer(start: pointer, count: pointer == nil ? 0 : count))
        return ByteSpan(TensorStorage(count: source.count) { $0.copyMemory(from: source) })
    }

    private func narrowed<Wide, Narrow>(_ values: [Wide], _ convert: (Wide) -> Narrow) -> ByteSpan {
        let size = MemoryLayout<Narrow>.size
        return ByteSpan(TensorStorage(count: values.count * size) { target in
            for (i, value) in values.enumerated() { target.storeBytes(of: convert(value), toByteOffset: i * size, as: Narrow.self) }
        })
    }

    /// Packs one 6-bit code per entry into the bit stream that `raw_data` uses.
    private func sixBit(_ values: [Int32]) -> ByteSpan {
        var packed = [UInt8](repeating: 0, count: (values.count * 6 + 7) / 8)
        for (i, value) in values.enumerated() {
            let bits = UInt16(truncatingIfNeeded: value & 0x3f) << (i * 6 % 8)
            packed[i * 6 / 8] |= UInt8(truncatingIfNeeded: bits)
            if bits > 0xff { packed[i * 6 / 8 + 1] |= UInt8(bits >> 8) }
        }
        return ByteSpan(packed)
    }

    private mutating func external(_ proto: Onnx__TensorProto, needed: Int, place: String) throws -> ByteSpan {
        var entries: [String: String] = [:]
        for entry in list(proto.external_data, proto.n_external_data) { entries[text(entry.key)] = text(entry.value) }
        guard let location = entries["location"], !location.isEmpty else {
            throw failure("is external but names no file", at: place)
        }
        func number(_ key: String, default standard: Int) throws -> Int {
            guard let text = entries[key], !text.isEmpty else { return standard }
            guard let value = Int(text), value >= 0 else { throw failure("external data \(key) '\(text)' is not a size", at: place) }
            return value
        }
        let offset = try number("offset", default: 0)
        let length = try number("length", default: needed)
        guard length == needed else {
            throw failure("external data has \(length) bytes where the tensor needs \(needed)", at: place)
        }
        guard let folder else { throw failure("is external, and this model has no folder to look in", at: place) }
        if mapped[location] == nil {
            guard let target = Files.inside(folder, location) else {
                throw failure(
                    "external data '\(location)' does not exist inside the model's folder", at: place,
                    hint: "put the file beside the model; a path or link that leaves the folder is refused")
            }
            mapped[location] = try Files.map(target, as: location)
        }
        guard let span = mapped[location]?.slice(offset: offset, count: length) else {
            throw failure(
                "external data '\(location)' is too short: \(mapped[location]?.count ?? 0) bytes, \(length) needed at \(offset)",
                at: place)
        }
        return span
    }

    /// Dimensions that are not negative and whose product is a sane element count.
    func dimensions(_ pointer: UnsafeMutablePointer<Int64>?, _ count: Int, of place: String) throws -> [Int] {
        let dims = array(pointer, count).map { Int($0) }
        var product = 1
        for dim in dims {
            guard dim >= 0 else { throw failure("has a negative dimension: \(dims)", at: place) }
            // Zeros do not excuse absurd factors: later shape arithmetic multiplies subsets of the dimensions.
            let (next, overflow) = product.multipliedReportingOverflow(by: max(dim, 1))
            guard !overflow, next <= 1 << 48 else { throw failure("is too large: \(dims)", at: place) }
            product = next
        }
        return dims
    }
}
