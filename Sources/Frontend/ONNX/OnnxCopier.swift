import COnnx
import GlmcIR

/// Copies an unpacked message into Swift values. Weights stay where they are in the mapped file.
struct OnnxCopier {
    let bytes: ByteSpan
    let file: String
    /// Where external data lives, or nil when there can be none.
    let folder: String?
    /// External files by location, mapped once each.
    var mapped: [String: ByteSpan] = [:]
    /// The names of the enclosing nodes, for errors.
    private var path: [String] = []

    init(bytes: ByteSpan, file: String, folder: String?) {
        self.bytes = bytes
        self.file = file
        self.folder = folder
    }

    mutating func model(_ proto: Onnx__ModelProto) throws -> OnnxModel {
        var model = OnnxModel()
        model.irVersion = proto.ir_version
        model.producer = text(proto.producer_name)
        model.producerVersion = text(proto.producer_version)
        model.opsets = opsets(proto.opset_import, proto.n_opset_import)
        for entry in list(proto.metadata_props, proto.n_metadata_props) { model.metadata[text(entry.key)] = text(entry.value) }
        guard let graph = proto.graph else {
            throw Diagnostic(file: file, reason: "the file holds no graph", hint: "is it an ONNX model?")
        }
        model.graph = try self.graph(graph.pointee)
        model.functions = try list(proto.functions, proto.n_functions).map { try function($0) }
        return model
    }

    private mutating func graph(_ proto: Onnx__GraphProto) throws -> OnnxGraph {
        var graph = OnnxGraph()
        graph.name = text(proto.name)
        graph.initializers = try list(proto.initializer, proto.n_initializer).map { try tensor($0) }
        graph.sparseInitializers = try list(proto.sparse_initializer, proto.n_sparse_initializer).map { try sparse($0) }
        graph.nodes = try list(proto.node, proto.n_node).map { try node($0) }
        graph.inputs = try list(proto.input, proto.n_input).map { try valueInfo($0) }
        graph.outputs = try list(proto.output, proto.n_output).map { try valueInfo($0) }
        graph.valueInfos = try list(proto.value_info, proto.n_value_info).map { try valueInfo($0) }
        return graph
    }

    private mutating func node(_ proto: Onnx__NodeProto) throws -> OnnxNode {
        var node = OnnxNode()
        node.name = text(proto.name)
        node.op = text(proto.op_type)
        node.domain = domain(proto.domain)
        node.overload = text(proto.overload)
        node.inputs = strings(proto.input, proto.n_input)
        node.outputs = strings(proto.output, proto.n_output)
        path.append("node '\(node.name.isEmpty ? node.outputs.first ?? "" : node.name)' (\(node.op))")
        defer { path.removeLast() }
        node.attributes = try list(proto.attribute, proto.n_attribute).map { try attribute($0) }
        return node
    }

    private mutating func attribute(_ proto: Onnx__AttributeProto) throws -> OnnxAttribute {
        OnnxAttribute(name: text(proto.name), value: try value(proto))
    }

    private mutating func value(_ proto: Onnx__AttributeProto) throws -> OnnxAttribute.Value {
        let reference = text(proto.ref_attr_name)
        if !reference.isEmpty { return .reference(reference) }
        switch kind(proto) {
        case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT: return .float(proto.f)
        case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT: return .int(proto.i)
        case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING: return .string(data(proto.s))
        case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR: if let t = proto.t { return .tensor(try tensor(t.pointee)) }
        case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH: if let g = proto.g { return .graph(try graph(g.pointee)) }
        case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__SPARSE_TENSOR:
            if let s = proto.sparse_tensor { return .sparseTensor(try sparse(s.pointee)) }
        case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TYPE_PROTO: if let t = proto.tp { return .type(try type(t.pointee)) }
        case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS: return .floats(array(proto.floats, proto.n_floats))
        case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS: return .ints(array(proto.ints, proto.n_ints))
        case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS:
            return .strings(array(proto.strings, proto.n_strings).map { data($0) })
        case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSORS:
            return .tensors(try list(proto.tensors, proto.n_tensors).map { try tensor($0) })
        case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPHS:
            return .graphs(try list(proto.graphs, proto.n_graphs).map { try graph($0) })
        case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__SPARSE_TENSORS:
            return .sparseTensors(try list(proto.sparse_tensors, proto.n_sparse_tensors).map { try sparse($0) })
        case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TYPE_PROTOS:
            return .types(try list(proto.type_protos, proto.n_type_protos).map { try type($0) })
        default: break
        }
        return .none
    }

