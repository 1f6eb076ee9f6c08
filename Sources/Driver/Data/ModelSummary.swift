import GlmcFrontend
import GlmcIR

/// What a model is before it is compiled: its interface, its operators as the IR sees them, its parameters.
struct ModelSummary {
    let name: String
    let function: Function

    /// How often each op occurs, most frequent first. Constants are parameters, not operators.
    var operators: [(mnemonic: String, count: Int)] {
        var counts: [String: Int] = [:]
        for node in function.allNodes where !(function[node].op is Constant) { counts[function[node].op.mnemonic, default: 0] += 1 }
        return counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { ($0.key, $0.value) }
    }

    /// Elements and bytes of the constants and defaults, by element type; most bytes first. What is read in several orders is there once.
    var parameters: [(element: ElementType, count: Int, bytes: Int)] {
        struct Place: Hashable {
            var storage: ObjectIdentifier
            var offset: Int
        }
        var totals: [ElementType: (count: Int, bytes: Int)] = [:], seen: Set<Place> = []
        for tensor in function.allNodes.compactMap({ (function[$0].op as? Constant)?.value }) + function.inputs.compactMap({ function.defaults[$0] }) {
            let stored = tensor.stored
            guard seen.insert(Place(storage: ObjectIdentifier(stored.storage), offset: stored.byteOffset)).inserted else { continue }
            totals[tensor.element, default: (0, 0)].count += tensor.count
            totals[tensor.element, default: (0, 0)].bytes += tensor.type.byteCount.constant ?? 0
        }
        return totals.map { ($0.key, $0.value.count, $0.value.bytes) }.sorted { ($1.bytes, $0.element.rawValue) < ($0.bytes, $1.element.rawValue) }
    }

    private var interface: [(kind: String, name: String, type: String, isOptional: Bool)] {
        function.inputs.map { ("input", function[$0].name, "\(function.type($0))", function.defaults[$0] != nil) }
            + zip(function.outputs, function.outputNames).map { ("output", $1, "\(function.type($0))", false) }
    }

    /// The free dimensions of the inputs.
    private var dimensions: [String] {
        function.dimensions.filter { if case .input = $0.info.source { true } else { false } }.map(\.name)
    }

    var text: String {
        let heading = columns([["model", name]] + parameters.map { ["parameters", "\($0.count) \($0.element.rawValue), \(bytesText($0.bytes))"] })
        let lines = interface.map { [$0.kind, $0.name, $0.type + ($0.isOptional ? ", optional" : "")] } + dimensions.map { ["dimension", $0, "free; --dim=\($0)=N fixes it"] }
        return [heading, columns(lines, indent: "  "), "operators:", columns(operators.map { ["\($0.count)", $0.mnemonic] }, indent: "  ")].joined(separator: "\n")
    }

    var json: JSONValue {
        func tensors(_ kind: String) -> JSONValue {
            .array(interface.filter { $0.kind == kind }.map {
                .object([JSONValue.Member(key: "name", value: .string($0.name)), JSONValue.Member(key: "type", value: .string($0.type))] + ($0.isOptional ? [JSONValue.Member(key: "optional", value: .bool(true))] : []))
            })
        }
        return .object([
            "name": .string(name), "inputs": tensors("input"), "outputs": tensors("output"), "dimensions": .array(dimensions.map { .string($0) }),
            "operators": .object(operators.map { JSONValue.Member(key: $0.mnemonic, value: .int(Int64($0.count))) }),
            "parameters": .array(parameters.map { .object(["type": .string($0.element.rawValue), "count": .int(Int64($0.count)), "bytes": .int(Int64($0.bytes))]) }),
        ])
    }
}
