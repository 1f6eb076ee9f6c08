import GlmcIR

extension OnnxRules {
    /// Matrix products.
    static let matrices: [OnnxRule] = [
        OnnxRule("MatMul") { g, c in try g.matmul(c[0], c[1]) },
        OnnxRule("Gemm", since: 7) { g, c in
            let a = try c.flag("transA") ? try g.swapAxes(c[0], 0, 1) : try c[0]
            let b = try c.flag("transB") ? try g.swapAxes(c[1], 0, 1) : try c[1]
            let alpha = try c.float("alpha", 1), beta = try c.float("beta", 1)
            var y = try g.matmul(a, b)
            if alpha != 1 { y = try g.cast(try g.mul(y, alpha), g.element(y)) }
            guard let bias = try c.optional(2), beta != 0 else { return y }
            return try g.add(y, beta == 1 ? bias : try g.mul(bias, beta))
        },
        OnnxRule("MatMulInteger", since: 10) { g, c in try g.integerMatmul(c[0], c[1], try c.optional(2), try c.optional(3)) },
        OnnxRule("QLinearMatMul", since: 10) { g, c in
            let (a, b) = (try c[0], try c[3])
            let sum = try g.integerMatmul(a, b, try c[2], try c[5])
            let real = try g.cast(sum, .f32)
            let scales = try g.mul(try g.cast(g.alignedParameter(c[1], of: a, isRow: true), .f32), try g.cast(g.alignedParameter(c[4], of: b, isRow: false), .f32))
            let scaled = try g.mul(real, scales)
            return try g.emit(Quantize(element: g.element(try c[7]), axis: -2), [scaled, try g.cast(g.scalarShape(c[6]), .f32), g.scalarShape(c[7])])
        },
        OnnxRule("Einsum", since: 12) { g, c in try g.einsum(try c.string("equation", ""), try c.tensors()) },
    ]
}

extension GraphImporter {
    /// A per-tensor, per-row (of the left operand) or per-column (of the right) parameter so that it broadcasts to the product.
    mutating func alignedParameter(_ v: ValueID, of matrix: ValueID, isRow: Bool) throws -> ValueID {
        if rank(v) == 0 || shape(v) == [1] { return try reshape(v, []) }
        if rank(v) == 1 { return isRow ? try unsqueeze(v, [1]) : v }
        return v
    }

    /// Σ(a−p)(b−q) = Σab − p·Σb − q·Σa + K·p·q in exact integers.
    mutating func integerMatmul(_ a: ValueID, _ b: ValueID, _ aZero: ValueID?, _ bZero: ValueID?) throws -> ValueID {
        var sum = try matmul(a, b)
        let p = try aZero.map { try cast(alignedParameter($0, of: a, isRow: true), .i32) }
        let q = try bZero.map { try cast(alignedParameter($0, of: b, isRow: false), .i32) }
        if let p, knownConstantUnlessBound(p)?.splat != 0 {
            let columns = try reduce(.add, try cast(b, .i32), [max(rank(b) - 2, 0)], keep: rank(a) > 1 && rank(b) > 1)
            sum = try sub(sum, try mul(p, columns))
            if let q, knownConstantUnlessBound(q)?.splat != 0 {
                let depth = try size(shape(a)[rank(a) - 1], .i32)
                sum = try add(sum, try mul(try mul(p, q), depth))
            }
        }
        if let q, knownConstantUnlessBound(q)?.splat != 0 {
            let rows = try reduce(.add, try cast(a, .i32), [rank(a) - 1], keep: rank(b) > 1 && rank(a) > 1)
            sum = try sub(sum, try mul(rows, q))
        }
        return sum
    }

