import GlmcIR

/// How much an import may do, all attempts and new starts together. Functions that call functions, loops unrolled and branches that
/// are tried twice multiply, so that a small file could ask for more than ever ends; what is done here stays linear in the file.
final class ImportBudget {
    /// The most nodes that may be imported.
    let most: Int
    private(set) var spent = 0

    init(_ model: OnnxModel) {
        most = 1 << 17 + 16 * (Self.count(model.graph.nodes) + model.functions.reduce(0) { $0 + Self.count($1.nodes) })
    }

    /// Counts work worth `nodes` nodes; false where there is no more left.
    func spend(_ nodes: Int) -> Bool {
        spent += nodes
        return spent <= most
    }

    private static func count(_ nodes: [OnnxNode]) -> Int {
        nodes.reduce(nodes.count) { sum, node in
            node.attributes.reduce(sum) { sum, attribute in
                switch attribute.value {
                case .graph(let graph): sum + count(graph.nodes)
                case .graphs(let graphs): graphs.reduce(sum) { $0 + count($1.nodes) }
                default: sum
                }
            }
        }
    }
}

extension GraphImporter {
    /// A copy on which something can be tried that may leave nothing behind. Copies are paid for, because a graph of many trials would copy
    /// itself as often.
    func trial() -> GraphImporter {
        _ = budget.spend(rewriter.function.nodeCount / 256)
        return self
    }

    /// What is said where the budget ends, in the words of the function that was being unrolled, if there is one.
    var exhausted: Diagnostic {
        let place = callNames.first.map { ["function '\($0)'"] } ?? []
        return Diagnostic(
            .unsupported, "the functions, loops and branches of the model come to more than \(budget.most) nodes when they are unrolled", at: place)
    }
}