    /// The declared type, or what is present: files older than IR version 2 do not declare it.
    private func kind(_ proto: Onnx__AttributeProto) -> Onnx__AttributeProto__AttributeType {
        if proto.has_type != 0, proto.type != ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED { return proto.type }
        if proto.has_f != 0 { return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT }
        if proto.has_i != 0 { return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT }
        if proto.has_s != 0 { return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING }
        if proto.t != nil { return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR }
        if proto.g != nil { return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH }
        if proto.n_floats > 0 { return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS }
        if proto.n_ints > 0 { return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS }
        if proto.n_strings > 0 { return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS }
        if proto.n_tensors > 0 { return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSORS }
        if proto.n_graphs > 0 { return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPHS }
        return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED
    }

    private mutating func function(_ proto: Onnx__FunctionProto) throws -> OnnxFunction {
        var function = OnnxFunction()
        function.name = text(proto.name)
        function.domain = domain(proto.domain)
        function.overload = text(proto.overload)
        function.inputs = strings(proto.input, proto.n_input)
        function.outputs = strings(proto.output, proto.n_output)
        function.attributes = strings(proto.attribute, proto.n_attribute)
        path.append("function '\(function.name)'")
        defer { path.removeLast() }
        function.defaults = try list(proto.attribute_proto, proto.n_attribute_proto).map { try attribute($0) }
        function.nodes = try list(proto.node, proto.n_node).map { try node($0) }
        function.opsets = opsets(proto.opset_import, proto.n_opset_import)
        return function
    }

    private func valueInfo(_ proto: Onnx__ValueInfoProto) throws -> OnnxValueInfo {
        let name = text(proto.name)
        guard let type = proto.type else { return OnnxValueInfo(name: name, type: nil) }
        do {
            return OnnxValueInfo(name: name, type: try self.type(type.pointee))
        } catch let error as Diagnostic {
            throw Diagnostic(file: file, place: "value '\(name)'", reason: error.message, hint: error.hint)
        }
    }

    private func type(_ proto: Onnx__TypeProto) throws -> OnnxType {
        switch proto.value_case {
        case ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE:
            guard let t = proto.tensor_type?.pointee else { return .unknown }
            return .tensor(try element(t.elem_type), shape: try shape(t.shape))
        case ONNX__TYPE_PROTO__VALUE_SPARSE_TENSOR_TYPE:
            guard let t = proto.sparse_tensor_type?.pointee else { return .unknown }
            return .sparseTensor(try element(t.elem_type), shape: try shape(t.shape))
        case ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE:
            guard let inner = proto.sequence_type?.pointee.elem_type?.pointee else { return .sequence(.unknown) }
            return .sequence(try type(inner))
        case ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE:
            guard let inner = proto.optional_type?.pointee.elem_type?.pointee else { return .optional(.unknown) }
            return .optional(try type(inner))
        case ONNX__TYPE_PROTO__VALUE_MAP_TYPE:
            guard let map = proto.map_type?.pointee, let inner = map.value_type?.pointee else { return .unknown }
            return .map(key: try element(map.key_type), value: try type(inner))
        case ONNX__TYPE_PROTO__VALUE_OPAQUE_TYPE:
            guard let opaque = proto.opaque_type?.pointee else { return .unknown }
            return .opaque(domain: text(opaque.domain), name: text(opaque.name))
        default: return .unknown
        }
    }

