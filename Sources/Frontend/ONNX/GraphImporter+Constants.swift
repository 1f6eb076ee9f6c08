import GlmcIR

extension GraphImporter {
    // MARK: Constants of the file

    mutating func constant(_ tensor: OnnxTensor) throws -> Imported {
        if case .strings(let values) = tensor.data { return .strings(StringTensor(shape: tensor.dims, values: values)) }
        return .tensor(try constant(try tensor.irTensor()))
    }

    /// A sparse tensor of the file with its zeros.
    func dense(_ sparse: OnnxSparseTensor) throws -> Tensor {
        let values = try sparse.values.irTensor()
        let indices = try sparse.indices.irTensor()
                guard indices.element == .i64, let count = Tensor.byteCount(.u8, sparse.dims), count <= 1 << 28, indices.rank == 1 || indices.shape.last == sparse.dims.count else {
            throw Diagnostic(.invalid, "a sparse tensor has indices of the wrong form")
        }
        let width = indices.rank == 1 ? 1 : sparse.dims.count
        let all = indices.integers
        guard width > 0, all.count == values.count * width else { throw Diagnostic(.invalid, "a sparse tensor has not one index per value") }
        var positions: [Int] = []
        for i in 0..<values.count {
            var flat = 0
            for k in 0..<width {
                let index = all[i * width + k]
                let extent = indices.rank == 1 ? count : sparse.dims[k]
                guard (0..<extent).contains(index) else { throw Diagnostic(.invalid, "a sparse tensor has an index out of range") }
                flat = indices.rank == 1 ? index : flat * extent + index
            }
            positions.append(flat)
        }
        let size = values.element.byteCount
        return Tensor(values.element, sparse.dims) { bytes in
            for (i, position) in positions.enumerated() {
                for byte in 0..<size { bytes[position * size + byte] = values.bytes[i * size + byte] }
            }
        }
    }

    // MARK: Values known at compile time

    /// The value of `id` where it does not depend on the inputs, or only on bound ones, which are then noted as consumed.
    mutating func knownConstant(_ id: ValueID) -> Tensor? {
        guard let known = evaluated(id) else { return nil }
        consumed.formUnion(known.inputs)
        return known.value
    }

    /// Finds what `id` and everything that it follows from are worth, operands first; nothing is looked at twice.
    private mutating func evaluated(_ id: ValueID) -> KnownConstant? {
        var waiting = [id]
        while let value = waiting.last {
            guard knownNow(value) == nil, case .node(let node, let position) = rewriter.function[value].definition else {
                waiting.removeLast()
                continue
            }
            let missing = isEvaluable(rewriter.function[node]) ? unevaluated(rewriter.function[node].operands) : []
            if missing.isEmpty {
                knownConstants[value] = .some(computed(rewriter.function[node], position))
                waiting.removeLast()
            } else {
                waiting += missing
            }
        }
        return knownNow(id) ?? nil
    }

    /// What is known of a value without computing anything: nil where that is nothing, `.some(nil)` where it is known to be unknown.
    private func knownNow(_ id: ValueID) -> KnownConstant?? {
        if let constant = rewriter.function.definingOp(id, as: Constant.self) { return KnownConstant(value: constant.value, inputs: []) }
        if let (name, value) = bound[id] { return KnownConstant(value: value, inputs: [name]) }
        if let known = knownConstants[id] { return .some(known) }
        if case .argument = rewriter.function[id].definition { return .some(nil) }
        return nil
    }

    /// The operands that must be looked at before a node can be evaluated: none where one of them is known to be unknown.
    private func unevaluated(_ operands: [ValueID]) -> [ValueID] {
        var missing: [ValueID] = []
        for operand in operands {
            guard let known = knownNow(operand) else { missing.append(operand); continue }
            if known == nil { return [] }
        }
        return missing
    }

    /// Whether a node may be evaluated at compile time, where its operands are known: nothing is built that is too large for that.
    private func isEvaluable(_ node: Node) -> Bool {
        node.op.isPure && node.regions.isEmpty && rewriter.function.isCheapToEvaluate(node) && node.results.allSatisfy { (rewriter.function.type($0).tensor?.volume ?? .max) <= 1 << 26 }
    }

