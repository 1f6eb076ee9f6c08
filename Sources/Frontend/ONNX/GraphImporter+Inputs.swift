import GlmcIR

extension GraphImporter {
    /// Adds the model's inputs as arguments, with the shapes and dimensions that the user fixed.
    mutating func defineInputs() throws {
        let initializers = Set(model.graph.initializers.map(\.name))
        // Before IR version 4, every initialiser is listed as an input too.
        let inputs = model.graph.inputs.filter { !initializers.contains($0.name) }
        for name in options.shapes.keys.sorted() where !inputs.contains(where: { $0.name == name }) {
            throw Diagnostic(.invalid, "the model has no input '\(name)'", hint: "its inputs: \(inputs.map(\.name).joined(separator: ", "))")
        }
        var sizes = options.dimensions
        var known: Set<String> = []
        for input in inputs {
            let place = "input '\(input.name)'"
            do {
                try fixDimensions(input, &sizes, &known)
            } catch let error as Diagnostic {
                throw error.inside(place)
            }
        }
        for name in options.dimensions.keys.sorted() where !known.contains(name) {
            throw Diagnostic(.invalid, "the model has no dimension '\(name)'", hint: "its dimensions: \(known.sorted().joined(separator: ", "))")
        }
        var names = DimensionNames()
        for input in inputs {
            let place = "input '\(input.name)'"
            do {
                let value = try argument(input, sizes, &names)
                try define(input.name, .tensor(value), at: place)
                if let tensor = options.boundInputs[input.name] { try bind(input.name, value, tensor) }
            } catch let error as Diagnostic {
                throw error.inside(place)
            }
        }
    }

    /// Collects the sizes that `--shape` gives to named dimensions.
    private func fixDimensions(_ input: OnnxValueInfo, _ sizes: inout [String: Int], _ known: inout Set<String>) throws {
        guard case .tensor(_, let shape?)? = input.type else { return }
        for case .named(let name) in shape where !DimensionNames.isAnonymous(name) { known.insert(name) }
        guard let fixed = options.shapes[input.name] else { return }
        guard fixed.count == shape.count else {
            throw Diagnostic(.invalid, "has rank \(shape.count), not \(fixed.count)", hint: "give all \(shape.count) sizes")
        }
        for (axis, pair) in zip(shape, fixed).enumerated() {
            guard pair.1 >= 0 else { throw Diagnostic(.invalid, "the size \(pair.1) is negative") }
            switch pair.0 {
            case .constant(let size) where size != pair.1:
                throw Diagnostic(.invalid, "has size \(size) on axis \(axis), not \(pair.1)")
            case .named(let name) where !DimensionNames.isAnonymous(name):
                if let other = sizes.updateValue(pair.1, forKey: name), other != pair.1 {
                    throw Diagnostic(.invalid, "the dimension '\(name)' is given two sizes, \(other) and \(pair.1)")
                }
            default: break
            }
        }
    }

    private mutating func argument(_ input: OnnxValueInfo, _ sizes: [String: Int], _ names: inout DimensionNames) throws -> ValueID {
        guard case .tensor(let element, let shape)? = input.type else {
            throw Diagnostic.unsupported("has no tensor type; artifacts take tensors only")
        }
        let type = try element.irType()
        guard type != .string else { throw Diagnostic.unsupported("is a string tensor; artifacts take numbers only") }
        let fixed = options.shapes[input.name]
        guard let dims = shape ?? fixed?.map({ .constant($0) }) ?? options.boundInputs[input.name]?.shape.map({ .constant($0) }) else {
            throw Diagnostic.unsupported("has no known rank", hint: "fix it with --shape \(input.name):…")
        }
        let position = rewriter.function.inputs.count
        let extents = dims.enumerated().map { axis, dim -> Extent in
            if let fixed { return Extent(fixed[axis]) }
            switch dim {
            case .constant(let size): return Extent(size)
            case .named(let name) where !DimensionNames.isAnonymous(name):
                if let size = sizes[name] { return Extent(size) }
                let own = names.name(name)
                rewriter.addDimension(own, DimensionInfo(.input(position, axis: axis)))
                return .dimension(own)
            default:
                let own = names.fresh("\(input.name)_\(axis)")
                rewriter.addDimension(own, DimensionInfo(.input(position, axis: axis)))
                return .dimension(own)
            }
        }
        let value = ValueType.tensor(TensorType(type, extents))
        try Verifier.checkType(value)
        return rewriter.addArgument(value, name: input.name)
    }

    private mutating func bind(_ name: String, _ value: ValueID, _ tensor: Tensor) throws {
        let type = rewriter.function.tensorType(value)
        guard tensor.element == type.element, tensor.rank == type.rank else {
            throw Diagnostic(.invalid, "is bound to a tensor of type \(tensor.type), not \(type)")
        }
        bound[value] = (name, tensor)
    }
}

/// Names of dimensions that the textual IR can write: letters, digits and underscores, each used for one dimension.
struct DimensionNames {
    private var given: [String: String] = [:]
    private var used: Set<String> = []

    /// Whether a name says nothing, as exporters write for unrelated unknown dimensions.
    static func isAnonymous(_ name: String) -> Bool {
        name == "None" || name == "-1" || !name.contains { $0.isLetter }
    }

    /// The name for the file's dimension `name`.
    mutating func name(_ name: String) -> String {
        if let known = given[name] { return known }
        let own = fresh(name)
        given[name] = own
        return own
    }

    /// A new name that resembles `wish`.
    mutating func fresh(_ wish: String) -> String {
        var base = String(wish.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
        if base.first?.isLetter != true { base = "d" + base }
        var name = base
        var number = 2
        while !used.insert(name).inserted {
            name = "\(base)_\(number)"
            number += 1
        }
        return name
    }
}