    private func shape(_ proto: UnsafeMutablePointer<Onnx__TensorShapeProto>?) throws -> [OnnxDimension]? {
        guard let proto = proto?.pointee else { return nil }
        return try list(proto.dim, proto.n_dim).map { dim in
            switch dim.value_case {
            case ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE:
                // Some exporters write -1 for an unknown size.
                if dim.dim_value == -1 { return .unknown }
                guard dim.dim_value >= 0 else { throw failure("a dimension is negative (\(dim.dim_value))") }
                return .constant(Int(dim.dim_value))
            case ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM:
                let name = text(dim.dim_param)
                return name.isEmpty ? .unknown : .named(name)
            default: return .unknown
            }
        }
    }

    func element(_ number: Int32) throws -> OnnxElement {
        guard let element = OnnxElement(rawValue: number) else { throw failure("element type \(number) is not known") }
        return element
    }

    private mutating func sparse(_ proto: Onnx__SparseTensorProto) throws -> OnnxSparseTensor {
        guard let values = proto.values, let indices = proto.indices else {
            throw failure("a sparse tensor lacks its values or its indices")
        }
        let dims = try dimensions(proto.dims, proto.n_dims, of: "sparse tensor")
        return OnnxSparseTensor(values: try tensor(values.pointee), indices: try tensor(indices.pointee), dims: dims)
    }

    mutating func sequence(_ proto: Onnx__SequenceProto) throws -> OnnxValue {
        var values: [OnnxValue] = try list(proto.tensor_values, proto.n_tensor_values).map { .tensor(try tensor($0)) }
        values += try list(proto.sparse_tensor_values, proto.n_sparse_tensor_values).map { .sparseTensor(try sparse($0)) }
        values += try list(proto.sequence_values, proto.n_sequence_values).map { try sequence($0) }
        values += try list(proto.optional_values, proto.n_optional_values).map { try optional($0) }
        return .sequence(values)
    }

    mutating func optional(_ proto: Onnx__OptionalProto) throws -> OnnxValue {
        if let tensor = proto.tensor_value { return .optional(.tensor(try self.tensor(tensor.pointee))) }
        if let tensor = proto.sparse_tensor_value { return .optional(.sparseTensor(try sparse(tensor.pointee))) }
        if let sequence = proto.sequence_value { return .optional(try self.sequence(sequence.pointee)) }
        if let optional = proto.optional_value { return .optional(try self.optional(optional.pointee)) }
        return .optional(nil)
    }

    /// An error at the current place.
    func failure(_ reason: String, at last: String? = nil, hint: String? = nil) -> Diagnostic {
        Diagnostic(file: file, place: (path + (last.map { [$0] } ?? [])).joined(separator: ": "), reason: reason, hint: hint)
    }

    private func opsets(
        _ pointer: UnsafeMutablePointer<UnsafeMutablePointer<Onnx__OperatorSetIdProto>?>?, _ count: Int
    ) -> [String: Int64] {
        var versions: [String: Int64] = [:]
        for entry in list(pointer, count) { versions[domain(entry.domain)] = entry.version }
        return versions
    }

    private func domain(_ pointer: UnsafeMutablePointer<CChar>?) -> String {
        let name = text(pointer)
        return name == "ai.onnx" ? "" : name
    }
}

/// The messages of a repeated field. Empty when the field is absent.
func list<Message>(_ pointer: UnsafeMutablePointer<UnsafeMutablePointer<Message>?>?, _ count: Int) -> [Message] {
    guard let pointer else { return [] }
    return UnsafeBufferPointer(start: pointer, count: count).compactMap { $0?.pointee }
}

func array<Element>(_ pointer: UnsafeMutablePointer<Element>?, _ count: Int) -> [Element] {
    Array(UnsafeBufferPointer(start: pointer, count: pointer == nil ? 0 : count))
}

func strings(_ pointer: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?, _ count: Int) -> [String] {
    array(pointer, count).map { text($0) }
}

/// A string field; `""` when absent. Invalid UTF-8 is repaired, bytes after a zero byte are lost.
func text(_ pointer: UnsafeMutablePointer<CChar>?) -> String {
    pointer.map { String(cString: $0) } ?? ""
}

func data(_ value: ProtobufCBinaryData) -> [UInt8] {
    Array(UnsafeBufferPointer(start: value.data, count: value.data == nil ? 0 : value.len))
}
