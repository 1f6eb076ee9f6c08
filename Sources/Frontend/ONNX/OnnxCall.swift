import GlmcIR

/// One node as a rule sees it: attributes with their defaults, and inputs looked up.
struct OnnxCall {
    let node: OnnxNode
    /// nil where an optional input is left out; as long as the node's input list.
    let inputs: [Imported?]
    /// Version of the node's operator set.
    let version: Int
    /// Length of the node's output list; trailing outputs that nobody names are not counted.
    let outputCount: Int

    // MARK: Inputs

    var inputCount: Int { inputs.count }

    func value(_ i: Int) throws -> Imported {
        guard inputs.indices.contains(i), let value = inputs[i] else { throw Diagnostic(.invalid, "input \(i) is missing") }
        return value
    }

    /// Input `i`, which must be a tensor.
    subscript(i: Int) -> ValueID {
        get throws { try tensor(i) }
    }

    func tensor(_ i: Int) throws -> ValueID {
        switch try value(i) {
        case .tensor(let value): return value
        case .squeezed(let value, let axes): throw Diagnostic.unsupported("input \(i) has a rank that depends on a size: \(value) lacks the axes \(axes) where they have one element")
        case .strings: throw Diagnostic.unsupported("input \(i) is a string tensor; strings are only followed at compile time")
        case .sequence: throw Diagnostic(.invalid, "input \(i) is a sequence where a tensor is expected")
        case .optional(.some(.tensor(let value))): return value
        case .optional: throw Diagnostic(.invalid, "input \(i) is an optional where a tensor is expected")
        case .failed: throw Diagnostic(.internal, "input \(i) could not be imported")
        }
    }

    /// Input `i`, or nil where it is left out.
    func optional(_ i: Int) throws -> ValueID? {
        guard inputs.indices.contains(i), let value = inputs[i] else { return nil }
        if case .optional(nil) = value { return nil }
        return try tensor(i)
    }

    func has(_ i: Int) -> Bool { inputs.indices.contains(i) && inputs[i] != nil }

    /// All inputs, which must be present tensors.
    func tensors() throws -> [ValueID] { try inputs.indices.map { try tensor($0) } }

    /// Whether output `i` has a name.
    func wants(_ i: Int) -> Bool { node.outputs.indices.contains(i) && !node.outputs[i].isEmpty }

    // MARK: Attributes

    private func attribute(_ name: String) -> OnnxAttribute.Value? {
        node.attributes.first { $0.name == name }?.value
    }

    func hasAttribute(_ name: String) -> Bool { attribute(name) != nil }

    private func wrong(_ name: String, _ kind: String) -> Diagnostic {
        Diagnostic(.invalid, "attribute '\(name)' is not \(kind)")
    }

    func int(_ name: String) throws -> Int? {
        switch attribute(name) {
        case nil: return nil
        case .int(let value)?: return Int(value)
        default: throw wrong(name, "an integer")
        }
    }

    func int(_ name: String, _ standard: Int) throws -> Int { try int(name) ?? standard }
    func flag(_ name: String, _ standard: Bool = false) throws -> Bool { try int(name, standard ? 1 : 0) != 0 }

    func float(_ name: String) throws -> Double? {
        switch attribute(name) {
        case nil: return nil
        case .float(let value)?: return Double(value)
        case .int(let value)?: return Double(value)
        default: throw wrong(name, "a number")
        }
    }

    func float(_ name: String, _ standard: Double) throws -> Double { try float(name) ?? standard }

    func string(_ name: String) throws -> String? {
        switch attribute(name) {
        case nil: return nil
        case .string(let bytes)?: return String(decoding: bytes, as: UTF8.self)
        default: throw wrong(name, "a string")
        }
    }

    func string(_ name: String, _ standard: String) throws -> String { try string(name) ?? standard }

    func ints(_ name: String) throws -> [Int]? {
        switch attribute(name) {
        case nil: return nil
        case .ints(let values)?: return values.map { Int($0) }
        case .floats(let values)? where values.isEmpty: return []
        default: throw wrong(name, "a list of integers")
        }
    }

    func floats(_ name: String) throws -> [Double]? {
        switch attribute(name) {
        case nil: return nil
        case .floats(let values)?: return values.map { Double($0) }
        case .ints(let values)?: return values.map { Double($0) }
        default: throw wrong(name, "a list of numbers")
        }
    }

    func strings(_ name: String) throws -> [String]? {
        switch attribute(name) {
        case nil: return nil
        case .strings(let values)?: return values.map { String(decoding: $0, as: UTF8.self) }
        case .ints(let values)? where values.isEmpty: return []
        default: throw wrong(name, "a list of strings")
        }
    }

    func tensor(attribute name: String) throws -> OnnxTensor? {
        switch attribute(name) {
        case nil: return nil
        case .tensor(let value)?: return value
        default: throw wrong(name, "a tensor")
        }
    }

    func sparse(attribute name: String) throws -> OnnxSparseTensor? {
        switch attribute(name) {
        case nil: return nil
        case .sparseTensor(let value)?: return value
        default: throw wrong(name, "a sparse tensor")
        }
    }

    func graph(_ name: String) throws -> OnnxGraph {
        guard case .graph(let graph)? = attribute(name) else { throw wrong(name, "a graph") }
        return graph
    }

    func type(_ name: String) throws -> OnnxType? {
        switch attribute(name) {
        case nil: return nil
        case .type(let value)?: return value
        default: throw wrong(name, "a type")
        }
    }

    /// The element type that an integer attribute names.
    func element(_ name: String) throws -> ElementType? {
        guard let number = try int(name) else { return nil }
        guard let element = Int32(exactly: number).flatMap(OnnxElement.init(rawValue:)) else {
            throw Diagnostic(.invalid, "attribute '\(name)' names the unknown element type \(number)")
        }
        return try element.irType()
    }
}
