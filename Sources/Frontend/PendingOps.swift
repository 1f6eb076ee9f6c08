import GlmcIR

// Ops that the rules use and the IR does not have yet: a model that needs one is refused as unsupported.

protocol StubOp: Op {}
extension StubOp {
    static var mnemonic: String { "stub" }
    static var summary: String { "" }
    func infer(_ context: InferenceContext) throws -> [ValueType] { throw Diagnostic.unsupported("the op \(Self.self) is not built yet") }
    func evaluate(_ operands: [Tensor], in context: EvaluationContext) throws -> [Tensor] { [] }
}
enum ScatterReduction: Hashable { case none, add, multiply, maximum, minimum }
struct ScatterElements: StubOp { init() {}; init(axis: Int, reduction: ScatterReduction) {} }
struct ScatterND: StubOp { init() {}; init(reduction: ScatterReduction) {} }
struct ReverseSequence: StubOp { init() {}; init(timeAxis: Int, batchAxis: Int) {} }
struct NonZero: StubOp { init() {}; init(count: Extent) {} }
struct Compress: StubOp { init() {}; init(axis: Int, count: Extent) {} }
enum ArgReduceFunction: Hashable { case maximum, minimum }
struct ArgReduce: StubOp { init() {}; init(_ f: ArgReduceFunction, axis: Int, keepDims: Bool, selectLast: Bool) {} }
enum CumulativeFunction: Hashable { case add, multiply }
struct Cumulative: StubOp { init() {}; init(_ f: CumulativeFunction, axis: Int, exclusive: Bool, reverse: Bool) {} }
struct TopK: StubOp { init() {}; init(k: Extent, axis: Int, largest: Bool, sorted: Bool) {} }
struct Unique: StubOp { init() {}; init(axis: Int?, sorted: Bool, count: Extent) {} }
