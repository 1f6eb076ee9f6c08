import GlmcIR

extension OnnxElement {
    private static let table: [OnnxElement: ElementType] = [
        .float: .f32, .double: .f64, .float16: .f16, .bfloat16: .bf16,
        .float8e4m3fn: .f8e4m3fn, .float8e4m3fnuz: .f8e4m3fnuz, .float8e5m2: .f8e5m2, .float8e5m2fnuz: .f8e5m2fnuz,
        .float8e8m0: .f8e8m0, .float4e2m1: .f4e2m1,
        .int64: .i64, .int32: .i32, .int16: .i16, .int8: .i8, .int4: .i4, .int2: .i2,
        .uint64: .u64, .uint32: .u32, .uint16: .u16, .uint8: .u8, .uint4: .u4, .uint2: .u2,
        .bool: .bool, .complex64: .c64, .complex128: .c128, .string: .string,
    ]

    /// The IR's element type.
    /// - Throws: `Diagnostic` where there is none.
    public func irType() throws -> ElementType {
        guard let type = Self.table[self] else { throw Diagnostic.unsupported("element type \(self) is not supported") }
        return type
    }
}

extension OnnxTensor {
    /// The tensor for the IR: the same bytes where the layouts agree, and one byte per element for the packed types.
    /// - Throws: `Diagnostic` for strings and unsupported element types.
    public func irTensor() throws -> Tensor {
        let type = try element.irType()
        guard case .bytes(let span) = data else { throw Diagnostic.unsupported("string tensors are only followed at compile time") }
        guard element.bits < 8 else {
            let alignment = max(type.byteCount, 1)
            // Kernels and readers of typed memory want natural alignment, which a position in a file does not promise.
            let isAligned = span.withUnsafeBytes { Int(bitPattern: $0.baseAddress) % alignment == 0 }
            if isAligned || span.count > 1 << 20 {
                return try Tensor(type, dims, storage: span.owner, byteOffset: span.offset)
            }
            return span.withUnsafeBytes { source in Tensor(type, dims) { $0.copyMemory(from: source) } }
        }
        let bits = element.bits
        let isSigned = type.isSignedInteger
        return span.withUnsafeBytes { source in
            Tensor(type, dims) { target in
                for i in target.indices {
                    let field = source[i * bits / 8] >> UInt8(i * bits % 8) & (1 << UInt8(bits) - 1)
                    target[i] = isSigned ? UInt8(bitPattern: Int8(bitPattern: field << UInt8(8 - bits)) >> Int8(8 - bits)) : field
                }
            }
        }
    }
}
