/// The unit that is compiled: entry points over the same weights and states. A plain model is a module of one function.
///
/// A weight is shared by being the same `Tensor` (the same bytes) wherever functions read it. A state is shared by its name: functions that
/// declare states of one name keep the same memory between calls.
public struct Module: Sendable {
    /// In the order in which an artifact lists them; their names differ.
    public var functions: [Function]

    public init(_ functions: [Function]) { self.functions = functions }
    public init(_ function: Function) { functions = [function] }

    /// What the module keeps between calls, in order of first mention.
    public var states: [(name: String, type: TensorType)] {
        var list: [(name: String, type: TensorType)] = []
        for function in functions {
            for state in function.states where !list.contains(where: { $0.name == function[state.input].name }) {
                list.append((function[state.input].name, function.tensorType(state.input)))
            }
        }
        return list
    }

    /// Checks every function, that their names differ, and that they agree on the types of states.
    /// - Throws: `Diagnostic`.
    public func verify() throws {
        guard !functions.isEmpty else { throw Diagnostic(.invalid, "the module has no functions") }
        var names: Set<String> = []
        let types = Dictionary(uniqueKeysWithValues: states.map { ($0.name, $0.type) })
        for function in functions {
            guard names.insert(function.name).inserted else { throw Diagnostic(.invalid, "there are two functions of the name '\(function.name)'") }
            try Verifier.verify(function)
            try Verifier.checkFoundSizes(of: function)
            for state in function.states {
                let name = function[state.input].name, type = function.tensorType(state.input)
                guard types[name] == type else {
                    throw Diagnostic(.invalid, "the state '\(name)' is \(type) in '\(function.name)', and of another type elsewhere")
                }
            }
        }
    }
}
