import GlmcIR

extension GraphImporter {
    /// Adds the model's inputs as arguments, with the shapes and dimensions that the user fixed.
    mutating func defineInputs() throws {
        let trees = try model.graph.inputs.filter { !defaults.constants.contains($0.name) }.map { info in
            do {
                if let tensor = defaults.open[info.name] { return (info.name, InputTree(info.name, like: tensor)) }
                return (info.name, try InputTree(info, options.lengths))
            } catch let error as Diagnostic {
                throw error.inside("input '\(info.name)'")
            }
        }
        for name in options.lengths.keys.sorted() where !trees.contains(where: { $0.0 == name && !$0.1.isTensor }) {
            throw Diagnostic(.invalid, "the model has no input '\(name)' that is a sequence or optional")
        }
        let inputs = trees.flatMap(\.1.tensors)
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
            throw Diagnostic(.invalid, "the model has no dimension '\(name)'", hint: known.isEmpty ? "none of its sizes has a name; --shape fixes those of an input" : "its dimensions: \(known.sorted().joined(separator: ", "))")
        }
        var names = DimensionNames()
        for (name, tree) in trees { try define(name, try tree.imported { try tensorInput($0, sizes, &names) }, at: "input '\(name)'") }
    }

    private mutating func tensorInput(_ input: OnnxValueInfo, _ sizes: [String: Int], _ names: inout DimensionNames) throws -> ValueID {
        do {
            let tensor = try defaults.open[input.name].map { try $0.irTensor() }
            let value = try tensor.map { rewriter.addInput(default: $0, name: input.name) } ?? argument(input, sizes, &names)
            if let tensor = options.boundInputs[input.name] ?? tensor { try bind(input.name, value, tensor) }
            return value
        } catch let error as Diagnostic {
            throw error.inside("input '\(input.name)'")
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
        func free(_ dimension: String, _ axis: Int) -> Extent {
            if let value = self.sizes.values[dimension] { return value }
            rewriter.addDimension(dimension, DimensionInfo(.input(position, axis: axis)))
            return .dimension(dimension)
        }
        let extents = dims.enumerated().map { axis, dim -> Extent in
            if let fixed { return Extent(fixed[axis]) }
            switch dim {
            case .constant(let size): return Extent(size)
            case .named(let name) where !DimensionNames.isAnonymous(name):
                if let size = sizes[name] { return Extent(size) }
                return free(names.name(name), axis)
            default:
                let own = names.fresh("\(input.name)_\(axis)")
                unnamed.insert(own)
                return free(own, axis)
            }
        }
        let tensor = TensorType(type, extents), value = ValueType.tensor(tensor)
        try Verifier.checkType(value)
        let id = rewriter.addArgument(value, name: input.name)
        if sizeInputs.contains(input.name), let count = tensor.elementCount.constant {
            rewriter.addDimensions((0..<count).map { names.fresh(count == 1 ? input.name : "\(input.name)_\($0)") }, heldBy: id)
        }
        return id
    }

    /// Inputs that may hold sizes: a few i64, as for the shape of a Reshape, the length of a Range or the number of iterations of a loop.
    static func possibleSizeInputs(_ model: OnnxModel, _ options: ImportOptions) -> [String] {
        let constants = Set(model.graph.initializers.map(\.name))
        return model.graph.inputs.filter { input in
            guard case .tensor(.int64, let shape?)? = input.type, shape.count <= 1, options.boundInputs[input.name] == nil, !constants.contains(input.name) else { return false }
            return shape.allSatisfy { if case .constant(1...mostSizesOfInput) = $0 { true } else { false } }
        }.map(\.name)
    }

    /// An input with more elements holds data: pads of the highest rank have as many.
    private static let mostSizesOfInput = 16

    private mutating func bind(_ name: String, _ value: ValueID, _ tensor: Tensor) throws {
        let type = rewriter.function.tensorType(value)
        guard tensor.element == type.element, tensor.rank == type.rank else {
            throw Diagnostic(.invalid, "is bound to a tensor of type \(tensor.type), not \(type)")
        }
        bound[value] = (name, tensor)
        for (extent, size) in zip(type.shape, tensor.shape) {
            if let dimension = extent.dimensionName { givenSizes[dimension] = (name, size) }
        }
    }
}

/// The tensors that an input of the model is made of.
private indirect enum InputTree {
    case tensor(OnnxValueInfo)
    case sequence([InputTree])
    case optional(InputTree?)

    /// - Throws: for a sequence whose length is not given.
    init(_ info: OnnxValueInfo, _ lengths: [String: Int], isElement: Bool = false) throws {
        func retyped(_ type: OnnxType) -> OnnxValueInfo {
            var copy = info
            copy.type = type
            return copy
        }
        let length = lengths[info.name]
        switch info.type {
        case .sequence(let element)?:
            guard let length, 0...4096 ~= length else {
                throw Diagnostic.unsupported("is a sequence of unknown length", hint: "--length \(info.name)=N says how many tensors it holds, at most 4096")
            }
            self = .sequence(try (0..<length).map { i in
                var part = retyped(element)
                part.name += "[\(i)]"
                return try InputTree(part, lengths, isElement: true)
            })
        case .optional(.sequence(let element))?: self = .optional(try length.map { _ in try InputTree(retyped(.sequence(element)), lengths) })
        case .optional(let inner)?: self = .optional(length ?? 0 > 0 ? try InputTree(retyped(inner), lengths) : nil)
        // The elements of a sequence need not have one shape, though the file calls their sizes by one name.
        case .tensor(let element, let shape?)? where isElement:
            self = .tensor(retyped(.tensor(element, shape: shape.map { if case .constant = $0 { $0 } else { .unknown } })))
        default: self = .tensor(info)
        }
    }

    init(_ name: String, like tensor: OnnxTensor) {
        self = .tensor(OnnxValueInfo(name: name, type: .tensor(tensor.element, shape: tensor.dims.map { .constant($0) })))
    }

    var isTensor: Bool { if case .tensor = self { true } else { false } }

    var tensors: [OnnxValueInfo] {
        switch self {
        case .tensor(let info): [info]
        case .sequence(let items): items.flatMap(\.tensors)
        case .optional(let inner): inner?.tensors ?? []
        }
    }

    func imported(_ tensor: (OnnxValueInfo) throws -> ValueID) throws -> Imported {
        switch self {
        case .tensor(let info): .tensor(try tensor(info))
        case .sequence(let items): .sequence(try items.map { try $0.imported(tensor) })
        case .optional(let inner): .optional(try inner?.imported(tensor))
        }
    }
}

/// Names of dimensions that the textual IR can write: letters, digits and underscores, each used for one dimension.
struct DimensionNames {
    private var given: [String: String] = [:]
    private var used: Set<String> = []
    /// By name: the number that the next dimension of that name gets.
    private var numbers: [String: Int] = [:]

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
        while !used.insert(name).inserted {
            let number = numbers[base, default: 2]
            numbers[base] = number + 1
            name = "\(base)_\(number)"
        }
        return name
    }
}
