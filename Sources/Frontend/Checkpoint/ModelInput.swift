import GlmcIR

/// An input of a model and the sizes that it may have.
struct ModelInput {
    enum Size {
        case fixed(Int)
        /// Left to the caller, under this name, unless options fix it.
        case free(String)
    }

    var name: String
    var element: ElementType
    var shape: [Size]

    /// Numbers of tokens, i64 [batch, sequence].
    static func tokens(_ name: String, batch: String = "batch", sequence: String = "sequence") -> ModelInput {
        ModelInput(name: name, element: .i64, shape: [.free(batch), .free(sequence)])
    }
}

extension ModelGraph {
    /// Adds inputs, whose sizes are free where they may be and `options` fix nothing.
    /// - Parameters:
    ///   - longest: the largest size of dimensions, by name, for which the model has positions.
    ///   - all: the inputs of all entry points to which the options belong; nil: these.
    /// - Throws: `Diagnostic` for options that fit no input.
    mutating func inputs(_ inputs: [ModelInput], _ options: ImportOptions, longest: [String: Int], among all: [ModelInput]? = nil) throws -> [ValueID] {
        let sizes = try dimensions(all ?? inputs, options)
        for (dimension, most) in longest.sorted(by: { $0.key < $1.key }) {
            if let size = sizes[dimension], size > most { throw Diagnostic(.invalid, "a \(dimension) of \(size) exceeds the model's \(most) positions") }
        }
        return try inputs.map { input in
            let place = rewriter.function.inputs.count
            let shape = input.shape.enumerated().map { axis, size -> Extent in
                switch size {
                case .fixed(let size): return Extent(size)
                case .free(let name):
                    if let size = sizes[name] { return Extent(size) }
                    if !rewriter.function.dimensions.contains(where: { $0.name == name }) { rewriter.addDimension(name, DimensionInfo(.input(place, axis: axis))) }
                    return .dimension(name)
                }
            }
            let type = ValueType.tensor(TensorType(input.element, shape))
            try Verifier.checkType(type)
            return rewriter.addArgument(type, name: input.name)
        }
    }

    /// Adds inputs i64 [batch, sequence].
    /// - Parameter longest: how many positions the model has.
    mutating func tokenInputs(_ names: [String], _ options: ImportOptions, longest: Int) throws -> [ValueID] {
        try inputs(names.map { .tokens($0) }, options, longest: ["sequence": longest])
    }

    /// The sizes that options give to dimensions, by name or as a part of an input's shape.
    private func dimensions(_ inputs: [ModelInput], _ options: ImportOptions) throws -> [String: Int] {
        var names: [String] = []
        for case .free(let name) in inputs.flatMap(\.shape) where !names.contains(name) { names.append(name) }
        var sizes = options.dimensions
        for name in sizes.keys.sorted() where !names.contains(name) {
            throw Diagnostic(.invalid, "the model has no dimension '\(name)'", hint: "its dimensions: \(names.joined(separator: ", "))")
        }
        for (name, shape) in options.shapes.sorted(by: { $0.key < $1.key }) {
            guard let input = inputs.first(where: { $0.name == name }) else {
                throw Diagnostic(.invalid, "the model has no input '\(name)'", hint: "its inputs: \(inputs.map(\.name).joined(separator: ", "))")
            }
            guard shape.count == input.shape.count else { throw Diagnostic(.invalid, "input '\(name)' has rank \(input.shape.count), not \(shape.count)") }
            for (axis, (own, size)) in zip(input.shape, shape).enumerated() {
                switch own {
                case .fixed(let own):
                    guard own == size else { throw Diagnostic(.invalid, "axis \(axis) of input '\(name)' has size \(own), not \(size)") }
                case .free(let dimension):
                    if let other = sizes.updateValue(size, forKey: dimension), other != size {
                        throw Diagnostic(.invalid, "the dimension '\(dimension)' is given two sizes, \(other) and \(size)")
                    }
                }
            }
        }
        return sizes
    }
}
