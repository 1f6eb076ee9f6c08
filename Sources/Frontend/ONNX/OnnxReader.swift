import COnnx
import GlmcIR

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Reads ONNX files: models, and the values of test cases.
///
/// The file is mapped; tensors with raw or external data refer to the mapping. What is returned holds the promises that
/// `OnnxTensor` states; everything else about the model (names, types, operators) is the importer's to judge.
public enum OnnxReader {
    /// The model at `path`. External data is looked up in the folder of `path` and may not leave it.
    public static func model(at path: String) throws -> OnnxModel {
        try model(Files.map(path), file: path, folder: Files.folder(of: path))
    }

    /// The model in `bytes`; `file` names it in errors, `folder` holds its external data (nil: there is none).
    public static func model(_ bytes: ByteSpan, file: String, folder: String? = nil) throws -> OnnxModel {
        try unpack(bytes, onnx_model_descriptor(), file: file, folder: folder) { message, copier in
            try copier.model(message.assumingMemoryBound(to: Onnx__ModelProto.self).pointee)
        }
    }

    /// The value in the file at `path` (`input_0.pb`, `output_0.pb`), which does not say itself whether it is a tensor, a
    /// sequence or an optional: `type` decides, and without one the content must be a tensor.
    public static func value(at path: String, type: OnnxType? = nil) throws -> OnnxValue {
        try value(Files.map(path), file: path, type: type)
    }

    /// The value in `bytes`, see `value(at:type:)`.
    public static func value(_ bytes: ByteSpan, file: String, type: OnnxType? = nil) throws -> OnnxValue {
        switch type {
        case .sequence:
            try unpack(bytes, onnx_sequence_descriptor(), file: file, folder: nil) { message, copier in
                try copier.sequence(message.assumingMemoryBound(to: Onnx__SequenceProto.self).pointee)
            }
        case .optional:
            try unpack(bytes, onnx_optional_descriptor(), file: file, folder: nil) { message, copier in
                try copier.optional(message.assumingMemoryBound(to: Onnx__OptionalProto.self).pointee)
            }
        default:
            try unpack(bytes, onnx_tensor_descriptor(), file: file, folder: nil) { message, copier in
                .tensor(try copier.tensor(message.assumingMemoryBound(to: Onnx__TensorProto.self).pointee))
            }
        }
    }

    private static func unpack<Result>(
        _ bytes: ByteSpan, _ descriptor: UnsafePointer<ProtobufCMessageDescriptor>, file: String, folder: String?,
        _ copy: (UnsafeMutableRawPointer, inout OnnxCopier) throws -> Result
    ) throws -> Result {
        do {
            let filtered = try bytes.withUnsafeBytes { input throws(WireError) in
                try WireFilter.filter(input, as: descriptor)
            }
            let budget = AllocationBudget(bytes: filtered.count.multipliedReportingOverflow(by: 256).partialValue + 1 << 20)
            var allocator = budget.allocator
            guard let message = protobuf_c_message_unpack(descriptor, &allocator, filtered.count, filtered) else {
                throw WireError.refused
            }
            defer { protobuf_c_message_free_unpacked(message, &allocator) }
            var copier = OnnxCopier(bytes: bytes, file: file, folder: folder)
            return try copy(message, &copier)
        } catch let error as WireError {
            throw Diagnostic(
                file: file, reason: error.reason, hint: error == .tooDeep ? nil : "is it an ONNX file, and complete?")
        }
    }
}

/// Memory for protobuf-c with an upper bound: a message of two bytes unpacks to a struct of hundreds, which a file made to
/// harm could use. Real models need a small part of the bound.
private final class AllocationBudget {
    private var left: Int

    init(bytes: Int) { left = bytes }

    /// Valid as long as `self` is.
    var allocator: ProtobufCAllocator {
        ProtobufCAllocator(
            alloc: { data, size in
                let budget = Unmanaged<AllocationBudget>.fromOpaque(data!).takeUnretainedValue()
                guard size <= budget.left else { return nil }
                budget.left -= size
                return malloc(size)
            },
            free: { _, pointer in free(pointer) },
            allocator_data: Unmanaged.passUnretained(self).toOpaque())
    }
}
