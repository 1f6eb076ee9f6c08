import GlmcIR

/// The initializers of a model that are inputs too. Since version 4 of the format such an initializer is the input's default, which a caller
/// may replace; before, all initializers had to be listed so, and are constants.
struct Defaults {
    /// The defaults of inputs that stay inputs, by name.
    private(set) var open: [String: OnnxTensor] = [:]
    /// Names that are listed as inputs and are constants.
    private(set) var constants: Set<String> = []
    /// Those of them that would be inputs, did operators not need their values.
    private(set) var frozen: Set<String> = []
    /// Whether there are more defaults than an artifact takes inputs, so that all are constants.
    private(set) var isTooMany = false
    /// The most defaults that stay inputs: a run describes each of them on its stack.
    private static let most = 1024
    /// Inputs whose value the import may take from elsewhere.
    private let given: Set<String>

    init(_ model: OnnxModel, _ options: ImportOptions) {
        given = Set(options.boundInputs.keys)
        let listed = Set(model.graph.inputs.map(\.name)), isDefault = model.irVersion >= 4 && !options.freezesInitializers
        for tensor in model.graph.initializers where listed.contains(tensor.name) {
            if isDefault, Self.isPassable(tensor) { open[tensor.name] = tensor } else { constants.insert(tensor.name) }
        }
        if open.count > Self.most {
            isTooMany = true
            constants.formUnion(open.keys)
            open = [:]
        }
        // What is stored as sparse is a constant in any case: kernels would read every zero.
        constants.formUnion(model.graph.sparseInitializers.map(\.values.name).filter(listed.contains))
    }

    /// Whether artifacts take inputs of this type.
    private static func isPassable(_ tensor: OnnxTensor) -> Bool {
        guard let element = try? tensor.element.irType() else { return false }
        return TensorType(element, tensor.dims.map { Extent($0) }).isPassable
    }

    /// The graph without the initializers that are defined as inputs.
    func withoutInitializers(_ graph: OnnxGraph) -> OnnxGraph {
        var copy = graph, rest = Set(open.keys)
        copy.initializers.removeAll { rest.remove($0.name) != nil }
        return copy
    }

    /// Makes constants of the defaults that an import needed; where it failed without needing one, of all.
    /// - Parameter consumed: the inputs whose values were used.
    /// - Returns: whether there were any.
    mutating func freeze(_ consumed: Set<String>, failed: Bool) -> Bool {
        var names = consumed.subtracting(given).intersection(open.keys)
        if names.isEmpty && failed { names = Set(open.keys) }
        for name in names { open[name] = nil }
        frozen.formUnion(names)
        constants.formUnion(names)
        return !names.isEmpty
    }
}

extension GraphImporter {
    /// Says which inputs of the model are none of the artifact.
    var frozenDefaults: [Diagnostic] {
        if defaults.isTooMany { return [Diagnostic(.unsupported, "so many initializers are inputs too that all of them are built in: the artifact has no such inputs")] }
        return defaults.frozen.sorted().map {
            Diagnostic(.unsupported, "its default is built in, since operators need its value at compile time: the artifact has no such input", at: ["input '\($0)'"])
        }
    }
}