    /// The Einstein summation as a chain of broadcast matrix products: each step contracts what no later operand needs.
    mutating func einsum(_ equation: String, _ operands: [ValueID]) throws -> ValueID {
        let text = equation.filter { $0 != " " }
        let sides = text.split(separator: ">", omittingEmptySubsequences: false)
        let left = String(sides[0].hasSuffix("-") ? sides[0].dropLast() : sides[0])
        let names = left.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        guard names.count == operands.count, sides.count <= 2 else { throw Diagnostic(.invalid, "the equation '\(equation)' does not fit \(operands.count) operands") }
        // An ellipsis stands for the axes that have no letter; they get names of their own, aligned at the end.
        var labels: [[String]] = []
        var ellipsisRank = 0
        for (name, operand) in zip(names, operands) {
            let parts = name.components(separatedByEllipsis: ())
            let letters = parts.joined().map(String.init)
            let open = rank(operand) - letters.count
            guard parts.count <= 2, open >= 0, parts.count == 2 || open == 0 else { throw Diagnostic(.invalid, "the equation '\(equation)' does not fit \(type(operand))") }
            ellipsisRank = max(ellipsisRank, open)
            labels.append(parts[0].map(String.init) + (0..<open).map { "…\(open - $0)" } + (parts.count == 2 ? parts[1].map(String.init) : []))
        }
        let result: [String]
        if sides.count == 2 {
            let parts = String(sides[1]).components(separatedByEllipsis: ())
            let middle = parts.count == 2 ? (0..<ellipsisRank).map { "…\(ellipsisRank - $0)" } : []
            result = parts[0].map(String.init) + middle + (parts.count == 2 ? parts[1].map(String.init) : [])
        } else {
            let all = labels.joined().filter { !$0.hasPrefix("…") }
            result = (0..<ellipsisRank).map { "…\(ellipsisRank - $0)" } + Set(all).filter { label in all.filter { $0 == label }.count == 1 }.sorted()
        }
        guard Set(result).count == result.count else { throw Diagnostic(.invalid, "the equation '\(equation)' repeats an output letter") }
        var terms = try zip(operands, labels).map { try diagonal($0, $1) }
        var (value, axes) = terms.removeFirst()
        while !terms.isEmpty {
            let (other, otherAxes) = terms.removeFirst()
            let needed = Set(result).union(terms.flatMap(\.1))
            (value, axes) = try contract(value, axes, other, otherAxes, needed)
        }
        for (i, label) in axes.enumerated().reversed() where !result.contains(label) {
            value = try reduce(.add, value, [i], keep: false)
            axes.remove(at: i)
        }
        guard axes.count == result.count else { throw Diagnostic(.invalid, "the equation '\(equation)' has an output letter that no operand has") }
        return try transpose(value, result.map { axes.firstIndex(of: $0) ?? 0 })
    }

    /// Takes the diagonal where a label is repeated.
    private mutating func diagonal(_ x: ValueID, _ labels: [String]) throws -> (ValueID, [String]) {
        var (x, labels) = (x, labels)
        while let j = labels.indices.first(where: { labels[..<$0].contains(labels[$0]) }), let i = labels.firstIndex(of: labels[j]) {
            try require(shape(x)[i], equals: shape(x)[j], "the sizes of '\(labels[j])'")
            let same = try binary(.equal, try iota(shape(x)[i], axis: i, rank: rank(x)), try iota(shape(x)[j], axis: j, rank: rank(x)))
            x = try reduce(.add, try select(same, x, try scalar(0, like: x)), [j], keep: false)
            labels.remove(at: j)
        }
        return (x, labels)
    }

    private mutating func contract(
        _ a: ValueID, _ aLabels: [String], _ b: ValueID, _ bLabels: [String], _ needed: Set<String>
    ) throws -> (ValueID, [String]) {
        let shared = aLabels.filter { bLabels.contains($0) }
        let batch = shared.filter { needed.contains($0) }, summed = shared.filter { !needed.contains($0) }
        let rows = aLabels.filter { !shared.contains($0) }, columns = bLabels.filter { !shared.contains($0) }
        func extents(_ x: ValueID, _ labels: [String], _ wanted: [String]) -> [Extent] { wanted.map { shape(x)[labels.firstIndex(of: $0) ?? 0] } }
        let batchShape = try zip(extents(a, aLabels, batch), extents(b, bLabels, batch)).map { try TensorType.broadcast([$0], [$1])[0] }
        let (m, n) = (extents(a, aLabels, rows), extents(b, bLabels, columns))
        let (ka, kb) = (extents(a, aLabels, summed), extents(b, bLabels, summed))
        func order(_ labels: [String], _ wanted: [String]) -> [Int] { wanted.map { labels.firstIndex(of: $0) ?? 0 } }
        let left = try reshape(try transpose(a, order(aLabels, batch + rows + summed)), extents(a, aLabels, batch) + [m.product, ka.product])
        let right = try reshape(try transpose(b, order(bLabels, batch + summed + columns)), extents(b, bLabels, batch) + [kb.product, n.product])
        // Products of bytes are wide in the IR, and bytes again in ONNX.
        let product = try cast(try matmul(left, right), element(a))
        return (try reshape(product, batchShape + m + n), batch + rows + columns)
    }
}

extension String {
    /// The parts before and after `...`; one part without it.
    fileprivate func components(separatedByEllipsis: ()) -> [String] {
        var parts = [""]
        var rest = self[...]
        while let first = rest.first {
            if rest.hasPrefix("...") {
                parts.append("")
                rest = rest.dropFirst(3)
            } else {
                parts[parts.count - 1].append(first)
                rest = rest.dropFirst()
            }
        }
        return parts
    }
}
