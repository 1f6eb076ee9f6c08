import GlmcIR

/// How one ONNX operator becomes IR, from one version of its operator set on.
///
/// The rules are rows of the tables under `Rules/`. Of several rows for an operator, the one with the greatest `since` that does
/// not exceed the model's version applies; below the smallest, the operator is reported as too old.
struct OnnxRule: Sendable {
    let domain: String
    let op: String
    let since: Int
    let build: @Sendable (inout GraphImporter, OnnxCall) throws -> [Imported]

    /// A rule that gives one tensor.
    init(
        _ op: String, since: Int = 1, domain: String = "",
        _ build: @escaping @Sendable (inout GraphImporter, OnnxCall) throws -> ValueID
    ) {
        self.domain = domain
        self.op = op
        self.since = since
        self.build = { importer, call in [.tensor(try build(&importer, call))] }
    }

    /// A rule that gives several tensors, one per output in order.
    init(
        tensors op: String, since: Int = 1, domain: String = "",
        _ build: @escaping @Sendable (inout GraphImporter, OnnxCall) throws -> [ValueID]
    ) {
        self.domain = domain
        self.op = op
        self.since = since
        self.build = { importer, call in try build(&importer, call).map { .tensor($0) } }
    }

    /// A rule that gives any values, one per output in order.
    init(
        values op: String, since: Int = 1, domain: String = "",
        _ build: @escaping @Sendable (inout GraphImporter, OnnxCall) throws -> [Imported]
    ) {
        self.domain = domain
        self.op = op
        self.since = since
        self.build = build
    }
}

/// All rules, by domain and operator, in ascending order of version.
enum OnnxRules {
    static let standard: [String: [OnnxRule]] = {
        var table: [String: [OnnxRule]] = [:]
        for rule in families.joined() { table[key(rule.domain, rule.op), default: []].append(rule) }
        return table.mapValues { $0.sorted { $0.since < $1.since } }
    }()

    static func key(_ domain: String, _ op: String) -> String { domain + "." + op }

    /// The rule for an operator, or why there is none.
    static func rule(_ domain: String, _ op: String, version: Int) throws -> OnnxRule {
        guard let rows = standard[key(domain, op)] else {
            throw Diagnostic.unsupported("there is no rule for this operator")
        }
        guard let row = rows.last(where: { $0.since <= version }) else {
            throw Diagnostic.unsupported(
                "this operator is supported from version \(rows[0].since) of its operator set, the model uses \(version)",
                hint: "convert the model with onnx.version_converter")
        }
        return row
    }
}
