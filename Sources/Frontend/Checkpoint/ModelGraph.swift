import GlmcIR

/// A normalisation over the last axis, with weights `NAME.weight` and, where it centres, `NAME.bias`.
struct NormForm: Hashable {
    /// Layer normalisation, which subtracts the mean; otherwise root-mean-square normalisation.
    var centres = false
    var epsilon: Double
    /// The factor is this plus the weight.
    var offset = 0.0
}

/// The graph of a model whose weights lie in a folder. Weights stay in the file's type and orientation; what is missing or misshapen is noted,
/// and `finish` reports it at once.
struct ModelGraph: GraphBuilding {
    var rewriter: Rewriter
    var block: BlockID { rewriter.function.body }
    var provenance: [String] = []
    private let checkpoint: Checkpoint
    /// Tensors that matrices of a quantised checkpoint are made of.
    private var parts: Set<String> = []
    /// Tables of embeddings.
    private var tables: Set<String> = []
    private var values: [String: ValueID] = [:]
    private var problems: [Diagnostic] = []

    /// So many tensors that are not as they should be say enough.
    private static let mostProblems = 500

    init(_ name: String, _ checkpoint: Checkpoint) {
        rewriter = Rewriter(Function(name))
        self.checkpoint = checkpoint
        rewriter.setMetadata("producer", checkpoint.format)
    }

    // MARK: Weights

    func hasTensor(_ name: String) -> Bool { checkpoint.has(name) }

    /// The tensor `name` as it is in the file. One that is missing or has another shape is noted, and a value of the right type stands in.
    mutating func weight(_ name: String, _ shape: [Int]) throws -> ValueID {
        if let value = values[name], self.shape(value).constants == shape { return value }
        let problem: Diagnostic?
        if let own = checkpoint.shape(name), own != shape {
            problem = Diagnostic(.invalid, "has shape \(own), and \(checkpoint.configPlace) asks for \(shape)", at: [quoted(name)])
        } else if let blocks = checkpoint.blocks[name] {
            let value = try constant(try blocks.floats())
            values[name] = value
            return value
        } else if let tensor = checkpoint.tensors[name] {
            if !tensor.element.irType.isFloat {
                problem = Diagnostic(.unsupported, "is \(tensor.element.rawValue), not a float", at: [quoted(name)])
            } else {
                let value = try constant(try Tensor(tensor.element.irType, shape, storage: tensor.bytes.owner, byteOffset: tensor.bytes.offset))
                rewriter.setName(name, of: value)
                values[name] = value
                return value
            }
        } else {
            problem = Diagnostic(.invalid, "is missing, and \(checkpoint.configPlace) asks for \(shape)", at: [quoted(name)])
        }
        try problem.map { try note($0) }
        try Verifier.checkType(.tensor(TensorType(.f32, shape.map { Extent($0) })))
        let value = try filled(0, .f32, shape.map { Extent($0) })
        values[name] = value
        return value
    }

    private mutating func note(_ problem: Diagnostic) throws {
        problems.append(problem)
        if problems.count >= Self.mostProblems { throw Diagnostics(problems) }
    }

    /// A weight in f32, in which models compute.
    mutating func parameter(_ name: String, _ shape: [Int]) throws -> ValueID { try cast(try weight(name, shape), .f32) }

    /// A weight as products take it: 16-bit floats as they are, others in f32.
    private mutating func matrix(_ name: String, _ shape: [Int]) throws -> ValueID {
        let value = try weight(name, shape)
        return type(value).element.isProductWeight ? value : try cast(value, .f32)
    }

    /// - Parameter ignored: patterns of tensors that the model does not need; `*` at either end stands for anything.
    /// - Throws: `Diagnostics` with every tensor that is missing, has another shape or type, or belongs to nothing.
    func finish(ignoring ignored: [String] = []) throws {
        let extra = checkpoint.names.filter { name in values[name] == nil && !parts.contains(name) && !ignored.contains { matches(name, $0) } }.sorted()
        let superfluous = extra.prefix(Self.mostProblems).map { name in
            Diagnostic(.invalid, "belongs to no part of the model that \(checkpoint.configPlace) describes; its shape is \(checkpoint.shape(name) ?? [])", at: [quoted(name)])
        }
        if !problems.isEmpty || !superfluous.isEmpty { throw Diagnostics(problems + superfluous) }
    }

    private func quoted(_ name: String) -> String { "tensor '\(name)'" }

    private func matches(_ name: String, _ pattern: String) -> Bool {
        let core = pattern.split(separator: "*").joined()
        return switch (pattern.hasPrefix("*"), pattern.hasSuffix("*")) {
        case (true, true): name.contains(core)
        case (true, false): name.hasSuffix(core)
        case (false, true): name.hasPrefix(core)
        case (false, false): name == pattern
        }
    }

