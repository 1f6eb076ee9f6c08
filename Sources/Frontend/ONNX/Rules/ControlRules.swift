import GlmcIR

extension OnnxRules {
    static let control: [OnnxRule] = [
        OnnxRule(values: "If") { g, c in try g.branch(c) },
        OnnxRule(values: "Loop") { g, c in try g.loop(c) },
        OnnxRule(values: "Scan", since: 8) { g, c in try g.batchedScan(c) },
        OnnxRule(values: "Scan", since: 9) { g, c in try g.scan(c) },
    ]
}
