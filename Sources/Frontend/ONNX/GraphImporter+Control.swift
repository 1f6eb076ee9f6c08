import GlmcIR

extension GraphImporter {
    /// Loops of at most this many rounds, known at compile time, are written out.
    static let unrollLimit = 64

    mutating func branch(_ c: OnnxCall) throws -> [Imported] {
        let condition = try c[0]
        guard type(condition).elementCount.constant ?? 1 == 1 else { throw Diagnostic(.invalid, "the condition is \(type(condition)), not one bool") }
        let graphs = [try c.graph("then_branch"), try c.graph("else_branch")]
        if let known = knownConstantUnlessBound(condition)?.splat { return try importSubgraph(graphs[known != 0 ? 0 : 1], inputs: []) }
        throw Diagnostic.unsupported("conditions must be known")
    }

    mutating func loop(_ c: OnnxCall) throws -> [Imported] {
        let body = try c.graph("body")
        let carriedCount = c.inputCount - 2
        guard carriedCount >= 0, body.outputs.count > carriedCount else { throw Diagnostic(.invalid, "the body does not fit \(c.inputCount) inputs") }
        throw Diagnostic.unsupported("loops must have a known number of rounds")
    }

    /// A scan over a known number of slices, written out.
    mutating func scan(_ c: OnnxCall) throws -> [Imported] {
        let body = try c.graph("body")
        let scanned = try c.int("num_scan_inputs", 0)
        let states = c.inputCount - scanned
        guard scanned > 0, states >= 0, body.inputs.count == c.inputCount, body.outputs.count >= states else {
            throw Diagnostic(.invalid, "the body does not fit \(c.inputCount) inputs")
        }
        throw Diagnostic.unsupported("scan")
    }
}