    private func computed(_ node: Node, _ position: Int) -> KnownConstant? {
        guard isEvaluable(node) else { return nil }
        var operands: [Tensor] = [], inputs: Set<String> = []
        for operand in node.operands {
            guard case .some(.some(let known)) = knownNow(operand) else { return nil }
            operands.append(known.value)
            inputs.formUnion(known.inputs)
        }
        let context = EvaluationContext(resultTypes: node.results.map { rewriter.function.type($0) })
        guard let results = try? node.op.evaluate(operands, in: context), results.indices.contains(position) else { return nil }
        return KnownConstant(value: results[position], inputs: inputs)
    }

    /// The value of an operand that must be known at compile time.
    mutating func requiredConstant(_ id: ValueID, _ what: String) throws -> Tensor {
        if let tensor = knownConstant(id) { return tensor }
        if let contents = rewriter.function.symbolicContents(id), let values = contents.constants {
            return Tensor(values, shape: rewriter.function.tensorType(id).shape.constants ?? [values.count])
        }
        buildInSizes(behind: id)
        throw Diagnostic.unsupported("\(what) must be known at compile time")
    }

    /// The elements of an integer operand as sizes, possibly symbolic.
    mutating func extents(_ id: ValueID, _ what: String) throws -> [Extent] {
        if let contents = rewriter.function.symbolicContents(id) { return contents }
        if let tensor = knownConstant(id), tensor.count <= 1 << 16 { return tensor.integers.map { Extent($0) } }
        buildInSizes(behind: id)
        throw Diagnostic.unsupported("\(what) must follow from the shapes of the inputs or be constant", hint: "fix the shapes with --shape")
    }

    mutating func requiredInts(_ id: ValueID, _ what: String) throws -> [Int] {
        let tensor = try requiredConstant(id, what)
        guard tensor.count <= 1 << 20 else { throw Diagnostic(.invalid, "\(what) has \(tensor.count) elements") }
        return tensor.integers
    }

    mutating func requiredInt(_ id: ValueID, _ what: String) throws -> Int {
        let values = try requiredInts(id, what)
        guard values.count == 1 else { throw Diagnostic(.invalid, "\(what) has \(values.count) elements, not 1") }
        return values[0]
    }

    mutating func requiredScalar(_ id: ValueID, _ what: String) throws -> Double {
        let tensor = try requiredConstant(id, what)
        guard tensor.count == 1, !tensor.element.isComplex, tensor.element != .string else { throw Diagnostic(.invalid, "\(what) is not a single number") }
        return tensor.reader.load(at: 0)
    }

    /// A number that should be whole.
    func wholeNumber(_ value: Double, _ what: String) throws -> Int {
        guard let number = Int(exactly: value.rounded(.towardZero)) else { throw Diagnostic(.invalid, "\(what) is \(value)") }
        return number
    }

    // MARK: Folding while importing

    /// Replaces a small result by its value, when that is known: shape arithmetic thus never gets deep, and rules see constants.
    mutating func folded(_ id: ValueID) -> ValueID {
        let type = rewriter.function.tensorType(id)
        guard let nodeID = rewriter.function.definingNode(id), let count = type.elementCount.constant, count <= 64 else { return id }
        let node = rewriter.function[nodeID]
        guard node.op.isPure, node.regions.isEmpty, node.results.count == 1, !(node.op is Constant), !(node.op is Extents) else { return id }
        var replacement: (any Op)?
        let isSmall = node.operands.allSatisfy { operand in
            rewriter.function.definingOp(operand, as: Constant.self).map { $0.value.count <= 4096 } ?? false
        }
        if isSmall, type.element != .string, let tensor = knownConstant(id) {
            replacement = Constant(tensor)
        } else if let shape = type.shape.constants, type.element.isInteger || type.element == .bool,
            let contents = rewriter.function.symbolicContents(id) {
            if let values = contents.constants {
                replacement = Constant(Tensor(type.element, shape, integers: { values[$0] }))
            } else if type.element == .i64 {
                replacement = Extents(contents, shape: shape)
            }
        }
        guard let replacement, let new = try? rewriter.create1(replacement, [], at: .end(block), provenance: node.provenance),
            rewriter.function.type(new) == rewriter.function.type(id)
        else { return id }
        rewriter.erase(nodeID)
        return new
    }
}

/// A value that follows from constants and bound inputs.
struct KnownConstant {
    var value: Tensor
    var inputs: Set<String>
}

extension GraphImporter {
    /// The value of `id` where it does not depend on any input, bound or not.
    mutating func knownConstantUnlessBound(_ id: ValueID) -> Tensor? {
        guard let known = evaluated(id), known.inputs.isEmpty else { return nil }
        return known.value
    }
}
