import GlmcIR

extension GraphImporter {
    /// The nodes so that each comes after those that compute its inputs (also those that its subgraphs read). The file's order is
    /// kept where it is right already, as the format demands; some exporters break it.
    /// - Throws: `Diagnostic` where nodes need each other, or a name is computed twice. ONNX wants single static assignment across nested
    ///   graphs: what a node of a body computes may not have the name of a value around the body. Only a body's own inputs and
    ///   initialisers may, and hide it.
    func ordered(_ nodes: [OnnxNode]) throws -> [OnnxNode] {
        var producer: [String: Int] = [:]
        for (i, node) in nodes.enumerated() {
            for output in node.outputs where !output.isEmpty {
                if producer.updateValue(i, forKey: output) != nil || scopes.last?[output] != nil {
                    throw Diagnostic(.invalid, "the value '\(output)' is defined twice", at: ["node '\(node.name)' (\(node.op))"])
                }
                if lookup(output) != nil {
                    throw Diagnostic(
                        .invalid, "the value '\(output)' redefines a value of the graph around this one", at: ["node '\(node.name)' (\(node.op))"],
                        hint: "every value has one definition, also across branches and loop bodies; give one of the two another name")
                }
            }
        }
        let needs = nodes.enumerated().map { i, node in Set(Self.reads(of: node).compactMap { producer[$0] }) }
        if needs.indices.allSatisfy({ i in needs[i].allSatisfy { $0 < i } }) { return nodes }

        var waiting = needs.map(\.count)
        var users = [[Int]](repeating: [], count: nodes.count)
        for (i, set) in needs.enumerated() { for j in set { users[j].append(i) } }
        var ready = waiting.indices.filter { waiting[$0] == 0 }
        var order: [OnnxNode] = []
        var next = 0
        while next < ready.count {
            let i = ready[next]
            next += 1
            order.append(nodes[i])
            for user in users[i].sorted() {
                waiting[user] -= 1
                if waiting[user] == 0 { ready.append(user) }
            }
        }
        guard order.count == nodes.count else {
            let stuck = waiting.indices.filter { waiting[$0] > 0 }.prefix(5).map { "'\(nodes[$0].name.isEmpty ? nodes[$0].outputs.first ?? "" : nodes[$0].name)' (\(nodes[$0].op))" }
            throw Diagnostic(.invalid, "the graph has a cycle; nodes that wait for each other: \(stuck.joined(separator: ", "))")
        }
        return order
    }

    /// The names that a node reads: its inputs, and what its subgraphs take from outside.
    static func reads(of node: OnnxNode) -> Set<String> {
        var names = Set(node.inputs)
        for attribute in node.attributes {
            switch attribute.value {
            case .graph(let graph): names.formUnion(free(graph))
            case .graphs(let graphs): for graph in graphs { names.formUnion(free(graph)) }
            default: break
            }
        }
        return names
    }

    private static func free(_ graph: OnnxGraph) -> Set<String> {
        var used = Set(graph.outputs.map(\.name))
        var own = Set(graph.initializers.map(\.name)).union(graph.inputs.map(\.name))
        for node in graph.nodes {
            used.formUnion(reads(of: node))
            own.formUnion(node.outputs)
        }
        return used.subtracting(own)
    }
}
