import GlmcIR

/// A local rewrite: looks at one node and its surroundings and, if they fit, says how to change them.
///
/// Matching and changing are separate. `match` may look but not touch; it returns what to do, holding on to value and node
/// handles only (a captured `Function` would make every rewrite copy it). The driver counts rewrites, revisits what may have
/// changed and erases what has become unused, so a rule does none of that.
public struct Rule: Sendable {
    /// The change that a match asks for.
    public typealias Rewrite = (inout Rewriter) throws -> Void
    public typealias Match = @Sendable (Function, NodeID) throws -> Rewrite?

    /// For remarks and errors.
    public let name: String
    /// Mnemonics of the ops at which `match` is tried.
    public let ops: [String]
    public let match: Match
    /// What `glmc explain` says where the rule was applied; nil for the many that only tidy up.
    public private(set) var message: String?

    public init(_ name: String, at ops: (any Op.Type)..., match: @escaping Match) {
        self.name = name
        self.ops = ops.map { $0.mnemonic }
        self.match = match
    }

    /// A rule for one op type, with the op at hand.
    public init<O: Op>(_ name: String, on type: O.Type, match: @escaping @Sendable (Function, NodeID, O) throws -> Rewrite?) {
        self.name = name
        ops = [O.mnemonic]
        self.match = { function, id in
            guard let op = function[id].op as? O else { return nil }
            return try match(function, id, op)
        }
    }
}

extension Rule {
    /// The rule with something to say to people.
    public func explained(_ message: String) -> Rule {
        var copy = self
        copy.message = message
        return copy
    }
}

/// Applies rules to all nodes until none fires.
public struct RuleDriver {
    private let byOp: [String: [Rule]]

    public init(_ rules: [Rule]) {
        var table: [String: [Rule]] = [:]
        for rule in rules { for op in rule.ops { table[op, default: []].append(rule) } }
        byOp = table
    }

    /// More rewrites than this many per node mean that rules undo each other.
    private static let rewritesPerNode = 100

    /// - Throws: `Diagnostic` where a rewrite fails, or where rules undo each other for ever.
    public func run(_ rewriter: inout Rewriter, _ context: PassContext) throws {
        var queue = Array(rewriter.function.allNodes.reversed())
        var queued = Set(queue)
        var budget = (queue.count + 100) * RuleDriver.rewritesPerNode
        while let id = queue.popLast() {
            queued.remove(id)
            guard rewriter.function.contains(id), let rules = byOp[rewriter.function[id].op.mnemonic] else { continue }
            for rule in rules {
                guard let rewrite = try rule.match(rewriter.function, id) else { continue }
                guard rewriter.beginRewrite() else { return }
                budget -= 1
                guard budget > 0 else { throw Diagnostic(.internal, "the rules do not come to an end", at: [rule.name]) }
                var affected = RuleDriver.surroundings(of: id, in: rewriter.function)
                let firstNew = rewriter.function.nodeCount
                let candidates = [id] + rewriter.function.definitions(ofOperandsOf: id)
                do {
                    try rewrite(&rewriter)
                } catch let error as Diagnostic {
                    throw error.inside(rule.name)
                }
                for index in firstNew..<rewriter.function.nodeCount {
                    let new = NodeID(index: index)
                    affected += [new] + RuleDriver.surroundings(of: new, in: rewriter.function)
                }
                var lost: [String] = []
                for node in candidates {
                    let erased = rewriter.eraseIfDead(node)
                    affected += erased.producers
                    lost += erased.provenance
                }
                let inheritor = rewriter.inherit(lost, byNodesFrom: firstNew)
                if let message = rule.message, let inheritor { rewriter.remark(message, at: inheritor) }
                for node in affected.reversed() where rewriter.function.contains(node) && queued.insert(node).inserted { queue.append(node) }
                break
            }
        }
    }

    /// The nodes that read the node's results and those that define its operands.
    private static func surroundings(of id: NodeID, in function: Function) -> [NodeID] {
        guard function.contains(id) else { return [] }
        return function.definitions(ofOperandsOf: id) + [id] + function[id].results.flatMap { function.users(of: $0) }
    }
}

extension Rewriter {
    /// Gives source names of erased nodes to the last new node that computes something, and returns it.
    fileprivate mutating func inherit(_ provenance: [String], byNodesFrom first: Int) -> NodeID? {
        for index in (first..<function.nodeCount).reversed() {
            let id = NodeID(index: index)
            guard function.contains(id), !(function[id].op is any ViewOp), !(function[id].op is Constant) else { continue }
            let known = function[id].provenance
            let missing = provenance.enumerated().filter { !known.contains($1) && provenance.firstIndex(of: $1) == $0 }.map(\.element)
            if !missing.isEmpty { setProvenance(missing + known, of: id) }
            return id
        }
        return nil
    }
}