    // MARK: Layers

    /// x·wᵀ + b with `NAME.weight` [to, from], or x·w + b with [from, to] where `isTransposed`. Nodes that follow name it as their source.
    mutating func linear(_ x: ValueID, _ name: String, _ from: Int, _ to: Int, bias: Bool, isTransposed: Bool = false) throws -> ValueID {
        provenance = [name]
        let y: ValueID
        if let product = try quantizedProduct(x, name, from, to) {
            y = product
        } else {
            let w = try matrix(name + ".weight", isTransposed ? [from, to] : [to, from])
            y = try matmul(x, isTransposed ? w : try transpose(w, [1, 0]))
        }
        return bias ? try add(y, try parameter(name + ".bias", [to])) : y
    }

    /// The linear map that a convolution is whose windows do not overlap: x·wᵀ + b of windows as rows, with `NAME.weight` [to] + window.
    mutating func linear(_ x: ValueID, _ name: String, window: [Int], _ to: Int, bias: Bool) throws -> ValueID {
        provenance = [name]
        let rows = try reshape(try matrix(name + ".weight", [to] + window), [Extent(to), window.map { Extent($0) }.product])
        let y = try matmul(x, try transpose(rows, [1, 0]))
        return bias ? try add(y, try parameter(name + ".bias", [to])) : y
    }

    /// x times the matrix of a layer as a quantised checkpoint holds it; nil for layers that are not quantised. What is wrong with a matrix is noted.
    private mutating func quantizedProduct(_ x: ValueID, _ name: String, _ from: Int, _ to: Int) throws -> ValueID? {
        do {
            guard let matrix = try quantized(name, from, to) else { return nil }
            return try product(x, matrix)
        } catch let problem as Diagnostic {
            try note(problem)
            parts.formUnion(checkpoint.names.filter { $0.hasPrefix(name + ".") })
            let shape = [Extent(from), Extent(to)]
            try Verifier.checkType(.tensor(TensorType(.f32, shape)))
            return try matmul(x, try filled(0, .f32, shape))
        }
    }

    private mutating func quantized(_ name: String, _ from: Int, _ to: Int) throws -> CheckpointMatrix? {
        let matrix = try checkpoint.matrices.matrix(name, from: from, to: to, isLookedUp: tables.contains(name), in: checkpoint)
        matrix.map { parts.formUnion($0.tensors) }
        return matrix
    }

    /// Normalises the last axis, of size `width`.
    mutating func norm(_ x: ValueID, _ name: String, _ width: Int, _ form: NormForm) throws -> ValueID {
        provenance = [name]
        var scale = try parameter(name + ".weight", [width])
        if form.offset != 0 { scale = try add(scale, form.offset) }
        if form.centres { return try emit(LayerNorm(axis: -1, epsilon: form.epsilon), [x, scale, try parameter(name + ".bias", [width])]) }
        return try emit(RMSNorm(axis: -1, epsilon: form.epsilon), [x, scale])
    }

    /// Rows of the table `name` [rows, width], picked by integers, in f32. Products with the same table follow its look-ups.
    mutating func embedding(_ name: String, _ rows: Int, _ width: Int, at indices: ValueID) throws -> ValueID {
        provenance = [name]
        tables.insert(name)
        if checkpoint.blocks[name + ".weight"]?.shape == [rows, width], case .blocks(let codes, let scales, let minimums, let size, _)? = try quantized(name, width, rows)?.weights {
            return try self.rows(codes, scales, minimums, size: size, at: indices)
        }
        return try cast(try gather(try weight(name + ".weight", [rows, width]), indices, axis: 0, countsBackwards: false), .f32)
    }

    /// Vectors along the last axis, divided by their Euclidean lengths; the length of one that is nearly 0 counts as 1e-12.
    mutating func unitVectors(_ x: ValueID) throws -> ValueID {
        let length = try unary(.sqrt, try reduce(.sumSquares, x, [rank(x) - 1]))
        return try div(x, try binary(.maximum, length, 1e-12))
    }

    /// The state of a sequence's first token, [batch, width], of states [batch, n, width].
    mutating func first(_ x: ValueID) throws -> ValueID { try squeeze(try slice(x, axis: 1, start: 0, size: 1), [1]) }

    /// The state of one token of each sequence, [batch, width], of states [batch, n, width] and places i64 [batch, 1].
    mutating func row(of x: ValueID, at place: ValueID) throws -> ValueID { try emit(GatherND(batchDims: 1), [x, place]) }
}
