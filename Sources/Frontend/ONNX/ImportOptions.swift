import GlmcIR

/// What the user fixes about a model before it is imported.
public struct ImportOptions: Sendable {
    /// Shapes of inputs, by input name (`--shape`).
    public var shapes: [String: [Int]] = [:]
    /// Sizes of named dimensions (`--dim`).
    public var dimensions: [String: Int] = [:]
    /// How many tensors inputs that are sequences hold, by input name (`--length`); of an optional, whether there is one (0 or 1). The
    /// tensors of a sequence are inputs named `NAME[0]`, `NAME[1]`, …
    public var lengths: [String: Int] = [:]
    /// Values of inputs that may be taken as constants, and with them their sizes. Only those are used that an operator needs at compile
    /// time, such as the shape operand of a Reshape or the size of a filter; `consumedInputs` and `consumedSizes` of the result name them.
    public var boundInputs: [String: Tensor] = [:]
    /// How many tokens the cache of a language model or an encoder-decoder has room for (`--context`); nil: as many as the model has positions, at most 4096
    /// or 512.
    public var context: Int?
    /// How many texts a language model continues at once (`--batch`); nil: one.
    public var sequences: Int?
    /// Inputs of ONNX models that become states of `context` rows, and the outputs that are their new values (`--state`).
    public var states: [StatePattern] = []
    /// The type of keys and values in that cache: f32, f16 or bf16 (`--kv`).
    public var cacheElement = ElementType.f32
    /// What an encoder is for (`--task`); nil: what its files say.
    public var task: EncoderTask?
    /// Makes constants of the initializers that are inputs too (`--freeze-initializers`).
    public var freezesInitializers = false

    public init() {}
}

/// A model in the compiler's own language.
public struct ImportedModel: Sendable {
    public var module: Module
    /// The bound inputs whose values were built in. They remain inputs of the function, which no longer depends on them there.
    public var consumedInputs: [String]
    /// The bound inputs some of whose free sizes were built in.
    public var consumedSizes: [String]
    /// Things that the user should know but that do not stop the compilation.
    public var warnings: [Diagnostic]

    public init(_ module: Module, consumedInputs: [String] = [], consumedSizes: [String] = [], warnings: [Diagnostic] = []) {
        self.module = module
        self.consumedInputs = consumedInputs
        self.consumedSizes = consumedSizes
        self.warnings = warnings
    }
}

extension ImportedModel {
    /// The first entry point, which is the only one of an ONNX model.
    public var function: Function { module.functions[0] }
}

/// What the name of an ONNX value stands for while a graph is imported.
indirect enum Imported {
    case tensor(ValueID)
    /// A tensor that lacks those of the axes that have one element, where that is not known at compile time.
    case squeezed(ValueID, axes: [Int])
    /// A sequence of known length; the compiler's IR sees only its elements.
    case sequence([Imported])
    case optional(Imported?)
    /// String tensors exist at compile time only.
    case strings(StringTensor)
    /// The node that defines it cannot be imported, which has been recorded.
    case failed

    var isFailed: Bool {
        switch self {
        case .failed: true
        case .sequence(let items): items.contains { $0.isFailed }
        case .optional(let inner): inner?.isFailed ?? false
        default: false
        }
    }
}

struct StringTensor {
    var shape: [Int]
    var values: [[UInt8]]
}
